# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What goes over topics during an evaluation, as JSON: a trial, its outcome, an operator's status.

Knows neither ROS nor the simulation: a trial here has the fields of `sim.tasks.Trial`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

from lapa_core.errors import DataError

State = Literal["ready", "homing", "running", "asking", "done"]
STATES: tuple[State, ...] = ("ready", "homing", "running", "asking", "done")
_Message = TypeVar("_Message")


@dataclass(frozen=True)
class LiveTrial:
    """A trial to be begun.

    Attributes:
        split, task, target, instruction, seed, scene: as of `sim.tasks.Trial`.
        number: rises by one with each trial that is asked for, so that an answer can be told
            from that to the last.
    """

    split: str
    task: str
    target: str
    instruction: str
    seed: int
    scene: str
    number: int

    def to_json(self) -> str:
        """Content of a `sim/trial` message."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> LiveTrial:
        """Read a `sim/trial` message; a `DataError` if it is none."""
        trial = _read(cls, text, "a trial")
        if trial.seed < 0:
            raise DataError(f"not a trial: seed {trial.seed} is below 0")
        return trial


@dataclass(frozen=True)
class LiveOutcome:
    """How the trial of this number stands.

    Attributes:
        number: of the trial.
        success, strict, credit, right_object, first_touched, note: as of `sim.judge.Outcome`.
        robot_s: seconds since it began, in the robot's time.
        chance: of the right object for one who touches any.
        refused: why the trial was not begun, or "".
    """

    number: int
    success: bool = False
    strict: bool = False
    credit: float = 0.0
    right_object: bool | None = None
    first_touched: str = ""
    note: str = ""
    robot_s: float = 0.0
    chance: float = 0.0
    refused: str = ""

    def to_json(self) -> str:
        """Content of a `sim/outcome` message."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> LiveOutcome:
        """Read a `sim/outcome` message; a `DataError` if it is none."""
        return _read(cls, text, "an outcome")


@dataclass(frozen=True)
class SessionStatus:
    """What an operator at a real arm needs to see.

    Attributes:
        state: ready (lay out the scene, then begin), homing, running, asking, done.
        number, total: of the trial, from 1, and how many there are.
        split, task, instruction, layout: of the trial.
        left_s: of its time, while it runs.
        question: what is asked now, or "".
        message: what happened last.
        strict: mean of the trials so far as text, such as `40 % [12, 77]`.
    """

    state: State
    number: int
    total: int
    split: str
    task: str
    instruction: str
    layout: str
    left_s: float
    question: str
    message: str
    strict: str

    def to_json(self) -> str:
        """Content of an `evaluate/status` message."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> SessionStatus:
        """Read an `evaluate/status` message; a `DataError` if it is none."""
        status = _read(cls, text, "an evaluation's status")
        if status.state not in STATES:
            raise DataError(f"not an evaluation's status: state {status.state!r}")
        return status


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (int, float), "bool": (bool,), "State": (str,),
    "bool | None": (bool, type(None)),
}  # fmt: skip


def _read(kind: type[_Message], text: str, what: str) -> _Message:
    """Anybody may publish anything: keys and types must be exactly ours, numbers finite."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not {what}: {error}") from None
    if not isinstance(content, Mapping):
        raise DataError(f"not {what}: no mapping")
    wanted: dict[str, Any] = {f.name: f.type for f in fields(kind)}  # type: ignore[arg-type]
    if set(content) != set(wanted):
        wrong = ", ".join(sorted(map(str, set(content) ^ set(wanted))))
        raise DataError(f"not {what}: keys missing or unknown: {wrong}")
    for name, type_name in wanted.items():
        value = content[name]
        is_flag = isinstance(value, bool) and bool not in _KINDS[type_name]
        if not isinstance(value, _KINDS[type_name]) or is_flag:
            raise DataError(f"not {what}: {name} is {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise DataError(f"not {what}: {name} is not finite")
    return kind(**content)
