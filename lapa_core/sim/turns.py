# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Others who move the arm during a demonstration, so that making up for it is demonstrated.

Somebody who pushes it (`disturbance`), or a policy that drives until the demonstrator takes over:
then its own errors are what is corrected (Ross et al. 2011, *A Reduction of Imitation Learning*,
DAgger; with a person who takes over: Kelly et al. 2019, *HG-DAgger*). What others do has their
authority in the recording, and is not to be learnt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from lapa_core.sim.cell import Cell
from lapa_core.sim.disturbance import Disturbance
from lapa_core.sim.expert import Expert
from lapa_core.types import ActionChunk, Observation

if TYPE_CHECKING:  # torch, which demonstrations without a policy do not need
    from lapa_core.policy import Policy

LONGEST = 25  # steps of a policy's first turn; a whole task takes the demonstrator as many
AGAIN = 0.2  # share of the demonstrator's steps after which the policy has another turn,
SHORT = 6  # of so many steps at most: what is worth most is what is done where a turn has ended
TURNS = 5  # of a policy in an episode


class Other(Protocol):
    """Who may move the arm in place of the demonstrator."""

    def chunk(self, cell: Cell, expert: Expert, seen: Observation) -> ActionChunk | None:
        """What it does now, or None where it leaves the arm to the demonstrator.

        Args:
            cell, expert: where, and beside whom.
            seen: what there is to be seen now.
        """


class Pushes:
    """Somebody who pushes the arm off its way."""

    def __init__(self, disturbance: Disturbance) -> None:
        self._disturbance = disturbance

    def chunk(self, cell: Cell, expert: Expert, seen: Observation) -> ActionChunk | None:
        """See `Other`."""
        del seen
        delta = self._disturbance.delta(expert.opening, expert.carries)
        return None if delta is None else cell.chunk(delta[None])


class Turns:
    """A policy that drives for some steps at first, and then now and again.

    Args:
        policy: of the cell's robot.
        rng: how long a turn lasts, and whether there is another.
    """

    def __init__(self, policy: Policy, rng: np.random.Generator) -> None:
        policy.reset()
        self._policy, self._rng = policy, rng
        self._turns = self._left = 0
        self._drives = False  # whether the last step was the policy's

    def chunk(self, cell: Cell, expert: Expert, seen: Observation) -> ActionChunk | None:
        """See `Other`; a `LapaError` where the policy gives no action."""
        del cell, expert
        if self._left == 0:
            ended, self._drives = self._drives, False
            wanted = self._turns == 0 or (not ended and self._rng.random() < AGAIN)
            if self._turns == TURNS or not wanted:
                return None
            self._turns += 1
            self._left = int(self._rng.integers(1, (LONGEST if self._turns == 1 else SHORT) + 1))
        self._left -= 1
        self._drives = True
        return self._policy.infer(seen).chunk
