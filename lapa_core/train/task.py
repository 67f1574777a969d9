# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the training loop is given, and what it tells: a task, and how far it has come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from lapa_core.train import curves


class Examples(Protocol):
    """What a batch has to tell.

    Attributes:
        lengths: (B,) tokens of each.
    """

    lengths: Tensor

    def __len__(self) -> int:
        """How many."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Examples:
        """The same on another device."""


class Task(ABC):
    """What is learnt, by what, and what for.

    Attributes:
        trainee: `trainee(batch)` gives `Losses`; its model's layers can be sharded and compiled.
        panels: the curves that are drawn.
    """

    trainee: nn.Module
    panels: curves.Panels = curves.PANELS

    @abstractmethod
    def batch(self, number: int, rank: int, world: int) -> Examples:
        """A process' part of batch `number`, always the same for the same number."""

    @abstractmethod
    def blame(self, number: int, rank: int, world: int) -> str:
        """What that batch was made of, for a message."""

    @abstractmethod
    def validate(self, module: nn.Module, accelerator: Accelerator) -> dict[str, float] | None:
        """Errors by name, `relative` the one to stop by; None where nothing is held back."""

    @abstractmethod
    def export(self, step: int, errors: Mapping[str, float]) -> None:
        """Write the checkpoint with the present weights; called on all processes."""

    @abstractmethod
    def told(self, errors: Mapping[str, float]) -> str:
        """What a person judges by, of those errors."""

    def updated(self, step: int) -> None:  # noqa: B027 - most tasks have nothing to do
        """After update number `step` (from 1): what no gradient does; on all processes."""

    def operations(self, tokens: float, samples: float) -> float:
        """Multiplications and additions that learning from so much needs; 0: not known."""
        del tokens, samples
        return 0.0

    def tensors(self) -> dict[str, Tensor]:
        """What a run has to save beside weights that learn."""
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:  # noqa: B027
        """Take back what `tensors` gave."""


@dataclass
class Standing:
    """How far a run has come.

    Attributes:
        step: updates made.
        best: step and errors of the validation with the least error so far.
        worse: validations since.
        seconds: time spent.
        ended: why it ended; empty while it can go on.
    """

    step: int = 0
    best: dict[str, Any] | None = None
    worse: int = 0
    seconds: float = 0.0
    ended: str = ""
