# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""An estop from the page: sent until the arm has confirmed it, and said so if it has not."""

from __future__ import annotations

from typing import Literal

RETRY_S = 0.5
GIVE_UP_S = 5.0
Phase = Literal["idle", "sent", "confirmed", "unconfirmed"]


class EstopWatch:
    """One estop from pressed to confirmed. Not for use from two threads.

    Attributes:
        phase: `idle` before the first and after a reset.
        text: for the person.
    """

    def __init__(self) -> None:
        self.phase: Phase = "idle"
        self.text = ""
        self._pressed_s = 0.0
        self._sent_s = 0.0

    def press(self, now_s: float) -> None:
        """The person wants the arm stopped. Pressed again while under way, it starts anew."""
        self.phase, self.text = "sent", "estop sent, the arm has not confirmed it yet"
        self._pressed_s, self._sent_s = now_s, -RETRY_S

    def due(self, now_s: float) -> bool:
        """Whether to send it now: at once, then again and again; notes that it was sent."""
        if self.phase == "sent" and now_s - self._pressed_s > GIVE_UP_S:
            self.phase = "unconfirmed"
            self.text = (
                f"ESTOP NOT CONFIRMED within {GIVE_UP_S:g} s: use the power switch. "
                "Is arm_node running?"
            )
        if self.phase != "sent" or now_s - self._sent_s < RETRY_S:
            return False
        self._sent_s = now_s
        return True

    def answered(self, success: bool, message: str, now_s: float) -> None:
        """The service has answered."""
        if self.phase not in ("sent", "unconfirmed"):
            return
        if success:
            self._confirm(now_s)
        else:
            self.text = f"the arm refused the estop: {message}"

    def authority(self, state: str, now_s: float) -> None:
        """The arm has announced who has authority."""
        if state == "estop" and self.phase in ("sent", "unconfirmed"):
            self._confirm(now_s)
        elif state != "estop" and self.phase == "confirmed":
            self.phase, self.text = "idle", ""

    def _confirm(self, now_s: float) -> None:
        self.phase = "confirmed"
        self.text = f"estop confirmed by the arm after {1e3 * (now_s - self._pressed_s):.0f} ms"
