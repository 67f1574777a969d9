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
            "token", default_value="", description="needed on any other host; or `generate`"
        ),
    ]
    node = Node(
        package="lapa_ros",
        executable="dashboard_node",
        output="screen",
        parameters=[
            launching.params_file("dashboard_node"),
            {
                "robot": text("robot"),
                "host": text("host"),
                "port": LaunchConfiguration("port"),
                "token": text("token"),
            },
        ],
    )
    return LaunchDescription([*arguments, *launching.variables(), node])
