# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""robot.launch.py and the RViz parts: what they would start, with which arguments.

Interbotix's and RViz's packages are not needed: processes are described here, not run.
Interbotix's launch file is a stand-in with the real arguments, which writes down what it is given.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

DRIVER = """
import json, os
from pathlib import Path
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

# Names and defaults of interbotix_xsarm_control/launch/xsarm_control.launch.py (ROS 2 branches).
ARGUMENTS = {
    "robot_model": None, "robot_name": "the model", "base_link_frame": "base_link",
    "use_rviz": "true", "motor_configs": "of the package", "mode_configs": "of the package",
    "load_configs": "true", "use_sim": "false", "use_world_frame": "true",
    "xs_driver_logging_level": "INFO", "hardware_type": "actual", "use_sim_time": "false",
}


def record(context):
    given = {name: context.launch_configurations[name] for name in ARGUMENTS}
    with Path(os.environ["DRIVER_RECORD"]).open("a") as file:
        file.write(json.dumps(given) + "\\n")
    return []


def generate_launch_description():
    declared = [
        DeclareLaunchArgument(n) if d is None else DeclareLaunchArgument(n, default_value=d)
        for n, d in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=record)])
"""


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Interbotix's package in the ament index; returns the file its launch file writes to."""
    share = tmp_path / "share"
    (share / "ament_index/resource_index/packages").mkdir(parents=True)
    (share / "ament_index/resource_index/packages/interbotix_xsarm_control").touch()
    folder = share / "interbotix_xsarm_control" / "launch"
    folder.mkdir(parents=True)
    (folder / "xsarm_control.launch.py").write_text(DRIVER)
    prefixes = f"{tmp_path}{os.pathsep}{os.environ.get('AMENT_PREFIX_PATH', '')}"
    monkeypatch.setenv("AMENT_PREFIX_PATH", prefixes)
    monkeypatch.setenv("DRIVER_RECORD", str(tmp_path / "record"))
    return tmp_path / "record"


def load(path: Path) -> Any:
    """The launch description of a file."""
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    return PythonLaunchDescriptionSource(str(path)).get_launch_description(context())


def context() -> Any:
    from launch import LaunchContext

    return LaunchContext()


def nodes_of(path: Path, **arguments: str) -> tuple[list[Any], Any]:
    """Every node a launch file would start, and the context they belong to; starts nothing."""
    from launch.action import Action
    from launch_ros.actions import Node

    where = context()
    where.launch_configurations.update(arguments)
    found: list[Any] = []

    def visit(entity: Any) -> None:
        if isinstance(entity, Node):
            if entity.condition is None or entity.condition.evaluate(where):
                entity._perform_substitutions(where)
                found.append(entity)
            return
        visited = entity.visit(where) if isinstance(entity, Action) else entity.entities
        for inner in visited or []:
            visit(inner)

    visit(load(path))
    return found, where


def by_name(nodes: list[Any]) -> dict[str, Any]:
    """Nodes by executable, or by name where they are given one."""
    return {n.node_name.rsplit("/", 1)[-1]: n for n in nodes}


def executables(nodes: list[Any], where: Any) -> list[str]:
    """What the nodes run, sorted."""
    from launch.utilities import normalize_to_list_of_substitutions as listed
    from launch.utilities import perform_substitutions

    return sorted(perform_substitutions(where, listed(n.node_executable)) for n in nodes)


def words(node: Any, where: Any, count: int) -> list[str]:
    """The first words after the executable in a node's command line."""
    from launch.utilities import perform_substitutions

    return [perform_substitutions(where, part) for part in node.cmd[1 : 1 + count]]


