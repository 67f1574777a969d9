# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa codes`: what each code of a latent action quantiser does to a picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from lapa_core.data.footage.pairs import PairParams
from lapa_core.data.footage.store import StoreParams
from lapa_core.types import FloatArray, ImageArray

FEW = 16  # frames that the effect is a mean of
MANY = 512  # pairs whose codes are counted
RANGE = 25.0  # grey levels at the ends of the colours


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Draw the codes and print how they are used."""
    add = parser.add_argument
    add("laq", type=Path, help="folder, or the reference's file")
    add("data", type=Path, nargs="+", metavar="DATA", help="footage, as of pretrain laq")
    add("--output", type=Path, default=Path("codes.png"), help="picture to be written")
    add("--gap", type=float, default=0.6, metavar="S", help="seconds between the frames of a pair")
    add("--cameras", nargs="+", default=[], metavar="NAME", help="of bags; default: all")
    add("--rate", type=float, default=0.0, metavar="HZ", help="of folders of frames")
    add("--cache", type=Path, help="where the frames are kept; default: beside the picture")
    add("--arrows", action="store_true", help="draw where things go, by optical flow")
    args = parser.parse_args(argv)
    import torch

    from lapa_core.model.laq import load
    from lapa_core.model.laq.rollout import effects, picture, pixels
    from lapa_core.train.laq import check, footage

    laq = load(args.laq).eval()
    found = footage.read(
        args.data, args.cache or args.output.with_suffix(".frames"),
        params=StoreParams(size=laq.config.image_size, rate_hz=args.rate),
        wanted=[PairParams(gap_s=args.gap)] * len(args.data), cameras=args.cameras,
    )  # fmt: skip
    chosen = np.linspace(0, len(found) - 1, min(MANY, len(found))).astype(np.int64)
    codes, first = [], []
    for begin in range(0, len(chosen), 32):
        part = found.pictures(chosen[begin : begin + 32])
        frames = torch.from_numpy(part).permute(0, 4, 1, 2, 3).float() / 255.0
        codes.append(laq.encode(frames).numpy())
        first += list(part[:, 0])
    seen = np.concatenate(codes)
    size = int(laq.config.codebook_size)
    usual = np.array(
        [np.bincount(seen[:, i], minlength=size).argmax() for i in range(seen.shape[1])]
    )
    few = [first[i] for i in np.linspace(0, len(first) - 1, min(FEW, len(first))).astype(int)]
    change, drawn = effects(laq, few, usual)
    shares = np.stack([np.bincount(row, minlength=size) / len(seen) for row in seen.T])
    _draw(args.output, change, drawn, shares, picture(pixels(laq, few[:1])[0]), args.arrows)
    for place, row in enumerate(shares):
        print(f"place {place}: " + "  ".join(f"{k}: {100 * s:.0f} %" for k, s in enumerate(row)))
    used = check.of_codes(seen, size)
    print(f"{used['used']:.0f} of {size} used and worth {used['perplexity']:.1f} where fewest, "
          f"{used['joint']:.0f} different actions in {len(seen)} pairs\n"
          f"{args.output}")  # fmt: skip
    return 0


def _draw(
    path: Path,
    change: FloatArray,
    drawn: ImageArray,
    shares: FloatArray,
    first: ImageArray,
    arrows: bool,
) -> None:
    """A column a code, two rows a place: what is drawn, and what it changes.

    Args:
        path: picture to be written.
        change, drawn: as of `effects`.
        shares: (places, codes) of the pairs.
        first: the frame that `drawn` goes on from.
        arrows: whether to draw where things go from it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from lapa_core.model.laq.rollout import arrows as flow

    places, size = change.shape[:2]
    figure = Figure(figsize=(1.4 * size, 2.9 * places))
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(2 * places, size, squeeze=False)
    for place in range(places):
        for code in range(size):
            top, below = axes[2 * place, code], axes[2 * place + 1, code]
            top.imshow(drawn[place, code])
            if arrows and len(found := flow(first, drawn[place, code])):
                top.quiver(*found.T, angles="xy", scale_units="xy", scale=0.5, color="yellow",
                           width=0.012)  # fmt: skip
            below.imshow(change[place, code], cmap="RdBu", vmin=-RANGE, vmax=RANGE)
            top.set_title(f"{place}: {code} ({100 * shares[place, code]:.0f} %)", fontsize=7)
            for each in (top, below):
                each.set_axis_off()
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.97, wspace=0.05, hspace=0.15)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
