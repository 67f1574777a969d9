# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which two pictures of a clip make a pair, and which do not, and why.

Between two pictures a given time apart something should have moved, and it should still be the
same scene: what stood still teaches nothing, and over a cut there is no action.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lapa_core.data import cuts
from lapa_core.errors import ConfigError
from lapa_core.types import FloatArray, ImageArray

# How far from the wanted gap the second picture may be, as a share of it.
SLACK = 0.25
NO_SECOND, RESIZED, CUT, STILL = (
    "nothing so long after it", "another size", "over a cut", "nothing moves",
)  # fmt: skip
REASONS = (NO_SECOND, RESIZED, CUT, STILL)


@dataclass(frozen=True)
class PairParams:
    """What a pair is.

    Attributes:
        gap_s: between its pictures. The reference takes 0.6 of robots and 2.4 of people.
        still: small grey pictures that differ by less than so many levels in the mean show
            nothing that moves. Noise of a camera, averaged so, is below 0.1; one step of a
            simulated arm 0.3 and more.
        cuts: whether pairs over a cut are left out.
    """

    gap_s: float = 0.6
    still: float = 0.25
    cuts: bool = True

    def __post_init__(self) -> None:
        """Refuse what is none."""
        if self.gap_s <= 0:
            raise ConfigError(f"the gap of a pair must be above 0 s, got {self.gap_s:g}")
        if self.still < 0:
            raise ConfigError(f"still must be 0 or more grey levels, got {self.still:g}")


class Watched(Protocol):
    """Pictures of a clip: their times, small grey ones, and their sizes, as in `Stored`."""

    @property
    def times_s(self) -> FloatArray:
        """(n,)."""

    @property
    def thumbs(self) -> ImageArray:
        """(n, 24, 32)."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(n, 2)."""

    def __len__(self) -> int:
        """n."""


def pairs(clip: Watched, params: PairParams) -> tuple[NDArray[np.int64], Counter[str]]:
    """Rows of the pictures of each pair.

    Returns:
        (m, 2) rows, the earlier one first, and how many pictures begin none, by reason.
    """
    n = len(clip)
    later = _later(clip.times_s, params.gap_s)
    rows = np.stack([np.arange(n), later], axis=1)
    left: Counter[str] = Counter()

    def leave_out(reason: str, bad: NDArray[np.bool_]) -> None:
        nonlocal rows
        if count := int(bad.sum()):
            left[reason] += count
        rows = rows[~bad]

    leave_out(NO_SECOND, later < 0)
    sizes = clip.sizes[rows]
    leave_out(RESIZED, (sizes[:, 0] != sizes[:, 1]).any(axis=1))
    thumbs = clip.thumbs.astype(np.float32)
    if params.cuts:
        crossed = np.cumsum(np.concatenate([[False], _is_cut(thumbs)]))
        leave_out(CUT, crossed[rows[:, 0]] != crossed[rows[:, 1]])
    apart = np.abs(thumbs[rows[:, 0]] - thumbs[rows[:, 1]]).mean(axis=(1, 2))
    leave_out(STILL, apart < params.still)
    return rows, left


def _later(times_s: FloatArray, gap_s: float) -> NDArray[np.int64]:
    """(n,) row of the picture nearest to so long after each; -1 where none is near."""
    wanted = times_s + gap_s
    right = np.clip(np.searchsorted(times_s, wanted), 1, max(len(times_s) - 1, 1))
    right = np.minimum(right, len(times_s) - 1)
    left = np.maximum(right - 1, 0)
    nearer = np.where(
        np.abs(times_s[left] - wanted) <= np.abs(times_s[right] - wanted), left, right
    )
    good = np.abs(times_s[nearer] - wanted) <= SLACK * gap_s
    return np.where(good & (nearer > np.arange(len(times_s))), nearer, -1)


def _is_cut(thumbs: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n - 1,) whether the next picture is of another scene."""
    changes = np.abs(np.diff(thumbs, axis=0)).mean(axis=(1, 2)).astype(np.float64)
    return np.asarray(changes > cuts.cut_limit(changes))
