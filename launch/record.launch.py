# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Recording demonstrations: teleoperation, recorder and dashboard, beside a running arm node.

Start the robot first (`robot.launch.py` beside its driver, or `sim.launch.py`). With
`device:=browser` the arm is moved by dragging its gripper on the dashboard's page.
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node

from lapa_core import paths
from lapa_ros import launching
from lapa_ros.launching import text
from launch import LaunchDescription


def generate_launch_description():
    """Arguments, environment, recorder, and on request teleoperation and dashboard."""
    arguments = [
        launching.robot_argument(),
        DeclareLaunchArgument(
            "device", default_value="browser", description="of the teleoperation; none: no node"
        ),
        DeclareLaunchArgument(
            "task", default_value="", description="what the robot is told to do"
        ),
        DeclareLaunchArgument("episodes", default_value="150", description="how many are wanted"),
        DeclareLaunchArgument("folder", default_value="recordings", description="of the data set"),
        DeclareLaunchArgument("operator", default_value="", description="who demonstrates"),
        DeclareLaunchArgument(
            "reset_s",
            default_value="5.0",
            description="seconds until the next episode begins by itself; 0.0: it never does",
        ),
        DeclareLaunchArgument(
            "images", default_value="auto", description="auto, jpeg or raw: how pictures are kept"
        ),
        DeclareLaunchArgument(
            "refuse_flagged",
            default_value="false",
            description="refuse to save an episode that the audit has flagged",
        ),
        DeclareLaunchArgument("dashboard", default_value="true", description="the browser's page"),
    ]
    with_device = PythonExpression(["'", LaunchConfiguration("device"), "' != 'none'"])
    recorder = Node(
        package="lapa_ros",
        executable="recorder_node",
        output="screen",
        parameters=[
            launching.params_file("recorder_node"),
            {
                "robot": text("robot"),
                "task": text("task"),
                "folder": text("folder"),
                "operator": text("operator"),
                "images": text("images"),
                "episodes": LaunchConfiguration("episodes"),
                "reset_s": launching.number("reset_s"),
                "refuse_flagged": LaunchConfiguration("refuse_flagged"),
            },
        ],
    )
    return LaunchDescription(
        [
            *arguments,
            *launching.variables(),
            recorder,
            _beside("teleop", IfCondition(with_device)),
            _beside("dashboard", IfCondition(LaunchConfiguration("dashboard"))),
        ]
    )


def _beside(name, condition):
    """Another of our launch files; it takes the arguments of this one that it knows."""
    path = str(paths.share(f"launch/{name}.launch.py"))
    source = PythonLaunchDescriptionSource(path)
    return IncludeLaunchDescription(source, condition=condition)
