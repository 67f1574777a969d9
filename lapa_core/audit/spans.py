# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""When a fault was there: events of one check joined into a few spans of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lapa_core.recording.episode import Finding

# Events closer than this are one fault: a person mends it once.
JOIN_NS = 1_000_000_000
MOST = 5  # spans kept of one check; what follows lengthens the last


@dataclass
class Span:
    """From the first to the last of several events.

    Attributes:
        events: how many.
        worst: the largest value of an event; what it measures is up to the check.
        note: of the worst event.
    """

    begins_ns: int
    ends_ns: int
    events: int
    worst: float
    note: str


class Spans:
    """The spans of one check of one stream: constant memory, however much is wrong."""

    def __init__(self, join_ns: int = JOIN_NS) -> None:
        self.items: list[Span] = []
        self._join_ns = join_ns

    def add(self, begins_ns: int, ends_ns: int, value: float = 0.0, note: str = "") -> None:
        """Take an event; events come in the order of their begin."""
        last = self.items[-1] if self.items else None
        if last is None or (begins_ns - last.ends_ns > self._join_ns and len(self.items) < MOST):
            self.items.append(Span(begins_ns, ends_ns, 1, value, note))
            return
        last.ends_ns = max(last.ends_ns, ends_ns)
        last.events += 1
        if value > last.worst:
            last.worst, last.note = value, note

    def findings(
        self,
        check: str,
        stream: str,
        began_ns: int,
        text: Callable[[Span], str],
        serious: Callable[[Span], bool] = lambda span: True,
    ) -> list[Finding]:
        """One finding a span, in seconds since the recording began."""
        return [
            finding(check, stream, began_ns, s.begins_ns, s.ends_ns, text(s), serious(s))
            for s in self.items
        ]


def finding(
    check: str,
    stream: str,
    began_ns: int,
    begins_ns: int,
    ends_ns: int,
    text: str,
    serious: bool = True,
) -> Finding:
    """A finding from times in nanoseconds, kept at or after the recording's begin."""
    begins_s = max(0.0, (begins_ns - began_ns) * 1e-9)
    ends_s = max(begins_s, (ends_ns - began_ns) * 1e-9)
    return Finding(check, stream, round(begins_s, 3), round(ends_s, 3), text, serious)
