# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The task of telling two frames apart in a few codes, for the loop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import Tensor, nn

from lapa_core.data.footage import moves
from lapa_core.errors import ConfigError
from lapa_core.model.checkpoint import staged, without_progress_bars
from lapa_core.model.laq import Laq
from lapa_core.train.curves import Panels
from lapa_core.train.laq import check
from lapa_core.train.laq.codebook import AsReference, Keeper, Steady
from lapa_core.train.laq.footage import Footage
from lapa_core.train.laq.options import STEADY, LaqOptions
from lapa_core.train.laq.trainee import PairBatch, Trainee
from lapa_core.train.presets import TrainOptions
from lapa_core.train.task import Task
from lapa_core.types import FloatArray

CONFIG, TRAINING = "config.json", "training.json"
STILL = 1e-6  # a spread below is that of what never moves
PANELS: Panels = (
    ("error", ("train/loss_drawing", "validation/mse"), "squared"),
    ("of repeating the present frame's", ("validation/relative",), "error"),
    ("nearer the future", ("validation/nearer",), "share of pairs"),
    ("codes at the place that has fewest", ("validation/used", "validation/perplexity"), ""),
    ("true motion told by the codes", ("validation/probe",), "R2"),
    ("speed", ("train/samples_per_s",), "pairs/s"),
)


# (n, N) codes, (n,) of which pairs, and what their drawings are worth
Judged = tuple[NDArray[np.int64], NDArray[np.int64], dict[str, float]]


