# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the launch files share: arguments, and one action or more for every arm of a robot.

Imported by launch files alone; needs the packages `launch` and `launch_ros`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.condition import Condition
from launch.launch_context import LaunchContext
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from lapa_core import description, paths
from lapa_core import robot as robots
from lapa_core.errors import ConfigError
from lapa_core.robot import Arm, Robot
from lapa_ros import environment, interface
from launch import Action

MAX_SHOWN_ARMS = 2  # displays of rviz/lapa.rviz
URDF_SUFFIXES = (".urdf.xacro", ".xacro", ".urdf")


def text(name: str) -> ParameterValue:
    """A launch argument as a string parameter: `instruction:=yes` stays a sentence."""
    return ParameterValue(LaunchConfiguration(name), value_type=str)


def number(name: str) -> ParameterValue:
    """A launch argument as a floating-point parameter: `reset_s:=5` is 5.0."""
    return ParameterValue(LaunchConfiguration(name), value_type=float)


def robot_argument() -> DeclareLaunchArgument:
    """The argument `robot`."""
    names = ", ".join(robots.available())
    return DeclareLaunchArgument(
        "robot", default_value="wx250s", description=f"{names}, or a robot file of your own"
    )


def robot_of(context: LaunchContext) -> Robot:
    """The robot of the arguments `robot` and, where there is one, `backend`."""
    robot = robots.load(context.launch_configurations["robot"])
    backend = context.launch_configurations.get("backend", "")
    return robot.with_backend(backend) if backend else robot


def for_robot(
    make: Callable[[Robot], list[Action]], condition: Condition | None = None
) -> OpaqueFunction:
    """Actions that depend on the robot file, which is known when the launch runs."""
    return OpaqueFunction(function=lambda c: make(robot_of(c)), condition=condition)


def variables() -> list[Action]:
    """The environment in which DDS carries camera frames whole."""
    return [SetEnvironmentVariable(k, v) for k, v in environment.dds_variables().items()]


def params_file(node: str) -> str:
    """The parameter file of one of our nodes."""
    return str(paths.share(f"config/params/{node}.yaml"))


def tf_prefix(arm: Arm) -> str:
    """What stands before every TF frame of an arm, such as `left/`.

    Raises:
        ConfigError: the base frame of the robot file does not end in the URDF's root link.
    """
    root = description.load(arm.urdf).root
    if not arm.base_frame.endswith(root):
        raise ConfigError(
            f"arm {arm.name}: base_frame {arm.base_frame!r} must end in the root link of "
            f"{arm.urdf}, {root!r}"
        )
    return arm.base_frame.removesuffix(root)


def transforms(robot: Robot) -> list[Action]:
    """Where every arm's base stands in the world, as the robot file says."""
    return [
        Node(
            package="tf2_ros",
            executable="static_transform_publisher",
            name=f"{arm.name}_base_in_world",
            arguments=[
                *_numbers(("--x", "--y", "--z"), arm.base_xyz_m),
                *_numbers(("--roll", "--pitch", "--yaw"), arm.base_rpy_rad),
                *("--frame-id", robot.world_frame, "--child-frame-id", arm.base_frame),
            ],
        )
        for arm in robot.arms
        if arm.base_frame != robot.world_frame
    ]


def state_publishers(robot: Robot) -> list[Action]:
    """A robot_state_publisher an arm, of our URDFs; on a real robot its driver brings them."""
    return [
        Node(
            package="robot_state_publisher",
            executable="robot_state_publisher",
            name=f"{arm.name}_state_publisher",
            parameters=[
                {
                    "robot_description": ParameterValue(
                        description.for_arm(arm, tf_prefix(arm)).urdf, value_type=str
                    )
                }
            ],
            remappings=[
                ("joint_states", arm.joint_states),
                ("robot_description", f"{arm.name}/robot_description"),
            ],
        )
        for arm in robot.arms
    ]


