# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One arm behind MoveIt Servo: what it is sent, by poses (Jazzy and newer) or speeds (Humble)."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

import mink
import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Int8
from std_srvs.srv import SetBool, Trigger

from lapa_core import description
from lapa_core.control.compose import Pose
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.data import messages
from lapa_core.errors import ConfigError, DataError
from lapa_core.robot import Arm
from lapa_core.types import FloatArray, JointCommand
from lapa_ros import convert, interface
from lapa_ros.backends.ros2_control import TargetPublisher
from lapa_ros.backends.servo_start import Call, Starter, call, check_parameters
from lapa_ros.backends.servo_status import ANSWER_S, HUMBLE, JAZZY, StatusWatch, Table

WARN_PERIOD_S = 2.0
# Twist mode. An error decays with 1/gain; the gain times the arm's lag (0.05 to 0.1 s) is the
# share by which it overshoots a moving target, so it stays small. Where a tenth of every speed
# gets lost, 15 cm of way end 15 mm short without it and 0.5 mm with it (docs/moveit_servo.md).
CORRECTION_GAIN = 2.0  # [1/s]
# A joint state that is wrong, which the arm node answers with a hold, may not push harder.
MAX_CORRECTION_M_S, MAX_CORRECTION_RAD_S = 0.05, 0.25
# Nearer than this the arm has arrived, and a zero twist lets Servo halt. The arm itself is
# accurate to 5 mm (Interbotix).
ARRIVED_M, ARRIVED_RAD = 5e-4, 5e-3
JOINT_AGE_S = 0.25  # an older joint state corrects nothing


class ServoArm(ABC):
    """One arm's Servo node: its command topic, its status and its start-up.

    Attributes:
        arm: whose.
        servo: name of the Servo node, relative to the robot's namespace.
        topics: resolved names of what is published on: commands for Servo and for the gripper.
        watch: judge of the statuses.
    """

    def __init__(self, node: Node, arm: Arm, kind: Any, command: str, watch: StatusWatch) -> None:
        driver = arm.drivers.moveit_servo
        assert driver is not None  # required when the robot file was read
        self.node = node
        self.arm = arm
        self.servo = driver.node
        self.watch = watch
        self.kinematics = ArmKinematics(arm, description.for_arm(arm))
        self._publisher = node.create_publisher(
            kind, f"{self.servo}/{command}", interface.COMMAND_QOS
        )
        self._gripper = TargetPublisher(node, driver.gripper)
        self.topics: tuple[str, str] = (self._publisher.topic_name, self._gripper.topic)
        self._starter: Starter | None = None

    @abstractmethod
    def message(self, pose: Pose, now_s: float) -> Any:
        """The command that brings the tool to a pose in the arm's base."""

    def build(self, command: JointCommand, now_s: float, tick_s: float) -> tuple[Any, Any]:
        """Messages for Servo and for the gripper's controller; nothing is sent yet."""
        gripper = self.arm.gripper
        opening = np.array([gripper.joint_position(command.gripper)])
        pose = self.kinematics.fk(command.position_rad)
        return (
            self.message(pose, now_s),
            self._gripper.message((gripper.joint,), opening, tick_s),
        )

    def publish(self, built: tuple[Any, Any], now_s: float) -> None:
        """Send what `build` built."""
        self._publisher.publish(built[0])
        self._gripper.publish(built[1])
        self.watch.sent(now_s)

    def poll(self, now_s: float) -> None:
        """Go on with the start-up."""
        assert self._starter is not None
        self._starter.poll(now_s)

    def problem(self, now_s: float) -> str:
        """Why commands would not arrive or are not carried out, or ""."""
        assert self._starter is not None
        if self._starter.problem:
            return self._starter.problem
        for topic in self.topics:
            if self.node.count_subscribers(topic) == 0:
                return f"nobody listens to {topic} of arm {self.arm.name}"
        return self.watch.problem(now_s)

    def _start_with(self, dry_run: bool, check: Call, *calls: Call) -> None:
        """Say what to ask of Servo; a dry run asks for its parameters alone."""
        calls = (check,) if dry_run else (check, *calls)
        status = self.node.resolve_topic_name(f"{self.servo}/status")
        self._starter = Starter(self.node, self.servo, status, calls)


