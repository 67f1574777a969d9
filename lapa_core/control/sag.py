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
# Sag grows with the arm's reach, about twofold from its start to its workspace's far end, and
# passes zero where a link is upright; 4 mrad on 0.4 m are half of the least distance to the table.
GROWTH, LEAST_RAD = 2.0, 0.004
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
        near = [bool(np.linalg.norm(x - xyz_m) <= APART_M) for x, _ in self._rests]
        elsewhere = [e for (_, e), same in zip(self._rests, near, strict=True) if not same]
        low, high = np.full((2, len(error_rad)), UNKNOWN_RAD) * [[-1.0], [1.0]]
        if elsewhere:  # what all of them show, each way
            low = GROWTH * np.max(np.minimum(elsewhere, 0.0), axis=0) - LEAST_RAD
            high = GROWTH * np.min(np.maximum(elsewhere, 0.0), axis=0) + LEAST_RAD
        self.rad = np.clip(error_rad, low, high)
        if any(near):  # it keeps its place: a chain of small steps would never leave it
            at = near.index(True)
            self._rests[at] = (self._rests[at][0], self.rad)
        else:
            self._rests.append((xyz_m, self.rad))
