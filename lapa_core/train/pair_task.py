# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the tasks that learn from pairs of frames have in common: drawing, judging, writing."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from lapa_core.data.augment import Augment, generator
from lapa_core.model.checkpoint import staged, without_progress_bars
from lapa_core.train.laq.footage import Footage
from lapa_core.train.presets import TrainOptions
from lapa_core.train.task import Task

CONFIG, TRAINING = "config.json", "training.json"
STILL = 1e-6  # a spread below is that of what never moves
NAMED = 5  # clips of a batch that is to blame


class PairTask(Task):
    """Learning from pairs of frames of clips.

    Args:
        learn, held: pairs to learn from, and those of the clips held back.
        output: folder of the model.
        options: of the loop.
        accelerator: this process' device and the others'.
        facts: how it is trained, kept beside the model.
    """

    def __init__(
        self, learn: Footage, held: Footage, output: Path, options: TrainOptions,
        accelerator: Accelerator, facts: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.output, self.options, self._facts = output, options, facts
        self._learn, self._held, self._accelerator = learn, held, accelerator

    @property
    @abstractmethod
    def model(self) -> PreTrainedModel:
        """What learns, and is written."""

    @abstractmethod
    def _judge(self, places: NDArray[np.int64]) -> Any:
        """What the model says of these of the pairs held back."""

    @abstractmethod
    def _errors(self, found: Sequence[Any]) -> dict[str, float]:
        """Of all that was judged, in all processes."""

    def _drawn(self, number: int, rank: int, world: int) -> NDArray[np.int64]:
        """Pairs of this process' part of batch `number`."""
        chance = np.random.default_rng([self.options.seed, number])
        return chance.integers(len(self._learn), size=self.options.batch * world)[rank::world]

    def blame(self, number: int, rank: int, world: int) -> str:
        """The clips of that batch."""
        names = self._learn.names(self._drawn(number, rank, world))
        more = len(names) - NAMED
        return f"clips {', '.join(names[:NAMED])}" + f" and {more} more" * (more > 0)

    @torch.no_grad()
    def validate(self, module: nn.Module, accelerator: Accelerator) -> dict[str, float] | None:
        """Errors on the clips held back."""
        del module
        if not len(self._held):
            return None
        rank, world = accelerator.process_index, accelerator.num_processes
        count = min(len(self._held), self.options.validation_samples)
        places = np.linspace(0, len(self._held) - 1, count).astype(np.int64)[rank::world]
        found = []
        for begin in range(0, len(places), self.options.batch):
            found.append(self._judge(places[begin : begin + self.options.batch]))
        return self._errors(gather_object(found) if world > 1 else found)

    def export(self, step: int, errors: Mapping[str, float]) -> None:
        """Write the model and what is to be said of it."""
        if not self._accelerator.is_main_process:
            return
        said = {**self._facts, "updates": step, "validation": dict(errors)}
        with staged(self.output, CONFIG) as folder, without_progress_bars():
            self._write(folder)
            text = json.dumps(said | self._remarks(errors), indent=1) + "\n"
            (folder / TRAINING).write_text(text, encoding="utf-8")

    def _write(self, folder: Path) -> None:
        """The model into a folder."""
        self.model.save_pretrained(folder)

    def _remarks(self, errors: Mapping[str, float]) -> dict[str, Any]:
        """What else is to be said of the model."""
        return {}


def pictures(
    footage: Footage, chosen: NDArray[np.int64], change: Augment | None = None, *names: int
) -> torch.Tensor:
    """(n, 3, 2, S, S) uint8 of these pairs, the earlier frame first.

    Args:
        footage, chosen: which.
        change: how to change both frames of a pair, alike; None: they stay as they are.
        names: what the chance of that is drawn from.
    """
    shown = footage.pictures(chosen)
    if change is not None:
        for number, pair in enumerate(shown):
            for frame in pair:  # the same draws for both
                frame[:] = change(frame, generator(0, *names, number))
    return torch.from_numpy(shown).permute(0, 4, 1, 2, 3).contiguous()


def is_model(folder: Path, model_type: str) -> bool:
    """Whether a folder holds a model of a type."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == model_type