class LearnChanges(Task):
    """The task of telling two frames apart in a few codes."""

    panels = PANELS

    def __init__(
        self,
        model: Laq,
        learn: Footage,
        held: Footage,
        output: Path,
        options: TrainOptions,
        codes: LaqOptions,
        accelerator: Accelerator,
        facts: Mapping[str, Any],
        begun: bool,
    ) -> None:
        self.output, self.options, self._facts = output, options, facts
        self._learn, self._held, self._accelerator = learn, held, accelerator
        self._scale = _scale(learn) if codes.motion_weight else None
        numbers = 0 if self._scale is None else len(self._scale[0])
        self.trainee = Trainee(model.to(accelerator.device), codes, numbers)
        self.keeper: Keeper
        if codes.quantiser == STEADY:
            self.keeper = Steady(model.quantiser, codes, options.seed, begun)
        else:
            self.keeper = AsReference(model.quantiser, options.seed)
        self.trainee.ready = self.keeper.ready

    def _drawn(self, number: int, rank: int, world: int) -> NDArray[np.int64]:
        """Pairs of this process' part of batch `number`."""
        chance = np.random.default_rng([self.options.seed, number])
        return chance.integers(len(self._learn), size=self.options.batch * world)[rank::world]

    def batch(self, number: int, rank: int, world: int) -> PairBatch:
        """A process' part of batch `number`."""
        chosen = self._drawn(number, rank, world)
        seed = np.random.default_rng([self.options.seed, number, rank]).integers(2**62)
        return self._examples(self._learn, chosen, torch.Generator().manual_seed(int(seed)))

    def _examples(
        self, footage: Footage, chosen: NDArray[np.int64], chance: torch.Generator
    ) -> PairBatch:
        c = self.trainee.model.config
        pictures = torch.from_numpy(footage.pictures(chosen)).permute(0, 4, 1, 2, 3)
        noise = torch.randn(len(chosen), c.code_seq_len, c.quant_dim, generator=chance)
        lengths = torch.full((len(chosen),), c.code_seq_len)
        moved = np.zeros((len(chosen), 0))
        if self._scale is not None:
            moved = (footage.moves(chosen) - self._scale[0]) / self._scale[1]
        return PairBatch(pictures.contiguous(), noise, lengths, torch.from_numpy(moved).float())

    def blame(self, number: int, rank: int, world: int) -> str:
        """The clips of that batch."""
        names = self._learn.names(self._drawn(number, rank, world))
        return f"clips {', '.join(names[:5])}" + f" and {len(names) - 5} more" * (len(names) > 5)

    def updated(self, step: int) -> None:
        """Move, begin or revive codes."""
        seen, self.trainee.seen = self.trainee.seen, []
        change, codes = (torch.cat(parts) for parts in zip(*seen, strict=True))
        if self._accelerator.num_processes > 1:
            change, codes = self._accelerator.gather((change, codes))
        self.keeper.saw(change, codes)
        self.trainee.revived = self.keeper.update(step)
        self.trainee.ready = self.keeper.ready

    @torch.no_grad()
    def validate(self, module: nn.Module, accelerator: Accelerator) -> dict[str, float] | None:
        """Errors and use of codes on the clips held back."""
        del module
        if not len(self._held):
            return None
        rank, world = accelerator.process_index, accelerator.num_processes
        count = min(len(self._held), self.options.validation_samples)
        places = np.linspace(0, len(self._held) - 1, count).astype(np.int64)[rank::world]
        found = []
        for begin in range(0, len(places), self.options.batch):
            found.append(self._judged(places[begin : begin + self.options.batch]))
        return self._errors(gather_object(found) if world > 1 else found)

    @property
    def codebook_size(self) -> int:
        """Codes to choose from."""
        return int(self.trainee.model.config.codebook_size)

    def _judged(
        self, places: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], int, dict[str, float]]:
        """Codes of these pairs, how many they are, and what their drawings are worth."""
        model, device = self.trainee.model, self._accelerator.device
        batch = self._examples(self._held, places, torch.Generator().manual_seed(0)).to(device)
        frames = batch.frames.float() / 255.0
        codes = model.encode(frames)
        drawn = model.draw(frames[:, :, 0], codes)
        arrays = (t.float().cpu().numpy() for t in (drawn, frames[:, :, 0], frames[:, :, 1]))
        return codes.cpu().numpy(), places, check.of_drawings(*arrays)

    def _errors(self, found: Sequence[Judged]) -> dict[str, float]:
        """Of all batches together."""
        counts = np.array([len(p) for _, p, _ in found], dtype=np.float64)
        errors = {
            name: float(np.average([d[name] for _, _, d in found], weights=counts))
            for name in found[0][2]
        }
        codes = np.concatenate([c for c, _, _ in found])
        own = bool(self.trainee.model.config.own_codebooks)
        errors |= check.of_codes(codes, self.codebook_size, own)
        true = self._held.moves(np.concatenate([p for _, p, _ in found]))
        known = check.probe(codes, self.codebook_size, moves.ways_m(true))
        return errors | ({"probe": known} if np.isfinite(known) else {})

    def told(self, errors: Mapping[str, float]) -> str:
        """How the codes are used and what they are worth."""
        return check.said(errors, self.codebook_size)

    def export(self, step: int, errors: Mapping[str, float]) -> None:
        """Write the model and what is to be said of it."""
        if not self._accelerator.is_main_process:
            return
        told: dict[str, Any] = {**self._facts, "updates": step, "validation": dict(errors)}
        if errors:
            told["verdict"] = check.verdict(errors, self.codebook_size)
        with staged(self.output, CONFIG) as folder, without_progress_bars():
            self.trainee.model.save_pretrained(folder)
            (folder / TRAINING).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    def tensors(self) -> dict[str, Tensor]:
        """What the keeper of the codes remembers."""
        return self.keeper.tensors()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take that back."""
        self.keeper.load(tensors)
        self.trainee.ready = self.keeper.ready


def _scale(footage: Footage) -> tuple[FloatArray, FloatArray]:
    """(m,) mean and spread of what is known of the motions.

    Raises:
        ConfigError: nothing is.
    """
    true = footage.moves(np.arange(len(footage)))
    told = true[np.isfinite(true).all(axis=1)] if true.shape[1] else true[:0]
    if not len(told):
        raise ConfigError("motion_weight needs pairs whose recording says what the arm did; these "
                          "have none: use 0")  # fmt: skip
    spread = told.std(axis=0)
    return told.mean(axis=0), np.where(spread > STILL, spread, 1.0)
