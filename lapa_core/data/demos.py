# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Demonstrations reduced to what training reads: codes of the pictures, actions, words.

n steps, c cameras, v variants of a picture, N codes a picture, d action dimensions, s numbers
of state. NumPy only: who makes the codes is `lapa_core.train.tokens`, or anybody else who has a
frozen VQGAN. Every name of a set is unique, and all its demonstrations are of one robot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapa_core.data.report import DataReport, EpisodeReport, Removal
from lapa_core.errors import DataError
from lapa_core.robot import POLARITIES
from lapa_core.types import FloatArray

__all__ = ["DataReport", "Demo", "DemoSet", "EpisodeReport", "Removal", "Traits", "alike"]


@dataclass(frozen=True)
class Demo:
    """One demonstration.

    Attributes:
        name: of its folder.
        codes: (v, n, c, N) codes of the frozen VQGAN; variant 0 is the picture as a policy sees
            it, the others are augmented.
        actions: (n, d) the label of each step: an end-effector delta in the robot's order,
            gripper 1 open whatever the robot's polarity.
        state: (n, s) values of the set's `state_names`; (n, 0) where it has none.
        index: (n,) place on the episode's grid, increasing; consecutive numbers are
            consecutive steps.
        instructions: (n,) words in force.
        authority: (n,) who moved the arm: teleop, policy, hold or estop.
        tool: (n, 3 a) places [m] where the tools of a arms were told to be, each in its arm's
            base frame; NaN where one is not known, and None, read as (n, 0), where none is.
        heading: (n, a) how these are turned about the base's z [rad], 0 with the gripper straight
            ahead, likewise.
        times: how often an epoch has each of its steps.
    """

    name: str
    codes: NDArray[np.uint32]
    actions: FloatArray
    state: FloatArray
    index: NDArray[np.int64]
    instructions: tuple[str, ...]
    authority: tuple[str, ...]
    tool: FloatArray | None = None
    heading: FloatArray | None = None
    times: int = 1

    def __post_init__(self) -> None:
        """Refuse parts of different lengths."""
        for name in ("tool", "heading"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.zeros((len(self.actions), 0)))
        if self.codes.ndim != 4 or self.actions.ndim != 2 or self.state.ndim != 2:
            raise DataError(
                f"{self.name}: codes {self.codes.shape}, actions {self.actions.shape} and state "
                f"{self.state.shape} must have 4, 2 and 2 axes"
            )
        lengths = {
            "codes": self.codes.shape[1],
            "actions": len(self.actions),
            "state": len(self.state),
            "index": len(self.index),
            "instructions": len(self.instructions),
            "authority": len(self.authority),
            "tool": len(self.places),
            "heading": len(self.turns),
        }
        if len(set(lengths.values())) != 1:
            raise DataError(f"{self.name}: different numbers of steps: {lengths}")
        if not np.all(np.isfinite(self.actions)) or not np.all(np.isfinite(self.state)):
            raise DataError(f"{self.name}: an action or state holds a number that is not finite")
        if np.any(np.diff(self.index) < 1):
            raise DataError(f"{self.name}: the places of its steps do not increase")

    def __len__(self) -> int:
        """Number of steps."""
        return len(self.actions)

    @property
    def places(self) -> FloatArray:
        """`tool`, never None."""
        assert self.tool is not None
        return self.tool

    @property
    def turns(self) -> FloatArray:
        """`heading`, never None."""
        assert self.heading is not None
        return self.heading

    def chunk(self, row: int, length: int) -> tuple[FloatArray, NDArray[np.bool_]]:
        """What was done from a step on, as far as it follows without a gap.

        Args:
            row: of the first step.
            length: steps wanted.

        Returns:
            (length, d) actions, and (length,) which of them exist: those on the next places of
            the grid under the same words. The others repeat the last that exists.
        """
        if not 0 <= row < len(self) or length < 1:
            raise DataError(
                f"{self.name}: no chunk of {length} steps from row {row}; valid: 1 or more "
                f"from 0 to {len(self) - 1}"
            )
        count = 1
        while (
            count < length
            and row + count < len(self)
            and self.index[row + count] == self.index[row] + count
            and self.instructions[row + count] == self.instructions[row]
        ):
            count += 1
        rows = row + np.minimum(np.arange(length), count - 1)
        return self.actions[rows], np.arange(length) < count


@dataclass(frozen=True)
class Traits:
    """What all demonstrations of a set must agree on; see `DemoSet`."""

    robot: str
    dimensions: tuple[str, ...]
    step_time_s: float
    gripper: str
    cameras: tuple[str, ...] = ()
    state_names: tuple[str, ...] = ()


