# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Calls under way: one of a kind at a time, each with a deadline."""

from __future__ import annotations

TIMEOUT_S = 5.0


class CallBook:
    """Which calls are waiting for their answer. Not for use from two threads."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self.timeout_s = timeout_s
        self._since: dict[str, tuple[float, int]] = {}
        self._number = 0

    def begin(self, name: str, now_s: float) -> int | None:
        """Note a call; its number, or None while another of that name is waiting."""
        if name in self._since:
            return None
        self._number += 1
        self._since[name] = (now_s, self._number)
        return self._number

    def answered(self, name: str, number: int) -> bool:
        """Note an answer; whether it was still waited for."""
        if self._since.get(name, (0.0, 0))[1] != number:
            return False
        del self._since[name]
        return True

    def late(self, now_s: float) -> list[str]:
        """Names of the calls that are overdue; they are not waited for any more."""
        late = [n for n, (since, _) in self._since.items() if now_s - since >= self.timeout_s]
        for name in late:
            del self._since[name]
        return late
