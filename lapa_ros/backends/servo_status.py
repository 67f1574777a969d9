# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What MoveIt Servo's status codes mean, and when one of them must stop the arm.

Humble and Jazzy number the same states differently, so a code means nothing without its
distribution (moveit_servo: `status_codes.h` in Humble, `utils/datatypes.hpp` in Jazzy).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Servo drops a command this old by default, and we stop sending in hold: a status that comes
# later than this after our last command does not answer it.
ANSWER_S = 0.3
# Jazzy repeats the status of the last command it worked on, however old, until it has worked on
# the next one; three of its slowest usual periods (0.034 s) are enough for that.
SETTLE_S = 0.1
SILENCE_S = 1.0  # Servo publishes its status every period, 0.01 to 0.034 s


@dataclass(frozen=True)
class Meaning:
    """A status in words.

    Attributes:
        words: what Servo says with it.
        halts: whether it does not carry out the command.
    """

    words: str
    halts: bool = False


OK = Meaning("no warning")
INVALID = Meaning("the command is invalid (frame, units or a number that is not finite)", True)
NEAR_SINGULARITY = Meaning("slowing down near a singularity")
SINGULARITY = Meaning("halted at a singularity", True)
LEAVING_SINGULARITY = Meaning("slowed down while leaving a singularity")
NEAR_COLLISION = Meaning("slowing down near a collision")
COLLISION = Meaning("halted before a collision", True)
JOINT_BOUND = Meaning("halted at a joint limit", True)

Table = Mapping[int, Meaning]
HUMBLE: Table = {
    -1: INVALID,
    0: OK,
    1: NEAR_SINGULARITY,
    2: SINGULARITY,
    3: NEAR_COLLISION,
    4: COLLISION,
    5: JOINT_BOUND,
    6: LEAVING_SINGULARITY,
}
JAZZY: Table = {
    -1: INVALID,
    0: OK,
    1: NEAR_SINGULARITY,
    2: SINGULARITY,
    3: LEAVING_SINGULARITY,
    4: NEAR_COLLISION,
    5: COLLISION,
    6: JOINT_BOUND,
}


class StatusWatch:
    """Judges the statuses of one Servo node against the commands it was sent.

    A halt counts while we command. It lapses `ANSWER_S` after the last command, so that a new
    command may lead out of where Servo halted; if it does not, Servo says so again.
    """

    def __init__(self, servo: str, table: Table, warn: Callable[[str], None]) -> None:
        self._servo = servo
        self._table = table
        self._warn = warn
        self._begun_s = -float("inf")  # of the present run of commands
        self._sent_s = -float("inf")
        self._heard_s = -float("inf")
        self._halt = ""

    def sent(self, now_s: float) -> None:
        """A command was sent."""
        if now_s - self._sent_s > ANSWER_S:
            self._begun_s, self._halt = now_s, ""
        self._sent_s = now_s

    def heard(self, code: int, text: str, now_s: float) -> None:
        """A status came; `text` is Servo's own explanation, or ""."""
        self._heard_s = now_s
        if now_s - self._sent_s > ANSWER_S or now_s - self._begun_s < SETTLE_S:
            return
        meaning = self._table.get(
            code, Meaning(f"unknown status; valid: {list(self._table)}", True)
        )
        said = f"MoveIt Servo {self._servo}: {meaning.words} (status {code})"
        if text and text.lower() not in meaning.words:
            said += f": {text}"
        self._halt = said if meaning.halts else ""
        if meaning is not OK and not meaning.halts:
            self._warn(said)

    def problem(self, now_s: float) -> str:
        """Why what we send now is not carried out, or ""."""
        if now_s - self._sent_s > ANSWER_S:
            return ""
        if self._halt:
            return self._halt
        if now_s - max(self._heard_s, self._begun_s) > SILENCE_S:
            return (
                f"MoveIt Servo {self._servo} is commanded but has published no status for "
                f"{SILENCE_S:g} s: paused, or dead?"
            )
        return ""
