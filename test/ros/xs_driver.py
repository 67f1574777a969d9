# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A stand-in for Interbotix' `xs_sdk`: its documented interface and its bad habits, on real DDS.

Run as a process, `python test/ros/xs_driver.py --ros-args -r __ns:=/wx250s -p ...` in the
environment that `interfaces.py` gives, it is what a WidowX 250 S looks like from the topics:
9 joint names, empty answers to services, one callback group, so that a slow service call delays
commands and joint states, no check of what it is told, a queue of ten commands, an end by an
unknown group's name. What cannot be seen here: ending the real one switches the torque off and
drops the arm.

Faults are parameters, settable while it runs. What it was told it says on `record`, as JSON.
"""

from __future__ import annotations

import json
import math
import sys
import threading
from functools import partial

import rclpy
from interbotix_xs_msgs import msg, srv
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from xs_motion import ArmMotors, GripperMotor

from lapa_core import description
from lapa_core import robot as robots
from lapa_ros import convert

STEP_S = 0.01
RECORD_EVERY = 5  # steps
SERVICES = {
    "torque_enable": srv.TorqueEnable,
    "reboot_motors": srv.Reboot,
    "get_robot_info": srv.RobotInfo,
    "set_operating_modes": srv.OperatingModes,
    "set_motor_pid_gains": srv.MotorGains,
    "set_motor_registers": srv.RegisterValues,
    "get_motor_registers": srv.RegisterValues,
}
PARAMETERS = {
    "robot": "wx250s",
    "arm_mode": "position",
    "profile_type": "time",
    "gripper_mode": "pwm",
    "swap_joints": False,  # two joints of the group in the wrong order
    "upper_limit_rad": 10.0,  # narrows every joint's upper limit
    "object_m": 0.0,  # width of an object between the fingers
    "sim_style": False,  # as xs_sdk_sim: 30 Hz, positions alone
    "glitch": False,  # a failed read: every joint at -pi
    "service_delay_s": 0.0,  # a call on the motors' bus that takes long
    "deaf": False,  # ignores written registers, which the empty answer hides
    "arm_error": 0,  # Hardware_Error_Status of the arm's second joint
}


class XsDriver(Node):
    """The driver of one arm."""

    def __init__(self) -> None:
        super().__init__("xs_sdk")
        for name, value in PARAMETERS.items():
            self.declare_parameter(name, value)
        arm = robots.load(self._get("robot")).arms[0]
        start = self.declare_parameter("start_rad", arm.start_rad.tolist()).value
        urdf = description.for_arm(arm)
        self.arm_spec, self.urdf = arm, urdf
        self.names = (*arm.joints, "gripper", "left_finger", "right_finger")
        self.arm = ArmMotors(list(start))
        finger = urdf.joints[arm.gripper.joint]
        self.gripper = GripperMotor(
            urdf.linkage, self._get("gripper_mode"), finger.lower, finger.upper
        )
        self.registers = {"Profile_Velocity": 2000, "Profile_Acceleration": 300}
        self.calls: dict[str, int] = dict.fromkeys(SERVICES, 0)
        self.written: list[tuple[str, int]] = []
        self.count = {"group": 0, "single": 0, "trajectory": 0, "ignored": 0, "not_finite": 0}
        self.before_info = 0
        self.steps = 0
        depth = QoSProfile(depth=10)
        self._states = self.create_publisher(JointState, "joint_states", depth)
        self._record = self.create_publisher(String, "record", depth)
        for kind, topic, callback in (
            (msg.JointGroupCommand, "joint_group", self._on_group),
            (msg.JointSingleCommand, "joint_single", self._on_single),
            (msg.JointTrajectoryCommand, "joint_trajectory", self._on_trajectory),
        ):
            self.create_subscription(kind, f"commands/{topic}", callback, depth)
        for name, kind in SERVICES.items():
            self.create_service(kind, name, partial(self._on_call, name))
        self.create_timer(STEP_S, self._step)

    def _get(self, name: str):
        return self.get_parameter(name).value

    # Commands --------------------------------------------------------------------------------

    def _on_group(self, command: msg.JointGroupCommand) -> None:
        self._heard("group", command.cmd)
        joints = {"arm": self.arm_spec.joints}[command.name]  # as the real one: unknown, and out
        if len(command.cmd) != len(joints):
            self.count["ignored"] += 1
            self.get_logger().error(f"{len(command.cmd)} values for {len(joints)} joints")
            return
        self.arm.set_goal(list(command.cmd))

    def _on_single(self, command: msg.JointSingleCommand) -> None:
        self._heard("single", [command.cmd])
        try:
            self.gripper.command(command.cmd)
        except ValueError:
            self.count["not_finite"] += 1  # the real one would send NaN to the motor

    def _on_trajectory(self, command: msg.JointTrajectoryCommand) -> None:
        self._heard("trajectory", [])

    def _heard(self, kind: str, values) -> None:
        self.count[kind] += 1
        self.count["not_finite"] += not all(math.isfinite(v) for v in values)
        self.before_info += not self.calls["get_robot_info"]

    # Services --------------------------------------------------------------------------------

    def _on_call(self, name: str, request, response):
        self.calls[name] += 1
        if delay_s := self._get("service_delay_s"):
            threading.Event().wait(delay_s)  # the motors' bus is busy: nothing else happens
        if handler := getattr(self, f"_{name}", None):
            handler(request, response)
        return response

    def _get_robot_info(self, request, response) -> None:
        names = list(self.arm_spec.joints)
        if self._get("swap_joints"):
            names[0], names[1] = names[1], names[0]
        if (request.cmd_type, request.name) == ("single", "gripper"):
            names, response.mode = ["left_finger"], self.gripper.mode
        elif (request.cmd_type, request.name) == ("group", "arm"):
            response.mode = self._get("arm_mode")
        else:
            self.get_logger().error(f"no {request.cmd_type} {request.name}")
            return
        joints = [self.urdf.joints[n] for n in names]
        response.profile_type = self._get("profile_type")
        response.joint_names = ["gripper"] if names == ["left_finger"] else names
        response.joint_lower_limits = [j.lower for j in joints]
        response.joint_upper_limits = [min(j.upper, self._get("upper_limit_rad")) for j in joints]
        response.joint_velocity_limits = [j.velocity for j in joints]
        response.joint_state_indices = [self.names.index(n) for n in names]
        response.num_joints = len(names)

    def _set_motor_registers(self, request, response) -> None:
        self.written.append((request.reg, request.value))
        if request.name == "arm" and not self._get("deaf"):
            self.registers[request.reg] = request.value
            self.arm.profile_ms = self.registers["Profile_Velocity"]

    def _get_motor_registers(self, request, response) -> None:
        arm = request.name == "arm"
        if request.reg == "Hardware_Error_Status" and not self._get("sim_style"):
            errors = [0, self._get("arm_error"), 0, 0, 0, 0]
            response.values = errors if arm else [self.gripper.error]
        elif arm and request.reg in self.registers:
            response.values = [self.registers[request.reg]] * len(self.arm_spec.joints)

    def _reboot_motors(self, request, response) -> None:
        if request.name == "gripper" and (self.gripper.error or not request.smart_reboot):
            self.gripper.reboot()

    # Time ------------------------------------------------------------------------------------

    def _step(self) -> None:
        self.steps += 1
        self.gripper.object_m = self._get("object_m")
        self.arm.advance(STEP_S)
        self.gripper.advance(STEP_S)
        simulated = self._get("sim_style")
        if not simulated or self.steps % 3 == 0:
            self._publish_states(simulated)
        if self.steps % RECORD_EVERY == 0:
            self._record.publish(String(data=json.dumps(self.record())))

    def _publish_states(self, simulated: bool) -> None:
        finger = self.gripper.finger
        position = [*self.arm.position, self.gripper.angle, finger, -finger]
        if self._get("glitch"):
            n = len(self.arm_spec.joints) + 1
            position[:n] = [-math.pi] * n
        stamp = convert.time_msg(self.get_clock().now().nanoseconds)
        state = JointState(name=list(self.names), position=[float(p) for p in position])
        state.header.stamp = stamp
        if not simulated:
            state.velocity = state.effort = [0.0] * len(self.names)
        self._states.publish(state)

    def record(self) -> dict[str, object]:
        """Everything the tests ask about."""
        return {
            "steps": self.steps,
            "calls": self.calls,
            "written": self.written,
            "count": self.count,
            "before_info": self.before_info,
            "arm": self.arm.position.tolist(),
            "goal": self.arm.goal.tolist(),
            "finger": self.gripper.finger,
            "pwm": self.gripper.pwm,
            "error": self.gripper.error,
        }


def main() -> None:
    """Run until it is told to stop, or is told nonsense."""
    rclpy.init()
    try:
        rclpy.spin(XsDriver())
    except (KeyboardInterrupt, ExternalShutdownException):
        sys.exit(0)


if __name__ == "__main__":
    main()
