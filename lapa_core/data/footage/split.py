# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which clips are held back to judge by: whole ones, the same for the same names and seed.

What several cameras saw of one recording is learnt from together, or held back together.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from lapa_core.errors import DataError


def recording(name: str) -> str:
    """The recording of a clip's name: of a bag without the topic (see `clips.Clip`)."""
    return name.partition(":/")[0]


def shared(recordings: Iterable[str]) -> bytes:
    """For fingerprints: empty where each clip is a recording, as runs from before have it.

    Those of several cameras split by clip then; a run that has is not to go on split otherwise.
    """
    found = list(recordings)
    return b"" if len(set(found)) == len(found) else b"split by recording"


def held_back(
    owner: NDArray[np.int64],
    names: Sequence[str],
    share: float,
    seed: int,
    recordings: Sequence[str] = (),
) -> list[int]:
    """Which clips are held back: those of some of the recordings that have examples, by names.

    Args:
        owner: (n,) clip of each example.
        names: of the clips.
        share: of the recordings.
        seed: of the choice.
        recordings: of each clip the one it is of; empty: each is its own.

    Raises:
        DataError: one recording cannot be split.
    """
    together: dict[str, list[int]] = defaultdict(list)
    for clip in np.unique(owner).tolist():
        together[recordings[clip] if recordings else str(clip)].append(clip)
    if len(together) < 2:
        raise DataError("one clip cannot be split: a validation share of 0, or more clips")
    marks = [hashlib.sha256(f"{seed}/{name}".encode()).digest() for name in names]
    order = sorted(together.values(), key=lambda clips: min(marks[clip] for clip in clips))
    count = min(max(1, round(share * len(order))), len(order) - 1)
    return [clip for clips in order[:count] for clip in clips]
