# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where a hand in the air wants the tool: displaced as the hand is since the clutch was let in.

Letting it in never jumps, for at that moment hand and tool are tied as they are. When the arm
cannot keep up, the clutch slips: a hand that has run far ahead does not leave an arm that goes
on moving long after it.
"""

from __future__ import annotations

import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.teleop.shaping import limited, turn_vector, turned


class Clutch:
    """Ties one hand to one tool.

    Attributes:
        slips: how often it has slipped.
    """

    def __init__(self, scale: float, slip_m: float, slip_rad: float) -> None:
        """Make it, not let in.

        Args:
            scale: metres of the tool for a metre of the hand.
            slip_m, slip_rad: how far the goal may be ahead of the tool.
        """
        self.slips = 0
        self._scale, self._slip_m, self._slip_rad = scale, slip_m, slip_rad
        self._tie: tuple[Pose, Pose] | None = None

    @property
    def engaged(self) -> bool:
        """Whether hand and tool are tied."""
        return self._tie is not None

    def release(self) -> None:
        """Untie them."""
        self._tie = None

    def goal(self, hand: Pose, tool: Pose) -> Pose:
        """Where the hand wants the tool; the first call after a release ties them."""
        if self._tie is None:
            self._tie = (hand, tool)
        hand_0, tool_0 = self._tie
        goal = Pose(
            tool_0.xyz_m + self._scale * (hand.xyz_m - hand_0.xyz_m),
            hand.rotation @ hand_0.rotation.T @ tool_0.rotation,
        )
        way, turn = goal.xyz_m - tool.xyz_m, turn_vector(tool.rotation, goal.rotation)
        if np.linalg.norm(way) > self._slip_m or np.linalg.norm(turn) > self._slip_rad:
            self.slips += 1
            near = turned(limited(turn, self._slip_rad)) @ tool.rotation
            goal = Pose(tool.xyz_m + limited(way, self._slip_m), near)
            self._tie = (hand, goal)
        return goal
