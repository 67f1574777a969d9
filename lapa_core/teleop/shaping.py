# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""From raw numbers to motion: deadzone and expo, saturation, a filter. Knows no device.

None of it lags a moving hand: expo and saturation have no memory, and the filter's cutoff rises
with the hand's speed (the 1 Euro filter of Casiez, Roussel and Vogel, CHI 2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import mink
import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.rotation import rpy_from_rotation
from lapa_core.types import FloatArray

SPEED_HZ = 5.0  # cutoff of the speed estimate itself


def shaped(value: float, deadzone: float, expo: float) -> float:
    """An axis of -1 .. 1 without its deadzone, finer around the middle.

    Args:
        value: as the device has it; beyond -1 .. 1 it is cut.
        deadzone: below this it is zero; from there it rises from zero again, without a step.
        expo: share of the cube in the curve, 0 linear .. 1; the ends stay at 1.
    """
    size = min(abs(value), 1.0)
    if size <= deadzone:
        return 0.0
    rest = (size - deadzone) / (1.0 - deadzone)
    return math.copysign((1.0 - expo) * rest + expo * rest**3, value)


def limited(vector: FloatArray, most: float) -> FloatArray:
    """The vector, no longer than `most`, its direction kept."""
    size = float(np.linalg.norm(vector))
    return vector if size <= most else vector * (most / size)


def turn_vector(before: FloatArray, after: FloatArray) -> FloatArray:
    """(3,) axis times angle [rad] of the turn between two rotations, in the axes of both."""
    vector: FloatArray = mink.SO3.from_matrix(after @ before.T).log()
    return vector


def turned(vector: FloatArray) -> FloatArray:
    """(3, 3) the rotation of an axis times angle [rad]."""
    rotation: FloatArray = mink.SO3.exp(vector).as_matrix()
    return rotation


def step(linear_m: FloatArray, turn_rad: FloatArray) -> FloatArray:
    """(6,) x y z roll pitch yaw of a displacement and a turn (axis times angle).

    No angle comes out larger than the turn itself, so what is saturated here stays so there.
    """
    return np.concatenate([linear_m, rpy_from_rotation(turned(turn_rad))])


@dataclass(frozen=True)
class Smoothing:
    """How a hand's pose is smoothed.

    Attributes:
        still_hz: cutoff for a hand at rest; lower is calmer.
        per_m_s: how much the cutoff rises with the hand's speed [Hz per m/s].
        per_rad_s: and with its turning [Hz per rad/s].
    """

    still_hz: float = 2.0
    per_m_s: float = 100.0
    per_rad_s: float = 20.0


class PoseFilter:
    """Smooths a pose that trembles: much at rest, hardly at all in motion."""

    def __init__(self, smoothing: Smoothing) -> None:
        self._smoothing = smoothing
        self.reset()

    def reset(self) -> None:
        """Forget the past; the next pose is taken as it is."""
        self._pose: Pose | None = None
        self._raw: Pose | None = None
        self._time_s = 0.0
        self._velocity: FloatArray = np.zeros(3)
        self._spin: FloatArray = np.zeros(3)

    def update(self, pose: Pose, now_s: float) -> Pose:
        """The smoothed pose after a new one."""
        if self._pose is None or self._raw is None or now_s - self._time_s > 0.5:
            self.reset()
            self._pose = self._raw = pose
            self._time_s = now_s
            return pose
        dt = now_s - self._time_s
        if dt <= 0.0:
            return self._pose
        share = _share(SPEED_HZ, dt)
        velocity = (pose.xyz_m - self._raw.xyz_m) / dt
        spin = turn_vector(self._raw.rotation, pose.rotation) / dt
        self._velocity = self._velocity + share * (velocity - self._velocity)
        self._spin = self._spin + share * (spin - self._spin)
        s = self._smoothing
        move = _share(s.still_hz + s.per_m_s * float(np.linalg.norm(self._velocity)), dt)
        turn = _share(s.still_hz + s.per_rad_s * float(np.linalg.norm(self._spin)), dt)
        xyz = self._pose.xyz_m + move * (pose.xyz_m - self._pose.xyz_m)
        rotation = (
            turned(turn * turn_vector(self._pose.rotation, pose.rotation)) @ self._pose.rotation
        )
        self._pose, self._raw, self._time_s = Pose(xyz, rotation), pose, now_s
        return self._pose


def _share(cutoff_hz: float, dt_s: float) -> float:
    """How much of a new sample a first-order low pass takes."""
    return 1.0 / (1.0 + 1.0 / (2.0 * math.pi * cutoff_hz * dt_s))
