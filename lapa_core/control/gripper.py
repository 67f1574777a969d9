# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The swing-arm gripper of the Interbotix arms: motor angle <-> finger offset.

The motor turns a horn of length h; a rod of length a pushes the finger along its rail.
With the horn at angle theta from the rail's normal, the finger stands at

    finger = h sin(theta) + sqrt(a^2 - (h cos(theta))^2)

(Interbotix driver, `convert_angular_position_to_linear`), and the law of cosines gives theta
back. Speed has no inverse of its own: callers work with positions.
"""

from __future__ import annotations

import math

from lapa_core.description import Linkage
from lapa_core.errors import DataError


def finger_from_angle(linkage: Linkage, angle_rad: float) -> float:
    """Finger offset [m] of a motor angle [rad]."""
    h, a = linkage.horn_m, linkage.arm_m
    return h * math.sin(angle_rad) + math.sqrt(a**2 - (h * math.cos(angle_rad)) ** 2)


def angle_from_finger(linkage: Linkage, finger_m: float) -> float:
    """Motor angle [rad], between -pi/2 and pi/2, of a finger offset [m].

    Raises:
        DataError: the finger is where the linkage cannot bring it (arm - horn .. arm + horn);
            sent to a driver, such a target becomes NaN.
    """
    h, a = linkage.horn_m, linkage.arm_m
    if not a - h <= finger_m <= a + h or finger_m <= 0.0:
        raise DataError(
            f"{linkage.finger} at {finger_m} m is beyond its linkage: {a - h:.4f} .. {a + h:.4f} m"
        )
    cosine = (h**2 + finger_m**2 - a**2) / (2.0 * h * finger_m)
    return math.pi / 2 - math.acos(min(1.0, max(-1.0, cosine)))
