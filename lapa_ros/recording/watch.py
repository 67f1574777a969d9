# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The audit beside the recorder: fed by every message, asked for lights, findings and counts.

It speaks of topics as they are named in the bag, so that what is said while recording and what
`lapa inspect` says afterwards is about the same streams.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from lapa_core.audit import CaptureAudit, Feeder, plan_for
from lapa_core.data.cdr import Types
from lapa_core.recording.episode import Finding, Stream
from lapa_core.recording.jpeg import COMPRESSED, SUFFIX
from lapa_core.recording.status import StreamHealth
from lapa_core.recording.take import Source, Take
from lapa_core.robot import Robot
from lapa_ros.recording.intake import Channel, Intake

NS = 1_000_000_000
RATE_NS = 5 * NS  # window of the data rate


class Watch:
    """One audit after the other: of each episode, and of the time between them."""

    def __init__(self, robot: Robot, intake: Intake, now_ns: int) -> None:
        """Begin with the time before the first episode."""
        self._robot = robot
        self._intake = intake
        self._types = Types()
        self._velocities: Mapping[str, float] | None = None
        self._amounts: deque[tuple[int, int]] = deque()
        self._sources: dict[str, str] = {}
        self.begin(now_ns)

    def begin(self, now_ns: int) -> None:
        """A new episode, or the end of one: forget what was found."""
        channels = self._intake.channels.values()
        names = {_in_bag(c.source): c.source for c in channels}
        plan = plan_for(self._robot, names, self._velocities)
        self._velocities = plan.max_velocity
        types = {n: COMPRESSED if s.jpeg else s.type for n, s in names.items()}
        self._sources = {n: s.topic for n, s in names.items() if s.jpeg}
        self._audit = CaptureAudit(plan, now_ns, types)
        self._feeder = Feeder(self._audit, self._types)

    def message(self, channel: Channel, data: bytes, now_ns: int, sequence: int) -> None:
        """Look at a message that has just arrived."""
        source = channel.source
        self._feeder.feed(_in_bag(source), source.type, now_ns, data, sequence or None)
        self._amounts.append((now_ns, len(data)))
        while self._amounts[0][0] < now_ns - RATE_NS:
            self._amounts.popleft()

    def lights(self, now_ns: int) -> tuple[StreamHealth, ...]:
        """Every stream now."""
        return self._audit.streams(now_ns)

    def findings(self, now_ns: int) -> tuple[Finding, ...]:
        """What is wrong with the running episode so far."""
        return self._audit.findings(now_ns)

    def judge(self, take: Take, now_ns: int) -> tuple[tuple[Stream, ...], tuple[Finding, ...]]:
        """Streams and findings of an episode that ends now, the writer's own losses among them."""
        streams = tuple(
            replace(
                s,
                source=self._sources.get(s.topic, ""),
                dropped=s.dropped + take.refused[self._sources.get(s.topic, s.topic)],
            )
            for s in self._audit.summary()
        )
        length_s = (now_ns - self._audit.began_ns) / NS
        found = list(self._audit.findings(now_ns, final=True))
        if take.error:
            found.append(Finding("disk", "", length_s, length_s, take.error))
        for topic, count in take.refused.items():
            text = f"{count} messages found no room: the disk did not keep up"
            found.append(Finding("disk", topic, 0.0, length_s, text))
        for topic, reason in take.kept_raw.items():
            text = f"kept as raw images: {reason}"
            found.append(Finding("raw", topic, 0.0, length_s, text, serious=False))
        return streams, tuple(found)

    def bytes_per_s(self) -> float:
        """Of what arrived in the last seconds; compressed streams will need less."""
        if len(self._amounts) < 2:
            return 0.0
        seconds = (self._amounts[-1][0] - self._amounts[0][0]) / NS
        return sum(size for _, size in self._amounts) / max(seconds, 1e-3)


def _in_bag(source: Source) -> str:
    return source.topic + SUFFIX if source.jpeg else source.topic
