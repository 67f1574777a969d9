# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Is an image tokenizer any good? Pictures it has not learnt from, through codes and back.

What counts is what a person would miss: the foreground as a whole, and each small thing by
itself, for a block can vanish while the arm beside it is drawn well. Knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lapa_core.data import images
from lapa_core.model.vqgan import Vqgan, code_rows
from lapa_core.train.vqgan.pool import Background, PicturePool, foreground, spread
from lapa_core.types import ImageArray

MOST = 128  # pictures looked at
SMALL_PX = (40, 1200)  # area of a small thing: 0.06 to 2 % of a picture
# A small thing is drawn if half of its difference from the background is, and half of that of its
# mean colour, grey left out, where it has one (levels): a dark blot is no green block.
KEPT, COLOURED = 0.5, 30.0
LOST, LOST_THINGS = 0.5, 0.8  # of the foreground; of the small things
FEW = 0.05  # of the codes told apart by their use (perplexity)
_BATCH = 16


@dataclass(frozen=True)
class CameraCheck:
    """One camera's pictures, errors in levels of 0 .. 255.

    Attributes:
        camera: its name.
        pictures: how many.
        error: root mean squared, of all pixels.
        foreground_error: of the foreground; None where the camera moves.
        explained: share of the foreground's squared difference from the background that is drawn;
            of a camera that moves, of all pixels' difference from their mean colour.
        small_things: how many there were.
        things_kept: share of them that are drawn in their colour; None without any.
    """

    camera: str
    pictures: int
    error: float
    foreground_error: float | None
    explained: float
    small_things: int
    things_kept: float | None

    def faults(self) -> list[str]:
        """What is wrong, in words."""
        found = []
        if self.explained < LOST:
            what = "foreground" if self.foreground_error is not None else "picture"
            share = 100 * max(self.explained, 0.0)
            found.append(f"{what} lost: {share:.0f} % of it is drawn, by camera {self.camera}")
        if self.things_kept is not None and self.things_kept < LOST_THINGS:
            found.append(
                f"small things lost: {100 * self.things_kept:.0f} % of {self.small_things} seen "
                f"by camera {self.camera} are drawn in their colour"
            )
        return found

    def __str__(self) -> str:
        """For people."""
        text = f"camera {self.camera}, {self.pictures} pictures held back: "
        if self.foreground_error is not None:
            text += f"foreground off by {self.foreground_error:.1f} of 255 levels, "
        text += f"all by {self.error:.1f}; {100 * self.explained:.0f} % explained"
        if self.things_kept is not None:
            text += f", {100 * self.things_kept:.0f} % of {self.small_things} small things drawn"
        return text


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a tokenizer.

    Attributes:
        cameras: one by one.
        codes: entries of the codebook, of all parts of a code together.
        codes_used: different ones in these pictures.
        perplexity: as many codes, all used alike, would tell as much.
    """

    cameras: tuple[CameraCheck, ...]
    codes: int
    codes_used: int
    perplexity: float

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong, in words; none is healthy."""
        found = [f for each in self.cameras for f in each.faults()]
        if self.perplexity < FEW * self.codes:
            found.append(
                f"few codes used: {self.codes_used} of {self.codes}, worth {self.perplexity:.0f}"
            )
        return tuple(found)

    def __str__(self) -> str:
        """For people."""
        used = f"{self.codes_used} of {self.codes} codes used, worth {self.perplexity:.0f}"
        told = "; ".join(self.faults) or "healthy"
        return "\n".join([*map(str, self.cameras), used, f"verdict: {told}"])

    def to_json(self) -> dict[str, Any]:
        """All of it, of plain types."""
        return {**asdict(self), "faults": list(self.faults)}