ARGUMENTS = {
    "sim": {"robot", "seed", "speed_scale", "mujoco_gl", "rviz"},
    "policy": {"checkpoint", "instruction", "robot", "device", "dtype", "sample", "autostart"},
    "demo": {"robot", "checkpoint", "instruction", "sample", "seed", "rviz"},
    "teleop": {
        *("robot", "device", "layout", "teleop_speed_scale", "auto_take_over"),
        *("leader_topics", "driver", "prefix"),
    },
    "dashboard": {"robot", "host", "port", "token"},
    "record": {
        *("robot", "device", "task", "episodes", "folder", "operator", "reset_s", "images"),
        *("refuse_flagged", "dashboard", "host", "token"),
    },
    "robot": {
        *("robot", "backend", "speed_scale", "dry_run", "driver", "static_transforms", "rviz"),
        *("driver_motor_configs", "driver_mode_configs", "driver_load_configs"),
    },
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_launch_file_lists_its_arguments(name: str, repository: Path) -> None:
    description = load(repository / "launch" / f"{name}.launch.py")
    listed = {a.name for a in description.get_launch_arguments()}
    assert listed >= ARGUMENTS[name]


def test_beside_a_running_driver_the_arm_node_starts_alone_and_slow(repository: Path) -> None:
    nodes, where = nodes_of(repository / "launch" / "robot.launch.py")
    assert executables(nodes, where) == ["arm_node"]
    assert where.launch_configurations["speed_scale"] == "0.3"
    assert where.launch_configurations["dry_run"] == "false"


@pytest.mark.parametrize(
    ("robot", "models", "names"),
    [
        ("wx250s", ["wx250s"], ["wx250s"]),
        ("bimanual_wx250s", ["wx250s", "wx250s"], ["left", "right"]),
        ("aloha", ["aloha_vx300s", "aloha_vx300s"], ["follower_left", "follower_right"]),
    ],
)
def test_driver_true_starts_interbotix_s_driver_once_an_arm(
    robot: str, models: list[str], names: list[str], repository: Path, recorded: Path
) -> None:
    modes = [f"/modes/{name}.yaml" for name in names]
    nodes, where = nodes_of(
        repository / "launch" / "robot.launch.py",
        robot=robot,
        driver="true",
        driver_mode_configs=",".join(modes),
        driver_load_configs="false",
    )
    given = [json.loads(line) for line in recorded.read_text().splitlines()]
    assert [g["robot_model"] for g in given] == models
    assert [g["robot_name"] for g in given] == names
    assert [g["mode_configs"] for g in given] == modes
    assert {g["motor_configs"] for g in given} == {"of the package"}
    assert {(g["use_world_frame"], g["use_rviz"], g["load_configs"]) for g in given} == {
        ("false", "false", "false")
    }
    # The bases are where the robot file says, and nobody else says it.
    assert executables(nodes, where) == ["arm_node", *["static_transform_publisher"] * len(names)]


def test_the_transforms_are_those_of_the_robot_file(repository: Path, recorded: Path) -> None:
    from lapa_core import robot as robots

    path = repository / "launch" / "robot.launch.py"
    nodes, where = nodes_of(path, robot="bimanual_wx250s", driver="true")
    for arm in robots.load("bimanual_wx250s").arms:
        line = words(by_name(nodes)[f"{arm.name}_base_in_world"], where, 16)
        flags = dict(zip(line[0::2], line[1::2], strict=True))
        assert [float(flags[f"--{k}"]) for k in "xyz"] == pytest.approx(list(arm.base_xyz_m))
        turns = [float(flags[f"--{k}"]) for k in ("roll", "pitch", "yaw")]
        assert turns == pytest.approx(list(arm.base_rpy_rad))
        assert (flags["--frame-id"], flags["--child-frame-id"]) == ("world", arm.base_frame)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"backend": "ros2_control"}, "backend of wx250s is ros2_control"),
        ({"driver_mode_configs": "a.yaml,b.yaml"}, "mode_configs: 2 files for the arms wx250s"),
        ({"driver_motor_configs": "a.yaml,b.yaml"}, "motor_configs: 2 files"),
    ],
)
def test_a_driver_that_cannot_be_started_is_refused(
    arguments: dict[str, str], said: str, repository: Path, recorded: Path
) -> None:
    from lapa_core.errors import ConfigError

    with pytest.raises(ConfigError, match=said):
        nodes_of(repository / "launch" / "robot.launch.py", driver="true", **arguments)


def test_without_interbotix_installed_driver_true_says_so(repository: Path) -> None:
    from ament_index_python import get_packages_with_prefixes

    from lapa_core.errors import ConfigError

    if "interbotix_xsarm_control" in get_packages_with_prefixes():
        pytest.skip("Interbotix's packages are installed here")
    with pytest.raises(ConfigError, match="needs the package interbotix_xsarm_control"):
        nodes_of(repository / "launch" / "robot.launch.py", driver="true")


@pytest.mark.parametrize("robot", ["wx250s", "bimanual_wx250s"])
def test_rviz_gets_a_model_and_topics_for_every_arm(robot: str, repository: Path) -> None:
    from lapa_core import robot as robots

    path = repository / "launch" / "sim.launch.py"
    nodes, where = nodes_of(path, robot=robot, rviz="true")
    arms = robots.load(robot).arms
    assert executables(nodes, where) == sorted(
        ["arm_node", "sim_node", "viz_node", "rviz2"]
        + ["robot_state_publisher", "static_transform_publisher"] * len(arms)
    )
    rviz = next(n for n in nodes if "rviz2" in executables([n], where))
    remapped = dict(rviz.expanded_remapping_rules)
    shown = yaml.safe_load((repository / "rviz" / "lapa.rviz").read_text())
    for topic in topics(shown):
        if not topic.startswith("/arm_2") or len(arms) > 1:
            assert topic in remapped, topic
    for number, arm in enumerate(arms, start=1):
        assert remapped[f"/arm_{number}/robot_description"] == f"{arm.name}/robot_description"
        publisher = by_name(nodes)[f"{arm.name}_state_publisher"]
        rules = dict(publisher.expanded_remapping_rules)
        assert rules == {
            "joint_states": arm.joint_states,
            "robot_description": f"{arm.name}/robot_description",
        }


def topics(shown: Any) -> list[str]:
    """Every topic an RViz file listens to."""
    if isinstance(shown, list):
        return [t for part in shown for t in topics(part)]
    if not isinstance(shown, dict):
        return []
    own = [v["Value"] for k, v in shown.items() if k.endswith("Topic") and isinstance(v, dict)]
    return own + topics(list(shown.values()))


def test_frames_of_the_models_are_those_of_the_robot_file() -> None:
    from lapa_core import description
    from lapa_core import robot as robots
    from lapa_ros import launching

    for name in ("wx250s", "bimanual_wx250s", "aloha"):
        for arm in robots.load(name).arms:
            model = description.for_arm(arm, launching.tf_prefix(arm))
            assert model.root == arm.base_frame
