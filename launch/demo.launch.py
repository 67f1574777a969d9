# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The closed loop in simulation: robot, cameras, policy. Call `/enable`, then it moves.

`make demo` does the same without `ros2 launch`, enables and homes the arm by itself, and
reports.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from lapa_ros import launching
from launch import LaunchDescription

HERE = Path(__file__).resolve().parent


def include(name, arguments):
    """Another launch file of this folder, given some of this one's arguments."""
    passed = {a: LaunchConfiguration(a) for a in arguments}
    source = PythonLaunchDescriptionSource(str(HERE / name))
    return IncludeLaunchDescription(source, launch_arguments=passed.items())


def generate_launch_description():
    """Arguments and the two launch files they go to."""
    return LaunchDescription(
        [
            launching.robot_argument(),
            DeclareLaunchArgument("checkpoint", description="folder of the checkpoint"),
            DeclareLaunchArgument("instruction", default_value="put the red block in the bin"),
            DeclareLaunchArgument("sample", default_value="false"),
            DeclareLaunchArgument("seed", default_value="0"),
            DeclareLaunchArgument("rviz", default_value="false", description="show it in RViz"),
            include("sim.launch.py", ["robot", "seed", "rviz"]),
            include("policy.launch.py", ["robot", "checkpoint", "instruction", "sample"]),
        ]
    )
