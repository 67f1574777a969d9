# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What must be there before anything starts: robot file, URDFs, message packages. No ROS."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

from lapa_core import description
from lapa_core.errors import LapaError
from lapa_core.robot import Robot
from lapa_ros.doctor.finding import Finding, judge

INTERBOTIX_HINT = (
    "build it from source, there is no apt package: clone interbotix_ros_core (branch humble or "
    "jazzy, not main) into your workspace, rosdep install, colcon build, and source its "
    "install/setup.bash"
)
MOVEIT_HINT = (
    "sudo apt install ros-$ROS_DISTRO-moveit-servo ros-$ROS_DISTRO-moveit-msgs; with Humble, "
    "whose Servo takes no poses, write command: twist under drivers: moveit_servo:"
)


def robot_file(robot: Robot) -> list[Finding]:
    """The robot file has been read; its URDFs are there and fit to it."""
    found = [
        Finding(
            "ok", "robot file",
            f"{robot.source}: {robot.name}, arms {', '.join(a.name for a in robot.arms)}, "
            f"backend {robot.backend}",
        )
    ]  # fmt: skip
    for arm in robot.arms:
        what = f"URDF of {arm.name}"
        try:
            model = description.for_arm(arm)
        except LapaError as error:
            advice = f"mend urdf, joints or poses of arm {arm.name} in {robot.source}"
            found.append(Finding("fail", what, str(error), "fits the robot file", advice))
        else:
            found.append(Finding("ok", what, f"{model.source}: fits the robot file"))
    return found


def ros() -> Finding | None:
    """What is wrong where rclpy cannot be imported; None where it can."""
    try:
        importlib.import_module("rclpy")
    except ImportError as error:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return Finding(
            "fail", "ROS 2", f"Python {version} cannot import rclpy: {error}", "a sourced ROS 2",
            "source /opt/ros/$ROS_DISTRO/setup.bash, and use the Python that ROS was built for "
            "(Humble 3.10, Jazzy 3.12); without an install: pip install 'lapa_ros[ros-wheels]'",
        )  # fmt: skip
    return None


def packages(robot: Robot) -> list[Finding]:
    """Message packages that the backend imports when arm_node starts."""
    if robot.backend == "interbotix":
        wanted, kind, hint = "interbotix_xs_msgs", "RobotInfo", INTERBOTIX_HINT
    elif robot.backend == "moveit_servo" and any(
        a.drivers.moveit_servo is not None and a.drivers.moveit_servo.command == "pose"
        for a in robot.arms
    ):
        # Twists (Humble) go through geometry_msgs and std_srvs alone.
        wanted, kind, hint = "moveit_msgs", "ServoCommandType", MOVEIT_HINT
    else:
        return []
    problem = _missing(wanted, kind)
    return [
        judge(
            f"package {wanted}",
            problem or "installed",
            f"installed: backend {robot.backend} speaks it",
            fail=hint if problem else "",
        )
    ]


def _missing(package: str, kind: str) -> str:
    """Why a service type cannot be imported, or ""."""
    if importlib.util.find_spec(package) is None:
        return "not found by this Python"
    try:
        services = importlib.import_module(f"{package}.srv")
    except ImportError as error:
        return f"found, but broken: {error}"
    return "" if hasattr(services, kind) else f"found, but without {kind}"


def start_driver(robot: Robot, arm: str) -> str:
    """The command that starts the driver of an arm, as far as it is known here."""
    spec = robot.arm(arm)
    if robot.backend == "interbotix" and spec.drivers.interbotix is not None:
        # Our URDFs are named as Interbotix names its models.
        model = Path(spec.urdf).name.partition(".")[0]
        return (
            "in a terminal of its own (stopping it drops the arm): ros2 launch "
            f"interbotix_xsarm_control xsarm_control.launch.py robot_model:={model} "
            f"robot_name:={spec.drivers.interbotix.namespace}"
        )
    if robot.backend == "moveit_servo":
        return "start ros2_control and MoveIt Servo of this arm with its own launch file"
    return (
        "start ros2_control of this arm with its own launch file, or the simulation: "
        f"ros2 launch lapa_ros sim.launch.py robot:={robot.name}"
    )
