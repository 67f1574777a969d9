# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A policy for a robot that is already running (sim.launch.py, or a real one)."""

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from lapa_core import paths, robot
from lapa_ros import environment
from launch import LaunchDescription


def text(name):
    """A launch argument as a string parameter: `instruction:=yes` stays a sentence."""
    return ParameterValue(LaunchConfiguration(name), value_type=str)


def generate_launch_description():
    """Arguments, environment, one node that configures and activates itself."""
    robots = ", ".join(robot.available())
    arguments = [
        DeclareLaunchArgument("checkpoint", description="folder of the checkpoint"),
        DeclareLaunchArgument("instruction", default_value="", description="what to do"),
        DeclareLaunchArgument("robot", default_value="wx250s", description=f"{robots}, or a file"),
        DeclareLaunchArgument("device", default_value="cpu", description="torch device"),
        DeclareLaunchArgument("dtype", default_value="float32", description="or bfloat16"),
        DeclareLaunchArgument("sample", default_value="false", description="as the reference"),
        DeclareLaunchArgument("autostart", default_value="true", description="else lifecycle"),
    ]
    variables = [SetEnvironmentVariable(k, v) for k, v in environment.dds_variables().items()]
    policy = Node(
        package="lapa_ros",
        executable="policy_node",
        output="screen",
        parameters=[
            str(paths.share("config/params/policy_node.yaml")),
            {
                **{k: text(k) for k in ("checkpoint", "instruction", "robot", "device", "dtype")},
                "sample": LaunchConfiguration("sample"),
                "autostart": LaunchConfiguration("autostart"),
            },
        ],
    )
    return LaunchDescription([*arguments, *variables, policy])
