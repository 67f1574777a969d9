# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the recorder says of itself while it runs, as JSON in a `std_msgs/String`.

A page, a script or `ros2 topic echo` read it without message types of ours.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from lapa_core.errors import DataError, unknown
from lapa_core.recording.episode import Finding

# starting: streams are still missing; reset: between two episodes, the next begins by itself;
# done: as many episodes as asked for; full: the disk is, nothing can be recorded.
RecorderState = Literal["starting", "idle", "recording", "saving", "reset", "done", "full"]
T = TypeVar("T")


@dataclass(frozen=True)
class StreamHealth:
    """One stream now: its rate over the last seconds beside the expected one, and a colour.

    Attributes:
        light: `green`, `yellow` (something was found, the data is usable), `red`, or `grey`
            where nothing is expected of it.
    """

    topic: str
    rate_hz: float
    expected_hz: float
    messages: int
    dropped: int
    light: Literal["green", "yellow", "red", "grey"]
    text: str = ""


@dataclass(frozen=True)
class RecorderStatus:
    """State of the recorder, published on every change and twice a second.

    Attributes:
        episode: number of the running or next episode.
        saved: episodes saved so far in this folder (successes and failures).
        episodes: how many are wanted; 0: no end.
        elapsed_s: of the running episode.
        reset_left_s: until the next episode begins by itself; 0 when it does not.
        folder: where the episodes go.
        free_gb: room left on that disk.
        minutes_left: of recording, at the present rate; 0 when unknown.
        message: the last thing that happened, for a person.
        findings: of the running episode, or of the last one until the next begins.
    """

    state: RecorderState
    episode: int
    saved: int
    episodes: int
    instruction: str
    tasks: tuple[str, ...]
    operator: str
    elapsed_s: float
    reset_left_s: float
    folder: str
    free_gb: float
    minutes_left: float
    message: str
    streams: tuple[StreamHealth, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def counter(self) -> str:
        """Such as "37 of 150"."""
        return f"{self.saved} of {self.episodes}" if self.episodes else str(self.saved)

    def to_json(self) -> str:
        """The content of the `recorder/status` message."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> RecorderStatus:
        """Read a `recorder/status` message.

        Raises:
            DataError: not one.
        """
        try:
            return _checked(cls, json.loads(text), "status")
        except (ValueError, TypeError, RecursionError, OverflowError) as error:
            raise DataError(f"not a recorder status: {error}") from None


def _checked(kind: type[T], values: object, where: str) -> T:
    """A dataclass from JSON, with every type, number and word looked at: anybody may publish it.

    Raises:
        TypeError, ValueError, OverflowError: where something is of another kind, and where.
    """
    if not isinstance(values, dict):
        raise TypeError(f"{where} is a {type(values).__name__}; valid: an object")
    hints = get_type_hints(kind)
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ValueError(unknown("field", name, sorted(known), where))
    return kind(**{n: _value(hints[n], v, f"{where}.{n}") for n, v in values.items()})


def _value(kind: Any, value: object, where: str) -> Any:
    """One field, as its annotation says."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ValueError(unknown("word", value, get_args(kind), where))
        return value
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{where} is a {type(value).__name__}; valid: a list")
        return tuple(_value(get_args(kind)[0], item, where) for item in value)
    if kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(float(value)):  # type: ignore[arg-type]
            raise TypeError(f"{where} is {value!r:.40}; valid: a finite number")
        return float(value)  # type: ignore[arg-type]
    if kind in (int, str, bool):
        if type(value) is not kind:
            raise TypeError(f"{where} is {value!r:.40}; valid: {kind.__name__}")
        return value
    return _checked(kind, value, where)
