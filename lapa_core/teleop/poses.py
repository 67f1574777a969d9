# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A `geometry_msgs/Pose` of any library -> a pose that can be calculated with."""

from __future__ import annotations

from typing import Any

import mink
import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.errors import DataError

FARTHEST_M = 10.0  # no arm and no hand's room is larger; millimetres taken for metres are


def checked(msg: Any, what: str) -> Pose:
    """Position and rotation of a pose message (without header).

    Raises:
        DataError: a number is not finite, the point is nowhere near a robot, or the quaternion
            is not one of a rotation.
    """
    p, q = msg.position, msg.orientation
    xyz = np.array([p.x, p.y, p.z], dtype=np.float64)
    wxyz = np.array([q.w, q.x, q.y, q.z], dtype=np.float64)
    size = float(np.linalg.norm(wxyz))
    if not (np.all(np.isfinite(xyz)) and np.isfinite(size)):
        raise DataError(f"the pose of {what} is not finite: {xyz.tolist()}, {wxyz.tolist()}")
    if np.linalg.norm(xyz) > FARTHEST_M:
        raise DataError(
            f"the pose of {what} lies at {np.round(xyz, 3).tolist()} m; valid: within "
            f"{FARTHEST_M:g} m of its frame's origin"
        )
    if abs(size - 1.0) > 0.01:
        raise DataError(f"the quaternion of {what} has length {size:.3f}; valid: 1")
    return Pose(xyz, mink.SO3(wxyz / size).as_matrix())
