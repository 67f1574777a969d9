# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A small YAML that says what the topics of somebody else's bags mean.

With it any rosbag2 recording opens as one of ours: `open_bag` gives a `Recording` whose streams
have our names, so that samples, filters and training know nothing of the difference. What the
file may say stands in docs/data.md. Translating messages is the work of `mapped_bag`.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from lapa_core import robot as robots
from lapa_core.data.bags import METADATA, SUFFIXES, Bag
from lapa_core.data.episodes import Recording
from lapa_core.data.mapped_bag import MappedBag
from lapa_core.data.translate import ArmMap, GripperMap, PoseMap
from lapa_core.errors import ConfigError, DataError, unknown
from lapa_core.recording.episode import AuthorityChange, Episode
from lapa_core.robot import Robot
from lapa_core.yaml_section import Section

FORMAT = 1
_ARM_KEYS = ("pose", "joints", "joint_names", "target", "target_joint_names")


@dataclass(frozen=True)
class Mapping:
    """What a mapping file says, checked against its robot.

    Attributes:
        source: path of the file.
        text: its content, word for word.
        robot: with the cameras' sizes and topics as the mapping has them.
        cameras: camera -> topic.
        arms: arm -> where its pose, target and gripper come from.
        instruction: words of all bags, or "".
        instruction_topic: where each bag says its words, or "".
        instruction_of: name of a bag -> its words.
    """

    source: str
    text: str
    robot: Robot
    cameras: MappingOf[str, str]
    arms: MappingOf[str, ArmMap]
    instruction: str = ""
    instruction_topic: str = ""
    instruction_of: MappingOf[str, str] | None = None

    @property
    def commanded(self) -> bool:
        """Whether every arm has a commanded target; where one has none, it is what it reached."""
        return all(arm.target is not None for arm in self.arms.values())

    def words(self, bag: str) -> str:
        """The instruction of a bag, "" where its own topic says it.

        Raises:
            DataError: the mapping gives words by bag, and none for this one.
        """
        if self.instruction_of is None:
            return self.instruction
        if bag not in self.instruction_of:
            where = f"{self.source}: instruction: bags"
            raise DataError(unknown("bag", bag, self.instruction_of, where))
        return self.instruction_of[bag]


