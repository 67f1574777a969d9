# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The task of telling from two frames what the arm did between them, for the loop.

B pairs, m dimensions of a motion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from lapa_core.model.idm import Idm
from lapa_core.train.curves import Panels
from lapa_core.train.laq.footage import Footage
from lapa_core.train.loss import Losses
from lapa_core.train.pair_task import PairTask, pictures
from lapa_core.train.presets import TrainOptions
from lapa_core.types import FloatArray

PANELS: Panels = (
    ("loss", ("train/loss_motion", "validation/loss"), "Huber, of spreads"),
    ("of a constant's error", ("validation/relative",), "squared"),
    ("codes right", ("validation/accuracy",), "share"),
    ("of the way told", ("validation/x_r2", "validation/y_r2", "validation/z_r2"), "R2"),
    ("speed", ("train/samples_per_s",), "pairs/s"),
    ("learning rate, gradient", ("train/lr", "train/gradient_norm"), ""),
)

_STILL = 1e-6  # squared spreads
# what is told of pairs and what is true, (n, m) each in spreads from the middle
Told = tuple[FloatArray, FloatArray]


@dataclass
class MotionBatch:
    """Pairs and what was done between them.

    Attributes:
        frames: (B, 3, 2, S, S) uint8, the earlier one first.
        moves: (B, m) float32, in spreads from the middle.
        lengths: (B,) numbers of each.
    """

    frames: Tensor
    moves: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.frames)

    def to(self, device: torch.device, non_blocking: bool = False) -> MotionBatch:
        """The same on another device."""
        frames, moves = (
            t.to(device, non_blocking=non_blocking) for t in (self.frames, self.moves)
        )
        return MotionBatch(frames, moves, self.lengths)


class Trainee(nn.Module):
    """The model with its loss."""

    def __init__(self, model: Idm) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: MotionBatch) -> Losses:
        """Huber's: a picture that hides what was done must not decide."""
        told = self.model(batch.frames.float() / 255.0).float()
        loss = F.smooth_l1_loss(told, batch.moves)
        nothing = torch.zeros((), device=loss.device)
        return Losses(loss, {"motion": loss.detach()}, nothing, nothing)


class LearnMotions(PairTask):
    """The task of telling motions.

    Args:
        model: that learns.
        learn, held: pairs whose motions are all known.
        output: folder of the model.
        options: of the loop.
        accelerator: this process' device and the others'.
        facts: how it is trained, kept beside it.
    """

    panels = PANELS

    def __init__(
        self, model: Idm, learn: Footage, held: Footage, output: Path, options: TrainOptions,
        accelerator: Accelerator, facts: Mapping[str, Any],
    ) -> None:  # fmt: skip
        super().__init__(learn, held, output, options, accelerator, facts)
        self.trainee = Trainee(model.to(accelerator.device))

    @property
    def model(self) -> Idm:
        """What learns."""
        return self.trainee.model

    def batch(self, number: int, rank: int, world: int) -> MotionBatch:
        """A process' part of batch `number`."""
        return self._examples(self._learn, self._drawn(number, rank, world))

    def _examples(self, footage: Footage, chosen: NDArray[np.int64]) -> MotionBatch:
        config = self.model.config
        moves = (footage.moves(chosen) - config.middle) / np.array(config.spread)
        lengths = torch.full((len(chosen),), len(config.dimensions))
        return MotionBatch(pictures(footage, chosen), torch.from_numpy(moves).float(), lengths)

    def _judge(self, places: NDArray[np.int64]) -> Told:
        batch = self._examples(self._held, places)
        told = self.model(batch.to(self._accelerator.device).frames.float() / 255.0)
        return told.float().cpu().numpy(), batch.moves.numpy()

    def _errors(self, found: Sequence[Told]) -> dict[str, float]:
        told, true = (np.concatenate([f[i] for f in found]) for i in (0, 1))
        model, config = self.model, self.model.config
        off, spread = (told - true) ** 2, (true - true.mean(axis=0)) ** 2
        codes = [
            model.binned(torch.from_numpy(v * config.spread + config.middle)) for v in (told, true)
        ]
        errors = {
            f"{name}_r2": float(1 - o / s)
            for name, o, s in zip(config.dimensions, off.mean(0), spread.mean(0), strict=True)
            if s > _STILL  # of what never moves there is nothing to tell
        }
        return {
            **errors,
            "loss": float(F.smooth_l1_loss(torch.from_numpy(told), torch.from_numpy(true))),
            "relative": float(off.mean() / max(spread.mean(), 1e-12)),
            "accuracy": float((codes[0] == codes[1]).float().mean()),
        }

    def told(self, errors: Mapping[str, float]) -> str:
        """How much of each number of a motion it tells."""
        each = ", ".join(
            f"{name} {errors[f'{name}_r2']:.2f}"
            for name in self.model.config.dimensions
            if f"{name}_r2" in errors
        )
        return f"{errors['relative']:.2f} of a constant's error; R2 of {each}"
