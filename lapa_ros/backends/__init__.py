# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How joint commands reach an arm: one class a kind of driver, chosen by the robot file.

A backend translates, it does not judge: what it is given has passed the safety contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from rclpy.node import Node

from lapa_core.errors import ConfigError, unknown
from lapa_core.robot import Robot
from lapa_core.types import JointCommand
from lapa_ros.backends.ros2_control import Ros2Control


class Backend(Protocol):
    """What the arm node needs of a driver."""

    def send(self, commands: Mapping[str, JointCommand]) -> None:
        """Give every arm its command; all messages are built before the first is sent."""


def make(node: Node, robot: Robot, tick_s: float) -> Backend:
    """The backend the robot file names; `tick_s` is the control period [s]."""
    kinds = {"ros2_control": Ros2Control}
    if robot.backend not in kinds:
        raise ConfigError(unknown("backend", robot.backend, kinds, robot.source))
    return kinds[robot.backend](node, robot, tick_s)
