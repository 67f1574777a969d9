# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which clips are held back to judge by: whole ones, the same for the same names and seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lapa_core.errors import DataError


def held_back(
    owner: NDArray[np.int64], names: Sequence[str], share: float, seed: int
) -> list[int]:
    """Which clips are held back: some of those that have examples, by their names.

    Args:
        owner: (n,) clip of each example.
        names: of the clips.
        share: of the clips.
        seed: of the choice.

    Raises:
        DataError: one clip cannot be split.
    """
    used = np.unique(owner).tolist()
    if len(used) < 2:
        raise DataError("one clip cannot be split: a validation share of 0, or more clips")
    marks = {i: hashlib.sha256(f"{seed}/{names[i]}".encode()).digest() for i in used}
    order = sorted(used, key=lambda i: marks[i])
    return order[: min(max(1, round(share * len(order))), len(order) - 1)]
