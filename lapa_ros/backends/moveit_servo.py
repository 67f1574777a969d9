# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Arms behind MoveIt Servo: every joint command goes out as the tool pose it stands for.

Servo solves inverse kinematics itself, and its own checks for singularities and collisions come
after ours. On Jazzy and newer (`command: pose`) it follows the poses. Humble's takes speeds alone
(`command: twist`) and integrates them, so they carry a small correction towards the commanded
pose, by the arm's measured joints. The gripper has a controller of its own.

In hold nothing is sent: Servo drops a command that is older than its `incoming_command_timeout`
(0.1 s by default; above 0.25 s it is refused here) and halts by itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from lapa_core.errors import ConfigError
from lapa_core.robot import Robot
from lapa_core.types import JointCommand
from lapa_ros.backends.base import Backend
from lapa_ros.backends.servo_arms import PoseArm, ServoArm, TwistArm

POLL_PERIOD_S = 0.1


class MoveItServo(Backend):
    """Streams tool poses, or speeds, to one Servo node an arm."""

    keeps_goal = False  # Servo halts where the arm is when nothing new comes

    def __init__(self, node: Node, robot: Robot, tick_s: float, dry_run: bool = False) -> None:
        """Find nobody yet; a timer starts the Servo nodes when they appear.

        Raises:
            ConfigError: two arms name one Servo node, or moveit_msgs is needed and missing.
        """
        super().__init__(node, robot, tick_s, dry_run)
        self._servos: dict[str, ServoArm] = {}
        for arm in robot.arms:
            driver = arm.drivers.moveit_servo
            assert driver is not None
            for other in self._servos.values():
                if other.servo == driver.node:
                    raise ConfigError(
                        f"{robot.source}: arms {other.arm.name} and {arm.name} both name the "
                        f"Servo node {driver.node!r}; valid: one node an arm"
                    )
            make = PoseArm if driver.command == "pose" else TwistArm
            self._servos[arm.name] = make(node, arm, tick_s, dry_run)
        self.command_topics = tuple(t for s in self._servos.values() for t in s.topics)
        # Of its own, not `tick`: a dry run has no ticks, and its diagnostics should be true too.
        node.create_timer(POLL_PERIOD_S, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def send(self, commands: Mapping[str, JointCommand]) -> None:
        """Send every arm's tool pose or speed, and its gripper's target."""
        now = time.monotonic()
        built = [
            (self._servos[name], self._servos[name].build(command, now, self.tick_s))
            for name, command in commands.items()
        ]
        for servo, outgoing in built:
            servo.publish(outgoing, now)

    def problem(self) -> str:
        """What is wrong with the first Servo node that has a problem, or ""."""
        now = time.monotonic()
        return next((p for p in (s.problem(now) for s in self._servos.values()) if p), "")

    def _poll(self) -> None:
        now = time.monotonic()
        for servo in self._servos.values():
            servo.poll(now)
