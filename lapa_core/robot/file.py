# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Reads a robot file. Every mistake is a `ConfigError` naming the place and the valid values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml

from lapa_core import paths
from lapa_core.errors import ConfigError, unknown
from lapa_core.robot import drivers
from lapa_core.robot.parts import POLARITIES, WORLD, Arm, Camera, Collision, Gripper, Robot
from lapa_core.yaml_section import Section

FORMAT = 2


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
        backend=top.choice("backend", drivers.BACKENDS),
        step_time_s=top.positive("step_time_s"),
        world_frame=top.text("world_frame"),
        table_z_m=top.number("table_z_m"),
        arms=(arms := tuple(_arm(s, Path(source)) for s in top.sections("arms"))),
        collision=_collision(top.section("collision"), len(arms)),
        cameras=tuple(_camera(s) for s in top.sections("cameras")),
        source=source,
    )
    top.finish()
    for arm in robot.arms:
        drivers.require(arm.drivers, robot.backend, f"{source}: arm {arm.name}")
    _attached(robot)
    _unique([a.name for a in robot.arms], "arm", source)
    _unique([c.name for c in robot.cameras], "camera", source)
    _unique([c.topic for c in robot.cameras], "camera topic", source)
    return robot


def _arm(s: Section, file: Path) -> Arm:
    joints = s.names("joints")
    base, box, step = s.section("base_in_world"), s.section("workspace"), s.section("max_step")
    arm = Arm(
        name=s.text("name"),
        urdf=_urdf(s.text("urdf"), file),
        joint_states=s.text("joint_states"),
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
        drivers=drivers.parse(s.section("drivers"), s.text("name")),
    )
    for section in (base, box, step, s):
        section.finish()
    if not np.all(arm.workspace_lower_m < arm.workspace_upper_m):
        raise ConfigError(
            f"{box.where}: lower {arm.workspace_lower_m.tolist()} must be below "
            f"upper {arm.workspace_upper_m.tolist()} on every axis"
        )
    return arm


def _urdf(name: str, file: Path) -> str:
    """A URDF beside the robot file goes before one of that name in `urdf/`."""
    beside = file.parent / name
    return str(beside.resolve()) if beside.is_file() else name


def _gripper(s: Section) -> Gripper:
    gripper = Gripper(
        joint=s.text("joint"),
        closed=s.number("closed"),
        open=s.number("open"),
        max_velocity=s.positive("max_velocity"),
        polarity=s.choice("polarity", POLARITIES),
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
        attached_to=s.text("attached_to"),
        position_m=s.vector("position_m", 3),
        forward=s.vector("forward", 3),
        fovy_deg=s.positive("fovy_deg"),
    )
    s.finish()
    return camera


def _collision(s: Section, num_arms: int) -> Collision:
    collision = Collision(
        self_m=s.positive("self_m"),
        arms_m=s.positive("arms_m") if num_arms > 1 else 0.0,
        table_m=s.positive("table_m"),
        ignore=s.pairs("ignore"),
    )
    s.finish()
    return collision


def _attached(robot: Robot) -> None:
    """Every camera is on an arm of this robot or in the world; links are checked with the URDF."""
    for camera in robot.cameras:
        arm, slash, _ = camera.attached_to.partition("/")
        if camera.attached_to != WORLD and not (slash and arm in {a.name for a in robot.arms}):
            valid = [WORLD, *(f"{a.name}/<link>" for a in robot.arms)]
            where = f"{robot.source}: camera {camera.name}"
            raise ConfigError(unknown("attached_to", camera.attached_to, valid, where))


def _unique(names: list[str], what: str, source: str) -> None:
    doubled = sorted({n for n in names if names.count(n) > 1})
    if doubled:
        raise ConfigError(f"{source}: {what} {', '.join(doubled)} given more than once")
