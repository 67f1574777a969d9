# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Paths of a tool, and how far one is from another as a way, whatever the time it took.

Knows no episodes and no limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lapa_core.control.compose import Pose, angle_between, between, difference
from lapa_core.errors import DataError
from lapa_core.types import FloatArray

MAX_LATE_S = 0.5
TURN_M_PER_RAD = (
    0.1  # how a turn counts beside a way in looking for the nearest pose: a hand's size
)


@dataclass(frozen=True)
class Path:
    """A tool's way: (n,) seconds since the first step, and the poses then."""

    times_s: FloatArray
    poses: tuple[Pose, ...]

    def at(self, time_s: float) -> Pose:
        """The pose at a time within the path, between its samples as needed."""
        after = int(np.clip(np.searchsorted(self.times_s, time_s), 1, len(self.poses) - 1))
        begin, end = self.times_s[after - 1], self.times_s[after]
        return between(
            self.poses[after - 1], self.poses[after], float((time_s - begin) / (end - begin))
        )


@dataclass(frozen=True)
class Deviation:
    """How far a replayed path was from the recorded one.

    Attributes:
        late_s: how much later than recorded the tool was there, in the median.
        median_mm, max_mm, median_deg, max_deg: from each pose of one path to the nearest of the
            other, both ways, of those within `MAX_LATE_S`.
    """

    late_s: float
    median_mm: float
    max_mm: float
    median_deg: float
    max_deg: float


def as_path(samples: Sequence[tuple[float, Pose]]) -> Path:
    """A path from its samples (seconds since the first step, pose)."""
    return Path(np.array([t for t, _ in samples]), tuple(p for _, p in samples))


def distance(one: Pose, other: Pose) -> tuple[float, float]:
    """Metres and radians between two poses."""
    return (
        float(np.linalg.norm(one.xyz_m - other.xyz_m)),
        angle_between(one.rotation, other.rotation),
    )


def deviation(recorded: Path, replayed: Path) -> Deviation:
    """Compare two paths as ways: a busy computer's delays alone are no distance.

    Raises:
        DataError: they share no time.
    """
    if len(replayed.poses) < 2 or recorded.times_s[-1] < replayed.times_s[0] - MAX_LATE_S:
        raise DataError("the recorded and the replayed path have no time in common")
    origin = recorded.poses[0]
    found: list[tuple[float, float]] = []
    late: list[float] = []
    for one, other in ((recorded, replayed), (replayed, recorded)):
        # The ends of one may lie beyond those of the other, with nothing to compare to.
        inside = (one.times_s >= other.times_s[0]) & (one.times_s <= other.times_s[-1])
        matched = _nearest(one, other, origin)
        late.append(float(np.median((matched - one.times_s)[inside])))
        found += [
            distance(one.poses[i], other.at(float(matched[i]))) for i in np.flatnonzero(inside)
        ]
    mm, deg = 1e3 * np.array(found)[:, 0], np.degrees(np.array(found)[:, 1])
    return Deviation(late[0], *(float(f(v)) for v in (mm, deg) for f in (np.median, np.max)))


def _nearest(one: Path, other: Path, origin: Pose) -> FloatArray:
    """(n,) for each pose of `one` the time when `other` was nearest, within `MAX_LATE_S`."""
    points, line = _embed(one, origin), _embed(other, origin)
    way = np.diff(line, axis=0)
    length = np.maximum(np.sum(way**2, axis=1), 1e-12)
    matched = np.empty(len(points))
    for i, (time_s, point) in enumerate(zip(one.times_s, points, strict=True)):
        first, last = np.searchsorted(other.times_s, (time_s - MAX_LATE_S, time_s + MAX_LATE_S))
        near = slice(max(0, min(int(first), len(way) - 1)), max(1, int(last)))
        share = np.clip(np.sum((point - line[:-1][near]) * way[near], axis=1) / length[near], 0, 1)
        apart = np.linalg.norm(line[:-1][near] + share[:, None] * way[near] - point, axis=1)
        k = near.start + int(np.argmin(apart))
        step_s = other.times_s[k + 1] - other.times_s[k]
        matched[i] = other.times_s[k] + share[k - near.start] * step_s
    return matched


def _embed(path: Path, origin: Pose) -> FloatArray:
    """(n, 6) poses as points: position [m], and turn from `origin` times `TURN_M_PER_RAD`."""
    turns = [difference(origin, p)[3:] for p in path.poses]
    return np.hstack([[p.xyz_m for p in path.poses], TURN_M_PER_RAD * np.array(turns)])