def viewer(robot: Robot) -> list[Action]:
    """The viz node, and RViz with its topics of `/arm_1`, `/arm_2` and `/camera` made ours."""
    remappings = [("/markers", interface.MARKERS), ("/camera", robot.cameras[0].topic)]
    for number, arm in enumerate(robot.arms[:MAX_SHOWN_ARMS], start=1):
        for shown, topic in (
            ("robot_description", f"{_model_namespace(robot, arm)}/robot_description"),
            ("predicted_path", interface.predicted_path(arm.name)),
            ("ee_target", interface.ee_target(arm.name)),
            ("ee_pose", interface.ee_pose(arm.name)),
        ):
            remappings.append((f"/arm_{number}/{shown}", topic))
    return [
        Node(
            package="lapa_ros",
            executable="viz_node",
            parameters=[params_file("viz_node"), {"robot": text("robot")}],
        ),
        Node(
            package="rviz2",
            executable="rviz2",
            arguments=["-d", str(paths.share("rviz/lapa.rviz")), "-f", robot.world_frame],
            remappings=remappings,
        ),
    ]


def interbotix_drivers(
    robot: Robot, motor_configs: list[str], mode_configs: list[str], load_configs: str
) -> list[Action]:
    """Interbotix's driver for every arm: its own launch file, once each.

    Args:
        robot: with a section `drivers: interbotix` for every arm.
        motor_configs, mode_configs: one file an arm in the robot file's order, or none at all.
        load_configs: "true" writes the motors' EEPROM at every start.

    Raises:
        ConfigError: another backend, as many files as arms are not given, or the driver is not
            installed.
    """
    if robot.backend != "interbotix":
        raise ConfigError(
            f"driver:=true starts Interbotix's driver, but the backend of {robot.name} is "
            f"{robot.backend}: start its driver yourself, and leave driver:=false"
        )
    file = _share("interbotix_xsarm_control") / "launch" / "xsarm_control.launch.py"
    actions: list[Action] = []
    for index, arm in enumerate(robot.arms):
        driver = arm.drivers.interbotix
        assert driver is not None  # the backend is interbotix
        arguments = {
            "robot_model": _model_name(arm),
            "robot_name": driver.namespace,
            "use_world_frame": "false",  # `transforms` says where the bases stand
            "use_rviz": "false",
            "load_configs": load_configs,
        }
        for key, files in (("motor_configs", motor_configs), ("mode_configs", mode_configs)):
            if len(files) not in (0, len(robot.arms)):
                raise ConfigError(
                    f"{key}: {len(files)} files for the arms "
                    f"{', '.join(a.name for a in robot.arms)}; valid: none, or one an arm"
                )
            if files:
                arguments[key] = files[index]
        include = IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(file)), launch_arguments=arguments.items()
        )
        actions.append(GroupAction([include]))  # a scope: no argument reaches the next arm
    return actions


def _numbers(flags: tuple[str, ...], values: object) -> list[str]:
    return [w for flag, v in zip(flags, values, strict=True) for w in (flag, f"{float(v):.9g}")]


def _model_name(arm: Arm) -> str:
    """Interbotix's name of an arm: that of its URDF, without suffixes."""
    name = Path(arm.urdf).name
    return next((name.removesuffix(s) for s in URDF_SUFFIXES if name.endswith(s)), name)


def _model_namespace(robot: Robot, arm: Arm) -> str:
    """Where the robot model of an arm is published: by Interbotix's driver, or by us."""
    driver = arm.drivers.interbotix
    return driver.namespace if robot.backend == "interbotix" and driver else arm.name


def _share(package: str) -> Path:
    from ament_index_python import PackageNotFoundError, get_package_share_directory

    try:
        return Path(get_package_share_directory(package))
    except PackageNotFoundError:
        raise ConfigError(
            f"driver:=true needs the package {package}, which is not in the ament index: install "
            "Interbotix's X-Series arm packages and source their workspace"
        ) from None
