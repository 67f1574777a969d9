# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The task of imagining the frames to come, for the loop. B films, F frames to come, W words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from lapa_core.model.unipi import NOISE_STEPS, PAD, RGB, Planner
from lapa_core.train.curves import Panels
from lapa_core.train.laq import check
from lapa_core.train.laq.footage import Footage
from lapa_core.train.loss import Losses
from lapa_core.train.pair_task import PairTask, pictures
from lapa_core.train.presets import TrainOptions

SILENT_SHARE = 0.1  # of the films without their words, which guidance needs
PANELS: Panels = (
    ("loss", ("train/loss_film",), "velocity, squared"),
    ("of repeating the present frame's", ("validation/relative",), "error"),
    ("error of the next frame", ("validation/mse",), "squared"),
    ("nearer the future", ("validation/nearer",), "share of films"),
    ("speed", ("train/samples_per_s",), "films/s"),
    ("learning rate, gradient", ("train/lr", "train/gradient_norm"), ""),
)


@dataclass
class FilmBatch:
    """Films, words and noise.

    Attributes:
        frames: (B, 3, 1 + F, S, S) uint8, the present one first.
        words: (B, W) int64.
        times: (B,) int64 of the noise schedule.
        noise: (B, 3 F, S, S) float32.
        lengths: (B,) frames of each.
    """

    frames: Tensor
    words: Tensor
    times: Tensor
    noise: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.frames)

    def to(self, device: torch.device, non_blocking: bool = False) -> FilmBatch:
        """The same on another device."""
        moved = (
            t.to(device, non_blocking=non_blocking)
            for t in (self.frames, self.words, self.times, self.noise)
        )
        return FilmBatch(*moved, self.lengths)


class Trainee(nn.Module):
    """The planner with its loss."""

    def __init__(self, model: Planner) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: FilmBatch) -> Losses:
        """Of the velocity of the noise."""
        frames = batch.frames.float() / 255.0
        loss = self.model(frames, batch.words, batch.times, batch.noise)
        nothing = torch.zeros((), device=loss.device)
        return Losses(loss, {"film": loss.detach()}, nothing, nothing)


class LearnFilms(PairTask):
    """The task of imagining films.

    Args:
        model: that learns.
        learn, held: films, and those of the clips held back.
        words: (n, W) of `learn`, and of `held`.
        output: folder of the model.
        options: of the loop.
        accelerator: this process' device and the others'.
        facts: how it is trained, kept beside it.
        beside: writes what belongs to the model into its folder, such as its tokenizer.
    """

    panels = PANELS

    def __init__(
        self, model: Planner, learn: Footage, held: Footage,
        words: tuple[NDArray[np.int64], NDArray[np.int64]], output: Path, options: TrainOptions,
        accelerator: Accelerator, facts: Mapping[str, Any], beside: Callable[[Path], None],
    ) -> None:  # fmt: skip
        super().__init__(learn, held, output, options, accelerator, facts)
        self._words, self._beside = words, beside
        self.trainee = Trainee(model.to(accelerator.device))

    @property
    def model(self) -> Planner:
        """What learns."""
        return self.trainee.model

    def batch(self, number: int, rank: int, world: int) -> FilmBatch:
        """A process' part of batch `number`."""
        chosen = self._drawn(number, rank, world)
        chance = np.random.default_rng([self.options.seed, number, rank])
        words = self._words[0][chosen].copy()
        words[chance.random(len(words)) < SILENT_SHARE] = PAD
        times = torch.from_numpy(chance.integers(NOISE_STEPS, size=len(chosen)))
        return self._films(self._learn, chosen, words, times, int(chance.integers(2**62)))

    def _films(
        self, footage: Footage, chosen: NDArray[np.int64], words: NDArray[np.int64],
        times: Tensor, seed: int,
    ) -> FilmBatch:  # fmt: skip
        c = self.model.config
        size = (len(chosen), RGB * c.frames, c.image_size, c.image_size)
        noise = torch.randn(size, generator=torch.Generator().manual_seed(seed))
        lengths = torch.full((len(chosen),), c.frames)
        return FilmBatch(pictures(footage, chosen), torch.from_numpy(words), times, noise, lengths)

    def _judge(self, places: NDArray[np.int64]) -> tuple[int, dict[str, float]]:
        """What imagined next frames are worth: how many, and the errors."""
        nothing = torch.zeros(len(places), dtype=torch.long)
        batch = self._films(self._held, places, self._words[1][places], nothing, int(places[0]))
        batch = batch.to(self._accelerator.device)
        frames = batch.frames.float() / 255.0
        drawn = self.model.imagine(frames[:, :, 0], batch.words, batch.noise)
        arrays = (t.cpu().numpy() for t in (drawn[:, :, 0], frames[:, :, 0], frames[:, :, 1]))
        return len(places), check.of_drawings(*arrays)

    def _errors(self, found: Sequence[tuple[int, dict[str, float]]]) -> dict[str, float]:
        counts = [count for count, _ in found]
        return {
            name: float(np.average([errors[name] for _, errors in found], weights=counts))
            for name in found[0][1]
        }

    def told(self, errors: Mapping[str, float]) -> str:
        """What the next frame is worth."""
        return (
            f"{errors['relative']:.2f} of repeating the present frame's error, "
            f"{100 * errors['nearer']:.0f} % nearer the future frame"
        )

    def _write(self, folder: Path) -> None:
        super()._write(folder)
        self._beside(folder)
