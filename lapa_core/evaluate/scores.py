# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The result of one trial, and its line of JSON.

The same line whether it comes from the simulation, from the real nodes or from a person at an
arm. Knows no files.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from lapa_core.errors import DataError

# Why a trial ended: it was done, its time was over, the arm held for good, the policy gave no
# action, the script had no more to do, or a person ended it.
ENDINGS = ("done", "time", "hold", "refused", "finished", "person")


class TrialLike(Protocol):
    """What identifies a start, as `sim.tasks.Trial`."""

    @property
    def split(self) -> str: ...  # noqa: D102
    @property
    def task(self) -> str: ...  # noqa: D102
    @property
    def target(self) -> str: ...  # noqa: D102
    @property
    def instruction(self) -> str: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def scene(self) -> str: ...  # noqa: D102


class OutcomeLike(Protocol):
    """What a judge says, as `sim.tasks.Outcome`."""

    @property
    def success(self) -> bool: ...  # noqa: D102
    @property
    def strict(self) -> bool: ...  # noqa: D102
    @property
    def credit(self) -> float: ...  # noqa: D102
    @property
    def right_object(self) -> bool | None: ...  # noqa: D102
    @property
    def first_touched(self) -> str: ...  # noqa: D102
    @property
    def note(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Score:
    """One trial.

    Attributes:
        index: place among the trials of its split and task, from 0.
        split, task, target, instruction: what was asked.
        seed, scene: where it started; the scene is "" on a real table.
        success: the task was done.
        strict: and nothing else happened.
        credit: partial credit, 0 .. 1.
        right_object: whether the first object touched was the right one; None: nothing was
            touched, or nobody knows.
        first_touched: which that was, or "".
        chance: of the right object for one who touches any.
        ended: one of `ENDINGS`.
        steps: decisions made.
        robot_s, wall_s: duration in the robot's time and on the clock.
        note: what the judge, or the person, says.
        film: video, relative to the results' folder, or "".
    """

    index: int
    split: str
    task: str
    target: str
    instruction: str
    seed: int
    scene: str
    success: bool
    strict: bool
    credit: float
    right_object: bool | None
    first_touched: str
    chance: float
    ended: str
    steps: int
    robot_s: float
    wall_s: float
    note: str = ""
    film: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0.0 <= self.credit <= 1.0 or not 0.0 <= self.chance <= 1.0:
            raise DataError(f"credit {self.credit} and chance {self.chance} must be in 0 .. 1")
        if self.ended not in ENDINGS:
            raise DataError(f"ended {self.ended!r}; valid: {', '.join(ENDINGS)}")
        if not (math.isfinite(self.robot_s) and math.isfinite(self.wall_s)):
            raise DataError(f"durations {self.robot_s} and {self.wall_s} must be finite")

    @property
    def key(self) -> tuple[str, str, int]:
        """Which trial of a suite it is."""
        return self.split, self.task, self.index

    @property
    def start(self) -> tuple[str, str, int, str]:
        """What must be equal for two policies to be compared."""
        return self.target, self.instruction, self.seed, self.scene

    def to_json(self) -> str:
        """One line, without its end."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> Score:
        """Read a line; `where` is named in a `DataError` if it is none."""
        try:
            content: dict[str, Any] = json.loads(text)
            names = {f.name for f in fields(cls)}
            if set(content) != names:
                wrong = ", ".join(sorted(set(content) ^ names))
                raise DataError(f"{where}: keys missing or unknown: {wrong}")
            return cls(**content)
        except (ValueError, TypeError) as error:
            raise DataError(f"{where}: not a trial's result: {error}") from None


def score(
    index: int,
    trial: TrialLike,
    outcome: OutcomeLike,
    *,
    chance: float,
    ended: str,
    steps: int,
    robot_s: float,
    wall_s: float,
    note: str = "",
    film: str = "",
) -> Score:
    """The line of a judged trial."""
    return Score(
        index=index,
        split=trial.split,
        task=trial.task,
        target=trial.target,
        instruction=trial.instruction,
        seed=trial.seed,
        scene=trial.scene,
        success=outcome.success,
        strict=outcome.strict,
        credit=float(outcome.credit),
        right_object=outcome.right_object,
        first_touched=outcome.first_touched,
        chance=chance,
        ended=ended,
        steps=steps,
        robot_s=round(robot_s, 3),
        wall_s=round(wall_s, 3),
        note="; ".join(t for t in (note, outcome.note) if t),
        film=film,
    )
