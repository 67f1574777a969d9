# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which joint states of one arm to believe.

A failed read of the Interbotix driver still arrives as a joint state, with joints at -pi. Such a
sample is rejected and the arm holds; when samples keep agreeing on another place (the arm was
moved by hand, the driver restarted), that place is believed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lapa_core.control.kinematics import ArmKinematics
from lapa_core.control.params import ControlParams
from lapa_core.errors import DataError, unknown
from lapa_core.types import FloatArray

STILL_RAD = 0.004  # two ticks of a Dynamixel's encoder and a little


def by_name(names: Sequence[str], values: FloatArray, wanted: Sequence[str]) -> FloatArray:
    """(n,) values of the wanted joints, whatever their order in the message.

    Raises:
        DataError: a joint is missing or named twice, or names and values differ in number.
    """
    if len(names) != len(values):
        raise DataError(f"joint states: {len(names)} names but {len(values)} positions")
    for name in wanted:
        found = list(names).count(name)
        if found == 0:
            raise DataError(unknown("joint", name, names, "joint states"))
        if found > 1:
            raise DataError(f"joint states name {name!r} {found} times")
    return np.array([values[list(names).index(n)] for n in wanted], dtype=np.float64)


class JointMonitor:
    """The believed joint state of one arm.

    Attributes:
        position_rad: (n,) last believed positions, or None before the first.
        finger: last believed position of the gripper's joint [m or rad].
        time_s: monotonic time of their arrival.
        rejected: why the newest sample was rejected, or "".
        still_since_s: monotonic time since when the arm has not moved.
        speed_rad_s: (n,) between the last two samples that are believed; 0 within their noise.
    """

    def __init__(
        self, name: str, kinematics: ArmKinematics, gripper_joint: str, params: ControlParams
    ) -> None:
        self.position_rad: FloatArray | None = None
        self.finger = 0.0
        self.time_s = -np.inf
        self.rejected = ""
        self.still_since_s = np.inf
        self.speed_rad_s: FloatArray = np.zeros(len(kinematics.joints))
        self._still_rad: FloatArray | None = None
        self._name = name
        self._kinematics = kinematics
        self._gripper_joint = gripper_joint
        self._params = params
        self._heard_s = -np.inf
        self._candidate: FloatArray | None = None
        self._agreeing = 0

    def update(self, names: Sequence[str], position: FloatArray, now_s: float) -> None:
        """Take a sample.

        Raises:
            DataError: it cannot be read, or is not believed; `position_rad` stays as it was.
        """
        try:
            values = by_name(names, position, (*self._kinematics.joints, self._gripper_joint))
            self._judge(values[:-1], float(values[-1]), now_s)
        except DataError as error:
            self.reject(str(error))
            raise
        finally:
            self._heard_s = now_s

    def reject(self, why: str) -> None:
        """Note that the newest sample could not be used."""
        self.rejected = why

    def problem(self, now_s: float) -> str:
        """Why the arm must not move on this joint state, or ""."""
        if self.rejected:
            return self.rejected
        if self.position_rad is None:
            return f"no joint states of {self._name} yet"
        age = now_s - self.time_s
        if age > self._params.joint_state_timeout_s:
            return f"joint states of {self._name} are {age:.2f} s old"
        return ""

    def _judge(self, position: FloatArray, finger: float, now_s: float) -> None:
        if not (np.all(np.isfinite(position)) and np.isfinite(finger)):
            self._candidate, self._agreeing = None, 0
            raise DataError("implausible joint state: a position is not finite")
        outside = self._outside(position)
        if outside:
            self._candidate, self._agreeing = None, 0
            raise DataError(f"implausible joint state: {outside}")
        jumped = self._jumped(position, now_s)
        if jumped and not self._confirmed(position):
            raise DataError(f"implausible joint state: {jumped}")
        self._note_speed(position, now_s)
        self.position_rad, self.finger, self.time_s = position, finger, now_s
        if self._still_rad is None or np.max(np.abs(position - self._still_rad)) > STILL_RAD:
            self._still_rad, self.still_since_s = position, now_s
        self.rejected = ""
        self._candidate, self._agreeing = None, 0

    def _note_speed(self, position: FloatArray, now_s: float) -> None:
        seconds = now_s - self.time_s
        if self.position_rad is None or not 0 < seconds <= self._params.joint_state_timeout_s:
            self.speed_rad_s = np.zeros(len(position))
            return
        way = position - self.position_rad
        self.speed_rad_s = np.where(np.abs(way) > STILL_RAD, way / seconds, 0.0)

    def _outside(self, position: FloatArray) -> str:
        k = self._kinematics
        beyond = np.maximum(position - k.upper, k.lower - position)
        worst = int(np.argmax(beyond))
        if beyond[worst] <= self._params.outside_limits_rad:
            return ""
        return f"{k.joints[worst]} at {position[worst]:.2f} rad, outside its limits"

    def _jumped(self, position: FloatArray, now_s: float) -> str:
        if self.position_rad is None:
            return ""
        p = self._params
        # The time since the last sample, believed or not: while samples are rejected, and in a
        # gap beyond the timeout, the arm holds, so that neither explains a larger jump.
        seconds = min(max(now_s - self._heard_s, 0.0), p.joint_state_timeout_s)
        jump = np.abs(position - self.position_rad)
        excess = jump - (p.jump_rad + p.jump_factor * self._kinematics.velocity * seconds)
        worst = int(np.argmax(excess))
        if excess[worst] <= 0:
            return ""
        return f"{self._kinematics.joints[worst]} jumped {jump[worst]:.2f} rad"

    def _confirmed(self, position: FloatArray) -> bool:
        """Whether enough samples in a row agree on the new place, this one included."""
        before = self._candidate
        agrees = before is not None and np.all(np.abs(position - before) <= self._params.agree_rad)
        self._agreeing = self._agreeing + 1 if agrees else 1
        self._candidate = position
        return self._agreeing >= self._params.recovery_samples
