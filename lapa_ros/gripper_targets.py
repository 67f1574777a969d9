# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What each gripper was last told, published so that whoever comes later does not drop it.

Fingers on an object are measured far from what they are told; a node that took the measured
opening for the commanded one would let go. It decides nothing.
"""

from __future__ import annotations

import math

from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Float64

from lapa_core.robot import Robot
from lapa_core.types import NUM_AXES, ActionChunk
from lapa_ros import interface

LEAST = 0.005  # of the opening: a smaller change is not worth a message


class GripperTargets:
    """Latched publishers, an arm each."""

    def __init__(self, node: Node, robot: Robot) -> None:
        """Make them; they say that nothing is in force yet."""
        self._told: list[float | None] = [None] * len(robot.arms)
        self._pubs: list[Publisher] = [
            node.create_publisher(
                Float64, interface.gripper_target(arm.name), interface.LATCHED_QOS
            )
            for arm in robot.arms
        ]
        self.forget()

    def forget(self) -> None:
        """Note that no opening is in force: the next command starts from what is measured."""
        for index in range(len(self._pubs)):
            self._tell(index, math.nan)

    def take(self, executed: ActionChunk) -> None:
        """Note a step that the arms were told."""
        for index in range(len(self._pubs)):
            self._tell(index, float(executed.deltas[-1, index * NUM_AXES + NUM_AXES - 1]))

    def _tell(self, index: int, opening: float) -> None:
        last = self._told[index]
        if last is not None:
            same = math.isnan(last) and math.isnan(opening)
            if same or abs(opening - last) <= LEAST:
                return
        self._told[index] = opening
        self._pubs[index].publish(Float64(data=opening))
