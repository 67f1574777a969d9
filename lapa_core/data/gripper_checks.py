# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How a gripper was used in a training set: values, balance, and whether 1 means open.

A gripper that is learned the wrong way round, or as always open, fails every grasp while every
other number looks well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lapa_core.data.demos import DemoSet
from lapa_core.errors import DataError
from lapa_core.model.action_tokenizer import is_gripper
from lapa_core.types import FloatArray

TOLERANCE = 0.05  # a commanded opening may lie this far outside 0 .. 1
RARE = 0.02  # a class with a smaller share of the steps is hardly learned
BETWEEN = (0.25, 0.75)  # neither open nor closed: two bins lose what is meant
MUCH_BETWEEN = 0.1
# A commanded opening and the measured one a few steps later go together, or the meaning of one
# of them is wrong.
LAG_STEPS = 3
OPPOSED = -0.5


@dataclass(frozen=True)
class GripperUse:
    """One gripper.

    Attributes:
        name: of its dimension.
        open: share of the steps with an opening of 0.5 or more.
        between: share of the steps that are neither open nor closed.
        changes: how often it was opened or closed, over all steps in their order.
    """

    name: str
    open: float
    between: float
    changes: int

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.name}: open in {100 * self.open:.0f} % of the steps, {self.changes} changes, "
            f"{100 * self.between:.0f} % in between"
        )

    def remarks(self) -> list[str]:
        """What a person should know."""
        found = []
        rarer = min(self.open, 1.0 - self.open)
        state = "closed" if self.open >= 0.5 else "open"
        if rarer == 0.0:
            found.append(f"{self.name} is never {state}: a policy cannot learn to grasp from this")
        elif rarer < RARE:
            found.append(f"{self.name} is {state} in only {100 * rarer:.1f} % of the steps")
        if self.between > MUCH_BETWEEN:
            found.append(
                f"{self.name} is half open in {100 * self.between:.0f} % of the steps; its two "
                "bins know open and closed only"
            )
        return found


def check_gripper(name: str, openings: FloatArray) -> GripperUse:
    """Look at a gripper's commands.

    Args:
        name: of the dimension.
        openings: (n,) 0 closed .. 1 open.

    Raises:
        DataError: values outside that range: another unit, or another meaning.
    """
    low, high = float(openings.min()), float(openings.max())
    if low < -TOLERANCE or high > 1.0 + TOLERANCE:
        raise DataError(
            f"{name} goes from {low:.3g} to {high:.3g}; valid: 0 closed to 1 open. It is in "
            "another unit (metres, radians, -1 .. 1), or its closed and open ends are wrong"
        )
    is_open = openings >= 0.5
    between = (openings > BETWEEN[0]) & (openings < BETWEEN[1])
    changes = int(np.sum(is_open[1:] != is_open[:-1]))
    return GripperUse(name, float(is_open.mean()), float(between.mean()), changes)


def check_polarity(demos: DemoSet) -> list[str]:
    """Grippers whose measured opening goes against the commanded one, where both are known."""
    found = []
    for column, name in enumerate(demos.dimensions):
        if not is_gripper(name) or name not in demos.state_names:
            continue
        state = demos.state_names.index(name)
        long = [d for d in demos.demos if len(d) > LAG_STEPS]
        if not long:
            continue
        told = np.concatenate([d.actions[:-LAG_STEPS, column] for d in long])
        measured = np.concatenate([d.state[LAG_STEPS:, state] for d in long])
        if np.ptp(told) < 0.5 or np.ptp(measured) < 0.1:
            continue  # not used enough to tell
        together = float(np.corrcoef(told, measured)[0, 1])
        if together < OPPOSED:
            found.append(
                f"{name}: the finger opens where it is told to close (correlation "
                f"{together:.2f}): `closed` and `open` are exchanged for one of the two"
            )
    return found
