# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Pairs that two cameras of one recording saw at the same time.

What an arm does looks different from each side, and lighting, noise and passers-by do too; what a
code tells of one camera's pair should draw the other's.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from lapa_core.data.footage.clips import BAG
from lapa_core.train.laq.footage import Footage

TOGETHER_S = 0.1  # half of what lies between two frames that are kept


def of_others(footage: Footage) -> NDArray[np.int64]:
    """(n,) for each pair, one of another camera of the same bag and times; -1 where none is.

    Args:
        footage: with the sources of its clips.
    """
    recordings: dict[str, list[int]] = defaultdict(list)
    for number, source in enumerate(footage.sources):
        if source.kind == BAG:
            recordings[str(source.path)].append(number)
    found = np.full(len(footage), -1, dtype=np.int64)
    for cameras in recordings.values():
        for place, clip in enumerate(cameras):
            for other in cameras[place + 1 :] + cameras[:place]:  # each its next one first
                mine = np.flatnonzero((footage.owner == clip) & (found < 0))
                found[mine] = _together(footage, mine, np.flatnonzero(footage.owner == other))
    return found


def _together(
    footage: Footage, mine: NDArray[np.int64], theirs: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each of my pairs, that of theirs whose frames are of the same times; -1: none."""
    if not len(mine) or not len(theirs):
        return np.full(len(mine), -1, dtype=np.int64)
    here, there = _times_s(footage, mine), _times_s(footage, theirs)  # (m, 2), (k, 2)
    right = np.clip(np.searchsorted(there[:, 0], here[:, 0]), 1, max(len(there) - 1, 1))
    right = np.minimum(right, len(there) - 1)
    left = np.maximum(right - 1, 0)
    nearer = np.where(
        np.abs(there[left, 0] - here[:, 0]) <= np.abs(there[right, 0] - here[:, 0]), left, right
    )
    good = (np.abs(there[nearer] - here) <= TOGETHER_S).all(axis=1)
    return np.where(good, theirs[nearer], -1)


def _times_s(footage: Footage, which: NDArray[np.int64]) -> NDArray[np.float64]:
    clip = footage.clips[footage.owner[which[0]]]
    return np.asarray(clip.times_s[footage.rows[which]])
