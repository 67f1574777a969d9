# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which steps of an episode are left out of training, and why: nobody's, torn, frozen, idle.

Looks at small grey pictures and at what the arm was told, after the samples are made. Whole
episodes are judged elsewhere: by the operator, and by `lapa_core.audit`. A step that is left out
leaves a gap in the grid, over which no chunk of actions reaches.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from lapa_core.data.report import Removal
from lapa_core.data.samples import LabelledSample
from lapa_core.errors import ConfigError, unknown
from lapa_core.types import NUM_AXES, FloatArray, ImageArray

# Whose steps are wanted. A person's corrections of a policy are teleop too.
AUTHORITIES = ("teleop", "all", "corrections")
THUMB = (32, 24)  # width, height: enough to see a scene change, too coarse for a sensor's noise
# A cut: the mean change of the small picture [grey levels] is above all of these. Simulated and
# real arms change 0.3 to 4 levels a step, a wrist camera up to 12; another view changes 20 to 60.
# In 77 real streams (BridgeData V2 and two rollouts) these find no cut; of splices of two of them
# they find 99.8 of 100. With 12 spreads 97.8; with 6, and 3 times the median, one false one.
MIN_CUT = 8.0
CUT_SPREADS = 8.0  # robust standard deviations above the episode's own median
CUT_TIMES = 4.0  # the episode's own median
GLITCH_STEPS = 5  # pictures between two cuts that lead there and back: a flash, a hand
# The same picture, to the bit, while the arm is told to go further than this: no camera does that.
FROZEN_M, FROZEN_RAD = 0.01, 0.1
FROZEN_REPEATS = 2


