# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Roll, pitch and yaw as ROS has them (REP-103), and the rotation matrix they stand for."""

from __future__ import annotations

import math

import numpy as np

from lapa_core.errors import DataError
from lapa_core.types import FloatArray


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


def rotation_from_quaternion(wxyz: FloatArray) -> FloatArray:
    """(3, 3) of a (4,) quaternion, scalar first, of any length but zero.

    Raises:
        DataError: no direction in it.
    """
    length = float(np.linalg.norm(wxyz))
    if not math.isfinite(length) or length < 1e-6:
        raise DataError(f"quaternion {wxyz.tolist()} (w x y z) has no direction")
    w, x, y, z = wxyz / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
