# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Somebody who now and then pushes the arm off its way, so that the way back is demonstrated.

A faultless demonstrator never shows what to do a hand's breadth beside its way, where a policy
comes by its small errors (Ross et al. 2011, *A Reduction of Imitation Learning*; noise in place
of the policy's errors: Laskey et al. 2017, *DART*). The pushes are not to be learnt: those steps
have another authority than the demonstrator's.
"""

from __future__ import annotations

import numpy as np

from lapa_core.robot import Arm
from lapa_core.types import FloatArray

LONGEST = 3  # steps of one push
# A push ends within this of where it began: 5 cm aside, more up than down, where the table is.
REACH_LOW_M, REACH_HIGH_M = (-0.05, -0.05, -0.025), (0.05, 0.05, 0.04)
TURN_RAD = 0.4  # about the vertical
SMALLEST = 0.1  # share of all that; a policy errs by millimetres more often than by centimetres
FUMBLE_SHARE = 0.25  # of the pushes open or close the gripper too, where nothing can fall
STEP_SHARE = 0.8  # of the robot file's largest step


class Disturbance:
    """Pushes at random.

    Args:
        rng: of all chance.
        rate: pushes begin at this share of the steps.
        arm: whose largest steps are kept to.
    """

    def __init__(self, rng: np.random.Generator, rate: float, arm: Arm) -> None:
        self._rng, self._rate, self._arm = rng, rate, arm
        self._left = 0
        self._step = np.zeros(7)

    def delta(self, opening: float, carries: bool) -> FloatArray | None:
        """(7,) what the arm is pushed to do now [m, rad, 0..1], or None where it is left alone.

        Args:
            opening: what the gripper is told by the demonstrator.
            carries: whether something would fall.
        """
        if self._left == 0:
            if self._rng.random() >= self._rate:
                return None
            self._begin(opening, carries)
        self._left -= 1
        return self._step.copy()

    def _begin(self, opening: float, carries: bool) -> None:
        steps = int(self._rng.integers(1, LONGEST + 1))
        share = float(SMALLEST ** self._rng.random())  # evenly over the orders of magnitude
        way = share * self._rng.uniform(REACH_LOW_M, REACH_HIGH_M) / steps
        turn = share * self._rng.uniform(-TURN_RAD, TURN_RAD) / steps
        fumbles = self._rng.random() < FUMBLE_SHARE and not carries
        furthest = STEP_SHARE * self._arm.max_translation_m
        ratio = max(1.0, float(np.max(np.abs(way))) / furthest)
        largest = STEP_SHARE * self._arm.max_rotation_rad
        self._step = np.array(
            [*(way / ratio), 0.0, 0.0, np.clip(turn, -largest, largest),
             1.0 - opening if fumbles else opening]
        )  # fmt: skip
        self._left = steps
