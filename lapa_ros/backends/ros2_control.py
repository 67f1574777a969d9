# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Arms behind ros2_control: one controller for the joints, one for the gripper.

The controllers hold their last target when nothing new comes, so holding means sending nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from lapa_core.robot import Robot
from lapa_core.robot.drivers import CommandTopic
from lapa_core.types import FloatArray, JointCommand
from lapa_ros import convert, interface
from lapa_ros.backends.base import Backend


class TargetPublisher:
    """Publishes joint targets to one controller, in the form it reads."""

    def __init__(self, node: Node, where: CommandTopic) -> None:
        self._forward = where.kind == "forward"
        kind = Float64MultiArray if self._forward else JointTrajectory
        self._publisher: Publisher = node.create_publisher(
            kind, where.topic, interface.COMMAND_QOS
        )
        self.topic = self._publisher.topic_name

    def message(
        self, joints: tuple[str, ...], position: FloatArray, reach_in_s: float
    ) -> JointTrajectory | Float64MultiArray:
        """Targets (n,) [rad or m] of the joints, for `publish`."""
        if self._forward:
            return Float64MultiArray(data=[float(p) for p in position])
        return convert.joint_target_msg(joints, position, reach_in_s)

    def publish(self, msg: JointTrajectory | Float64MultiArray) -> None:
        """Send what `message` built."""
        self._publisher.publish(msg)


class Ros2Control(Backend):
    """Streams targets, each to be reached one control period later."""

    def __init__(self, node: Node, robot: Robot, tick_s: float, dry_run: bool = False) -> None:
        super().__init__(node, robot, tick_s, dry_run)
        drivers = {a.name: a.drivers.ros2_control for a in robot.arms}
        self._arms = {n: TargetPublisher(node, d.arm) for n, d in drivers.items()}
        self._grippers = {n: TargetPublisher(node, d.gripper) for n, d in drivers.items()}
        self.command_topics = tuple(
            p.topic for p in (*self._arms.values(), *self._grippers.values())
        )

    def send(self, commands: Mapping[str, JointCommand]) -> None:
        """Publish the joint and gripper targets of every arm."""
        outgoing = []
        for name, command in commands.items():
            gripper = self.robot.arm(name).gripper
            opening = np.array([gripper.joint_position(command.gripper)])
            arm, fingers = self._arms[name], self._grippers[name]
            outgoing += [
                (arm, arm.message(command.joints, command.position_rad, self.tick_s)),
                (fingers, fingers.message((gripper.joint,), opening, self.tick_s)),
            ]
        for publisher, msg in outgoing:
            publisher.publish(msg)
