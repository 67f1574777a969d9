# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Does a policy see where things are? The place it says, against where the tool then acted.

Only policies that say a place before they act (`aim_bins`) can be asked. At the first step nothing
but the picture and the words tells the place: that error is what the policy sees. Later the tool
is near, and any policy knows where that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lapa_core.data import aims, spoken
from lapa_core.data.labels import Tracks
from lapa_core.evaluate.dimension import Dimension, dimension
from lapa_core.types import NUM_AXES, FloatArray

if TYPE_CHECKING:
    from lapa_core.evaluate.openloop import Episode


FAR_M = 0.04  # so far off most things on a table are another thing
EVERYTHING = "all"


@dataclass(frozen=True)
class Sight:
    """How far off the places are that are said at the first steps, to one instruction.

    Attributes:
        instruction: the words; `EVERYTHING`: any.
        episodes: how many begin with them and have a place that is known.
        median_mm, p75_mm: of the distance in the plane; of several arms the one furthest off.
        far: share of the episodes beyond `FAR_M`: another thing is meant.
    """

    instruction: str
    episodes: int
    median_mm: float
    p75_mm: float
    far: float


SIGHT_HEADER = ("instruction", "episodes", "first sight: median", "75 %",
                f"beyond {1e3 * FAR_M:.0f} mm")  # fmt: skip


def sight_cells(sight: Sight) -> tuple[str, ...]:
    """A line under `SIGHT_HEADER`."""
    s = sight
    distances = (f"{mm:.1f} mm" for mm in (s.median_mm, s.p75_mm))
    return s.instruction, str(s.episodes), *distances, f"{100 * s.far:.0f} %"


@dataclass(frozen=True)
class Step:
    """What of a sample is kept when its pictures are gone.

    Attributes:
        index: place on the episode's grid.
        time_ns: on the bag's clock.
        action: (d,) what was done.
    """

    index: int
    time_ns: int
    action: FloatArray


def acted(tracks: Tracks, steps: Sequence[Step]) -> FloatArray:
    """(n, 2 a) where the tool of each arm acted next after each step [m]; NaN: not known.

    Args:
        tracks: of the recording.
        steps: all of its samples, in their order.
    """
    arms = len(tracks.arms)
    if not steps:
        return np.zeros((0, 2 * arms))
    tools = np.array([tracks.tools(s.time_ns) for s in steps])
    openings = np.array([s.action[NUM_AXES - 1 :: NUM_AXES] for s in steps])
    index = np.array([s.index for s in steps], dtype=np.int64)
    each = [
        aims.aims(tools[:, 3 * arm : 3 * arm + 3], openings[:, arm], index)[:, : len(spoken.AIMED)]
        for arm in range(arms)
    ]
    return np.concatenate(each, axis=1)


def said(aim: Mapping[str, float], names: Sequence[str]) -> FloatArray:
    """(2 a,) the place in a `Decision`; NaN where it says none."""
    return np.array([aim.get(name, np.nan) for name in names])


def errors(episodes: Sequence[Episode], names: Sequence[str]) -> list[Dimension]:
    """Errors of the places said: first those at the first steps, then those at all steps.

    None where the policy says none, or nobody knows.
    """
    found = []
    for which, label in ((np.s_[:1], "at first"), (np.s_[:], "at all steps")):
        true = _rows([e.acted[which] for e in episodes], len(names))
        told = _rows([e.said[which] for e in episodes], len(names))
        for i, name in enumerate(names):
            known = np.isfinite(true[:, i]) & np.isfinite(told[:, i])
            if known.any():
                found.append(
                    dimension(f"{name} {label}", "mm", 1e3, true[known, i], told[known, i])
                )
    return found


def first_sights(episodes: Sequence[Episode]) -> list[Sight]:
    """Places said at first, by instruction, the worst first, after those to any.

    One mean over tasks hides that a policy sees one thing and not the other. Empty where no place
    is said or known.
    """
    off: dict[str, list[float]] = {}
    for episode in episodes:
        apart = (episode.said[:1] - episode.acted[:1]).reshape(-1, len(spoken.AIMED))
        known = np.linalg.norm(apart[np.isfinite(apart).all(axis=1)], axis=1)
        if len(known):
            off.setdefault(episode.instruction, []).append(float(known.max()))
    if not off:
        return []
    each = [_sight(words, found) for words, found in off.items()]
    everything = _sight(EVERYTHING, [x for found in off.values() for x in found])
    return [everything, *sorted(each, key=lambda s: -s.median_mm)]


def _sight(words: str, off_m: Sequence[float]) -> Sight:
    middle, late = 1e3 * np.percentile(off_m, [50, 75])
    return Sight(
        words, len(off_m), float(middle), float(late), float(np.mean(np.array(off_m) > FAR_M))
    )


def _rows(parts: Sequence[FloatArray], width: int) -> NDArray[np.float64]:
    return np.concatenate([np.zeros((0, width)), *(p.reshape(-1, width) for p in parts)])
