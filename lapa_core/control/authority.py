# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Who may move the arm: hold, policy, teleop or estop, each with its reason.

    hold --enable, good step--> policy <--> teleop        any --estop--> estop --reset--> hold
         <--silence, fault, disable--

Within `hold` the first cause wins until the state changes, so that a consequence never hides
it; a person's act (enable, disable, a move) does replace it, and waiting is no cause. Teleop
outranks the policy from its first good chunk until it hands back, also while it is silent.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from lapa_core.errors import ConfigError, UnsafeAction, unknown

State = Literal["hold", "policy", "teleop", "estop"]
Source = Literal["policy", "teleop"]
SOURCES: tuple[Source, ...] = ("policy", "teleop")
DISABLED = "disabled: call enable"
HISTORY = 1000


@dataclass(frozen=True)
class Entry:
    """One change of authority, at a monotonic time [s]."""

    time_s: float
    state: State
    reason: str


class Authority:
    """The state machine. It starts in hold, disabled.

    Attributes:
        enabled: whether a person has enabled motion since the last disable or estop.
        teleop_owns: whether teleop has taken over and not handed back.
        waiting: whether it holds for want of a chunk alone, which any other cause may replace.
        history: the last changes, oldest first.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.teleop_owns = False
        self.waiting = False
        self.history: deque[Entry] = deque(maxlen=HISTORY)
        self._state: State = "hold"
        self._reason = DISABLED

    @property
    def state(self) -> State:
        """Who has authority now."""
        return self._state

    @property
    def reason(self) -> str:
        """Why."""
        return self._reason

    @property
    def active(self) -> bool:
        """Whether policy or teleop moves the arm."""
        return self._state in SOURCES

    def refusal(self, source: Source) -> str:
        """Why `source` may not move the arm, or ""."""
        if self._state == "estop":
            return "estop"
        if not self.enabled:
            return "disabled"
        if source == "policy" and self.teleop_owns:
            return "outranked"
        return ""

    def enable(self, now_s: float) -> None:
        """Let policy and teleop take authority with their next good step.

        Raises:
            UnsafeAction: estop is latched.
        """
        if self._state == "estop":
            raise UnsafeAction(f"estop is latched ({self._reason}): call reset first")
        self.enabled = True
        if not self.active:
            self._set("hold", "enabled: waiting for a chunk", now_s)
            self.waiting = True

    def disable(self, reason: str, now_s: float) -> None:
        """Hold until the next `enable`."""
        self.enabled = self.teleop_owns = False
        if self._state != "estop":
            self._set("hold", f"disabled: {reason}", now_s)

    def estop(self, reason: str, now_s: float) -> None:
        """Hold until `reset`; the first reason stays."""
        self.enabled = self.teleop_owns = False
        if self._state != "estop":
            self._set("estop", reason, now_s)

    def reset(self, now_s: float) -> None:
        """Leave estop, disabled. Without an estop nothing happens."""
        if self._state == "estop":
            self._set("hold", DISABLED, now_s)

    def hold(self, reason: str, now_s: float) -> None:
        """Take authority from policy or teleop; in hold already, the first cause stays."""
        if self.active or self.waiting:
            self._set("hold", reason, now_s)

    def explain(self, reason: str, now_s: float, waiting: bool = False) -> None:
        """Hold for a reason that replaces another: a joint move begins, ends or is broken off."""
        if self._state != "estop":
            self._set("hold", reason, now_s)
            self.waiting = waiting and self.enabled

    def claim(self, source: Source) -> None:
        """Teleop outranks the policy from now on; the policy claims nothing."""
        if source == "teleop":
            self.teleop_owns = True

    def take(self, source: Source, now_s: float) -> None:
        """Give authority to `source`, a step of which was accepted.

        Raises:
            UnsafeAction: it may not have it.
        """
        if source not in SOURCES:
            raise ConfigError(unknown("source", source, SOURCES, "authority"))
        if refusal := self.refusal(source):
            raise UnsafeAction(f"{source} may not move the arm: {refusal}")
        self.claim(source)
        self._set(source, f"following {source}", now_s)

    def hand_back(self, now_s: float) -> None:
        """Teleop gives up what it took; the policy's next good step follows."""
        self.teleop_owns = False
        if self._state == "teleop":
            self._set("hold", "teleop handed back: waiting for the policy", now_s)
            self.waiting = True

    def _set(self, state: State, reason: str, now_s: float) -> None:
        self.waiting = False
        if (state, reason) != (self._state, self._reason):
            self._state, self._reason = state, reason
            self.history.append(Entry(now_s, state, reason))
