# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The audit of what lies on disk: one bag or episode, or a data set of them, read once.

What comes out is a `Report` a recording; `table` and `page` show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from lapa_core import robot as robots
from lapa_core.audit.capture import CaptureAudit
from lapa_core.audit.extract import Actions, Extract, Pictures
from lapa_core.audit.feed import Feeder
from lapa_core.audit.plan import Plan, StreamPlan, plan_for, plan_for_bag
from lapa_core.data.bags import METADATA, SUFFIXES, Bag
from lapa_core.errors import ConfigError, DataError, unknown
from lapa_core.recording import episode as episodes
from lapa_core.recording.episode import AuthorityChange, Episode, Finding, Stream
from lapa_core.robot import Robot

# What a bag shows as well as a recorder: of these, this audit's own word counts. Others (messages
# lost before they arrived, a disk that did not keep up) are taken over from `episode.yaml`.
SEEN_IN_BAGS = (
    *("missing", "late", "rate", "gap", "skew", "drift", "stamp_zero", "stamp_order", "short"),
    *("black", "overexposed", "flat", "blurred", "frozen", "format", "decode"),
    *("jump", "not_finite", "malformed", "still", "gripper", "damaged", "count", "robot"),
)


@dataclass(frozen=True)
class Report:
    """One recording, looked at.

    Attributes:
        storage: `mcap` or `sqlite3`.
        begins_ns: log time of the first message.
        duration_s: from the first to the last message.
        size_bytes: of its files.
        streams: every topic; `expected_hz` is 0 where the stream itself was the measure.
        findings: of this audit, and those of `episode.yaml` that only the recorder could see.
        episode: its `episode.yaml`, or None for a bag of another maker.
        authority: who moved the arm; from `episode.yaml`, or else from the bag.
        actions: every delta that was executed, or None.
        pictures: camera topic -> [(time [s], JPEG)], evenly over the recording.
    """

    path: Path
    storage: str
    begins_ns: int
    duration_s: float
    size_bytes: int
    streams: tuple[Stream, ...]
    findings: tuple[Finding, ...]
    episode: Episode | None
    authority: tuple[AuthorityChange, ...]
    actions: Actions | None
    pictures: Pictures

    @property
    def flagged(self) -> bool:
        """Whether a serious finding speaks against training on it."""
        return any(f.serious for f in self.findings)


def find(path: Path) -> list[Path]:
    """The recordings at a path: itself, or those in a folder of them, in the order of names.

    Raises:
        DataError: there are none.
    """
    if not path.exists():
        raise DataError(f"nothing at {path}")
    if path.is_file() or _is_recording(path):
        return [path]
    found = [p for p in sorted(path.iterdir()) if _is_recording(p)]
    found += [p for p in sorted(path.iterdir()) if p.is_file() and p.suffix in SUFFIXES]
    if not found:
        raise DataError(
            f"{path} holds no recording; valid: a rosbag2 folder ({METADATA}), a "
            f"{' or '.join(SUFFIXES)} file, an episode's folder, or a folder of these"
        )
    return found


def inspect(
    path: Path,
    robot: Robot | None = None,
    expect: Mapping[str, float] | None = None,
    num_pictures: int = 0,
) -> Report:
    """Audit one recording.

    Args:
        path: a rosbag2 folder, an episode's folder, or an MCAP or SQLite file; also a cut one.
        robot: what should be in it; None: the robot in `episode.yaml`, or what the bag suggests.
        expect: topic -> rate [Hz] instead of what the robot says; these must be there.
        num_pictures: how many pictures of each camera the report holds.

    Raises:
        DataError: not a recording, or nothing of it can be read.
        ConfigError: the robot does not fit together.
    """
    episode = episodes.read(path) if (path / episodes.FILE).is_file() else None
    bag = Bag.open(path, damaged=True)
    plan, notes = _plan(bag, robot, episode)
    plan = _expecting(plan, expect or {}, bag)
    audit = CaptureAudit(plan, bag.begins_ns, {t.name: t.type for t in bag.topics})
    extract = Extract(bag, num_pictures)
    feeder = Feeder(audit, bag.types)
    fault = ""
    try:
        for record in bag.records():
            sequence = record.sequence or None
            feeder.feed(record.topic, record.type, record.log_ns, record.raw, sequence)
            extract.feed(record)
    except DataError as error:  # its end is whole, its middle is not
        fault = str(error)
    findings = [*notes, *audit.findings(bag.ends_ns, final=True)]
    findings += _damage(bag, fault)
    streams = audit.summary()
    if episode is not None:
        findings += _of_episode(episode, streams, findings)
        streams = _with_episode(streams, episode)
    return Report(
        path=path,
        storage=bag.storage,
        begins_ns=bag.begins_ns,
        duration_s=bag.duration_s,
        size_bytes=sum(f.stat().st_size for f in _files(path)),
        streams=streams,
        findings=tuple(sorted(findings, key=lambda f: (f.begins_s, f.stream, f.check))),
        episode=episode,
        authority=episode.authority if episode is not None else extract.authority(),
        actions=extract.actions(),
        pictures=extract.pictures,
    )