def judge(vqgan: Vqgan, pool: PicturePool, backgrounds: Sequence[Background]) -> Verdict:
    """Look at some of a pool's pictures, evenly spread.

    Args:
        vqgan: on any device; left in evaluation mode.
        pool: pictures that were held back, of the backgrounds' cameras.
        backgrounds: of all its cameras, in their order.
    """
    vqgan.eval()
    entries, parts = vqgan.config.num_embeddings, vqgan.config.code_parts
    checks, used = [], np.zeros(entries * parts)
    for number, background in enumerate(backgrounds):
        own = np.flatnonzero(pool.camera == number)
        own = own[spread(len(own), max(MOST // len(backgrounds), 1))]
        if not len(own):
            continue
        pictures = np.stack([pool.picture(i) for i in own])
        drawn, codes = through(vqgan, pictures)
        rows = code_rows(torch.from_numpy(codes.ravel()), entries, parts).numpy()
        used += np.bincount(rows.ravel(), minlength=len(used))
        checks.append(_check(background, pictures, drawn))
    share = used[used > 0] / used.sum()
    perplexity = float(np.exp(-(share * np.log(share)).sum()))
    return Verdict(tuple(checks), len(used), int((used > 0).sum()), perplexity)


@torch.inference_mode()
def through(vqgan: Vqgan, pictures: ImageArray) -> tuple[ImageArray, NDArray[np.int64]]:
    """(n, 256, 256, 3) pictures as drawn from their codes, and the (n, N) codes."""
    drawn, codes = [], []
    for start in range(0, len(pictures), _BATCH):
        pixels = torch.from_numpy(images.normalise(pictures[start : start + _BATCH]))
        found = vqgan.encode(pixels.to(vqgan.device))
        levels = ((vqgan.decode(found) + 1.0) * 127.5).round().to(torch.uint8)
        drawn.append(levels.numpy(force=True))
        codes.append(found.numpy(force=True))
    return np.concatenate(drawn), np.concatenate(codes)


def _check(background: Background, pictures: ImageArray, drawn: ImageArray) -> CameraCheck:
    wanted = pictures.astype(np.float32)
    error = np.square(wanted - drawn).mean(-1)
    if not background.fixed:
        spread_out = np.square(wanted - wanted.mean((1, 2), keepdims=True)).mean(-1)
        return CameraCheck(
            background.camera, len(pictures), float(np.sqrt(error.mean())), None,
            _explained(error, spread_out), 0, None,
        )  # fmt: skip
    difference = np.square(wanted - background.median).mean(-1)
    masks = np.stack([foreground(p, background.median) for p in pictures])
    kept = [
        drawn_well
        for mask, *pictures_of_it in zip(masks, wanted, drawn, strict=True)
        for drawn_well in _things(mask, *pictures_of_it, background.median)
    ]
    there = bool(masks.any())
    return CameraCheck(
        camera=background.camera,
        pictures=len(pictures),
        error=float(np.sqrt(error.mean())),
        foreground_error=float(np.sqrt(error[masks].mean())) if there else 0.0,
        explained=_explained(error[masks], difference[masks]) if there else 1.0,
        small_things=len(kept),
        things_kept=float(np.mean(kept)) if kept else None,
    )


def _things(
    mask: NDArray[np.bool_], wanted: NDArray[np.float32], drawn: ImageArray, behind: ImageArray
) -> list[bool]:
    """Whether each small connected piece of one picture's foreground is drawn."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[:count, cv2.CC_STAT_AREA]
    small = [i for i in range(1, count) if SMALL_PX[0] <= areas[i] <= SMALL_PX[1]]
    return [
        _well(*(p[labels == i].astype(np.float32) for p in (wanted, drawn, behind))) for i in small
    ]


def _well(
    wanted: NDArray[np.float32], drawn: NDArray[np.float32], behind: NDArray[np.float32]
) -> bool:
    """Whether a thing's (n, 3) pixels are there, and of about its colour."""
    if _explained(np.square(wanted - drawn), np.square(wanted - behind)) < KEPT:
        return False
    hue, got, table = (c - c.mean() for c in (p.mean(0) for p in (wanted, drawn, behind)))
    contrast = float(np.linalg.norm(hue - table))
    return contrast < COLOURED or float(np.linalg.norm(hue - got)) <= (1 - KEPT) * contrast


def _explained(error: NDArray[np.float32], difference: NDArray[np.float32]) -> float:
    return 1.0 - float(error.sum()) / max(float(difference.sum()), 1e-9)
