# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A stand-in for MoveIt Servo and the arm behind it, on real DDS, with Servo's documented rules.

Both distributions: a command whose stamp is `incoming_command_timeout` old is dropped and the arm
halts; an unknown frame is invalid; a status is published every period. Jazzy follows no command
before `switch_command_type`, repeats its last status until the next command, and says nothing
while paused. Humble does nothing before `start_servo` and forgets a status once published.

Speeds are integrated from the measured joints, so the arm's own lag eats a part of every one of
them; `SLIP` is that part.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Int8
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from lapa_core import description
from lapa_core.control.compose import Pose, difference
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.data import messages
from lapa_core.robot import Robot
from lapa_core.types import FloatArray
from lapa_ros import convert, interface, markers

PERIOD_S = 0.01  # of Servo (Jazzy's default) and of the joint states
SLIP = 0.1
STILL_RAD = 1e-6
NUDGE_RAD = 1e-5
INVALID = -1
POSE = 2  # command type of Jazzy


class StandInServo(Node):
    """Servo of one arm of a robot, and that arm.

    Attributes:
        position: (n,) present joint positions [rad].
        fault: a status code that keeps the arm from moving while it stands, or None.
        fault_text: Jazzy's words with it.
        calls: services called so far, in order.
        commands: every command that came, with its arrival (monotonic seconds).
        moved_s: when the arm last moved (monotonic).
        gripper: last target of the gripper [m], None before the first.
    """

    def __init__(
        self,
        robot: Robot,
        distribution: str,
        timeout_s: float = 0.1,
        units: str = "speed_units",
        index: int = 0,
    ) -> None:
        arm = robot.arms[index]
        assert arm.drivers.moveit_servo is not None
        overrides = [
            Parameter("moveit_servo.incoming_command_timeout", value=timeout_s),
            Parameter("moveit_servo.command_in_type", value=units),
        ]
        namespace, _, name = arm.drivers.moveit_servo.node.rpartition("/")
        super().__init__(name, namespace=namespace, parameter_overrides=overrides)
        for parameter in overrides:
            self.declare_parameter(parameter.name, parameter.value)
        self.arm, self.humble, self._timeout_s = arm, distribution == "humble", timeout_s
        self.kinematics = ArmKinematics(arm, description.for_arm(arm))
        self.position: FloatArray = np.array(arm.start_rad)
        self.finger = arm.gripper.open
        self.gripper: float | None = None
        self.fault: int | None = None
        self.fault_text = ""
        self.calls: list[str] = []
        self.commands: list[tuple[float, Any]] = []
        self.moved_s = 0.0
        self._started = self._paused = False
        self._command_type: int | None = None
        self._newest: Any = None
        self._code, self._text = 0, ""
        self._joints = self.create_publisher(
            JointState, f"/{arm.joint_states}", interface.SENSOR_PUB_QOS
        )
        (self._offer_humble if self.humble else self._offer_jazzy)()
        gripper = arm.drivers.moveit_servo.gripper
        kind = {"trajectory": JointTrajectory, "forward": Float64MultiArray}[gripper.kind]
        self.create_subscription(kind, f"/{gripper.topic}", self._on_gripper, 10)
        self.create_timer(PERIOD_S, self._step)

    def tool(self) -> Pose:
        """Where the tool is, in the arm's base."""
        return self.kinematics.fk(self.position)

    def _offer_humble(self) -> None:
        self._status = self.create_publisher(Int8, "~/status", 10)
        self.create_subscription(TwistStamped, "~/delta_twist_cmds", self._on_command, 10)
        self.create_service(Trigger, "~/start_servo", self._on_start)

    def _offer_jazzy(self) -> None:
        from moveit_msgs.msg import ServoStatus
        from moveit_msgs.srv import ServoCommandType

        self._status = self.create_publisher(ServoStatus, "~/status", 10)
        self.create_subscription(PoseStamped, "~/pose_target_cmds", self._on_command, 10)
        self.create_service(ServoCommandType, "~/switch_command_type", self._on_switch)
        self.create_service(SetBool, "~/pause_servo", self._on_pause)

    def _on_start(self, request: Any, response: Any) -> Any:
        self.calls.append("start_servo")
        self._started = response.success = True
        return response

    def _on_switch(self, request: Any, response: Any) -> Any:
        self.calls.append(f"switch_command_type {request.command_type}")
        self._command_type, response.success = request.command_type, True
        return response

    def _on_pause(self, request: Any, response: Any) -> Any:
        self.calls.append(f"pause_servo {request.data}")
        self._paused, response.success = request.data, True
        return response

    def _on_gripper(self, msg: Any) -> None:
        target = msg.data if isinstance(msg, Float64MultiArray) else msg.points[-1].positions
        self.gripper = self.finger = target[0]

    def _on_command(self, msg: Any) -> None:
        self.commands.append((time.monotonic(), msg))
        self._newest = msg

    def _step(self) -> None:
        ready = self._started if self.humble else self._command_type == POSE and not self._paused
        before = self.position.copy()
        if ready and self._newest is not None:
            self._follow(self._newest)
        if np.max(np.abs(self.position - before)) > STILL_RAD:
            self.moved_s = time.monotonic()
        self._publish_status()
        names = (*self.arm.joints, "gripper", self.arm.gripper.joint, "right_finger")
        shown = np.array([*self.position, 0.0, self.finger, -self.finger])
        now = self.get_clock().now().nanoseconds
        self._joints.publish(convert.joint_state_msg(names, shown, np.zeros(len(shown)), now))

    def _follow(self, msg: Any) -> None:
        age_s = (self.get_clock().now().nanoseconds - messages.stamp_ns(msg.header.stamp)) * 1e-9
        if age_s >= self._timeout_s:
            self._newest = None  # halted; Jazzy keeps its last status
            return
        frame = msg.header.frame_id
        self._code, self._text = 0, ""
        if frame != self.arm.base_frame and not (self.humble and frame == ""):
            self._code, self._text = INVALID, f"no frame {frame!r}"
        elif self.fault is not None:
            self._code, self._text = self.fault, self.fault_text
        else:
            reach = self._moved_by(msg) if self.humble else self._reached(msg)
            most = self.kinematics.velocity * PERIOD_S
            self.position = self.position + np.clip(reach - self.position, -most, most)

    def _reached(self, msg: PoseStamped) -> FloatArray:
        return self.kinematics.reach(markers.pose(msg), self.position).position_rad

    def _moved_by(self, msg: TwistStamped) -> FloatArray:
        """Through the inverse of the Jacobian, as Servo does it: no speed is too small."""
        v, w = msg.twist.linear, msg.twist.angular
        speed = np.array([v.x, v.y, v.z, w.x, w.y, w.z])
        here = self.tool()
        nudges = self.position + NUDGE_RAD * np.eye(len(self.position))
        jacobian = np.array([difference(here, self.kinematics.fk(q)) for q in nudges]).T
        joint_speed = np.linalg.lstsq(jacobian / NUDGE_RAD, speed, rcond=None)[0]
        return self.position + (1.0 - SLIP) * PERIOD_S * joint_speed

    def _publish_status(self) -> None:
        if self.humble:
            if self._started:
                self._status.publish(Int8(data=self._code))
            self._code = 0
        elif not self._paused:
            from moveit_msgs.msg import ServoStatus

            self._status.publish(ServoStatus(code=self._code, message=self._text))
