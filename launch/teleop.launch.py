# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Teleoperation of a robot that is already running (sim.launch.py, or a real one).

A launch file has no keyboard: for `device:=keyboard` either start the node itself, `ros2 run
lapa_ros teleop_node`, or give it a window, `prefix:="xterm -e"`.
"""

from ament_index_python import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from lapa_core.errors import ConfigError
from lapa_ros import launching
from lapa_ros.launching import text
from launch import LaunchDescription

# Layouts in the order of joy_node; all others are in that of game_controller_node.
RAW_LAYOUTS = ("gamepad_ps4", "gamepad_ps5", "gamepad_xbox")


def driver(context):
    """The node that reads the device itself, of the package that has it."""
    given = context.launch_configurations
    if given["device"] == "gamepad":
        raw = given["layout"] in RAW_LAYOUTS
        package, executable = "joy", "joy_node" if raw else "game_controller_node"
    elif given["device"] == "spacemouse":
        package, executable = "spacenav", "spacenav_node"
    else:
        raise ConfigError(
            f"driver:=true starts a node for gamepad or spacemouse; {given['device']} has none"
        )
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        raise ConfigError(
            f"driver:=true needs the package {package}: apt install "
            f"ros-$ROS_DISTRO-{package}, or start its node yourself"
        ) from None
    return [Node(package=package, executable=executable, output="screen")]


def generate_launch_description():
    """Arguments, environment, the teleop node, and on request the device's own."""
    arguments = [
        launching.robot_argument(),
        DeclareLaunchArgument(
            "device",
            default_value="gamepad",
            description="keyboard, gamepad, spacemouse, leader, vr, twist or browser",
        ),
        DeclareLaunchArgument(
            "layout", default_value="", description="file of config/teleop, such as gamepad_ps5"
        ),
        DeclareLaunchArgument(
            "teleop_speed_scale", default_value="1.0", description="share of teleop's speeds"
        ),
        DeclareLaunchArgument(
            "auto_take_over",
            default_value="true",
            description="engaging the device takes over; false: only the service or its button",
        ),
        DeclareLaunchArgument(
            "leader_topics", default_value="", description="joint states of the leaders, by commas"
        ),
        DeclareLaunchArgument(
            "driver", default_value="false", description="start joy's or spacenav's node too"
        ),
        DeclareLaunchArgument(
            "prefix", default_value="", description='before the command, such as "xterm -e"'
        ),
    ]
    teleop = Node(
        package="lapa_ros",
        executable="teleop_node",
        output="screen",
        prefix=LaunchConfiguration("prefix"),
        parameters=[
            launching.params_file("teleop_node"),
            {
                **{k: text(k) for k in ("robot", "device", "layout", "leader_topics")},
                "speed_scale": launching.number("teleop_speed_scale"),
                "auto_take_over": LaunchConfiguration("auto_take_over"),
            },
        ],
    )
    return LaunchDescription(
        [
            *arguments,
            *launching.variables(),
            OpaqueFunction(function=driver, condition=IfCondition(LaunchConfiguration("driver"))),
            teleop,
        ]
    )
