# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The audit beside the recorder: fed by every message, asked for lights, findings and counts.

It speaks of topics as they are named in the bag, so that what is said while recording and what
`lapa inspect` says afterwards is about the same streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lapa_core.audit import CaptureAudit, Feeder, Plan, plan_for
from lapa_core.data.cdr import Types
from lapa_core.recording.episode import Finding, Stream
from lapa_core.recording.jpeg import COMPRESSED, SUFFIX
from lapa_core.recording.status import StreamHealth
from lapa_core.recording.take import Source, Take
from lapa_core.robot import Robot
from lapa_ros.recording.intake import Channel, Intake

NS = 1_000_000_000


class Watch:
    """One audit after the other: of each episode, and of the time between them."""

    def __init__(self, robot: Robot, intake: Intake, now_ns: int) -> None:
        """Begin with the time before the first episode."""
        self._robot = robot
        self._intake = intake
        self._types = Types()
        self._velocities: Mapping[str, float] | None = None
        self._sources: dict[str, str] = {}
        self.begin(now_ns)

    def begin(self, now_ns: int) -> None:
        """A new episode, or the end of one: forget what was found."""
        channels = self._intake.recorded()
        names = {_in_bag(c.source): c.source for c in channels}
        types = {n: COMPRESSED if s.jpeg else s.type for n, s in names.items()}
        self._sources = {n: s.topic for n, s in names.items() if s.jpeg}
        self._audit = CaptureAudit(self._plan(channels), now_ns, types)
        self._feeder = Feeder(self._audit, self._types)

    def _plan(self, channels: list[Channel]) -> Plan:
        """What the robot file expects, by the names that the streams have here."""
        plan = plan_for(self._robot, (), self._velocities)
        self._velocities = plan.max_velocity
        in_bag = {c.wanted.topic: _in_bag(c.source) for c in channels}
        names = {s.topic: in_bag.get(s.topic, self._intake.name(s.topic)) for s in plan.streams}
        streams = tuple(
            replace(s, topic=names[s.topic], sees=tuple(names[t] for t in s.sees))
            for s in plan.streams
        )
        return replace(plan, streams=streams)

    def message(self, channel: Channel, data: bytes, now_ns: int, sequence: int) -> None:
        """Look at a message that has just arrived."""
        source = channel.source
        # The numbers of several publishers have gaps that are none.
        known = sequence if sequence and channel.single else None
        self._feeder.feed(_in_bag(source), source.type, now_ns, data, known)

    def lights(self, now_ns: int) -> tuple[StreamHealth, ...]:
        """Every stream now."""
        return self._audit.streams(now_ns)

    def findings(self, now_ns: int) -> tuple[Finding, ...]:
        """What is wrong with the running episode so far."""
        return self._audit.findings(now_ns)

    def judge(
        self, take: Take, now_ns: int, changed: list[tuple[float, str]]
    ) -> tuple[tuple[Stream, ...], tuple[Finding, ...]]:
        """Streams and findings of an episode that ends now.

        Args:
            take: the writer, whose own losses are findings too.
            now_ns: when it ends, on the clock of the arrivals.
            changed: when in it another instruction came, and which.
        """
        refused, kept_raw = dict(take.refused), dict(take.kept_raw)
        streams = tuple(self._stream(s, refused, kept_raw) for s in self._audit.summary())
        length_s = (now_ns - self._audit.began_ns) / NS
        found = list(self._audit.findings(now_ns, final=True))

        def add(check: str, topic: str, text: str, serious: bool = True) -> None:
            found.append(Finding(check, topic, 0.0, length_s, text, serious))

        if take.error:
            add("disk", "", take.error)
        for topic, count in refused.items():
            add("disk", topic, f"{count} messages found no place in the bag")
        for topic, reason in dict(take.problems).items():
            add("topic", topic, reason, serious=topic in refused)
        for topic, reason in kept_raw.items():
            add("raw", topic, f"kept as raw images: {reason}", serious=False)
        for at_s, text in changed:
            words = f"the instruction became {text!r}; the episode is about the first one"
            found.append(Finding("instruction", "", at_s, length_s, words, serious=False))
        return streams, tuple(found)

    def _stream(self, stream: Stream, refused: dict[str, int], kept_raw: dict[str, str]) -> Stream:
        """A stream by the name it has in the bag, with the writer's losses."""
        source = self._sources.get(stream.topic, "")
        dropped = stream.dropped + refused.get(source or stream.topic, 0)
        if source in kept_raw:
            return replace(stream, topic=source, dropped=dropped)
        return replace(stream, source=source, dropped=dropped)


def _in_bag(source: Source) -> str:
    return source.topic + SUFFIX if source.jpeg else source.topic
