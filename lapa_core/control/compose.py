# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What an end-effector delta does to a pose, and back: the one place of this convention.

Bridge's (bridge_data_robot, `transformation_utils.py` and `widowx_env_service.py`): with the
previous *commanded* pose (p, R) and a delta of d metres and rpy radians along the base's axes,

    p' = p + d        R' = Rz(yaw) Ry(pitch) Rx(roll) R

Bridge turns about the measured tool point p_c, p' = R_d (p - p_c) + p_c + d. Here p_c = p: the
turn does not depend on how far the arm lags, and every delta has an inverse (docs/decisions/0020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import mink
import numpy as np

from lapa_core.types import FloatArray


@dataclass(frozen=True)
class Pose:
    """A pose in a named frame.

    Attributes:
        xyz_m: (3,).
        rotation: (3, 3) rotation matrix.
    """

    xyz_m: FloatArray
    rotation: FloatArray

    @property
    def quaternion_wxyz(self) -> FloatArray:
        """(4,) the rotation as a unit quaternion, w first."""
        quaternion: FloatArray = mink.SO3.from_matrix(self.rotation).wxyz
        return quaternion


def rotation_from_rpy(roll: float, pitch: float, yaw: float) -> FloatArray:
    """(3, 3) Rz(yaw) @ Ry(pitch) @ Rx(roll), angles in radians."""
    cr, sr = math.cos(roll), math.sin(roll)
    cp, sp = math.cos(pitch), math.sin(pitch)
    cy, sy = math.cos(yaw), math.sin(yaw)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def rpy_from_rotation(rotation: FloatArray) -> tuple[float, float, float]:
    """Roll, pitch, yaw [rad] with pitch in -pi/2 .. pi/2; unique within it."""
    pitch = math.atan2(-rotation[2, 0], math.hypot(rotation[0, 0], rotation[1, 0]))
    if abs(math.cos(pitch)) < 1e-9:  # only roll -+ yaw is determined: put it all into yaw
        return 0.0, pitch, math.atan2(-rotation[0, 1], rotation[1, 1])
    roll = math.atan2(rotation[2, 1], rotation[2, 2])
    return roll, pitch, math.atan2(rotation[1, 0], rotation[0, 0])


def compose(pose: Pose, delta: FloatArray) -> Pose:
    """The pose after a delta of (>= 6,) x y z [m] roll pitch yaw [rad] along the base's axes."""
    turn = rotation_from_rpy(float(delta[3]), float(delta[4]), float(delta[5]))
    return Pose(pose.xyz_m + delta[:3], turn @ pose.rotation)


def difference(before: Pose, after: Pose) -> FloatArray:
    """(6,) the delta that turns `before` into `after`; the inverse of `compose`."""
    turn = rpy_from_rotation(after.rotation @ before.rotation.T)
    return np.concatenate([after.xyz_m - before.xyz_m, turn])


def inverse(delta: FloatArray) -> FloatArray:
    """(6,) the delta that undoes `delta`, whatever pose it was applied to."""
    turn = rotation_from_rpy(float(delta[3]), float(delta[4]), float(delta[5]))
    return np.concatenate([-delta[:3], rpy_from_rotation(turn.T)])


def angle_between(a: FloatArray, b: FloatArray) -> float:
    """Angle [rad] of the turn between two rotation matrices."""
    turn = a.T @ b
    sine = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    return math.atan2(float(np.linalg.norm(sine)) / 2, (float(np.trace(turn)) - 1) / 2)


def between(start: Pose, end: Pose, fraction: float) -> Pose:
    """The pose `fraction` (0 .. 1) of the way: straight line, and slerp about a fixed axis."""
    if fraction <= 0.0:
        return start
    if fraction >= 1.0:
        return end
    turn = mink.SO3.from_matrix(start.rotation.T @ end.rotation).log()
    rotation = start.rotation @ mink.SO3.exp(fraction * turn).as_matrix()
    position = start.xyz_m + fraction * (end.xyz_m - start.xyz_m)
    return Pose(position, rotation)
