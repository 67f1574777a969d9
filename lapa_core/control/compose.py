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

from lapa_core.rotation import rotation_from_rpy, rpy_from_rotation
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


def in_axes(deltas: FloatArray, rotation: FloatArray) -> FloatArray:
    """The same deltas along other axes.

    Args:
        deltas: (k, 7) in axes A; the gripper's column stays as it is.
        rotation: (3, 3) that turns vectors given in A into vectors given in B.

    Returns:
        (k, 7) in axes B.
    """
    turned = deltas.copy()
    turned[:, :3] = deltas[:, :3] @ rotation.T
    for row, out in zip(deltas, turned, strict=True):
        turn = rotation_from_rpy(float(row[3]), float(row[4]), float(row[5]))
        out[3:6] = rpy_from_rotation(rotation @ turn @ rotation.T)
    return turned


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
