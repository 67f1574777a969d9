# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The task of telling two frames apart in a few codes, for the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from lapa_core.data.augment import Augment
from lapa_core.data.footage import moves
from lapa_core.errors import ConfigError
from lapa_core.model.laq import Laq
from lapa_core.train.curves import Panels
from lapa_core.train.laq import check, views
from lapa_core.train.laq.codebook import AsReference, Keeper, Steady
from lapa_core.train.laq.footage import Footage
from lapa_core.train.laq.options import STEADY, LaqOptions
from lapa_core.train.laq.trainee import PairBatch, Trainee
from lapa_core.train.pair_task import STILL, PairTask, pictures
from lapa_core.train.presets import TrainOptions
from lapa_core.types import FloatArray

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


class LearnChanges(PairTask):
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
        super().__init__(learn, held, output, options, accelerator, facts)
        self._scale = _scale(learn) if codes.motion_weight else None
        self._change = Augment(crop_area=(1 - codes.augment, 1.0)) if codes.augment else None
        self._views = _views(learn) if codes.view_weight else None
        numbers = 0 if self._scale is None else len(self._scale[0])
        self.trainee = Trainee(model.to(accelerator.device), codes, numbers)
        self.keeper: Keeper
        if codes.quantiser == STEADY:
            self.keeper = Steady(model.quantiser, codes, options.seed, begun)
        else:
            self.keeper = AsReference(model.quantiser, options.seed)
        self.trainee.ready = self.keeper.ready

    @property
    def model(self) -> Laq:
        """What learns."""
        return self.trainee.model

    def batch(self, number: int, rank: int, world: int) -> PairBatch:
        """A process' part of batch `number`."""
        chosen = self._drawn(number, rank, world)
        seed = np.random.default_rng([self.options.seed, number, rank]).integers(2**62)
        chance = torch.Generator().manual_seed(int(seed))
        found = self._examples(self._learn, chosen, chance, self._change, int(seed))
        if self._views is not None:
            other = self._views[chosen]
            found.known = torch.from_numpy(other >= 0)
            # Where there is none, its own picture stands there, and is not looked at.
            other = np.where(other < 0, chosen, other)
            found.others = pictures(self._learn, other, self._change, int(seed), 1)
        return found

    def _examples(
        self, footage: Footage, chosen: NDArray[np.int64], chance: torch.Generator,
        change: Augment | None = None, name: int = 0,
    ) -> PairBatch:  # fmt: skip
        c = self.model.config
        noise = torch.randn(len(chosen), c.code_seq_len, c.quant_dim, generator=chance)
        lengths = torch.full((len(chosen),), c.code_seq_len)
        moved = np.zeros((len(chosen), 0))
        if self._scale is not None:
            moved = (footage.moves(chosen) - self._scale[0]) / self._scale[1]
        shown = pictures(footage, chosen, change, name)
        return PairBatch(shown, noise, lengths, torch.from_numpy(moved).float())

    def updated(self, step: int) -> None:
        """Move, begin or revive codes."""
        seen, self.trainee.seen = self.trainee.seen, []
        change, codes = (torch.cat(parts) for parts in zip(*seen, strict=True))
        if self._accelerator.num_processes > 1:
            change, codes = self._accelerator.gather((change, codes))
        self.keeper.saw(change, codes)
        self.trainee.revived = self.keeper.update(step)
        self.trainee.ready = self.keeper.ready

    @property
    def codebook_size(self) -> int:
        """Codes to choose from."""
        return int(self.model.config.codebook_size)

    def _judge(self, places: NDArray[np.int64]) -> Judged:
        model, device = self.model, self._accelerator.device
        batch = self._examples(self._held, places, torch.Generator().manual_seed(0)).to(device)
        frames = batch.frames.float() / 255.0
        codes = model.encode(frames)
        drawn = model.draw(frames[:, :, 0], codes)
        arrays = (t.float().cpu().numpy() for t in (drawn, frames[:, :, 0], frames[:, :, 1]))
        return codes.cpu().numpy(), places, check.of_drawings(*arrays)

    def _errors(self, found: Sequence[Judged]) -> dict[str, float]:
        counts = np.array([len(p) for _, p, _ in found], dtype=np.float64)
        errors = {
            name: float(np.average([d[name] for _, _, d in found], weights=counts))
            for name in found[0][2]
        }
        codes = np.concatenate([c for c, _, _ in found])
        own = bool(self.model.config.own_codebooks)
        errors |= check.of_codes(codes, self.codebook_size, own)
        true = self._held.moves(np.concatenate([p for _, p, _ in found]))
        known = check.probe(codes, self.codebook_size, moves.ways_m(true))
        return errors | ({"probe": known} if np.isfinite(known) else {})

    def told(self, errors: Mapping[str, float]) -> str:
        """How the codes are used and what they are worth."""
        return check.said(errors, self.codebook_size)

    def _remarks(self, errors: Mapping[str, float]) -> dict[str, Any]:
        return {"verdict": check.verdict(errors, self.codebook_size)} if errors else {}

    def tensors(self) -> dict[str, Tensor]:
        """What the keeper of the codes remembers."""
        return self.keeper.tensors()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take that back."""
        self.keeper.load(tensors)
        self.trainee.ready = self.keeper.ready


def _views(footage: Footage) -> NDArray[np.int64]:
    """As of `views.of_others`.

    Raises:
        ConfigError: no pair was seen by two cameras.
    """
    found = views.of_others(footage)
    if not (found >= 0).any():
        raise ConfigError("view_weight needs bags in which several cameras saw the same; these "
                          "have none: use 0")  # fmt: skip
    return found


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
