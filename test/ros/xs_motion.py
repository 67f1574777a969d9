# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How the motors behind the driver stand-in move: no forces, only what the driver's users see."""

from __future__ import annotations

import math

import numpy as np

from lapa_core.control.gripper import angle_from_finger, finger_from_angle
from lapa_core.description import Linkage

FULL_PWM = 885.0
FULL_PWM_SPEED = 0.15  # [m/s] of a free finger; chosen, of the order of an XL430 without load
POSITION_SPEED = 0.1  # [m/s]
OVERLOAD_M = 0.0025  # a goal further inside something rigid than this is a squeeze ...
OVERLOAD_S = 2.0  # ... that switches the motor off after this long
OVERLOAD = 0x20
ARM_SPEED = math.pi  # [rad/s]


class ArmMotors:
    """Joints that reach a goal in the time their profile gives, like a stream of goals needs."""

    def __init__(self, position: list[float]) -> None:
        self.position = np.array(position)
        self.goal = self.position.copy()
        self.profile_ms = 2000
        self._left_s = 0.0

    def set_goal(self, goal: list[float]) -> None:
        """Begin to move to a goal [rad]; whatever it is, nobody checks it."""
        self.goal = np.array(goal)
        self._left_s = self.profile_ms * 1e-3

    def advance(self, dt_s: float) -> None:
        """Move on for a time."""
        share = 1.0 if self._left_s <= dt_s else dt_s / self._left_s
        self._left_s = max(0.0, self._left_s - dt_s)
        reach = ARM_SPEED * dt_s
        self.position += np.clip(share * (self.goal - self.position), -reach, reach)


class GripperMotor:
    """One finger on its rail, with an end at both sides and perhaps an object between.

    Attributes:
        finger: [m]; error: of Hardware_Error_Status; pwm: on the motor until the next one.
    """

    def __init__(self, linkage: Linkage, mode: str, low: float, high: float) -> None:
        self.mode = mode
        self.finger = high
        self.error = 0
        self.pwm = 0.0
        self.object_m = 0.0  # width of what is between the fingers
        self._linkage = linkage
        self._low, self._high = low, high
        self._goal: float | None = None
        self._squeezed_s = 0.0

    @property
    def angle(self) -> float:
        """Of the motor [rad]."""
        return angle_from_finger(self._linkage, self.finger)

    def command(self, value: float) -> None:
        """Take a command in the unit of the mode; raises ValueError where the real one has NaN."""
        if self.mode == "pwm":
            self.pwm = value
        elif self.mode == "linear_position":
            h, a, d = self._linkage.horn_m, self._linkage.arm_m, value / 2
            math.acos((h**2 + d**2 - a**2) / (2 * h * d))
            self._goal = d
        else:
            self._goal = finger_from_angle(self._linkage, value)

    def reboot(self) -> None:
        """Clear the error; PWM and goal are lost."""
        self.error, self.pwm, self._goal, self._squeezed_s = 0, 0.0, None, 0.0

    def advance(self, dt_s: float) -> None:
        """Move on for a time; a motor in error does nothing."""
        if self.error:
            return
        wanted = self.finger
        if self.mode == "pwm":
            wanted += self.pwm / FULL_PWM * FULL_PWM_SPEED * dt_s
        elif self._goal is not None:
            reach = POSITION_SPEED * dt_s
            wanted += min(reach, max(-reach, self._goal - self.finger))
        low = max(self._low, self.object_m / 2)
        self.finger = min(self._high, max(low, wanted))
        self._overload(low, dt_s)

    def _overload(self, low: float, dt_s: float) -> None:
        goal = self.finger if self._goal is None else self._goal
        inside = max(low - goal, goal - self._high)
        self._squeezed_s = self._squeezed_s + dt_s if inside > OVERLOAD_M else 0.0
        if self._squeezed_s > OVERLOAD_S:
            self.error |= OVERLOAD
