# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Robot files: what ships loads, and each mistake is named with its place and the valid values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lapa_core import paths, robot
from lapa_core.errors import ConfigError

Content = dict[str, Any]


@pytest.fixture
def content() -> Content:
    """Content of the shipped wx250s file."""
    text = paths.share("config/robots/wx250s.yaml").read_text(encoding="utf-8")
    loaded: Content = yaml.safe_load(text)
    return loaded


@pytest.mark.parametrize("name", robot.available())
def test_every_shipped_robot_loads(name: str) -> None:
    loaded = robot.load(name)
    assert loaded.name == name
    assert len(loaded.dimensions) == 7 * len(loaded.arms)


def test_a_robot_file_of_ones_own_loads_by_its_path(content: Content, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content | {"name": "mine"}))
    assert robot.load(str(path)).name == "mine"


def test_gripper_opening_and_joint_position_are_inverse() -> None:
    gripper = robot.load("wx250s").arms[0].gripper
    assert gripper.joint_position(0.0) == gripper.closed
    assert gripper.joint_position(1.0) == pytest.approx(gripper.open)
    assert gripper.opening(gripper.joint_position(0.3)) == pytest.approx(0.3)


def _change(path: list[Any], value: Any) -> Callable[[Content], None]:
    def apply(content: Content) -> None:
        place: Any = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return apply


def _remove(content: Content) -> None:
    del content["arms"][0]["joints"]


MISTAKES: list[tuple[str, Callable[[Content], None], list[str]]] = [
    ("newer format", _change(["format"], 9), ["format 9", "valid: 2"]),
    ("unknown backend", _change(["backend"], "ros2control"), ["did you mean 'ros2_control'"]),
    ("misspelt key", _change(["arms", 0, "workspce"], {}), ["'workspce'", "'workspace'"]),
    ("missing key", _remove, ["arms[0]", "'joints' is missing"]),
    ("wrong length", _change(["arms", 0, "start_rad"], [0, 0]), ["start_rad", "6 numbers"]),
    ("not a number", _change(["step_time_s"], "fast"), ["step_time_s", "'fast'"]),
    ("zero step", _change(["step_time_s"], 0), ["step_time_s", "above 0"]),
    ("infinite", _change(["arms", 0, "gripper", "open"], float("inf")), ["open", "finite"]),
    ("same", _change(["arms", 0, "gripper", "open"], 0.015), ["open and closed are both"]),
    ("empty box", _change(["arms", 0, "workspace", "upper"], [0, 0, 0]), ["below"]),
    ("no cameras", _change(["cameras"], []), ["cameras", "at least one"]),
    (
        "no such place",
        _change(["cameras", 0, "attached_to"], "gripper_link"),
        ["camera front", "attached_to", "'wx250s/<link>'", "'world'"],
    ),
    ("no such arm", _change(["cameras", 0, "attached_to"], "left/gripper_link"), ["attached_to"]),
    ("polarity", _change(["arms", 0, "gripper", "polarity"], "open"), ["'open_is_one'"]),
    ("no driver", _change(["backend"], "moveit_servo"), ["drivers: moveit_servo"]),
    ("a distance for one arm", _change(["collision", "arms_m"], 0.03), ["'arms_m'"]),
    ("three links", _change(["collision", "ignore"], [["a", "b", "c"]]), ["ignore", "pairs"]),
    ("joint twice", _change(["arms", 0, "joints"], ["a", "a"]), ["twice"]),
]


@pytest.mark.parametrize(("what", "change", "expected"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_named(
    what: str, change: Callable[[Content], None], expected: list[str], content: Content
) -> None:
    broken = copy.deepcopy(content)
    change(broken)
    with pytest.raises(ConfigError) as caught:
        robot.parse(broken, "mine.yaml")
    assert "mine.yaml" in str(caught.value)
    for part in expected:
        assert part in str(caught.value)


def test_an_unknown_robot_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"wx25s.*valid:.*'wx250s'.*did you mean 'wx250s'"):
        robot.load("wx25s")


def test_two_arms_or_cameras_of_one_name_are_refused(content: Content) -> None:
    content["cameras"].append(content["cameras"][0])
    with pytest.raises(ConfigError, match="camera front given more than once"):
        robot.parse(content, "mine.yaml")


def test_two_arms_need_a_distance_between_them() -> None:
    text = paths.share("config/robots/bimanual_wx250s.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    del content["collision"]["arms_m"]
    with pytest.raises(ConfigError, match="'arms_m' is missing"):
        robot.parse(content, "mine.yaml")


def test_a_urdf_beside_the_robot_file_comes_first(content: Content, tmp_path: Path) -> None:
    (tmp_path / "wx250s.urdf.xacro").write_text("<robot/>")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    arm = robot.load(str(tmp_path / "mine.yaml")).arms[0]
    assert arm.urdf == str(tmp_path / "wx250s.urdf.xacro")
    assert robot.load("wx250s").arms[0].urdf == "wx250s.urdf.xacro"


def test_unknown_arm_and_camera_are_named() -> None:
    loaded = robot.load("wx250s")
    with pytest.raises(ConfigError, match="valid: 'front'"):
        loaded.camera("wrist")
    with pytest.raises(ConfigError, match="valid: 'wx250s'"):
        loaded.arm("left")
