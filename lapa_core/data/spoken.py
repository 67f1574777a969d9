# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a policy says before it acts, as a demonstration would have answered it.

Said in tokens before the action's own, it is at hand when that is chosen: a small model that has
said where, how far and which way round goes there, where one that is asked for the action alone
learns how demonstrations mostly go on (docs/log.md). All of it is hindsight: `data.aims`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lapa_core.data import aims
from lapa_core.data.aims import Acts
from lapa_core.data.demos import Demo
from lapa_core.errors import ConfigError, DataError, unknown
from lapa_core.types import AXES, NUM_AXES, FloatArray

IntArray = NDArray[np.int64]
AIMED = AXES[:2]  # of a place; how high follows from the task
HEIGHT, TURN = AXES[2], AXES[5]
PLACE, OFFSET = "aim", "off"  # where the tool acts next, and how far that is from where it is
WAY = "way"  # the same, of the place as it was said: computed, not chosen (`model.ways`)
END, LEFT = "end", "left"  # where it acts at last, and how often until then
# What a policy may say beside the place, and what for.
ALSO = {
    END: "where the tool acts at last: where to, while it is still about where from",
    "turn": "how the tool is turned where it acts next",
    LEFT: "how many acts are still to come: a cup that stands on its own and one that has been "
          "put over a thing look alike",
    "offset": "how far the place is from the tool, which the action then follows",
    "height": "and how far below it: where that is nothing, it is time to act",
    WAY: "both, and the turn, computed from the place that was said and from where the tool is",
}  # fmt: skip
MOST_LEFT = 3  # more acts than that are so many: somebody has tried again


def also(text: str) -> tuple[str, ...]:
    """What is said beside the place, from a list with commas.

    Raises:
        ConfigError: something else is in the list.
    """
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in found:
        if part not in ALSO:
            raise ConfigError(unknown("word", part, ALSO, "--aim-also"))
    return found


def names(dimensions: tuple[str, ...], said: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of what is said, in the order in which it is, such as `arm/aim_x`.

    Args:
        dimensions: of the robot.
        said: of `ALSO`, what is said beside the place.
    """
    turn = (TURN,) if "turn" in said else ()
    axes = (*AIMED, *turn)
    places = (*AIMED, HEIGHT, *turn) if WAY in said else axes
    each = [f"{END}_{axis}" for axis in AIMED] if END in said else []
    each += [f"{PLACE}_{axis}" for axis in places]
    each += [LEFT] if LEFT in said else []
    each += [f"{OFFSET}_{axis}" for axis in axes] if "offset" in said else []
    each += [f"{OFFSET}_{HEIGHT}"] if "height" in said else []
    each += [f"{WAY}_{axis}" for axis in places] if WAY in said else []
    arms = (d.removesuffix(f"/{AXES[0]}") for d in dimensions[::NUM_AXES])
    return tuple(f"{arm}/{what}" for arm in arms for what in each)


def unit(name: str) -> str:
    """Of what has this name: m, rad, or none."""
    what = name.rpartition("/")[2]
    return "" if what == LEFT else "rad" if what.endswith(TURN) else "m"


def of_demo(demo: Demo, wanted: Sequence[str]) -> FloatArray:
    """(n, len(wanted)) of the `names` at each step [m, rad, acts]; NaN where nobody knows.

    Raises:
        DataError: the demonstration does not say where its tools were, or how they were turned.
    """
    arms = list(dict.fromkeys(name.rpartition("/")[0] for name in wanted))
    columns: dict[str, FloatArray] = {}
    openings = demo.actions[:, NUM_AXES - 1 :: NUM_AXES]
    turned = any(unit(name) == "rad" for name in wanted)
    if turned and demo.turns.shape[1] != len(arms):
        raise DataError(f"{demo.name} does not say how its tools were turned; leave turn out of "
                        f"--aim-also")  # fmt: skip
    for number, (arm, tool) in enumerate(zip(arms, aims.tools(demo), strict=True)):
        found = aims.acts(tool, openings[:, number], demo.index)
        of_arm = _answers(found, tool, _words_end(demo))
        columns |= {f"{arm}/{what}": column for what, column in of_arm.items()}
    return np.column_stack([columns[name] for name in wanted])


def _answers(found: Acts, tool: FloatArray, ends: IntArray) -> dict[str, FloatArray]:
    """(n,) each of what one arm can be asked for.

    Args:
        found: its acts.
        tool: (n, 4) x y z and heading.
        ends: (n,) last step with the same words.
    """
    following, last = aims.following(found), _last(found, ends)
    answers = {LEFT: _left(found, ends)}
    for axis, place, end, now in zip((*AXES[:3], TURN), following.T, last.T, tool.T, strict=True):
        off = place - now
        if axis == TURN:
            off = (off + math.pi) % (2 * math.pi) - math.pi
        answers |= {f"{PLACE}_{axis}": place, f"{END}_{axis}": end}
        answers |= {f"{OFFSET}_{axis}": off, f"{WAY}_{axis}": off}
    return answers


def _last(found: Acts, ends: IntArray) -> FloatArray:
    """(n, k) the place of the last act under the same words, and then where the tool goes."""
    latest, to_come = _latest(found, ends)
    places = np.where(to_come[:, None], found.where[latest], aims.following(found))
    # After a gap that hides something the last act may have been in it.
    lost = to_come & (found.hidden[ends] > found.hidden[latest])
    return np.where(lost[:, None], np.nan, places)


def _left(found: Acts, ends: IntArray) -> FloatArray:
    """(n,) acts from each step on under the same words; one place low down is one act."""
    latest, to_come = _latest(found, ends)
    rows = np.flatnonzero(found.done)
    other = np.any(np.diff(found.where[rows, :3], axis=0) != 0, axis=1)
    other &= np.diff(rows) > aims.RISE_STEPS
    number = np.zeros(len(found.done), dtype=np.int64)
    number[rows] = np.cumsum(np.append(True, other)[: len(rows)])
    count = np.where(to_come, number[latest] - number[found.following] + 1, 0)
    known = (found.hidden[ends] == found.hidden) & (to_come | ~found.unknown)
    return np.where(known, np.minimum(count, MOST_LEFT), np.nan)


def _latest(found: Acts, ends: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """(n,) the last act under the same words, and whether it is still to come."""
    rows = np.arange(len(found.done))
    latest = np.maximum.accumulate(np.where(found.done, rows, -1))[ends]
    return latest, latest >= rows


def _words_end(demo: Demo) -> IntArray:
    """(n,) the last step with the same words as each."""
    words = np.array(demo.instructions, dtype=object)
    where = np.flatnonzero(np.append(words[1:] != words[:-1], True))
    found: IntArray = where[np.searchsorted(where, np.arange(len(demo)))]
    return found
