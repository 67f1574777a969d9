# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the demo's monitor heard: messages of one run with their arrival times."""

from __future__ import annotations

from collections import defaultdict

from lapa_core.robot import Robot
from lapa_core.types import ActionChunk


class Record:
    """Messages of one run, each with its arrival time on the monotonic clock."""

    def __init__(self, robot: Robot, instruction: str, asked_s: float) -> None:
        self.robot = robot
        self.instruction = instruction
        self.asked_s = asked_s
        self.authority: list[tuple[float, str, str]] = []
        self.decided: list[tuple[float, ActionChunk]] = []
        self.executed: list[tuple[float, ActionChunk]] = []
        # (arm, "pose" or "target") -> rows of time [s], x y z [m], quaternion w x y z
        self.poses: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
        self.diagnostics: dict[str, list[tuple[float, dict[str, str]]]] = defaultdict(list)
        self.began_s = self.ended_s = 0.0
        self._reports_before: dict[str, int] = {}

    def begin(self, now_s: float) -> None:
        """Start of the measured window."""
        self.began_s = now_s
        self._reports_before = {k: len(v) - 1 for k, v in self.diagnostics.items()}

    def end(self, now_s: float) -> None:
        """End of the measured window."""
        self.ended_s = now_s

    def first_and_last(self, node: str) -> tuple[tuple[float, dict[str, str]], ...]:
        """The node's diagnostics at the beginning and the end of the window."""
        reports = self.diagnostics[node]
        return reports[max(0, self._reports_before.get(node, 0))], reports[-1]
