# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where a tool acts next, read from the way it went: no label but the demonstration's own.

A tool acts where its gripper is told to open or close, and where it comes down to and leaves
again; what it does low down on its way, such as a push, it does in the middle of that way.
Hindsight gives that place to every step before it, and with it the answer to "which thing is
meant" long before the motion tells. Knows neither pictures nor words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lapa_core.data.demos import Demo
from lapa_core.errors import DataError
from lapa_core.types import AXES, NUM_AXES, FloatArray

RISE_M = 0.01  # a tool that rises by more than this, within `RISE_STEPS`, has been at a low point
RISE_STEPS = 3
LEVEL_M = 5e-4  # heights that differ by less are equal
STROKE_M = 0.02  # heights of one way low down: five steps of a push differ by millimetres, and the
# steps of coming down and of leaving, which count as its ends, by some 2 cm from it
GRIPPER = 0.5  # a command that changes by more opens or closes
# Steps that were left out, over which what was meant is still foreseen: two seconds at 5 Hz. After
# a push against the arm, a correction or a glitch of the camera the same thing is meant.
GAP_STEPS = 10


PLACE, OFFSET = "aim", "off"
AIMED = AXES[:2]  # what a policy says of the place; how high follows from the task


def names(dimensions: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the numbers that `of_demo` gives, such as `arm/aim_x`."""
    arms = [d.removesuffix(f"/{AXES[0]}") for d in dimensions[::NUM_AXES]]
    return tuple(f"{arm}/aim_{axis}" for arm in arms for axis in AIMED)


def spoken(dimensions: tuple[str, ...], offsets: bool) -> tuple[str, ...]:
    """Names of the numbers that a policy says before it acts: each arm's place, and, with
    `offsets`, how far that is from its tool, such as `arm/off_x`."""
    found: list[str] = []
    for arm in (d.removesuffix(f"/{AXES[0]}") for d in dimensions[::NUM_AXES]):
        kinds = (PLACE, OFFSET) if offsets else (PLACE,)
        found += [f"{arm}/{kind}_{axis}" for kind in kinds for axis in AIMED]
    return tuple(found)


def said(demo: Demo, names: Sequence[str]) -> FloatArray:
    """(n, len(names)) of `spoken` numbers at each step [m]; NaN where nobody knows.

    Raises:
        DataError: the demonstration does not say where the tools were.
    """
    places = of_demo(demo)
    tools = demo.places.reshape(len(demo), -1, 3)
    arms = list(dict.fromkeys(name.rpartition("/")[0] for name in names))
    found = np.empty((len(demo), len(names)))
    for column, name in enumerate(names):
        arm, _, what = name.rpartition("/")
        kind, _, axis = what.partition("_")
        of_arm = arms.index(arm), AXES.index(axis)
        found[:, column] = places[:, of_arm[0], of_arm[1]]
        if kind == OFFSET:
            found[:, column] -= tools[:, of_arm[0], of_arm[1]]
    return found


def of_demo(demo: Demo) -> FloatArray:
    """(n, a, 3) where the tool of each arm acts next, in the arm's base frame [m].

    Raises:
        DataError: the demonstration does not say where the tools were.
    """
    arms = demo.actions.shape[1] // NUM_AXES
    if demo.places.shape[1] != 3 * arms:
        raise DataError(f"{demo.name} does not say where its tools were, so not where they act")
    openings = demo.actions[:, NUM_AXES - 1 :: NUM_AXES]
    each = [
        aims(demo.places[:, 3 * arm : 3 * arm + 3], openings[:, arm], demo.index)
        for arm in range(arms)
    ]
    return np.stack(each, axis=1)


def aims(tool_m: FloatArray, openings: FloatArray, index: NDArray[np.int64]) -> FloatArray:
    """The place where each step's tool acts next.

    Args:
        tool_m: (n, 3) measured places of the tool, z up.
        openings: (n,) commanded opening of its gripper, 0 .. 1.
        index: (n,) places on the episode's grid; a long gap ends what can be foreseen. What
            lies beside any gap is no act: who knows what was done in it.

    Returns:
        (n, 3); of what is done low down the middle of the way there; the last place where
        nothing is done any more. NaN where nobody knows: before a gap that is long, in which the
        gripper has opened or closed, or after which nothing is done.
    """
    gaps = np.diff(index) > 1
    after, before = np.insert(gaps, 0, False), np.append(gaps, False)
    changes = _changes(openings)
    low = _low_points(tool_m[:, 2], after) & ~after & ~before
    # Rising with what has just been grasped or let go is no act: that was the one before.
    low[1:] &= ~changes[:-1]
    acts = changes & ~after | low
    last = np.arange(len(tool_m)) == len(tool_m) - 1
    blind = np.append((np.diff(index) > GAP_STEPS) | gaps & changes[1:], False)
    where = np.flatnonzero(acts | blind | last)
    following = where[np.searchsorted(where, np.arange(len(tool_m)))]
    # To the end from before a gap: what was meant may have been done in it, without a trace.
    crossed = np.cumsum(after)
    lost = (last & ~acts)[following] & (crossed[following] > crossed)
    unknown = (blind & ~acts)[following] | lost
    places = np.array(tool_m, dtype=np.float64)
    for row in np.flatnonzero(low & ~changes):
        places[row] = _middle(tool_m, row, after | changes)
    return np.where(unknown[:, None], np.nan, places[following])


def _middle(tool_m: FloatArray, row: int, breaks: NDArray[np.bool_]) -> FloatArray:
    """(3,) half-way between the ends of the way low down that this row is of.

    Args:
        tool_m: (n, 3) places.
        row: of a low point.
        breaks: (n,) rows that belong to no way begun before them.
    """
    near = np.abs(tool_m[:, 2] - tool_m[row, 2]) <= STROKE_M
    first = last = row
    while first > 0 and near[first - 1] and not breaks[first]:
        first -= 1
    while last + 1 < len(tool_m) and near[last + 1] and not breaks[last + 1]:
        last += 1
    middle: FloatArray = (tool_m[first] + tool_m[last]) / 2
    return middle


def _changes(openings: FloatArray) -> NDArray[np.bool_]:
    """(n,) whether the command at a step differs from that before."""
    return np.concatenate([[False], np.abs(np.diff(openings)) > GRIPPER])


def _low_points(z_m: FloatArray, after: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) whether the tool is lower than before and about to rise, with no gap in between.

    Args:
        z_m: (n,) heights.
        after: (n,) which rows follow a gap.
    """
    padded = np.concatenate([z_m, np.full(RISE_STEPS, -np.inf)])
    stretch = np.concatenate([np.cumsum(after), np.full(RISE_STEPS, -1)])
    n = len(z_m)
    ahead = np.stack(
        [
            np.where(stretch[i + 1 : i + 1 + n] == stretch[:n], padded[i + 1 : i + 1 + n], -np.inf)
            for i in range(RISE_STEPS)
        ]
    )
    rises = ahead.max(axis=0) > z_m + RISE_M
    lower = np.concatenate([[np.inf], z_m[:-1]])
    lowest = (z_m <= lower + LEVEL_M) & (z_m <= ahead[0] + LEVEL_M)
    lowest[0] = False  # where it began is no place it came down to
    return np.asarray(lowest & rises)
