# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How far an arm rests beside its commands: sag, told from leaning on something.

Servos without an integral term rest below every goal; an arm that leans on a thing rests beside
its goal there and nowhere else. So what is seen at one place counts as sag as far as other places
show it too.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from lapa_core.types import FloatArray

APART_M = 0.05  # rests nearer to each other may be on the same thing
REMEMBERED = 4
# Sag grows with the arm's reach, about twofold from its start to its workspace's far end, and no
# joint is read more finely than this.
GROWTH, LEAST_RAD = 2.0, 0.002
UNKNOWN_RAD = 0.01  # of an arm that was seen at one place alone: what such servos sag


class Sag:
    """Rests of one arm.

    Attributes:
        rad: (n,) measured minus commanded joint positions that the arm's weight explains.
    """

    def __init__(self, joints: int) -> None:
        self.rad: FloatArray = np.zeros(joints)
        self._rests: deque[tuple[FloatArray, FloatArray]] = deque(maxlen=REMEMBERED)

    def rested(self, xyz_m: FloatArray, error_rad: FloatArray) -> None:
        """Take a rest on a command.

        Args:
            xyz_m: (3,) where the tool is.
            error_rad: (n,) measured minus commanded.
        """
        elsewhere = [e for x, e in self._rests if np.linalg.norm(x - xyz_m) > APART_M]
        bound = np.full(len(error_rad), UNKNOWN_RAD)
        if elsewhere:
            bound = GROWTH * np.min(np.abs(elsewhere), axis=0) + LEAST_RAD
        self.rad = np.clip(error_rad, -bound, bound)
        here = [r for r in self._rests if np.linalg.norm(r[0] - xyz_m) <= APART_M]
        for rest in here:  # one a place, or many at one would push the others out
            self._rests = deque((r for r in self._rests if r is not rest), maxlen=REMEMBERED)
        self._rests.append((xyz_m, error_rad))
