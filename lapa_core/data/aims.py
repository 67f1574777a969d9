# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where a tool acts next, read from the way it went: no label but the demonstration's own.

A tool acts where its gripper is told to open or close, and where it comes down to and leaves
again; what it does low down on its way, such as a push, it does in the middle of that way.
Hindsight gives that place to every step before it, and with it the answer to "which thing is
meant" long before the motion tells. Knows neither pictures nor words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lapa_core.data.demos import Demo
from lapa_core.errors import DataError
from lapa_core.types import NUM_AXES, FloatArray

RISE_M = 0.01  # a tool that rises by more than this, within `RISE_STEPS`, has been at a low point
RISE_STEPS = 3
LEVEL_M = 5e-4  # heights that differ by less are equal
STROKE_M = 0.02  # heights of one way low down: five steps of a push differ by millimetres, and the
# steps of coming down and of leaving, which count as its ends, by some 2 cm from it
GRIPPER = 0.5  # a command that changes by more opens or closes
# Steps that were left out, over which what was meant is still foreseen: two seconds at 5 Hz. After
# a push against the arm, a correction or a glitch of the camera the same thing is meant.
GAP_STEPS = 10


@dataclass(frozen=True)
class Acts:
    """What a tool does, n steps.

    Attributes:
        done: (n,) at which of them it acts.
        where: (n, k) where the act of such a step has its place; else where the tool is.
        following: (n,) step of the next act, this one's own too; the last step where none follows.
        unknown: (n,) whether nobody knows what that is: before a gap that is long, in which the
            gripper has opened or closed, or after which nothing is done.
        hidden: (n,) gaps up to there in which it may have acted unseen: long ones, and those over
            which the gripper has opened or closed.
    """

    done: NDArray[np.bool_]
    where: FloatArray
    following: NDArray[np.int64]
    unknown: NDArray[np.bool_]
    hidden: NDArray[np.int64]


def of_demo(demo: Demo) -> FloatArray:
    """(n, a, 4) where the tool of each arm acts next, x y z [m] in the arm's base, and how it is
    turned there [rad], which may not be known.

    Raises:
        DataError: the demonstration does not say where the tools were.
    """
    openings = demo.actions[:, NUM_AXES - 1 :: NUM_AXES]
    each = [aims(tool, openings[:, arm], demo.index) for arm, tool in enumerate(tools(demo))]
    return np.stack(each, axis=1)


def tools(demo: Demo) -> Iterator[FloatArray]:
    """(n, 4) for each arm: x y z and heading of its tool in its base frame [m, rad].

    Raises:
        DataError: the demonstration does not say where the tools were.
    """
    arms = demo.actions.shape[1] // NUM_AXES
    if demo.places.shape[1] != 3 * arms:
        raise DataError(f"{demo.name} does not say where its tools were, so not where they act")
    if demo.turns.shape[1] not in (0, arms):
        raise DataError(f"{demo.name} has {demo.turns.shape[1]} headings of {arms} tools")
    for arm in range(arms):
        turns = demo.turns[:, arm] if demo.turns.shape[1] else np.full(len(demo), np.nan)
        yield np.column_stack([demo.places[:, 3 * arm : 3 * arm + 3], turns])


def aims(tool_m: FloatArray, openings: FloatArray, index: NDArray[np.int64]) -> FloatArray:
    """The place where each step's tool acts next.

    Args:
        tool_m, openings, index: as of `acts`.

    Returns:
        (n, k); the last place where nothing is done any more. NaN where nobody knows.
    """
    return following(acts(tool_m, openings, index))


def following(found: Acts) -> FloatArray:
    """(n, k) the place of the next act; NaN where nobody knows."""
    return np.where(found.unknown[:, None], np.nan, found.where[found.following])


def acts(tool_m: FloatArray, openings: FloatArray, index: NDArray[np.int64]) -> Acts:
    """What a tool does.

    Args:
        tool_m: (n, k) measured places of the tool, x y z [m] with z up, and its heading [rad],
            which may be left out.
        openings: (n,) commanded opening of its gripper, 0 .. 1.
        index: (n,) places on the episode's grid; a long gap ends what can be foreseen. What
            lies beside any gap is no act: who knows what was done in it.

    Returns:
        The acts; what is done low down has its place in the middle of the way there.
    """
    gaps = np.diff(index) > 1
    after, before = np.insert(gaps, 0, False), np.append(gaps, False)
    changes = _changes(openings)
    low = _low_points(tool_m[:, 2], after) & ~after & ~before
    # To come down to what is then grasped is no act yet, and rising with it none any more.
    for steps in range(1, RISE_STEPS + 1):
        low[:-steps] &= ~changes[steps:]
        low[steps:] &= ~changes[:-steps]
    done = changes & ~after | low
    last = np.arange(len(tool_m)) == len(tool_m) - 1
    blind = np.append((np.diff(index) > GAP_STEPS) | gaps & changes[1:], False)
    where = np.flatnonzero(done | blind | last)
    follows = where[np.searchsorted(where, np.arange(len(tool_m)))]
    # To the end from before a gap: what was meant may have been done in it, without a trace.
    crossed = np.cumsum(after)
    lost = (last & ~done)[follows] & (crossed[follows] > crossed)
    unknown = (blind & ~done)[follows] | lost
    places = np.array(tool_m, dtype=np.float64)
    for row in np.flatnonzero(low & ~changes):
        places[row] = _middle(tool_m, row, after | changes)
    return Acts(done, places, follows, unknown, np.cumsum(np.insert(blind[:-1], 0, False)))


def _middle(tool_m: FloatArray, row: int, breaks: NDArray[np.bool_]) -> FloatArray:
    """(k,) half-way between the ends of the way low down that this row is of.

    Args:
        tool_m: (n, k) places.
        row: of a low point.
        breaks: (n,) rows that belong to no way begun before them.
    """
    near = np.abs(tool_m[:, 2] - tool_m[row, 2]) <= STROKE_M
    first = last = row
    while first > 0 and near[first - 1] and not breaks[first]:
        first -= 1
    while last + 1 < len(tool_m) and near[last + 1] and not breaks[last + 1]:
        last += 1
    apart = tool_m[last] - tool_m[first]
    apart[3:] = (apart[3:] + np.pi) % (2 * np.pi) - np.pi
    middle: FloatArray = tool_m[first] + apart / 2
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
