# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Arms behind ros2_control: a joint trajectory controller for the joints, one for the gripper.

The controllers hold their last point when nothing new comes, so holding means sending nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from lapa_core.robot import Robot
from lapa_core.types import JointCommand
from lapa_ros import convert, interface


class Ros2Control:
    """Streams one-point trajectories, each to be reached one control period later."""

    def __init__(self, node: Node, robot: Robot, tick_s: float) -> None:
        self._robot = robot
        self._tick_s = tick_s
        self._arm_pubs = {
            a.name: node.create_publisher(
                JointTrajectory, interface.arm_command(a.name), interface.COMMAND_QOS
            )
            for a in robot.arms
        }
        self._gripper_pubs = {
            a.name: node.create_publisher(
                JointTrajectory, interface.gripper_command(a.name), interface.COMMAND_QOS
            )
            for a in robot.arms
        }

    def send(self, commands: Mapping[str, JointCommand]) -> None:
        """Publish the joint and gripper targets of every arm."""
        outgoing = []
        for name, command in commands.items():
            gripper = self._robot.arm(name).gripper
            opening = np.array([gripper.joint_position(command.gripper)])
            arm_msg = convert.joint_target_msg(command.joints, command.position_rad, self._tick_s)
            gripper_msg = convert.joint_target_msg((gripper.joint,), opening, self._tick_s)
            outgoing += [(self._arm_pubs[name], arm_msg), (self._gripper_pubs[name], gripper_msg)]
        for publisher, msg in outgoing:
            publisher.publish(msg)
