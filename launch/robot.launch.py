# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A real robot: the arm node (disabled) beside a driver that is already running.

Keep the driver in a launch of its own: Interbotix's driver switches the motors off when it ends,
and the arm falls. `driver:=true` starts it here all the same, for a bench and a first look; then
park the arm (`ros2 service call /park std_srvs/srv/Trigger`) before you end this launch.
"""

from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from lapa_ros import launching
from lapa_ros.launching import text
from launch import LaunchDescription

WARNING = """
********************************************************************************
*  THIS LAUNCH RUNS THE ARM'S DRIVER. WHEN IT ENDS (Ctrl-C), THE MOTORS LOSE   *
*  THEIR TORQUE AND THE ARM FALLS. PARK IT FIRST:                              *
*      ros2 service call /park std_srvs/srv/Trigger                            *
********************************************************************************"""


def driver(context):
    """Interbotix's driver for every arm, with what was given for it here."""
    given = context.launch_configurations
    motors, modes = (
        [f for f in given[name].split(",") if f]
        for name in ("driver_motor_configs", "driver_mode_configs")
    )
    robot = launching.robot_of(context)
    return launching.interbotix_drivers(robot, motors, modes, given["driver_load_configs"])


def generate_launch_description():
    """Arguments, environment, the arm node, and on request driver, transforms and RViz."""
    with_driver = IfCondition(LaunchConfiguration("driver"))
    arguments = [
        launching.robot_argument(),
        DeclareLaunchArgument(
            "backend", default_value="", description="instead of the robot file's kind of driver"
        ),
        # Policies are tried at full speed in the simulation. On a real arm the first sign of a
        # wrong camera, gripper or frame should come slowly: 0.3 leaves a person time to stop it.
        DeclareLaunchArgument(
            "speed_scale", default_value="0.3", description="share of all speeds, up to 1.0"
        ),
        DeclareLaunchArgument(
            "dry_run", default_value="false", description="do everything but command the arm"
        ),
        DeclareLaunchArgument(
            "driver",
            default_value="false",
            description="start Interbotix's driver too; when this launch ends, the arm falls",
        ),
        DeclareLaunchArgument(
            "driver_motor_configs",
            default_value="",
            description="the driver's motor_configs, one file an arm, with commas between",
        ),
        DeclareLaunchArgument(
            "driver_mode_configs",
            default_value="",
            description="the driver's mode_configs (ports and modes), one file an arm",
        ),
        DeclareLaunchArgument(
            "driver_load_configs",
            default_value="true",
            description="write the motors' EEPROM; false after the first start",
        ),
        DeclareLaunchArgument(
            "static_transforms",
            default_value=LaunchConfiguration("driver"),
            description="publish where the robot file says the bases stand",
        ),
        DeclareLaunchArgument("rviz", default_value="false", description="show it in RViz"),
    ]
    arm = Node(
        package="lapa_ros",
        executable="arm_node",
        output="screen",
        parameters=[
            launching.params_file("arm_node"),
            {
                "robot": text("robot"),
                "backend": text("backend"),
                "speed_scale": launching.number("speed_scale"),
                "dry_run": LaunchConfiguration("dry_run"),
            },
        ],
    )
    return LaunchDescription(
        [
            *arguments,
            *launching.variables(),
            LogInfo(msg=WARNING, condition=with_driver),
            OpaqueFunction(function=driver, condition=with_driver),
            launching.for_robot(
                launching.transforms, IfCondition(LaunchConfiguration("static_transforms"))
            ),
            arm,
            launching.for_robot(launching.viewer, IfCondition(LaunchConfiguration("rviz"))),
        ]
    )