def alike(traits: Mapping[str, Traits]) -> Traits:
    """What these demonstrations have in common.

    Args:
        traits: by name of the demonstration.

    Raises:
        DataError: none, or they differ; says which ones have what.
    """
    if not traits:
        raise DataError("no demonstration to compare")
    wrong = []
    for what in Traits.__dataclass_fields__:
        groups: dict[Any, list[str]] = {}
        for name, each in traits.items():
            groups.setdefault(getattr(each, what), []).append(name)
        if len(groups) > 1:
            found = "; ".join(f"{_show(v)} in {_some(names)}" for v, names in groups.items())
            wrong.append(f"{what}: {found}")
    if wrong:
        raise DataError(
            "the demonstrations are not of one robot, which one model cannot learn together: "
            + " | ".join(wrong)
        )
    return next(iter(traits.values()))


@dataclass(frozen=True)
class DemoSet:
    """Demonstrations of one robot.

    Attributes:
        robot: its name.
        dimensions: of the actions.
        cameras: in the order of the codes.
        state_names: of the state's columns.
        step_time_s: between two places of a grid.
        gripper: what the robot's gripper numbers mean to a model, one of `POLARITIES`. The
            actions here have 1 for open in any case.
        demos: the demonstrations; none only in one side of a `split`.
        report: where they come from, and what was left out.
    """

    robot: str
    dimensions: tuple[str, ...]
    cameras: tuple[str, ...]
    state_names: tuple[str, ...]
    step_time_s: float
    gripper: str
    demos: tuple[Demo, ...]
    report: DataReport = field(default_factory=DataReport)

    def __post_init__(self) -> None:
        """Refuse demonstrations that do not fit."""
        names = [d.name for d in self.demos]
        if len(set(names)) != len(names):
            doubled = sorted({n for n in names if names.count(n) > 1})
            raise DataError(f"more than one demonstration is called {', '.join(doubled)}")
        if self.gripper not in POLARITIES or not self.step_time_s > 0:
            raise DataError(
                f"gripper {self.gripper!r} must be one of {', '.join(POLARITIES)} and step_time_s "
                f"{self.step_time_s} above 0"
            )
        shape = (len(self.cameras), len(self.dimensions), len(self.state_names))
        for demo in self.demos:
            got = (demo.codes.shape[2], demo.actions.shape[1], demo.state.shape[1])
            if got != shape:
                raise DataError(
                    f"{demo.name} has {got[0]} cameras, {got[1]} dimensions and {got[2]} numbers "
                    f"of state; this set has {shape[0]}, {shape[1]} and {shape[2]}"
                )
        sizes = {(d.codes.shape[0], d.codes.shape[3]) for d in self.demos}
        if len(sizes) > 1:
            raise DataError(f"different numbers of (variants, codes a picture): {sorted(sizes)}")

    def __len__(self) -> int:
        """Number of demonstrations."""
        return len(self.demos)

    @property
    def num_steps(self) -> int:
        """Steps of all demonstrations."""
        return sum(len(d) for d in self.demos)

    @property
    def traits(self) -> Traits:
        """What its demonstrations agree on."""
        return Traits(
            self.robot,
            self.dimensions,
            self.step_time_s,
            self.gripper,
            self.cameras,
            self.state_names,
        )

    def actions(self) -> FloatArray:
        """(n, d) of all demonstrations, one after the other."""
        none = np.empty((0, len(self.dimensions)))
        return np.concatenate([none, *(d.actions for d in self.demos)])

    def split(self, validation: float, seed: int) -> tuple[DemoSet, DemoSet]:
        """Training and validation set, by demonstration.

        A demonstration's place is drawn from its name and the seed, so that it stays on its
        side, but for a few, as others are added.

        Args:
            validation: share for validation, 0 or more and below 1; above 0 it gets at least
                one demonstration.
            seed: of the draw.

        Raises:
            DataError: no such share, or too few demonstrations for two sides.
        """
        if not 0.0 <= validation < 1.0:
            raise DataError(f"validation must be 0 or more and below 1, got {validation:g}")
        count = max(1, round(validation * len(self))) if validation else 0
        if count >= len(self):
            raise DataError(
                f"{len(self)} demonstrations cannot be split: {count} for validation leave none "
                "for training; record more, or set the validation share to 0"
            )
        drawn = sorted(self.demos, key=lambda d: _draw(d.name, seed))[:count]
        held = {d.name for d in drawn}
        return (
            self.only(d.name for d in self.demos if d.name not in held),
            self.only(held),
        )

    def only(self, names: Iterable[str]) -> DemoSet:
        """The set with the demonstrations of these names alone, in the same order."""
        wanted = set(names)
        kept = tuple(d for d in self.demos if d.name in wanted)
        return replace(self, demos=kept, report=self.report.restricted(wanted))


def _draw(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()


def _show(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else repr(value)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
