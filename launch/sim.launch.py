# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A simulated robot with its cameras, and the arm node that alone may move it (disabled)."""

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from lapa_core import paths, robot
from lapa_ros import environment
from launch import LaunchDescription


def text(name):
    """A launch argument as a string parameter, whatever it looks like."""
    return ParameterValue(LaunchConfiguration(name), value_type=str)


def generate_launch_description():
    """Arguments, environment, two nodes."""
    robots = ", ".join(robot.available())
    arguments = [
        DeclareLaunchArgument("robot", default_value="wx250s", description=f"{robots}, or a file"),
        DeclareLaunchArgument("seed", default_value="0", description="seed of the scene"),
        DeclareLaunchArgument("speed_scale", default_value="1.0", description="0.3 at first"),
        DeclareLaunchArgument("mujoco_gl", default_value="egl", description="egl, glfw, osmesa"),
    ]
    variables = [SetEnvironmentVariable(k, v) for k, v in environment.dds_variables().items()]
    variables.append(SetEnvironmentVariable("MUJOCO_GL", LaunchConfiguration("mujoco_gl")))
    sim = Node(
        package="lapa_ros",
        executable="sim_node",
        output="screen",
        parameters=[
            str(paths.share("config/params/sim_node.yaml")),
            {"robot": text("robot"), "seed": LaunchConfiguration("seed")},
        ],
    )
    arm = Node(
        package="lapa_ros",
        executable="arm_node",
        output="screen",
        parameters=[
            str(paths.share("config/params/arm_node.yaml")),
            {
                "robot": text("robot"),
                "backend": "ros2_control",
                "speed_scale": LaunchConfiguration("speed_scale"),
            },
        ],
    )
    return LaunchDescription([*arguments, *variables, sim, arm])
