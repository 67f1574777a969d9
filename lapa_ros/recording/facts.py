# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What episode.yaml says beside the bag: task, who moved the arm, which policy ran.

Read from the same messages that are recorded. A person who takes over from a running policy
corrects it: each such change is counted, for learning from corrections.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.serialization import deserialize_message
from std_msgs.msg import String

from lapa_core import __version__
from lapa_core.recording.episode import AuthorityChange
from lapa_core.recording.session import Facts
from lapa_core.robot import Robot
from lapa_ros import interface

NS = 1_000_000_000
POLICY_NODE = "lapa_ros: policy_node"


class FactBook:
    """Listens to the few topics that say what an episode is.

    Attributes:
        instruction: in force now.
        changed: when in the episode another instruction came, and which; the episode is about
            the first one.
    """

    def __init__(self, robot: Robot, instruction: str, operator: str) -> None:
        self.instruction = instruction
        self.changed: list[tuple[float, str]] = []
        self._first = instruction
        self._robot = robot
        self._robot_yaml = Path(robot.source).read_text(encoding="utf-8")
        self._operator = operator
        self._state = ("", "")
        self._changes: list[AuthorityChange] = []
        self._began_ns = 0
        self._interventions = 0
        self._policy_moved = False
        self._checkpoint = ""
        self._policy_sent = self._policy_acted = False
        self._device = ""
        self._teleop_sent = False

    def begin(self, now_ns: int) -> None:
        """A new episode."""
        self._began_ns = now_ns
        self._changes = [AuthorityChange(0.0, *self._state)] if self._state[0] else []
        self._interventions = 0
        self._policy_moved = self._state[0] == "policy"
        self._policy_sent = self._teleop_sent = False
        self._policy_acted = self._state[0] == "policy"
        self._first, self.changed = self.instruction, []

    def read(self, topic: str, data: bytes, arrival_ns: int) -> None:
        """Look at a message, by its topic's name in `interface`."""
        if topic == interface.AUTHORITY:
            self._authority(_text(data), arrival_ns)
        elif topic == interface.INSTRUCTION:
            self._instruct(_text(data), arrival_ns)
        elif topic == interface.TELEOP_STATUS:
            self._device = _text(data).partition(":")[0]
        elif topic == interface.POLICY_EE_DELTA:
            self._policy_sent = True
        elif topic == interface.TELEOP_EE_DELTA:
            self._teleop_sent = True
        elif topic == interface.DIAGNOSTICS:
            self._diagnostics(deserialize_message(data, DiagnosticArray))

    def facts(self) -> Facts:
        """Everything, as of now."""
        return Facts(
            instruction=self._first,
            operator=self._operator,
            robot=self._robot.name,
            robot_yaml=self._robot_yaml,
            checkpoint=self._checkpoint if self._policy_sent and self._policy_acted else "",
            device=(self._device or "unknown") if self._teleop_sent else "",
            software=f"lapa_ros {__version__}",
            authority=tuple(self._changes),
            interventions=self._interventions,
        )

    def _instruct(self, text: str, arrival_ns: int) -> None:
        if text != self.instruction:
            self.changed.append((max(0.0, (arrival_ns - self._began_ns) / NS), text))
        self.instruction = text

    def _authority(self, text: str, arrival_ns: int) -> None:
        state, reason = interface.parse_authority(text)
        if (state, reason) == self._state:
            return
        if state == "policy":
            self._policy_moved = self._policy_acted = True
        # A hold may lie between: the policy's until a person's first delta.
        if state == "teleop" and self._policy_moved:
            self._interventions += 1
            self._policy_moved = False
        self._state = (state, reason)
        at_s = max(0.0, (arrival_ns - self._began_ns) / NS)
        self._changes.append(AuthorityChange(round(at_s, 3), state, reason))

    def _diagnostics(self, msg: Any) -> None:
        for status in msg.status:
            if status.name == POLICY_NODE:
                values = {v.key: v.value for v in status.values}
                self._checkpoint = values.get("checkpoint", "")


def _text(data: bytes) -> str:
    return str(deserialize_message(data, String).data)
