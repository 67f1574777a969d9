# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A robot as its YAML file describes it: arms, grippers, limits, workspace, cameras.

Kinematics and joint limits are not here: they stand once, in the URDF the file names.
Every mistake in a file is a `ConfigError` naming the place and the valid values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from lapa_core import paths
from lapa_core.errors import ConfigError, unknown
from lapa_core.types import FloatArray, dimension_names
from lapa_core.yaml_section import Section

FORMAT = 1
BACKENDS = ("ros2_control",)


@dataclass(frozen=True)
class Gripper:
    """A gripper commanded through one joint.

    Attributes:
        joint: name of the joint in `joint_states`.
        closed: joint position at opening 0 [m or rad].
        open: joint position at opening 1 [m or rad].
        max_velocity: of the joint [m/s or rad/s].
    """

    joint: str
    closed: float
    open: float
    max_velocity: float

    def joint_position(self, opening: float) -> float:
        """Joint position of an opening between 0 (closed) and 1 (open)."""
        return self.closed + opening * (self.open - self.closed)

    def opening(self, joint_position: float) -> float:
        """Opening of a joint position; may lie a little outside 0 .. 1."""
        return (joint_position - self.closed) / (self.open - self.closed)


@dataclass(frozen=True)
class Arm:
    """One arm. Lengths in metres, angles in radians, frames as named.

    Attributes:
        name: namespace of its topics and prefix of its dimensions.
        urdf: file in `urdf/` (xacro or plain URDF), or an absolute path.
        base_frame: TF frame its deltas and poses are given in.
        base_xyz_m, base_rpy_rad: (3,) pose of the base in the world.
        tool_link: URDF link whose origin is the tool point.
        joints: arm joints in command order, without the gripper.
        max_acceleration_rad_s2: bound on each joint's acceleration.
        workspace_lower_m, workspace_upper_m: (3,) box of the tool point in the base frame.
        max_translation_m, max_rotation_rad: bound on one policy step.
        start_rad, park_rad: (n,) joint positions.
    """

    name: str
    urdf: str
    base_frame: str
    base_xyz_m: FloatArray
    base_rpy_rad: FloatArray
    tool_link: str
    joints: tuple[str, ...]
    max_acceleration_rad_s2: float
    gripper: Gripper
    workspace_lower_m: FloatArray
    workspace_upper_m: FloatArray
    max_translation_m: float
    max_rotation_rad: float
    start_rad: FloatArray
    park_rad: FloatArray


@dataclass(frozen=True)
class Camera:
    """One camera stream and where the camera stands.

    Attributes:
        name: the name a policy asks for.
        topic: image topic, relative to the robot's namespace.
        width, height: pixels of its images.
        rate_hz: nominal rate.
        frame_id: TF frame of its optical centre.
        position_m, forward: (3,) in the world; the view is upright (world z up).
        fovy_deg: vertical field of view.
    """

    name: str
    topic: str
    width: int
    height: int
    rate_hz: float
    frame_id: str
    position_m: FloatArray
    forward: FloatArray
    fovy_deg: float


