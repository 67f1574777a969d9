# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which step of the newest chunk is due, and the pose between two steps. Knows no limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lapa_core.control.authority import Source
from lapa_core.control.compose import Pose, between
from lapa_core.types import ActionChunk, FloatArray


@dataclass(frozen=True)
class Step:
    """One step of a chunk that has become due.

    Attributes:
        source: who sent it.
        delta: (d,) in the robot's order of dimensions.
        duration_s: time to spread it over.
        due_s, stamp_ns: of the chunk, see `ActionChunk`.
    """

    source: Source
    delta: FloatArray
    duration_s: float
    due_s: float
    stamp_ns: int

    def executed(
        self, delta: FloatArray, dimensions: tuple[str, ...], frame_id: str
    ) -> ActionChunk:
        """The chunk of one that says what was made of this step: (d,) after all clamps."""
        return ActionChunk(
            dimensions, delta[None], np.array([self.due_s]), self.stamp_ns, frame_id
        )


class ChunkPlayer:
    """Plays the newest chunk: a new one replaces what is left of the old one.

    A step is due from its own time until the next step's. Steps that are over before anyone
    asks for them are dropped, not caught up with; the last step alone is played late, so that
    a chunk of one survives the time its picture took through the policy.

    Chunks of several steps overlap: the new one answers a picture taken while the old one
    played. Its steps for a time that steps already begun have covered are dropped too, else
    the arm would go that way twice. A chunk of one is always a step of its own.

    Attributes:
        dropped: steps dropped so far, as late or as covered.
        end_s: when the last step of the newest chunk ends (monotonic), -inf without one.
    """

    def __init__(self, step_time_s: float) -> None:
        self.dropped = 0
        self.end_s = -np.inf
        self._step_time_s = step_time_s
        self._source: Source = "policy"
        self._chunk: ActionChunk | None = None
        self._starts_s: FloatArray = np.zeros(0)
        self._next = 0
        self._covered_s = -np.inf

    def load(self, source: Source, chunk: ActionChunk, now_s: float, age_s: float) -> None:
        """Replace what is being played.

        Args:
            source: who sent it.
            chunk: at least one step, columns in the robot's order.
            now_s: monotonic time.
            age_s: time since `chunk.stamp_ns`, on the clock of the stamp.
        """
        self._starts_s = now_s - age_s + chunk.due_s
        if source != self._source:
            self._covered_s = -np.inf
        self._source, self._chunk, self._next = source, chunk, 0
        if len(chunk) > 1:
            half = 0.5 * self._step_time_s  # whose time is covered by more than half is over
            self._next = int(np.searchsorted(self._starts_s, self._covered_s - half))
            self.dropped += self._next
        self.end_s = max(now_s, float(self._starts_s[-1])) + self._step_time_s

    def clear(self) -> None:
        """Forget what is left."""
        self._chunk = None
        self.end_s = self._covered_s = -np.inf

    def due(self, now_s: float) -> Step | None:
        """The step that becomes due at `now_s`, once; None between steps and at the end."""
        if self._chunk is None:
            return None
        newest = int(np.searchsorted(self._starts_s, now_s, side="right")) - 1
        if newest < self._next:
            return None
        self.dropped += newest - self._next
        self._next = newest + 1
        due = self._chunk.due_s
        last = newest == len(due) - 1
        if last:
            self.end_s = max(self.end_s, now_s + self._step_time_s)
        duration_s = self._step_time_s if last else float(due[newest + 1] - due[newest])
        self._covered_s = float(self._starts_s[newest]) + duration_s
        return Step(
            source=self._source,
            delta=self._chunk.deltas[newest],
            duration_s=duration_s,
            due_s=float(due[newest]),
            stamp_ns=self._chunk.stamp_ns,
        )


@dataclass(frozen=True)
class Segment:
    """A straight way from one pose to the next: position linear, rotation slerp."""

    start: Pose
    end: Pose
    begin_s: float
    duration_s: float

    def at(self, now_s: float) -> Pose:
        """The pose at a time; the ends outside the segment's own time."""
        if self.duration_s <= 0.0:
            return self.end
        return between(self.start, self.end, (now_s - self.begin_s) / self.duration_s)
