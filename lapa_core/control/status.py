# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What is known of the sources of chunks, and what an operator wants to see."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from lapa_core.control.authority import Source, State
from lapa_core.control.compose import Pose
from lapa_core.control.limits import Refusal


@dataclass(frozen=True)
class Status:
    """What an operator wants to see.

    Attributes:
        state, reason: authority and why.
        enabled: whether policy and teleop may move the arm.
        moving: where a joint move goes to, or "".
        interventions: count by kind of what was refused (`refused_*`), ignored (`ignored_*`),
            clamped or dropped.
        last_refusal: text of the newest refusal, or "".
        steps_executed: policy and teleop steps taken so far.
        joint_state_age_s: arm -> seconds since its last believed joint state, inf before.
        chunk_age_s: source -> seconds since its last accepted chunk, inf before.
        target, measured: arm -> tool pose in its base frame, for the arms that have one.
        tracking_error_rad: arm -> largest difference of command and measured position.
        held: arm -> why it holds while the others go on.
        blocked_by: which shapes keep the command from its setpoint, or "".
    """

    state: State
    reason: str
    enabled: bool
    moving: str
    interventions: Counter[str]
    last_refusal: str
    steps_executed: int
    joint_state_age_s: dict[str, float]
    chunk_age_s: dict[Source, float]
    target: dict[str, Pose]
    measured: dict[str, Pose]
    tracking_error_rad: dict[str, float]
    held: dict[str, str]
    blocked_by: str


@dataclass
class Channel:
    """One source of chunks.

    Attributes:
        source: its name.
        publishers: how many send on its topic.
        note: its own explanation of why it may be silent, or "".
        accepted_s: monotonic time of its last accepted chunk, -inf before.
        stamp_ns: of that chunk.
        alone_s: since when one publisher is alone again after there were several; what answers an
            older observation may be of the one that has left.
    """

    source: Source
    publishers: int = 0
    alone_s: float = -math.inf
    note: str = ""
    accepted_s: float = -np.inf
    stamp_ns: int | None = None

    @property
    def crowd(self) -> str:
        """What is wrong with the number of publishers, or ""."""
        if self.publishers <= 1:
            return ""
        return f"{self.publishers} publishers on the deltas of {self.source}; valid: 1"

    def check(self, stamp_ns: int, ros_now_ns: int, future_s: float) -> None:
        """Refuse a chunk that is not newer than the last: played twice, it would move twice.

        Raises:
            Refusal: it is not newer, or more than one node sends chunks.
        """
        if self.crowd:
            raise Refusal("publishers", self.crowd)
        set_back = self.stamp_ns is not None and self.stamp_ns > ros_now_ns + future_s * 1e9
        if self.stamp_ns is not None and stamp_ns <= self.stamp_ns and not set_back:
            raise Refusal("order", f"chunk of {self.source} is not newer than its last one")

    def silence(self, silent_s: float) -> str:
        """The reason of a hold when nothing comes any more."""
        return f"{self.source} silent {silent_s:.2f} s" + (f": {self.note}" if self.note else "")
