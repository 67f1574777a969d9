# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A robot as its YAML file describes it: `parts`, how `drivers` reach it, and its `file`."""

from lapa_core.robot.drivers import BACKENDS
from lapa_core.robot.file import available, load, parse
from lapa_core.robot.parts import POLARITIES, WORLD, Arm, Camera, Collision, Gripper, Robot

__all__ = [
    "BACKENDS",
    "POLARITIES",
    "WORLD",
    "Arm",
    "Camera",
    "Collision",
    "Gripper",
    "Robot",
    "available",
    "load",
    "parse",
]