class PoseArm(ServoArm):
    """Servo of Jazzy and newer, which follows poses."""

    def __init__(self, node: Node, arm: Arm, tick_s: float, dry_run: bool) -> None:
        del tick_s
        status, command_type = _moveit_msgs(f"{arm.name}: drivers: moveit_servo: command: pose")
        watch = _watch(node, arm, JAZZY)
        super().__init__(node, arm, PoseStamped, "pose_target_cmds", watch)
        node.create_subscription(
            status, f"{self.servo}/status", self._on_status, interface.EVENT_QOS
        )
        poses = command_type.Request(command_type=command_type.Request.POSE)
        self._start_with(
            dry_run,
            check_parameters(node, self.servo),
            call(node, self.servo, "switch_command_type", command_type, poses),
            # Servo starts unpaused, but whoever ran it before us may have paused it.
            call(node, self.servo, "pause_servo", SetBool, SetBool.Request(data=False)),
        )

    def message(self, pose: Pose, now_s: float) -> PoseStamped:
        """The pose itself, in the arm's base."""
        del now_s
        stamp = self.node.get_clock().now().nanoseconds
        return convert.pose_msg(pose.xyz_m, pose.quaternion_wxyz, self.arm.base_frame, stamp)

    def _on_status(self, msg: Any) -> None:
        self.watch.heard(msg.code, msg.message, time.monotonic())


class TwistArm(ServoArm):
    """Humble's Servo, which takes speeds."""

    def __init__(self, node: Node, arm: Arm, tick_s: float, dry_run: bool) -> None:
        super().__init__(node, arm, TwistStamped, "delta_twist_cmds", _watch(node, arm, HUMBLE))
        self._tick_s = tick_s
        self._last: tuple[float, Pose] | None = None  # when and where we last sent the tool
        self._measured: tuple[float, Pose] | None = None
        node.create_subscription(
            Int8, f"{self.servo}/status", self._on_status, interface.EVENT_QOS
        )
        node.create_subscription(
            JointState, arm.joint_states, self._on_joint_state, interface.JOINT_SUB_QOS
        )
        self._start_with(
            dry_run,
            check_parameters(node, self.servo, units="speed_units"),
            call(node, self.servo, "start_servo", Trigger, Trigger.Request()),
        )

    def message(self, pose: Pose, now_s: float) -> TwistStamped:
        """The speed from the last commanded pose to this one, and towards this one."""
        linear, angular = np.zeros(3), np.zeros(3)
        if self._last is not None and now_s - self._last[0] < ANSWER_S:
            before = self._last[1]
            linear = (pose.xyz_m - before.xyz_m) / self._tick_s
            angular = _turn(before, pose) / self._tick_s
        self._last = now_s, pose
        if self._measured is not None and now_s - self._measured[0] < JOINT_AGE_S:
            measured = self._measured[1]
            linear = linear + _correction(
                pose.xyz_m - measured.xyz_m, ARRIVED_M, MAX_CORRECTION_M_S
            )
            angular = angular + _correction(
                _turn(measured, pose), ARRIVED_RAD, MAX_CORRECTION_RAD_S
            )
        msg = TwistStamped()
        msg.header.stamp = self.node.get_clock().now().to_msg()
        msg.header.frame_id = self.arm.base_frame
        for vector, values in ((msg.twist.linear, linear), (msg.twist.angular, angular)):
            vector.x, vector.y, vector.z = (float(v) for v in values)
        return msg

    def _on_joint_state(self, msg: JointState) -> None:
        """Remember where the tool is; the arm node says what is wrong with a joint state."""
        try:
            names, position = messages.joint_state(msg)
        except DataError:
            return
        if set(self.arm.joints) <= set(names):
            joints = np.array([position[names.index(n)] for n in self.arm.joints])
            self._measured = time.monotonic(), self.kinematics.fk(joints)

    def _on_status(self, msg: Int8) -> None:
        self.watch.heard(msg.data, "", time.monotonic())


def _moveit_msgs(where: str) -> tuple[Any, Any]:
    """The message types of Jazzy's Servo.

    Raises:
        ConfigError: they are not installed; says how to get them.
    """
    try:
        from moveit_msgs.msg import ServoStatus
        from moveit_msgs.srv import ServoCommandType
    except ImportError as error:
        raise ConfigError(
            f"{where} needs ServoStatus and ServoCommandType of moveit_msgs ({error}): "
            "sudo apt install ros-$ROS_DISTRO-moveit-servo; Humble's Servo has neither, "
            "valid there: command: twist"
        ) from None
    return ServoStatus, ServoCommandType


def _watch(node: Node, arm: Arm, table: Table) -> StatusWatch:
    def warn(text: str) -> None:
        node.get_logger().warning(text, throttle_duration_sec=WARN_PERIOD_S)

    assert arm.drivers.moveit_servo is not None
    return StatusWatch(arm.drivers.moveit_servo.node, table, warn)


def _turn(before: Pose, after: Pose) -> FloatArray:
    """(3,) rotation vector [rad] in base axes that turns `before` into `after`."""
    turn: FloatArray = mink.SO3.from_matrix(after.rotation @ before.rotation.T).log()
    return turn


def _correction(error: FloatArray, arrived: float, most: float) -> FloatArray:
    """Speed towards the commanded pose: proportional, bounded, zero once arrived."""
    size = float(np.linalg.norm(error))
    if size <= arrived:
        return np.zeros(3)
    return error * min(CORRECTION_GAIN, most / size)
