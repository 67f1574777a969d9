# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the demo's monitor heard: messages of one run with their arrival times.

The figures are of the spans in which the policy had something to do: one with one instruction,
one a trial otherwise.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass

from lapa_core.evaluate.scores import Score
from lapa_core.robot import Robot
from lapa_core.types import ActionChunk

Report = tuple[float, dict[str, str]]  # stamp [s], values


@dataclass
class _Span:
    """A measured window and, by node, the places of the reports around it."""

    began_s: float
    first: dict[str, int]
    ended_s: float = float("inf")
    last: dict[str, int] | None = None


class Record:
    """Messages of one run, each with its arrival time on the monotonic clock.

    Attributes:
        trials: results, in order, where the policy was given trials.
    """

    def __init__(self, robot: Robot, instruction: str, asked_s: float) -> None:
        self.robot = robot
        self.instruction = instruction
        self.asked_s = asked_s
        self.authority: list[tuple[float, str, str]] = []
        self.decided: list[tuple[float, ActionChunk]] = []
        self.executed: list[tuple[float, ActionChunk]] = []
        # (arm, "pose" or "target") -> rows of time [s], x y z [m], quaternion w x y z
        self.poses: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
        self.diagnostics: dict[str, list[Report]] = defaultdict(list)
        self.trials: list[Score] = []
        self._spans: list[_Span] = []

    def begin(self, now_s: float) -> None:
        """Start of a measured span."""
        self._spans.append(_Span(now_s, {k: len(v) - 1 for k, v in self.diagnostics.items()}))

    def end(self, now_s: float) -> None:
        """End of the span; the next report of each node, if it comes, still covers it."""
        self._spans[-1].ended_s = now_s
        self._spans[-1].last = {k: len(v) for k, v in self.diagnostics.items()}

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Begin and end of every measured span [s]."""
        return [(s.began_s, s.ended_s) for s in self._spans]

    @property
    def began_s(self) -> float:
        """Begin of the first span."""
        return self._spans[0].began_s

    @property
    def measured_s(self) -> float:
        """Length of all spans."""
        return sum(end - begin for begin, end in self.spans)

    def span_of(self, t: float) -> int | None:
        """Number of the span that a moment lies in."""
        number = bisect_right(self._spans, t, key=lambda s: s.began_s) - 1
        return number if number >= 0 and t <= self._spans[number].ended_s else None

    def measured(self, t: float) -> bool:
        """Whether a moment lies in a span."""
        return self.span_of(t) is not None

    def around(self, node: str) -> list[tuple[Report, Report]]:
        """The node's diagnostics at the beginning and the end of every span."""
        reports = self.diagnostics[node]
        newest = len(reports) - 1
        return [
            (
                reports[max(0, span.first.get(node, 0))],
                reports[min(newest, (span.last or {}).get(node, newest))],
            )
            for span in self._spans
        ]
