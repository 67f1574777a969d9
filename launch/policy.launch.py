# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A policy for a robot that is already running (sim.launch.py, or a real one)."""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from lapa_ros import launching
from lapa_ros.launching import text
from launch import LaunchDescription


def generate_launch_description():
    """Arguments, environment, one node that configures and activates itself."""
    arguments = [
        DeclareLaunchArgument("checkpoint", description="folder of the checkpoint"),
        DeclareLaunchArgument("instruction", default_value="", description="what to do"),
        DeclareLaunchArgument(
            "instruction_timeout_s",
            default_value="0.0",
            description="an instruction not said again for so long is forgotten; 0.0: never",
        ),
        launching.robot_argument(),
        DeclareLaunchArgument("device", default_value="cpu", description="torch device"),
        DeclareLaunchArgument("dtype", default_value="float32", description="or bfloat16"),
        DeclareLaunchArgument("sample", default_value="false", description="as the reference"),
        DeclareLaunchArgument("autostart", default_value="true", description="else lifecycle"),
    ]
    policy = Node(
        package="lapa_ros",
        executable="policy_node",
        output="screen",
        parameters=[
            launching.params_file("policy_node"),
            {
                **{k: text(k) for k in ("checkpoint", "instruction", "robot", "device", "dtype")},
                "sample": LaunchConfiguration("sample"),
                "instruction_timeout_s": LaunchConfiguration("instruction_timeout_s"),
                "autostart": LaunchConfiguration("autostart"),
            },
        ],
    )
    return LaunchDescription([*arguments, *launching.variables(), policy])
