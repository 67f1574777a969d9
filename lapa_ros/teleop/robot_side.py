# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the robot says, brought to the teleoperator: authority, targets, deltas, grippers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, String
from trajectory_msgs.msg import JointTrajectory

from lapa_core.data import messages
from lapa_core.errors import LapaError
from lapa_core.robot import Arm, Robot
from lapa_core.teleop import Teleoperator
from lapa_core.teleop.poses import checked
from lapa_ros import interface

ABSENT = "nothing heard of arm_node: is it running?"
WARN_PERIOD_S = 5.0


class RobotSide:
    """Subscriptions to what arm and driver publish."""

    def __init__(
        self,
        node: Node,
        robot: Robot,
        teleoperator: Teleoperator,
        now_s: Callable[[], float],
    ) -> None:
        self._node, self._robot, self._teleoperator = node, robot, teleoperator
        self._now_s = now_s
        listen = node.create_subscription
        self._authority = listen(
            String, interface.AUTHORITY, self._on_authority, interface.AUTHORITY_SUB_QOS
        )
        listen(
            JointTrajectory,
            interface.EXECUTED_EE_DELTA,
            self._guarded(self._on_executed),
            interface.EVENT_QOS,
        )
        for arm in robot.arms:
            listen(
                PoseStamped,
                interface.ee_target(arm.name),
                self._guarded(partial(self._on_target, arm.name)),
                interface.JOINT_SUB_QOS,
            )
            listen(
                Float64,
                interface.gripper_target(arm.name),
                partial(self._on_gripper_target, arm.name),
                interface.LATCHED_QOS,
            )
            listen(
                JointState,
                arm.joint_states,
                self._guarded(partial(self._on_joint_state, arm)),
                interface.CAMERA_SUB_QOS,  # the newest is enough
            )

    def look_around(self) -> None:
        """Say so when arm_node has gone."""
        if not self._node.count_publishers(self._authority.topic_name):
            self._teleoperator.on_authority("", ABSENT)

    def _guarded(self, take: Callable[[Any], None]) -> Callable[[Any], None]:
        """What cannot be read is left out and said; it must not end this node."""

        def callback(msg: Any) -> None:
            try:
                take(msg)
            except LapaError as error:
                self._node.get_logger().warning(
                    f"not used: {error}", throttle_duration_sec=WARN_PERIOD_S
                )

        return callback

    def _on_authority(self, msg: String) -> None:
        self._teleoperator.on_authority(*interface.parse_authority(msg.data))

    def _on_executed(self, msg: JointTrajectory) -> None:
        chunk = messages.action_chunk(msg)
        if chunk.names == self._robot.dimensions and len(chunk):
            self._teleoperator.on_executed(chunk)

    def _on_target(self, arm: str, msg: PoseStamped) -> None:
        pose = checked(msg.pose, interface.ee_target(arm))
        self._teleoperator.on_target(arm, pose, self._now_s())

    def _on_gripper_target(self, arm: str, msg: Float64) -> None:
        self._teleoperator.on_gripper_target(arm, msg.data)

    def _on_joint_state(self, arm: Arm, msg: JointState) -> None:
        names, position = messages.joint_state(msg)
        if arm.gripper.joint not in names:
            return  # as with drivers that send arm and gripper apart
        finger = float(position[names.index(arm.gripper.joint)])
        if np.isfinite(finger):
            self._teleoperator.on_opening(arm.name, arm.gripper.opening(finger))
