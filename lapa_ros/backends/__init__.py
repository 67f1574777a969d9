# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How joint commands reach an arm: one class a kind of driver, chosen by the robot file."""

from __future__ import annotations

from importlib import import_module

from rclpy.node import Node

from lapa_core.errors import ConfigError, unknown
from lapa_core.robot import Robot
from lapa_ros.backends.base import Backend

# Modules are imported when asked for: each may need message packages that others do without.
CLASSES = {
    "interbotix": "Interbotix",
    "ros2_control": "Ros2Control",
    "moveit_servo": "MoveItServo",
}

__all__ = ["CLASSES", "Backend", "make"]


def make(node: Node, robot: Robot, tick_s: float, dry_run: bool = False) -> Backend:
    """The backend the robot names; see `Backend` for the arguments.

    Raises:
        ConfigError: no such backend, or message packages it needs are not installed.
    """
    if robot.backend not in CLASSES:
        raise ConfigError(unknown("backend", robot.backend, CLASSES, robot.source))
    module = import_module(f"lapa_ros.backends.{robot.backend}")
    backend: Backend = getattr(module, CLASSES[robot.backend])(node, robot, tick_s, dry_run)
    return backend
