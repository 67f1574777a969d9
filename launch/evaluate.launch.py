# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A policy evaluated at a real arm: policy, evaluation and dashboard, beside a running arm node.

Start the robot first (`robot.launch.py` beside its driver). On the page: lay out the scene as it
says, Begin, and answer. See docs/evaluate.md.
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from lapa_core import paths
from lapa_ros import launching
from lapa_ros.launching import text
from launch import LaunchDescription


def generate_launch_description():
    """Arguments, environment, the evaluation, and on request policy and dashboard."""
    arguments = [
        launching.robot_argument(),
        DeclareLaunchArgument("checkpoint", description="folder of the checkpoint"),
        DeclareLaunchArgument("suite", description="suite with instructions, a YAML file"),
        DeclareLaunchArgument(
            "episodes", default_value="0", description="trials of each item; 0: the suite's"
        ),
        DeclareLaunchArgument("out", default_value="", description="folder of the results"),
        DeclareLaunchArgument("operator", default_value="", description="who answers"),
        DeclareLaunchArgument("device", default_value="cpu", description="of the policy"),
        DeclareLaunchArgument("dtype", default_value="float32", description="or bfloat16"),
        DeclareLaunchArgument(
            "policy", default_value="true", description="start policy_node; false: one runs"
        ),
        DeclareLaunchArgument(
            "instruction_timeout_s",
            default_value="2.0",
            description="the policy stops so long after evaluate_node has died",
        ),
        DeclareLaunchArgument("dashboard", default_value="true", description="the browser's page"),
    ]
    evaluation = Node(
        package="lapa_ros",
        executable="evaluate_node",
        output="screen",
        parameters=[
            launching.params_file("evaluate_node"),
            {
                **{k: text(k) for k in ("robot", "checkpoint", "suite", "out", "operator")},
                "episodes": LaunchConfiguration("episodes"),
            },
        ],
    )
    return LaunchDescription(
        [
            *arguments,
            *launching.variables(),
            evaluation,
            _beside("policy", IfCondition(LaunchConfiguration("policy"))),
            _beside("dashboard", IfCondition(LaunchConfiguration("dashboard"))),
        ]
    )


def _beside(name, condition):
    """Another of our launch files; it takes the arguments of this one that it knows."""
    path = str(paths.share(f"launch/{name}.launch.py"))
    source = PythonLaunchDescriptionSource(path)
    return IncludeLaunchDescription(source, condition=condition)
