# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which pictures, and which parts of them, each update of an image tokenizer learns from.

A function of the seed, the update's number and its stage alone, so that a run that is resumed
needs no more than these. Parts are drawn rich in foreground: on a table most of a picture is
table. Knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lapa_core.data.augment import Augment, generator
from lapa_core.data.images import MODEL_SIZE, normalise
from lapa_core.train.vqgan.pieces import piece_weights
from lapa_core.train.vqgan.pool import Background, PicturePool, foreground
from lapa_core.types import ImageArray

TRIES = 3  # parts of a picture, of which the one with most foreground is taken
STRIDE = 4  # pixels looked at for that, in each direction
PART = 128  # width of a part in pixels, where cells are not larger


@dataclass(frozen=True)
class Stage:
    """What an update is for.

    Attributes:
        part: "encoder" (with the codebook) or "decoder", the other one being frozen.
        whole: whole pictures, or parts of them. Norms over a whole picture are others than over
            a part, so each network ends with whole ones.
        done: share of the part's updates made.
    """

    part: str
    whole: bool
    done: float

    @classmethod
    def at(cls, progress: float, decoder_share: float, whole_share: float) -> Stage:
        """The stage when this share of the run is over."""
        first = 1.0 - decoder_share
        if progress < first:
            part, done = "encoder", progress / first
        else:
            part, done = "decoder", (progress - first) / max(decoder_share, 1e-9)
        return cls(part, done >= 1.0 - whole_share, min(done, 1.0))


@dataclass(frozen=True)
class PictureBatch:
    """Pictures of one update.

    Attributes:
        stage: what for.
        pixels: (B, S, S, 3) float32 -1 .. 1; parts for the encoder, whole ones for the decoder.
        weights: (B, S, S) float32, of each pixel's foreground, as `pieces.piece_weights`; 0 where
            its camera moves.
        fixed: (B,) whether the camera stands still.
        corners: (B, 2) row and column, in cells, of the part to be drawn by the decoder.
        pictures: (B,) numbers of the pictures in the pool.
    """

    stage: Stage
    pixels: Tensor
    weights: Tensor
    fixed: Tensor
    corners: Tensor
    pictures: Tensor

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.pixels)

    def to(self, device: Any) -> PictureBatch:
        """The same on a device."""
        names = ("pixels", "weights", "fixed", "corners", "pictures")
        return PictureBatch(self.stage, *(getattr(self, n).to(device) for n in names))


class PictureFeed:
    """Makes the batches.

    Attributes:
        part: width of a part in cells.

    Args:
        pool: pictures to learn from.
        backgrounds: of its cameras.
        size: parts a batch; of whole pictures a quarter, which have as many pixels; for the
            decoder a quarter of that, for it begins from nothing, late, and each costs more.
        cell: width in pixels of what one code stands for.
        augment: how each picture is changed, and its background with it; None: not at all.
        seed: of the order and of all draws.
    """

    def __init__(
        self,
        pool: PicturePool,
        backgrounds: Sequence[Background],
        *,
        size: int,
        cell: int,
        augment: Augment | None = None,
        seed: int = 0,
    ) -> None:
        self.pool, self._backgrounds, self._size = pool, backgrounds, size
        self._cell, self._augment, self._seed = cell, augment, seed
        self.part = max(PART // cell, 1)  # in cells

    def batch(self, number: int, stage: Stage) -> PictureBatch:
        """The batch of update `number` (from 0)."""
        chance = np.random.default_rng((self._seed, number))
        count = self._size // (4 if stage.whole else 1) // (1 if stage.part == "encoder" else 4)
        count = max(count, 1)
        drawn = chance.integers(len(self.pool), size=count)
        looks = [self._look(int(i), number, k) for k, i in enumerate(drawn)]
        fixed = [self._backgrounds[self.pool.camera[i]].fixed for i in drawn]
        corners = np.zeros((count, 2), dtype=np.int64)
        if not stage.whole:
            corners = np.stack([self._corner(*look, chance) for look in looks])
            if stage.part == "encoder":
                looks = [
                    (self._cut(picture, at), self._cut(behind, at))
                    for (picture, behind), at in zip(looks, corners, strict=True)
                ]
        pixels = torch.from_numpy(normalise(np.stack([picture for picture, _ in looks])))
        weights = torch.from_numpy(np.stack([piece_weights(*look) for look in looks]))
        others = (torch.tensor(fixed), torch.from_numpy(corners), torch.from_numpy(drawn))
        return PictureBatch(stage, pixels, weights, *others)

    def blame(self, batch: PictureBatch) -> str:
        """What it is made of, for a message."""
        episodes = np.unique(self.pool.episode[batch.pictures.numpy(force=True)])
        names = [self.pool.episodes[e] for e in episodes[:5]]
        more = f" and {len(episodes) - 5} more" if len(episodes) > 5 else ""
        return f"pictures of {', '.join(names)}{more}"

    def _look(self, index: int, number: int, place: int) -> tuple[ImageArray, ImageArray]:
        """A picture and what is behind it, changed alike."""
        picture = self.pool.picture(index)
        background = self._backgrounds[self.pool.camera[index]]
        behind = background.median if background.fixed else picture
        if self._augment is not None:
            # The same draws twice: crop and colours depend on them alone.
            picture, behind = (
                self._augment(p, generator(self._seed, number, place)) for p in (picture, behind)
            )
        return picture, behind

    def _corner(self, picture: ImageArray, behind: ImageArray, chance: np.random.Generator) -> Any:
        """(2,) where a part begins, in cells."""
        last = MODEL_SIZE // self._cell - self.part
        tries = chance.integers(last + 1, size=(TRIES, 2))
        shares = [
            foreground(
                self._cut(picture, at)[::STRIDE, ::STRIDE],
                self._cut(behind, at)[::STRIDE, ::STRIDE],
            ).mean()
            for at in tries
        ]
        return tries[int(np.argmax(shares))]

    def _cut(self, picture: ImageArray, corner: Any) -> ImageArray:
        row, column = (int(c) * self._cell for c in corner)
        side = self.part * self._cell
        return picture[row : row + side, column : column + side]
