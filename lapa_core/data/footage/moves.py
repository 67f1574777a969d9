# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What an arm has done between two pictures, where a recording says it.

Not what was commanded in a policy's step: pairs are as far apart as pictures are, which may be
several steps. a arms, n states, m pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lapa_core.types import FloatArray

NAMES = ("x", "y", "z", "yaw", "gripper")  # of an arm: way [m], turn [rad], opening 0 .. 1
WIDTH = len(NAMES)
_YAW, _GRIPPER = NAMES.index("yaw"), NAMES.index("gripper")


def between(states: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
    """The way and the turn from the first picture to the second, and the opening at the second.

    Args:
        states: (n, 5 a) as of `store.Stored`.
        rows: (m, 2).

    Returns:
        (m, 5 a); NaN where one of the two is not known.
    """
    first, second = (states[rows[:, i]].reshape(len(rows), -1, WIDTH) for i in (0, 1))
    found = second - first
    found[..., _YAW] = (found[..., _YAW] + np.pi) % (2 * np.pi) - np.pi
    found[..., _GRIPPER] = second[..., _GRIPPER]
    return found.reshape(len(rows), -1)


def ways_m(moves: FloatArray) -> FloatArray:
    """(m, 5 a) moves -> (m, 3 a) how far each tool went."""
    return moves.reshape(len(moves), -1, WIDTH)[..., :3].reshape(len(moves), -1)


def names(width: int) -> tuple[str, ...]:
    """Of the columns of (m, width) moves; with several arms, with a number before."""
    arms = width // WIDTH
    return tuple(n if arms == 1 else f"{a}/{n}" for a in range(arms) for n in NAMES)
