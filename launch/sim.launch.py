# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A simulated robot with its cameras, and the arm node that alone may move it (disabled)."""

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from lapa_ros import launching
from lapa_ros.launching import text
from launch import LaunchDescription


def shown(robot):
    """What RViz needs of a robot that brings nothing of it."""
    robot = robot.with_backend("ros2_control")
    return [
        *launching.transforms(robot),
        *launching.state_publishers(robot),
        *launching.viewer(robot),
    ]


def generate_launch_description():
    """Arguments, environment, two nodes, RViz."""
    arguments = [
        launching.robot_argument(),
        DeclareLaunchArgument("seed", default_value="0", description="seed of the scene"),
        DeclareLaunchArgument("speed_scale", default_value="1.0", description="0.3 at first"),
        DeclareLaunchArgument("mujoco_gl", default_value="egl", description="egl, glfw, osmesa"),
        DeclareLaunchArgument("rviz", default_value="false", description="show it in RViz"),
    ]
    variables = launching.variables()
    variables.append(SetEnvironmentVariable("MUJOCO_GL", LaunchConfiguration("mujoco_gl")))
    sim = Node(
        package="lapa_ros",
        executable="sim_node",
        output="screen",
        parameters=[
            launching.params_file("sim_node"),
            {"robot": text("robot"), "seed": LaunchConfiguration("seed")},
        ],
    )
    arm = Node(
        package="lapa_ros",
        executable="arm_node",
        output="screen",
        parameters=[
            launching.params_file("arm_node"),
            {
                "robot": text("robot"),
                "backend": "ros2_control",
                "speed_scale": launching.number("speed_scale"),
            },
        ],
    )
    rviz = launching.for_robot(shown, condition=IfCondition(LaunchConfiguration("rviz")))
    return LaunchDescription([*arguments, *variables, sim, arm, rviz])
