# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where an arm's commanded target is, deltas that are still on their way included.

A goal is reached by sending goal minus target. The target comes back from the arm a little later
than the delta that moved it was sent: taken as it comes, the same way would be asked for twice.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from lapa_core.control.compose import Pose, compose
from lapa_core.types import FloatArray

LOST_S = 0.2  # a delta that nobody has executed by now was refused or lost
# A target of before tells nothing any more: it comes 50 times a second, best effort. Chasing a
# goal from one that stands still would add up the way that was gone since, without end.
STALE_S = 0.2
# Targets to hear before one is believed: topics overtake each other, and the first that comes
# with a new authority may still be the one from before.
BELIEVED = 2


@dataclass
class _Sent:
    stamp_ns: int
    delta: FloatArray
    time_s: float
    executed: bool = False


class Reference:
    """The target of one arm."""

    def __init__(self) -> None:
        self._target: Pose | None = None
        self._target_s = -math.inf
        self._heard = 0
        self._sent: deque[_Sent] = deque()

    def forget(self) -> None:
        """The target may be anywhere now: wait for the arm to say where."""
        self._target = None
        self._heard = 0
        self._sent.clear()

    def on_target(self, target: Pose, now_s: float) -> None:
        """Take the target that the arm announces; what was executed before is in it."""
        self._target, self._target_s = target, now_s
        self._heard += 1
        self._sent = deque(s for s in self._sent if not s.executed)

    def on_executed(self, stamp_ns: int) -> None:
        """Note that the arm has taken the delta of this stamp; older ones it never will."""
        self._sent = deque(s for s in self._sent if s.executed or s.stamp_ns >= stamp_ns)
        for sent in self._sent:
            sent.executed |= sent.stamp_ns == stamp_ns

    def on_sent(self, stamp_ns: int, delta: FloatArray, now_s: float) -> None:
        """Note a (>= 6,) delta that is on its way."""
        self._sent.append(_Sent(stamp_ns, delta, now_s))

    def pose(self, now_s: float) -> Pose | None:
        """Where the target is once everything has arrived; None where the arm does not say."""
        if self._target is not None and now_s - self._target_s > STALE_S:
            self.forget()
        self._sent = deque(s for s in self._sent if s.executed or now_s - s.time_s <= LOST_S)
        pose = self._target
        if pose is None or self._heard < BELIEVED:
            return None
        for sent in self._sent:
            pose = compose(pose, sent.delta)
        return pose
