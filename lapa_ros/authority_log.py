# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Writes who has authority into the node's log: every hold with its cause, every recovery too."""

from __future__ import annotations

from rclpy.impl.rcutils_logger import RcutilsLogger

ACTIVE = ("policy", "teleop")


class AuthorityLog:
    """Turns changes of authority into log lines."""

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._state, self._reason = "hold", ""
        self._cause = ""
        self._since_s = 0.0

    def change(self, state: str, reason: str, now_s: float) -> None:
        """Note the present authority; the same as before writes nothing."""
        if (state, reason) == (self._state, self._reason):
            return
        before, self._state, self._reason = self._state, state, reason
        if state in ACTIVE:
            held = f" after {now_s - self._since_s:.1f} s of hold ({self._cause})"
            self._logger.info(f"{reason}{held if self._cause else ''}")
            self._cause = ""
            return
        if before in ACTIVE or not self._cause:
            self._since_s, self._cause = now_s, reason
        self._logger.warning(f"{state}: {reason}")