def _is_recording(path: Path) -> bool:
    names = (METADATA, episodes.FILE)
    return path.is_dir() and (
        any((path / name).is_file() for name in names)
        or any(f.suffix in SUFFIXES for f in path.iterdir())
    )


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]


def _plan(bag: Bag, robot: Robot | None, episode: Episode | None) -> tuple[Plan, list[Finding]]:
    """What is expected, and what could not be found out."""
    topics = [t.name for t in bag.topics]
    if robot is not None:
        return plan_for(robot, topics), []
    if episode is None:
        return plan_for_bag(bag), []
    where = f"{bag.path / episodes.FILE}: robot_yaml"
    try:
        recorded = robots.parse(yaml.safe_load(episode.robot_yaml), where)
    except (ConfigError, yaml.YAMLError) as error:
        return plan_for_bag(bag), [_note(f"the robot of {where} cannot be read: {error}")]
    plan = plan_for(recorded, topics, max_velocity={})
    try:
        return plan_for(recorded, topics), []
    except ConfigError as error:  # its URDF lies on another computer
        return plan, [_note(f"joints are judged without their velocities: {error}")]


def _note(text: str) -> Finding:
    return Finding("robot", "", 0.0, 0.0, text, serious=False)


def _expecting(plan: Plan, expect: Mapping[str, float], bag: Bag) -> Plan:
    streams = {s.topic: s for s in plan.streams}
    for topic, rate in expect.items():
        if topic not in streams:
            names = [t.name for t in bag.topics]
            if topic not in names:
                raise DataError(unknown("topic", topic, names, str(bag.path)))
            streams[topic] = StreamPlan(topic, "other")
        streams[topic] = replace(streams[topic], expected_hz=rate, required=True)
    return replace(plan, streams=tuple(streams.values()))


def _damage(bag: Bag, fault: str) -> list[Finding]:
    text = "; ".join(t for t in (bag.damage, fault) if t)
    if not text:
        return []
    end_s = round(bag.duration_s, 3)
    if "lapa recover" not in text:
        text = f"{text}; what comes after is lost. `lapa recover {bag.path}` rebuilds the file"
    return [Finding("damaged", "", end_s, end_s, text)]


def _of_episode(
    episode: Episode, streams: tuple[Stream, ...], found: list[Finding]
) -> list[Finding]:
    """What `episode.yaml` says beyond the bag, and where it disagrees with it."""
    counted = {s.topic: s.messages for s in streams}
    known = {(f.check, f.stream) for f in found}
    more = [f for f in episode.findings if f.check not in SEEN_IN_BAGS]
    more = [f for f in more if (f.check, f.stream) not in known]
    for stream in episode.streams:
        held = counted.get(stream.topic, 0)
        if held != stream.messages:
            text = f"{held} messages in the bag, but {stream.messages} were recorded"
            more.append(Finding("count", stream.topic, 0.0, 0.0, text))
    return more


def _with_episode(streams: tuple[Stream, ...], episode: Episode) -> tuple[Stream, ...]:
    recorded = {s.topic: s for s in episode.streams}
    return tuple(
        replace(s, dropped=max(s.dropped, r.dropped), source=r.source)
        if (r := recorded.get(s.topic)) is not None
        else s
        for s in streams
    )
