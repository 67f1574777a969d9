# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Rates of streams seen by polling, as lights: for a page without a recorder beside it.

Only every so many-th message is taken; how many there were is told by the publisher's own
sequence number, where the middleware passes it on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from lapa_core.recording.status import StreamHealth

WINDOW_S = 3.0
SILENT_S = 1.0
LOW = 0.8  # of the expected rate


@dataclass
class _Seen:
    expected_hz: float
    marks: deque[tuple[float, int]] = field(default_factory=deque)
    messages: int = 0
    counted: bool = True


class PolledRates:
    """Counts streams that are looked at from time to time. Not for use from two threads."""

    def __init__(self, expected_hz: dict[str, float]) -> None:
        self._seen = {topic: _Seen(hz) for topic, hz in expected_hz.items()}

    def counts(self, topic: str) -> bool:
        """Whether this is one of its streams."""
        return topic in self._seen

    def forget(self) -> None:
        """Nobody has looked for a while: what was counted says nothing any more."""
        self._seen = {topic: _Seen(seen.expected_hz) for topic, seen in self._seen.items()}

    def saw(self, topic: str, sequence: int | None, now_s: float) -> None:
        """Note a message taken; `sequence` is the publisher's number of it, None if unknown."""
        seen = self._seen[topic]
        seen.messages += 1
        seen.counted = sequence is not None
        number = seen.messages if sequence is None else sequence
        if seen.marks and number < seen.marks[-1][1]:
            seen.marks.clear()  # a publisher that was started anew
        seen.marks.append((now_s, number))
        while now_s - seen.marks[0][0] > WINDOW_S:
            seen.marks.popleft()

    def streams(self, now_s: float) -> tuple[StreamHealth, ...]:
        """Every stream with its light."""
        return tuple(_health(topic, seen, now_s) for topic, seen in self._seen.items())


def _health(topic: str, seen: _Seen, now_s: float) -> StreamHealth:
    rate, text, light = 0.0, "", "green"
    if not seen.marks:
        text, light = "nothing heard", "red"
    elif (silent_s := now_s - seen.marks[-1][0]) > SILENT_S:
        text, light = f"silent for {silent_s:.0f} s", "red"
    else:
        span_s = seen.marks[-1][0] - seen.marks[0][0]
        if seen.counted and span_s > 0:
            rate = (seen.marks[-1][1] - seen.marks[0][1]) / span_s
            if span_s > SILENT_S and rate < LOW * seen.expected_hz:
                text, light = f"below {seen.expected_hz:g} Hz", "yellow"
        elif not seen.counted:
            text = "arrives; this ROS does not tell its rate"
    return StreamHealth(
        topic=topic,
        rate_hz=rate,
        expected_hz=seen.expected_hz,
        messages=seen.messages,
        dropped=0,
        light=light,  # type: ignore[arg-type]
        text=text,
    )