@dataclass(frozen=True)
class CutParams:
    """What is left out.

    Attributes:
        authority: one of `AUTHORITIES`: only what a person did; all that teleop or a policy did,
            with the waiting in between; or only where a person corrected a policy.
        cuts: whether steps across a cut of a camera's picture are left out.
        frozen: whether steps with a picture that stood still while the arm moved are left out.
        max_idle_share: idle steps may be at most this share of an episode's steps; the others
            are left out, evenly. 1 keeps all, 0 none.
    """

    authority: str = "teleop"
    cuts: bool = True
    frozen: bool = True
    max_idle_share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse choices that are none."""
        if self.authority not in AUTHORITIES:
            raise ConfigError(unknown("authority", self.authority, AUTHORITIES, "the filters"))
        if not 0.0 <= self.max_idle_share <= 1.0:
            raise ConfigError(f"max_idle_share must be 0 .. 1, got {self.max_idle_share}")


@dataclass
class Trail:
    """What the filters look at, gathered step by step.

    Attributes:
        samples: everything but the pictures, per step.
        thumbs: camera -> small grey pictures.
        sums: camera -> checksums of the pictures.
    """

    index: list[int] = field(default_factory=list)
    idle: list[bool] = field(default_factory=list)
    authority: list[str] = field(default_factory=list)
    correction: list[bool] = field(default_factory=list)
    actions: list[FloatArray] = field(default_factory=list)
    thumbs: dict[str, list[ImageArray]] = field(default_factory=dict)
    sums: dict[str, list[int]] = field(default_factory=dict)

    def add(self, sample: LabelledSample) -> None:
        """Note a step; its pictures are not kept."""
        self.index.append(sample.index)
        self.idle.append(sample.idle)
        self.authority.append(sample.authority)
        self.correction.append(sample.correction)
        self.actions.append(sample.action)
        for camera, picture in sample.observation.images.items():
            self.thumbs.setdefault(camera, []).append(thumb(picture))
            self.sums.setdefault(camera, []).append(zlib.crc32(np.ascontiguousarray(picture).data))


def thumb(picture: ImageArray) -> ImageArray:
    """(24, 32) grey levels of a picture, averaged over areas."""
    small = cv2.resize(picture, THUMB, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def apply(trail: Trail, params: CutParams) -> tuple[NDArray[np.bool_], tuple[Removal, ...]]:
    """Decide.

    Returns:
        (n,) which steps are kept, and what was left out of the others: each by the first reason.
    """
    kept = np.ones(len(trail.index), dtype=bool)
    found: list[Removal] = []

    def leave_out(reason: str, rows: Iterable[int], note: str = "") -> None:
        new = sorted(r for r in set(rows) if kept[r])
        if new:
            kept[new] = False
            found.append(Removal(reason, tuple(trail.index[r] for r in new), note))

    for state, rows in _unwanted(trail, params.authority).items():
        leave_out("authority", rows, f"{state} moved the arm; wanted: {params.authority}")
    for camera in trail.thumbs:
        if params.cuts:
            leave_out("camera cut", *_cuts(trail, camera))
        if params.frozen:
            leave_out("frozen picture", *_frozen(trail, camera, kept))
    leave_out("idle", *_idle(trail, kept, params.max_idle_share))
    return kept, tuple(found)


def _unwanted(trail: Trail, wanted: str) -> dict[str, list[int]]:
    """Who moved the arm -> rows, of those that are not wanted."""
    found: dict[str, list[int]] = {}
    for row, state in enumerate(trail.authority):
        good = {
            "all": True,
            "teleop": state == "teleop",
            "corrections": trail.correction[row],
        }[wanted]
        if not good:
            found.setdefault(state, []).append(row)
    return found


def _cuts(trail: Trail, camera: str) -> tuple[list[int], str]:
    """Rows whose step leads over a cut, or that lie in a glitch; and what was seen."""
    thumbs = [t.astype(np.float64) for t in trail.thumbs[camera]]
    changes = np.array([_apart(a, b) for a, b in pairwise(thumbs)])
    follows = np.diff(trail.index) == 1  # over a gap nothing is learned anyway
    limit = cut_limit(changes[follows])
    cuts = [int(i) for i in np.flatnonzero((changes > limit) & follows)]
    rows = set(cuts)
    for first, second in pairwise(cuts):
        inside = range(first + 1, second + 1)
        if len(inside) <= GLITCH_STEPS and _apart(thumbs[first], thumbs[second + 1]) <= limit:
            rows.update(inside)
    if not cuts:
        return [], ""
    most = float(changes[cuts].max())
    usual = float(np.median(changes))
    note = (
        f"camera {camera} changed by up to {most:.0f} grey levels from a step to the next, "
        f"usually {usual:.1f}"
    )
    return sorted(rows), note


def cut_limit(changes: FloatArray) -> float:
    """Above which change [grey levels] of the picture a step is a cut, by the episode itself."""
    if not len(changes):
        return MIN_CUT
    median = float(np.median(changes))
    spread = 1.4826 * float(np.median(np.abs(changes - median)))  # a normal's deviation
    return max(MIN_CUT, median + CUT_SPREADS * spread, CUT_TIMES * median)


def _apart(one: FloatArray, other: FloatArray) -> float:
    return float(np.mean(np.abs(one - other)))


def _frozen(trail: Trail, camera: str, kept: NDArray[np.bool_]) -> tuple[list[int], str]:
    """Rows that show the picture of an earlier one while the arm went on, as far as kept ones say.

    Under a policy that asks for what the arm refuses it stands still, and so does the picture.
    """
    sums, rows, longest = trail.sums[camera], [], 0
    for begin, end in _runs(sums):
        repeats = range(begin + 1, end + 1)
        own = np.flatnonzero(kept[begin:end])
        way_m, way_rad = _way([trail.actions[begin + i] for i in own])
        if len(repeats) >= FROZEN_REPEATS and (way_m > FROZEN_M or way_rad > FROZEN_RAD):
            rows += list(repeats)
            longest = max(longest, len(repeats) + 1)
    note = f"camera {camera} gave one picture for up to {longest} steps while the arm moved"
    return rows, note


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """First and last row of every run of equal values."""
    changes = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
    begins = [0, *changes] if values else []
    return [(a, b - 1) for a, b in zip(begins, [*changes, len(values)], strict=True)]


def _way(actions: Sequence[FloatArray]) -> tuple[float, float]:
    """Largest way of an arm over some steps [m], and largest turn [rad]."""
    if not len(actions):
        return 0.0, 0.0
    arms = np.array(actions).reshape(len(actions), -1, NUM_AXES)
    metres = np.linalg.norm(arms[..., :3], axis=2).sum(axis=0)
    turns = np.linalg.norm(arms[..., 3:6], axis=2).sum(axis=0)
    return float(metres.max()), float(turns.max())


def _idle(trail: Trail, kept: NDArray[np.bool_], share: float) -> tuple[list[int], str]:
    """Idle rows beyond the share: those kept are spread evenly over all idle ones."""
    idle = np.flatnonzero(np.array(trail.idle, dtype=bool) & kept)
    moving = int(kept.sum()) - len(idle)
    allowed = len(idle) if share >= 1.0 else int(share / (1.0 - share) * moving)
    if len(idle) <= allowed:
        return [], ""
    places = (np.arange(allowed) + 0.5) * len(idle) / max(allowed, 1)
    chosen = set(idle[places.astype(int)].tolist())
    note = f"the arm was told to stay; at most {100 * share:g} % of the steps may be so"
    return [int(i) for i in idle if int(i) not in chosen], note
