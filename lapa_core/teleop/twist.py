# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Velocities from anything else, an arm each, as MoveIt Servo's `delta_twist_cmds` has them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from lapa_core.errors import DataError, unknown
from lapa_core.robot import Arm, Robot
from lapa_core.teleop.reading import ArmInput, Axes, Reading
from lapa_core.types import FloatArray

TIMEOUT_S = 0.1  # Servo's incoming_command_timeout: an older twist is no command any more
GRIPPER_S = 0.3  # an opening asked for counts as engaging for so long
Units = Literal["speed_units", "unitless"]
UNITS: tuple[Units, ...] = ("speed_units", "unitless")


def axes_of(frame_id: str, arm: Arm, robot: Robot) -> Axes:
    """Which axes a frame means; empty is the arm's base, as Servo has it.

    Raises:
        DataError: another frame; the message lists the valid ones.
    """
    tool = arm.tool_link
    prefix = arm.base_frame.rpartition("/")
    prefixed = prefix[0] + prefix[1] + tool
    if frame_id in ("", arm.base_frame):
        return "base"
    if frame_id in (tool, prefixed):
        return "tool"
    if frame_id == robot.world_frame:
        return "world"
    valid = ["", arm.base_frame, robot.world_frame, prefixed]
    raise DataError(unknown("frame_id", frame_id, valid, f"the twist of {arm.name}"))


class Twists:
    """The newest twist of every arm."""

    name = "twist"

    def __init__(self, robot: Robot, speeds: FloatArray, units: Units = "speed_units") -> None:
        """Make it.

        Args:
            robot: whose arms they are for.
            speeds: (6,) what 1 stands for, where `units` is "unitless" [m/s, rad/s].
            units: Servo's `command_in_type`.
        """
        self._robot = robot
        self._scale = speeds if units == "unitless" else np.ones(6)
        self._unitless = units == "unitless"
        self._asked: dict[str, tuple[ArmInput, float]] = {}
        self._gripper: dict[str, tuple[float, float]] = {}
        self._refused = ""

    def on_twist(
        self,
        arm: str,
        frame_id: str,
        linear: FloatArray,
        angular: FloatArray,
        now_s: float,
        age_s: float = 0.0,
    ) -> None:
        """Take a twist.

        Args:
            arm: whose.
            frame_id: of its axes.
            linear, angular: (3,) [m/s, rad/s] or -1 .. 1.
            now_s: time of arrival.
            age_s: since its stamp, by the stamp's clock.

        Raises:
            DataError: another frame, not finite, too old.
        """
        try:
            axes = axes_of(frame_id, self._robot.arm(arm), self._robot)
            raw = np.concatenate([linear, angular])
            if not np.all(np.isfinite(raw)):
                raise DataError(f"the twist of {arm} is not finite: {raw.tolist()}")
            if not -TIMEOUT_S <= age_s < TIMEOUT_S:
                raise DataError(
                    f"the twist of {arm} is stamped {age_s:.2f} s before it came; valid: within "
                    f"{TIMEOUT_S:g} s, by the same clock"
                )
        except DataError as error:
            self._asked.pop(arm, None)
            self._refused = str(error)
            raise
        self._refused = ""
        velocity = (np.clip(raw, -1.0, 1.0) if self._unitless else raw) * self._scale
        engaged = bool(np.any(raw != 0.0))
        self._asked[arm] = (ArmInput(engaged, velocity[:3], velocity[3:], axes), now_s)

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
            asked, twist_s = self._asked.get(arm, (ArmInput(), -np.inf))
            opening, gripper_s = self._gripper.get(arm, (0.0, -np.inf))
            moves = asked.engaged and now_s - twist_s < TIMEOUT_S
            grips = now_s - gripper_s < GRIPPER_S
            still = np.zeros(3)
            arms[arm] = ArmInput(
                engaged=moves or grips,
                linear_m_s=asked.linear_m_s if moves else still,
                angular_rad_s=asked.angular_rad_s if moves else still,
                axes=asked.axes,
                gripper=opening if grips else None,
            )
        return Reading(arms, note=self._refused)

    def release(self) -> None:
        """See `Device`."""


def checked_opening(arm: str, opening: float) -> float:
    """The opening, or a `DataError`."""
    if not (np.isfinite(opening) and -0.01 <= opening <= 1.01):
        raise DataError(f"opening {opening!r} for the gripper of {arm}; valid: 0 .. 1")
    return float(np.clip(opening, 0.0, 1.0))
