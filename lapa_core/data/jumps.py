# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where a recorded target moved by no step: what replaying the steps alone would leave out.

Such as a joint move (home), a new start after a hold, or a target that was brought back to an
arm that did not follow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lapa_core.control.compose import Pose, compose
from lapa_core.data import labels
from lapa_core.data.labels import Timeline, Tracks
from lapa_core.data.ways import distance
from lapa_core.types import NUM_AXES, FloatArray

# A step and the target it leads to are published in one control period; 15 ms on is another.
SAME_PERIOD_NS = 15_000_000
LOOK_BACK_NS = 300_000_000


def jumps(tracks: Tracks) -> list[tuple[int, str, float, float]]:
    """Between the first step and the last: time [ns], arm, distance [m], angle [rad]."""
    found = []
    for index, arm in enumerate(tracks.arms):
        columns = slice(index * NUM_AXES, (index + 1) * NUM_AXES)
        found += [
            (t, arm, *distance(expected, after))
            for t, expected, after in _unexplained(tracks.targets[arm], tracks.steps, columns)
            if tracks.begins_ns <= t <= tracks.ends_ns
        ]
    return sorted(found, key=lambda jump: jump[:2])


def _unexplained(
    targets: Timeline, steps: Timeline, columns: slice
) -> list[tuple[int, Pose, Pose]]:
    """Time, where the steps led, and where the target was, for each change they do not make."""
    found: list[tuple[int, Pose, Pose]] = []
    begun = np.array(steps.times_ns)
    used = 0  # steps before this one are accounted for
    for i in range(1, len(targets.values)):
        before, after = targets.values[i - 1], targets.values[i]
        if before is after or labels.same(before, after):
            continue
        time_ns = targets.times_ns[i]
        first = max(used, int(np.searchsorted(begun, time_ns - LOOK_BACK_NS)))
        last = int(np.searchsorted(begun, time_ns + labels.SAME_TICK_NS))
        taken = _taken(before, after, [s[columns] for s in steps.values[first:last]])
        if taken:
            used = first + taken
            continue
        # A step taken from another place: the one of this period, if there is one.
        near = [k for k in range(first, last) if abs(begun[k] - time_ns) < SAME_PERIOD_NS]
        expected = compose(before, steps.values[near[0]][columns]) if near else before
        used = near[0] + 1 if near else used
        found.append((time_ns, expected, after))
    return found


def _taken(before: Pose, after: Pose, deltas: Sequence[FloatArray]) -> int:
    """How many of the deltas are over once a run of them has led there; 0 if none does."""
    for start in range(len(deltas)):
        reached = before
        for count, delta in enumerate(deltas[start:], start=start + 1):
            reached = compose(reached, delta)
            if labels.same(reached, after):
                return count
    return 0
