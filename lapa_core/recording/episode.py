# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What `episode.yaml` says: one demonstration, who made it, how it ended, what its streams were.

The bag beside it holds the messages; this file holds what no message says. Stamps are integer
nanoseconds of the robot's clock, as in the bag; other times are seconds since its first message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from lapa_core.errors import ConfigError, DataError
from lapa_core.recording import disk
from lapa_core.yaml_section import Section

# libyaml's, thirty times as fast, wherever PyYAML was built with it: there are sets of 10 000.
_FAST_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_FAST_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FORMAT = 1
FILE = "episode.yaml"
# `recovered`: rebuilt after a crash, before anybody has said what became of it.
Outcome = Literal["success", "failure", "discarded", "recovered"]
OUTCOMES: tuple[Outcome, ...] = ("success", "failure", "discarded", "recovered")


@dataclass(frozen=True)
class Finding:
    """One fault of a recording.

    Attributes:
        check: which check found it, such as `rate`, `gap`, `black`, `frozen`.
        stream: the topic it is about, or "" for the recording as a whole.
        begins_s, ends_s: when, in seconds since the recording began.
        text: what is wrong, with the figure measured and the one expected.
        serious: whether the episode should not be trained on.
    """

    check: str
    stream: str
    begins_s: float
    ends_s: float
    text: str
    serious: bool = True


@dataclass(frozen=True)
class Stream:
    """One recorded topic, counted.

    Attributes:
        topic, type: as in the bag.
        messages: number in the bag.
        rate_hz: over the recording, by arrival; 0 with fewer than two messages.
        expected_hz: what the robot file or the user says it should be; 0: nothing is expected.
        largest_gap_s: longest time between two arrivals.
        dropped: messages known to be lost on the way, by the publisher's own sequence numbers.
        first_ns, last_ns: stamps of the first and last message's header, or of their arrival
            where the type has no header; 0 without messages.
        source: topic it was made from, where the recorder compressed raw images; else "".
    """

    topic: str
    type: str
    messages: int
    rate_hz: float
    expected_hz: float
    largest_gap_s: float
    dropped: int
    first_ns: int
    last_ns: int
    source: str = ""


@dataclass(frozen=True)
class AuthorityChange:
    """Who moved the arm from then on: hold, policy, teleop or estop, and why."""

    at_s: float
    state: str
    reason: str


@dataclass(frozen=True)
class Episode:
    """Everything `episode.yaml` holds.

    Attributes:
        episode: its number in the data set, from 0.
        instruction: what the robot was told to do, in words.
        operator: who demonstrated; may be "".
        outcome: one of `OUTCOMES`.
        started: wall-clock time of the first message, ISO 8601 in UTC.
        duration_s: from first to last message, by arrival.
        robot: name of the robot.
        robot_yaml: the robot file, word for word.
        checkpoint: of the policy that ran; "" when none did.
        device: what the arm was teleoperated with; "" when nothing was.
        software: name and version that recorded it.
        streams: every recorded topic.
        findings: what the audit found, see `lapa_core.audit`.
        authority: every change of authority, the first at the beginning.
        interventions: how often a person took over from a running policy (human in the loop).
    """

    episode: int
    instruction: str
    operator: str
    outcome: Outcome
    started: str
    duration_s: float
    robot: str
    robot_yaml: str
    checkpoint: str
    device: str
    software: str
    streams: tuple[Stream, ...] = ()
    findings: tuple[Finding, ...] = ()
    authority: tuple[AuthorityChange, ...] = ()
    interventions: int = 0

    @property
    def flagged(self) -> bool:
        """Whether a serious finding speaks against training on it."""
        return any(f.serious for f in self.findings)


def write(episode: Episode, folder: Path) -> None:
    """Write `episode.yaml` into the folder: complete and on disk when this returns.

    Raises:
        RecordingError: the disk refuses; an older file is still there.
    """
    content = {"format": FORMAT} | asdict(episode)
    for name in ("streams", "findings", "authority"):
        content[name] = [dict(item) for item in content[name]]
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    disk.write_durably(folder / FILE, text.encode("utf-8"))


def read(folder: Path) -> Episode:
    """Read an episode's folder.

    Raises:
        DataError: no such file, another format, or content that does not fit.
    """
    path = folder / FILE
    if not path.is_file():
        raise DataError(f"{folder} is no episode: it has no {FILE}")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
        return _parse(content, str(path))
    except (yaml.YAMLError, ConfigError) as error:
        raise DataError(f"{path}: {error}") from None


def _parse(content: object, where: str) -> Episode:
    top = Section(content, where)
    version = top.integer("format")
    if version != FORMAT:
        raise DataError(f"{where}: format {version} is not readable here; valid: {FORMAT}")
    assert isinstance(content, Mapping)  # Section has looked
    known = {f.name for f in fields(Episode)} | {"format"}
    if set(content) != known:
        missing, extra = sorted(known - set(content)), sorted(set(map(str, content)) - known)
        raise DataError(f"{where}: missing keys {missing}, unknown keys {extra}")
    top.choice("outcome", OUTCOMES)
    values: dict[str, Any] = {k: v for k, v in content.items() if k != "format"}
    parts: dict[str, type[Any]] = {
        "streams": Stream,
        "findings": Finding,
        "authority": AuthorityChange,
    }
    try:
        for name, kind in parts.items():
            values[name] = tuple(kind(**item) for item in values[name])
    except TypeError as error:
        raise DataError(f"{where}: {error}") from None
    return Episode(**values)


class _Dumper(_FAST_DUMPER):  # type: ignore[misc]  # known at run time
    """Text of several lines as a block, so that the robot file stays readable."""


class _Loader(_FAST_LOADER):  # type: ignore[misc]
    """Plain YAML; named here so that reading and writing stand side by side."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
