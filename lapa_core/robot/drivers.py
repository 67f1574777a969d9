# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How an arm is reached through each kind of driver: topics, modes, timing.

A robot file names one backend; an arm may describe several drivers, so that the same file runs
on the real arm and, through ros2_control, in the simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lapa_core.errors import ConfigError
from lapa_core.yaml_section import Section

BACKENDS = ("interbotix", "ros2_control", "moveit_servo")
TopicKind = Literal["trajectory", "forward"]
TOPIC_KINDS: tuple[TopicKind, ...] = ("trajectory", "forward")
GripperMode = Literal["pwm", "linear_position", "joint"]
GRIPPER_MODES: tuple[GripperMode, ...] = ("pwm", "linear_position", "joint")
SERVO_COMMANDS = ("pose", "twist")
PWM_FULL = 885  # register value of 100 % (Interbotix documentation)


@dataclass(frozen=True)
class CommandTopic:
    """A controller of ros2_control that is streamed to.

    Attributes:
        topic: relative to the robot's namespace.
        kind: "trajectory", `JointTrajectory` to a joint trajectory controller, or "forward",
            `Float64MultiArray` to a forward command controller, in the order of the joints.
    """

    topic: str
    kind: TopicKind


@dataclass(frozen=True)
class Ros2Control:
    """An arm behind ros2_control.

    Attributes:
        arm, gripper: the two controllers' inputs.
    """

    arm: CommandTopic
    gripper: CommandTopic


@dataclass(frozen=True)
class InterbotixGripper:
    """How Interbotix's driver moves the gripper; its operating mode stands in the driver's files.

    Attributes:
        mode: "pwm" (we close the loop on the finger), "linear_position" (distance between the
            fingers) or "joint" (motor angle, position or current_based_position mode).
        closed_rad, open_rad: motor angles, mode "joint" alone (0 otherwise).
        pwm_limit: largest PWM, mode "pwm" alone; 885 is all there is.
        pwm_hold: PWM kept up against an object, mode "pwm" alone.
    """

    mode: GripperMode
    closed_rad: float = 0.0
    open_rad: float = 0.0
    pwm_limit: float = 0.0
    pwm_hold: float = 0.0


@dataclass(frozen=True)
class Interbotix:
    """An arm behind Interbotix's `xs_sdk`.

    Attributes:
        namespace: `robot_name` of the driver, relative to the robot's namespace.
        group: the driver's name of the arm's joints together.
        single: the driver's name of the gripper's motor.
        profile_velocity_ms, profile_acceleration_ms: time profile of the arm's motors.
        gripper: how it is moved.
    """

    namespace: str
    group: str
    single: str
    profile_velocity_ms: int
    profile_acceleration_ms: int
    gripper: InterbotixGripper


@dataclass(frozen=True)
class MoveItServo:
    """An arm behind MoveIt Servo; the gripper has a controller of its own.

    Attributes:
        node: name of the Servo node, relative to the robot's namespace.
        command: "pose" (Jazzy and newer) or "twist" (Humble).
        gripper: input of the gripper's controller.
    """

    node: str
    command: str
    gripper: CommandTopic


@dataclass(frozen=True)
class Drivers:
    """The drivers an arm can be reached through; None where the file describes none."""

    ros2_control: Ros2Control
    interbotix: Interbotix | None = None
    moveit_servo: MoveItServo | None = None


def standard(arm: str) -> Ros2Control:
    """ros2_control under its usual names; the simulation listens there in any case."""
    return Ros2Control(
        CommandTopic(f"{arm}/arm_controller/joint_trajectory", "trajectory"),
        CommandTopic(f"{arm}/gripper_controller/joint_trajectory", "trajectory"),
    )


def require(drivers: Drivers, backend: str, where: str) -> None:
    """Refuse a backend that the arm's file does not describe.

    Raises:
        ConfigError: naming the section that is missing.
    """
    if getattr(drivers, backend) is None:
        raise ConfigError(f"{where}: backend {backend} needs a section drivers: {backend}")


def parse(s: Section, arm: str) -> Drivers:
    """Read the section `drivers` of an arm; ros2_control has its usual names where left out."""
    drivers = Drivers(
        ros2_control=_ros2_control(s.section("ros2_control"))
        if s.has("ros2_control")
        else standard(arm),
        interbotix=_interbotix(s.section("interbotix")) if s.has("interbotix") else None,
        moveit_servo=_moveit_servo(s.section("moveit_servo")) if s.has("moveit_servo") else None,
    )
    s.finish(BACKENDS)
    return drivers


def _topic(s: Section) -> CommandTopic:
    topic = CommandTopic(s.text("topic"), s.choice("kind", TOPIC_KINDS))
    s.finish()
    return topic


def _ros2_control(s: Section) -> Ros2Control:
    driver = Ros2Control(_topic(s.section("arm")), _topic(s.section("gripper")))
    s.finish()
    return driver


def _interbotix(s: Section) -> Interbotix:
    driver = Interbotix(
        namespace=s.text("namespace"),
        group=s.text("group"),
        single=s.text("single"),
        profile_velocity_ms=s.integer("profile_velocity_ms", minimum=0),
        profile_acceleration_ms=s.integer("profile_acceleration_ms", minimum=0),
        gripper=_interbotix_gripper(s.section("gripper")),
    )
    s.finish()
    # Dynamixel's rule for a time profile: the ramp lasts at most half of the move.
    if 2 * driver.profile_acceleration_ms > driver.profile_velocity_ms:
        raise ConfigError(
            f"{s.where}: profile_acceleration_ms {driver.profile_acceleration_ms} must be at "
            f"most half of profile_velocity_ms {driver.profile_velocity_ms}"
        )
    return driver


def _interbotix_gripper(s: Section) -> InterbotixGripper:
    mode = s.choice("mode", GRIPPER_MODES)
    if mode == "pwm":
        gripper = InterbotixGripper(
            mode, pwm_limit=s.positive("pwm_limit"), pwm_hold=s.positive("pwm_hold")
        )
        if not gripper.pwm_hold <= gripper.pwm_limit <= PWM_FULL:
            raise ConfigError(
                f"{s.where}: needs pwm_hold <= pwm_limit <= {PWM_FULL}, "
                f"got {gripper.pwm_hold:g} and {gripper.pwm_limit:g}"
            )
    elif mode == "joint":
        gripper = InterbotixGripper(mode, s.number("closed_rad"), s.number("open_rad"))
        if gripper.closed_rad == gripper.open_rad:
            raise ConfigError(f"{s.where}: closed_rad and open_rad are both {gripper.open_rad}")
    else:
        gripper = InterbotixGripper(mode)
    s.finish()
    return gripper


def _moveit_servo(s: Section) -> MoveItServo:
    driver = MoveItServo(
        node=s.text("node"),
        command=s.choice("command", SERVO_COMMANDS),
        gripper=_topic(s.section("gripper")),
    )
    s.finish()
    return driver
