# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the training loop is given, and what it tells: a task, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from accelerate import Accelerator
from torch import nn

from lapa_core.train.examples import Batch


class Task(Protocol):
    """What is learnt, by what, and what for.

    Attributes:
        trainee: `trainee(batch)` gives `Losses`; its model's layers can be sharded and compiled.
    """

    trainee: nn.Module

    def batch(self, number: int, rank: int, world: int) -> Batch:
        """A process' part of batch `number`, always the same for the same number."""

    def blame(self, number: int, rank: int, world: int) -> str:
        """What that batch was made of, for a message."""

    def validate(self, module: nn.Module, accelerator: Accelerator) -> dict[str, float] | None:
        """Errors by name, `relative` the one to stop by; None where nothing is held back."""

    def export(self, step: int, errors: Mapping[str, float]) -> None:
        """Write the checkpoint with the present weights; called on all processes."""


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
