# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A goal that a person drags on a page, an arm each; engaged while goals keep coming."""

from __future__ import annotations

import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.errors import DataError, unknown
from lapa_core.robot import Robot
from lapa_core.teleop.reading import ArmInput, Reading
from lapa_core.teleop.twist import checked_opening

GOAL_S = 0.3  # the page repeats the goal while the mouse is down; no more goals: it was let go


class Browser:
    """The newest goal and opening of every arm."""

    name = "browser"

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._goals: dict[str, tuple[Pose, float]] = {}
        self._gripper: dict[str, tuple[float, float]] = {}

    def on_goal(self, arm: str, frame_id: str, goal: Pose, now_s: float) -> None:
        """Take a goal of the tool.

        Raises:
            DataError: it is not in the base of that arm.
        """
        base = self._robot.arm(arm).base_frame
        if frame_id not in ("", base):
            self._goals.pop(arm, None)
            raise DataError(unknown("frame_id", frame_id, ["", base], f"the goal of {arm}"))
        self._goals[arm] = (goal, now_s)

    def on_gripper(self, arm: str, opening: float, now_s: float) -> None:
        """Take an opening, 0 closed .. 1 open.

        Raises:
            DataError: it is not one.
        """
        self._gripper[arm] = (checked_opening(arm, opening), now_s)

    def read(self, now_s: float) -> Reading:
        """See `Device`."""
        arms = {}
        for arm in (a.name for a in self._robot.arms):
            goal, goal_s = self._goals.get(arm, (None, -np.inf))
            opening, gripper_s = self._gripper.get(arm, (0.0, -np.inf))
            drags, grips = now_s - goal_s < GOAL_S, now_s - gripper_s < GOAL_S
            arms[arm] = ArmInput(
                engaged=drags or grips,
                goal=goal if drags else None,
                gripper=opening if grips else None,
            )
        return Reading(arms)

    def release(self) -> None:
        """See `Device`."""
        self._goals.clear()
        self._gripper.clear()