def read(path: str | Path, robot: Robot | None = None) -> Mapping:
    """Read a mapping file.

    Args:
        path: of the YAML file.
        robot: instead of the one it names.

    Raises:
        ConfigError: naming the key, what is valid, and where.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"cannot read the mapping {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    top = Section(content, str(path))
    if (version := top.integer("format")) != FORMAT:
        raise ConfigError(f"{path}: format {version} is not readable here; valid: {FORMAT}")
    named = top.text("robot")
    robot = robot or robots.load(_beside(named, path))
    cameras, robot = _cameras(top.section("cameras"), content["cameras"], robot)
    section = top.section("arms")
    arms = {a.name: _arm(section.section(a.name), len(a.joints)) for a in robot.arms}
    section.finish()
    found = Mapping(str(path), text, robot, cameras, arms, **_instruction(top, content))
    top.finish()
    return found


def find(path: Path) -> list[Path]:
    """The bags at or right below a folder, by name.

    Raises:
        DataError: none is there.
    """
    if path.is_file() or (path / METADATA).is_file():
        return [path]
    found = sorted(p for p in path.glob("*") if (p / METADATA).is_file())
    held = {p.name for p in found}
    found += sorted(p for p in path.glob("*") if p.suffix in SUFFIXES and p.name not in held)
    if not found:
        raise DataError(
            f"{path} holds no bag; valid: folders with {METADATA}, or {', '.join(SUFFIXES)} files"
        )
    return found


def open_bag(path: Path, mapping: Mapping) -> Recording:
    """Open a bag as if it were an episode of ours.

    Args:
        path: a rosbag2 folder, or a lone file.
        mapping: what its topics mean.

    Raises:
        DataError: no bag, a topic that it lacks or that is of another type, or no instruction.
    """
    words = mapping.words(path.stem if path.is_file() else path.name)
    bag = MappedBag(
        Bag.open(path), mapping.robot, mapping.cameras, mapping.arms, mapping.instruction_topic
    )
    if not words:
        words = bag.first_instruction()
    if not words.strip():
        raise DataError(
            f"{path} has no instruction: {mapping.instruction_topic or 'nothing'} says none"
        )
    episode = Episode(
        episode=0,
        instruction=words,
        operator="",
        outcome="success",
        started="",
        duration_s=bag.duration_s,
        robot=mapping.robot.name,
        robot_yaml="",
        checkpoint="",
        device="",
        software=f"mapped by {Path(mapping.source).name}",
        authority=(AuthorityChange(0.0, "teleop", "mapped"),),
    )
    return Recording(path, episode, mapping.robot, bag, "")


def _beside(robot: str, file: Path) -> str:
    """A robot file beside the mapping goes before one of that name elsewhere."""
    beside = file.parent / robot
    return str(beside) if beside.is_file() else robot


def _cameras(s: Section, content: object, robot: Robot) -> tuple[dict[str, str], Robot]:
    """Topics of the cameras, and the robot with their sizes; at least one camera."""
    assert isinstance(content, MappingOf)  # Section has looked
    topics: dict[str, str] = {}
    cameras = []
    for camera in robot.cameras:
        if not s.has(camera.name):
            continue
        if isinstance(content[camera.name], str):
            topics[camera.name] = s.text(camera.name)
        else:
            one = s.section(camera.name)
            topics[camera.name] = one.text("topic")
            camera = replace(
                camera,
                width=one.integer("width", minimum=1),
                height=one.integer("height", minimum=1),
            )
            one.finish()
        cameras.append(camera)
    s.finish(c.name for c in robot.cameras)
    if not topics:
        valid = ", ".join(c.name for c in robot.cameras)
        raise ConfigError(f"{s.where} must name at least one camera of {robot.name}: {valid}")
    # Each arm's joints on a topic of its own, whatever the robot file shares.
    arms = tuple(replace(a, joint_states=f"{a.name}/joint_states") for a in robot.arms)
    return topics, replace(robot, cameras=tuple(cameras), arms=arms)


def _arm(s: Section, num_joints: int) -> ArmMap:
    if s.has("pose") == s.has("joints"):
        raise ConfigError(
            f"{s.where} must have either `pose` (a PoseStamped of the tool in the arm's base) or "
            "`joints` (a JointState, for kinematics)"
        )
    names = _joints(s, "joint_names", num_joints)
    measured = PoseMap(s.text("pose" if s.has("pose") else "joints"), names)
    target = None
    if s.has("target"):
        target = PoseMap(s.text("target"), _joints(s, "target_joint_names", num_joints) or names)
    gripper = s.section("gripper")
    state = _gripper(gripper)
    command = None
    if gripper.has("command"):
        told = gripper.section("command")
        command = _gripper(told)
        told.finish(("joint",))
    gripper.finish(("joint", "command"))
    s.finish(_ARM_KEYS)
    return ArmMap(measured, state, target, command)


def _joints(s: Section, key: str, count: int) -> tuple[str, ...]:
    """Names in the robot file's order, or none."""
    names = s.names(key) if s.has(key) else ()
    if names and len(names) != count:
        raise ConfigError(f"{s.where}: {key} has {len(names)} joint names for {count} joints")
    return names


def _gripper(s: Section) -> GripperMap:
    found = GripperMap(
        topic=s.text("topic"),
        joint=s.text("joint") if s.has("joint") else "",
        closed=s.number("closed"),
        open=s.number("open"),
    )
    if found.open == found.closed:
        raise ConfigError(f"{s.where}: open and closed are both {found.open:g}")
    return found


def _instruction(top: Section, content: MappingOf[str, object]) -> dict[str, Any]:
    value = content.get("instruction")
    if not isinstance(value, MappingOf):
        return {"instruction": top.text("instruction")}
    section = top.section("instruction")
    if section.has("topic"):
        found: dict[str, Any] = {"instruction_topic": section.text("topic")}
    elif section.has("bags"):
        bags = section.section("bags")
        found = {"instruction_of": {str(k): bags.text(k) for k in dict(value["bags"])}}
    else:
        raise ConfigError(f"{section.where} must be text, or have `topic` or `bags`")
    section.finish(("topic", "bags"))
    return found
