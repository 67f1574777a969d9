# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The page in the browser beside whatever else runs. See docs/dashboard.md."""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from lapa_ros import launching
from lapa_ros.launching import text
from launch import LaunchDescription


def generate_launch_description():
    """Arguments, environment, one node."""
    arguments = [
        launching.robot_argument(),
        DeclareLaunchArgument("host", default_value="127.0.0.1", description="address"),
        DeclareLaunchArgument("port", default_value="8080", description="0 takes a free one"),
        DeclareLaunchArgument(
            "token", default_value="", description="`generate`: needed on any other host"
        ),
        DeclareLaunchArgument(
            "token_file", default_value="", description="file with a token of yours, mode 0600"
        ),
    ]
    node = Node(
        package="lapa_ros",
        executable="dashboard_node",
        output="screen",
        respawn=True,  # there is an estop on it
        respawn_delay=2.0,
        parameters=[
            launching.params_file("dashboard_node"),
            {
                "robot": text("robot"),
                "host": text("host"),
                "port": LaunchConfiguration("port"),
                "token": text("token"),
                "token_file": text("token_file"),
            },
        ],
    )
    return LaunchDescription([*arguments, *launching.variables(), node])