@dataclass(frozen=True)
class Robot:
    """A robot: one or more arms moved by one policy, and its cameras."""

    name: str
    description: str
    backend: str
    step_time_s: float
    base_frame: str
    arms: tuple[Arm, ...]
    cameras: tuple[Camera, ...]
    source: str

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the action's dimensions, seven an arm."""
        return dimension_names(tuple(a.name for a in self.arms))

    def arm(self, name: str) -> Arm:
        """The arm of that name, or a `ConfigError` that lists the valid ones."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise ConfigError(unknown("arm", name, [a.name for a in self.arms], self.source))

    def camera(self, name: str) -> Camera:
        """The camera of that name, or a `ConfigError` that lists the valid ones."""
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise ConfigError(unknown("camera", name, [c.name for c in self.cameras], self.source))


def available() -> list[str]:
    """Names of the robots in the shared `config/robots` folders."""
    return paths.names("config/robots", ".yaml")


def load(name_or_path: str) -> Robot:
    """Read a robot by its name in `config/robots`, or from a YAML file of one's own."""
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        if name_or_path not in available():
            raise ConfigError(unknown("robot", name_or_path, available(), "config/robots"))
        path = paths.share(f"config/robots/{name_or_path}.yaml")
    if not path.is_file():
        raise ConfigError(f"no robot file at {path}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    return parse(content, str(path))


def parse(content: object, source: str) -> Robot:
    """Build a robot from the content of its file; `source` is named in errors."""
    if not isinstance(content, Mapping):
        raise ConfigError(f"{source} must hold a mapping, not {type(content).__name__}")
    top = Section(content, source)
    version = top.integer("format")
    if version != FORMAT:
        raise ConfigError(f"{source}: format {version} is not readable here; valid: {FORMAT}")
    robot = Robot(
        name=top.text("name"),
        description=top.text("description"),
        backend=top.choice("backend", BACKENDS),
        step_time_s=top.positive("step_time_s"),
        base_frame=top.text("base_frame"),
        arms=tuple(_arm(s) for s in top.sections("arms")),
        cameras=tuple(_camera(s) for s in top.sections("cameras")),
        source=source,
    )
    top.finish()
    _unique([a.name for a in robot.arms], "arm", source)
    _unique([c.name for c in robot.cameras], "camera", source)
    _unique([c.topic for c in robot.cameras], "camera topic", source)
    return robot


def _arm(s: Section) -> Arm:
    joints = s.names("joints")
    base, box, step = s.section("base_in_world"), s.section("workspace"), s.section("max_step")
    arm = Arm(
        name=s.text("name"),
        urdf=s.text("urdf"),
        base_frame=s.text("base_frame"),
        base_xyz_m=base.vector("xyz_m", 3),
        base_rpy_rad=base.vector("rpy_rad", 3),
        tool_link=s.text("tool_link"),
        joints=joints,
        max_acceleration_rad_s2=s.positive("max_acceleration_rad_s2"),
        gripper=_gripper(s.section("gripper")),
        workspace_lower_m=box.vector("lower", 3),
        workspace_upper_m=box.vector("upper", 3),
        max_translation_m=step.positive("translation_m"),
        max_rotation_rad=step.positive("rotation_rad"),
        start_rad=s.vector("start_rad", len(joints)),
        park_rad=s.vector("park_rad", len(joints)),
    )
    for section in (base, box, step, s):
        section.finish()
    if not np.all(arm.workspace_lower_m < arm.workspace_upper_m):
        raise ConfigError(
            f"{box.where}: lower {arm.workspace_lower_m.tolist()} must be below "
            f"upper {arm.workspace_upper_m.tolist()} on every axis"
        )
    return arm


def _gripper(s: Section) -> Gripper:
    gripper = Gripper(
        joint=s.text("joint"),
        closed=s.number("closed"),
        open=s.number("open"),
        max_velocity=s.positive("max_velocity"),
    )
    s.finish()
    if gripper.open == gripper.closed:
        raise ConfigError(f"{s.where}: open and closed are both {gripper.open}")
    return gripper


def _camera(s: Section) -> Camera:
    camera = Camera(
        name=s.text("name"),
        topic=s.text("topic"),
        width=s.integer("width", minimum=1),
        height=s.integer("height", minimum=1),
        rate_hz=s.positive("rate_hz"),
        frame_id=s.text("frame_id"),
        position_m=s.vector("position_m", 3),
        forward=s.vector("forward", 3),
        fovy_deg=s.positive("fovy_deg"),
    )
    s.finish()
    return camera


def _unique(names: list[str], what: str, source: str) -> None:
    doubled = sorted({n for n in names if names.count(n) > 1})
    if doubled:
        raise ConfigError(f"{source}: {what} {', '.join(doubled)} given more than once")
