# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What does an image tokenizer tell apart: coloured blocks, where they are, open fingers?

    python benchmarks/tokenizer.py VQGAN
    python benchmarks/tokenizer.py VQGAN --demos ~/blocks --pictures 400

Pictures are those of decisions in `lapa collect` demonstrations of the tabletop scene, which
should be others than the tokenizer has learnt from; without `--demos` some are collected now. They
go through the codes and back, drawn by the VQGAN's own decoder. Of each colour: intersection over
union of its pixels, and how far their centre has moved, in pixels of 256. Of the fingers: a small
network on the codes says open or closed, fitted to three quarters of the demonstrations and asked
about the rest; beside it what one that knows the tool's position alone says, for that tells much
too. How far off the place is that a policy reads from the codes: `lapa eval --open-loop`.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import RESULTS, processor, write_result
from numpy.typing import NDArray
from tokenizer_probes import codes_of, fingers

from lapa_core.cli import main as lapa
from lapa_core.data import images
from lapa_core.data.episodes import find, open_episode
from lapa_core.data.samples import SampleParams, Samples
from lapa_core.model.vqgan import Vqgan
from lapa_core.train.start import read_vqgan
from lapa_core.train.vqgan.check import through
from lapa_core.train.vqgan.pool import spread

# Hue of OpenCV's 180 steps, from and to; all with saturation and value above these. The arm, the
# table and the cup have less colour.
HUES = {"red": ((0, 8), (172, 180)), "green": ((50, 80),), "blue": ((105, 130),),
        "yellow": ((20, 32),)}  # fmt: skip
SATURATION, VALUE = 150, 50
SEEN_PX = 60  # a block with fewer pixels is hidden, behind the arm or under the cup
HELD = 4  # every fourth demonstration is held back from the probe


@dataclass(frozen=True)
class Looks:
    """What was seen at decisions of demonstrations.

    Attributes:
        pictures: (n, 256, 256, 3) RGB.
        position_m: (n, 3) of the tool.
        opening: (n,) measured, 0 closed, 1 open.
        demo: (n,) number of the demonstration.
    """

    pictures: NDArray[np.uint8]
    position_m: NDArray[np.float32]
    opening: NDArray[np.float32]
    demo: NDArray[np.int64]


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("vqgan", type=Path, help="folder of a VQGAN, or a checkpoint's")
    parser.add_argument("--demos", type=Path, help="a data set; default: collected now")
    parser.add_argument("--episodes", type=int, default=40, help="collected, without --demos")
    parser.add_argument("--seed", type=int, default=990, help="of these")
    parser.add_argument("--pictures", type=int, default=200, help="for colours")
    parser.add_argument("--center-crop", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--strip", type=Path, help="PNG of some pictures and what is drawn")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON")
    args = parser.parse_args()
    vqgan, _ = read_vqgan(args.vqgan)
    with tempfile.TemporaryDirectory() as folder:
        demos = args.demos or _collected(Path(folder) / "demos", args.episodes, args.seed)
        looks = read(demos, args.center_crop)
    some = looks.pictures[spread(len(looks.pictures), args.pictures)]
    drawn, codes = through(vqgan, some)
    if args.strip:
        _strip(some, drawn, args.strip)
    content = {
        "processor": processor(),
        "vqgan": args.vqgan.name,
        "parameters": sum(p.numel() for p in vqgan.parameters()),
        "codes": vqgan.num_codes,
        "codes_used": len(np.unique(codes)),
        "pictures": len(some),
        "colours": {name: colour(name, some, drawn) for name in HUES},
        "fingers": told_fingers(vqgan, looks),
    }
    for name, value in content.items():
        print(name, value)
    print(write_result("tokenizer", content, args.out))


def _collected(folder: Path, episodes: int, seed: int) -> Path:
    argv = ["collect", str(folder), "--episodes", str(episodes), "--seed", str(seed)]
    if lapa(argv):
        raise SystemExit("no demonstrations could be collected")
    return folder


def read(demos: Path, center_crop: bool) -> Looks:
    """All decisions of a data set of one arm, as its first camera sees them."""
    pictures, positions, openings, numbers = [], [], [], []
    for number, folder in enumerate(find(demos)):
        recording = open_episode(folder)
        arm, camera = recording.robot.arms[0].name, recording.robot.cameras[0].name
        for sample in Samples(recording, SampleParams((camera,))):
            seen = sample.observation
            pictures.append(images.resize_for_model(seen.images[camera], center_crop))
            positions.append([seen.state[f"{arm}/{axis}"] for axis in "xyz"])
            openings.append(seen.state[f"{arm}/gripper"])
            numbers.append(number)
    return Looks(
        np.stack(pictures),
        np.array(positions, dtype=np.float32),
        np.array(openings, dtype=np.float32),
        np.array(numbers),
    )


def told_fingers(vqgan: Vqgan, looks: Looks) -> dict[str, Any]:
    """What codes tell of the fingers, in demonstrations held back."""
    codes, held = codes_of(vqgan, looks.pictures), looks.demo % HELD == HELD - 1
    return fingers(vqgan, codes, looks.position_m, looks.opening, held)


def colour(name: str, wanted: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> dict[str, Any]:
    """How well one colour's pixels are drawn, where a picture has any."""
    overlaps, distances = [], []
    for one, other in zip(wanted, drawn, strict=True):
        there, found = _pixels(name, one), _pixels(name, other)
        if there.sum() < SEEN_PX:
            continue
        overlaps.append((there & found).sum() / (there | found).sum())
        if found.any():
            apart = np.argwhere(there).mean(0) - np.argwhere(found).mean(0)
            distances.append(float(np.linalg.norm(apart)))
    if not overlaps:
        return {"seen": 0}
    return {
        "seen": len(overlaps),
        "iou": round(float(np.mean(overlaps)), 3),
        "lost": len(overlaps) - len(distances),
        "centre_px": round(float(np.mean(distances)), 2) if distances else None,
        "centre_px_95": round(float(np.percentile(distances, 95)), 2) if distances else None,
    }


def _pixels(name: str, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    found = np.zeros(picture.shape[:2], dtype=np.bool_)
    for low, high in HUES[name]:
        found |= (hsv[..., 0] >= low) & (hsv[..., 0] <= high)
    return found & (hsv[..., 1] > SATURATION) & (hsv[..., 2] > VALUE)


def _strip(wanted: NDArray[np.uint8], drawn: NDArray[np.uint8], path: Path) -> None:
    """Six pictures above what is drawn of them."""
    rows = [np.hstack(list(p[spread(len(p), 6)])) for p in (wanted, drawn)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    main()
