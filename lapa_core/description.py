# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A URDF or xacro file -> its text, its joints, and a MuJoCo model.

The URDF is the only place where kinematics, joint limits and the gripper linkage stand; the
controller, the simulation and ROS all read it through here.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.parsers.expat import ExpatError

import mujoco
import xacro

from lapa_core import meshes, paths
from lapa_core.errors import ConfigError, unknown
from lapa_core.robot import Arm

FIXED = "fixed"
MOVABLE = ("revolute", "continuous", "prismatic")
KINDS = (FIXED, *MOVABLE)


@dataclass(frozen=True)
class Joint:
    """One movable joint. Units are rad for turning joints and m for sliding ones.

    Attributes:
        lower, upper: position limits, infinite for a continuous joint.
        velocity: bound on the speed [unit/s], infinite where the URDF has none.
        effort: bound on the force [N] or torque [N m], infinite where the URDF has none.
        mimics: the joint it copies, or "" for a joint of its own.
        multiplier, offset: position = multiplier * position of `mimics` + offset.
    """

    name: str
    kind: str
    lower: float
    upper: float
    velocity: float
    effort: float
    mimics: str = ""
    multiplier: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Linkage:
    """The crank between a gripper's motor joint and its finger.

    Attributes:
        joint, finger: names of the motor joint [rad] and of the finger joint [m].
        horn_m, arm_m: lengths of the crank on the motor and of the rod to the finger.
    """

    joint: str
    finger: str
    horn_m: float
    arm_m: float


class Parent(NamedTuple):
    """What holds a link: the link before it, the joint between, and that joint's kind."""

    link: str
    joint: str
    kind: str


@dataclass(frozen=True)
class Description:
    """What a URDF says that the control and the simulation need.

    Attributes:
        source: file it came from, named in errors.
        urdf: URDF text with every macro expanded.
        joints: movable joints by name, in the order of the file.
        links: link names in the order of the file.
        parents: by link, what holds it; every link but the root.
        root: the link that no joint holds, the arm's base.
        linkage: of the gripper, or None where motor joint and finger joint are one.
    """

    source: str
    urdf: str
    joints: Mapping[str, Joint]
    links: tuple[str, ...]
    parents: Mapping[str, Parent]
    root: str
    linkage: Linkage | None


def for_arm(arm: Arm, prefix: str = "") -> Description:
    """Load an arm's URDF and check that the robot file and the URDF fit together.

    Args:
        arm: the arm, as the robot file has it.
        prefix: put before the link names, such as `left/` for TF; joints stay unprefixed.

    Raises:
        ConfigError: the file is missing or wrong, or lacks a joint or link the arm names.
    """
    description = load(arm.urdf, prefix)
    where = description.source
    joints = description.joints
    for name in (*arm.joints, arm.gripper.joint):
        if name not in joints:
            raise ConfigError(unknown("joint", name, joints, where))
        if joints[name].mimics:
            raise ConfigError(f"{where}: joint {name!r} mimics {joints[name].mimics!r}")
    for name in arm.joints:
        if joints[name].kind == "prismatic":
            raise ConfigError(f"{where}: joint {name!r} of the arm slides; all must turn")
        if not math.isfinite(joints[name].velocity):
            raise ConfigError(
                f"{where}: joint {name!r} has no speed limit; give its <limit> a velocity above "
                "0 [rad/s], which is never exceeded"
            )
    if prefix + arm.tool_link not in description.links:
        raise ConfigError(unknown("tool_link", prefix + arm.tool_link, description.links, where))
    for pose, values in (("start_rad", arm.start_rad), ("park_rad", arm.park_rad)):
        for name, value in zip(arm.joints, values, strict=True):
            _check_inside(joints[name], float(value), f"arm {arm.name}: {pose}", where)
    for end in ("closed", "open"):
        value = float(getattr(arm.gripper, end))
        _check_inside(joints[arm.gripper.joint], value, f"arm {arm.name}: gripper {end}", where)
    return description


def load(file: str, prefix: str = "") -> Description:
    """Expand and read a URDF or xacro file in `urdf/`, at an absolute path or in a package.

    Raises:
        ConfigError: naming the file and what is wrong in it.
    """
    if file.startswith(paths.IN_PACKAGE):
        path = paths.in_package(file, "urdf")
    else:
        path = Path(file) if Path(file).is_absolute() else paths.share(f"urdf/{file}")
    if not path.is_file():
        raise ConfigError(f"no URDF at {path}")
    return parse(expand(path, {"prefix": prefix} if prefix else {}), str(path))


def expand(path: Path, arguments: Mapping[str, str]) -> str:
    """URDF text of a file; plain URDF passes through xacro unchanged.

    Raises:
        ConfigError: the file is no XML, or xacro cannot expand it.
    """
    try:
        document = xacro.process_file(str(path), mappings=dict(arguments))
    except (xacro.XacroException, ExpatError, OSError) as error:
        raise ConfigError(f"{path} cannot be expanded: {error}") from None
    return str(document.toprettyxml(indent="  "))


def parse(urdf: str, source: str) -> Description:
    """Read the joints, links and gripper linkage of a URDF; `source` is named in errors."""
    try:
        root = ElementTree.fromstring(urdf)
    except ElementTree.ParseError as error:
        raise ConfigError(f"{source} is not XML: {error}") from None
    if root.tag != "robot":
        raise ConfigError(f"{source}: the root element must be <robot>, not <{root.tag}>")
    joints = {
        j.name: j for j in (_joint(e, source) for e in root.findall("joint")) if j.kind in MOVABLE
    }
    _check_mimics(joints, source)
    linkage = root.find("gripper_linkage")
    links = tuple(_attribute(e, "name", source) for e in root.findall("link"))
    parents = _parents(root, links, source)
    bases = [link for link in links if link not in parents]
    if len(bases) != 1:
        raise ConfigError(f"{source}: one link must be the base, found {bases or 'none'}")
    return Description(
        source=source,
        urdf=urdf,
        joints=joints,
        links=links,
        parents=parents,
        root=bases[0],
        linkage=None if linkage is None else _linkage(linkage, joints, source),
    )


def to_spec(description: Description) -> mujoco.MjSpec:
    """MuJoCo model of a description: every link a body, every mimic an equality constraint.

    Its shapes are those of `<collision>`; `<visual>` is left out.

    Raises:
        ConfigError: MuJoCo cannot read the URDF or one of its meshes.
    """
    text, files = meshes.for_mujoco(description.urdf, description.source)
    try:
        spec = mujoco.MjSpec.from_string(text, assets=files)
    except ValueError as error:
        raise ConfigError(f"{description.source}: MuJoCo cannot read it: {error}") from None
    spec.compiler.fusestatic = False  # fused, the tool link and the TF frames would vanish
    tied = {e.name1 for e in spec.equalities}  # newer MuJoCo reads <mimic> by itself
    for joint in description.joints.values():
        if joint.mimics and joint.name not in tied:
            tie = spec.add_equality(
                type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT
            )
            tie.name1, tie.name2 = joint.name, joint.mimics
            tie.data[:5] = [joint.offset, joint.multiplier, 0, 0, 0]
    return spec


def _check_mimics(joints: Mapping[str, Joint], source: str) -> None:
    """Every mimic ends, over any number of others, at a joint of its own."""
    for name, joint in joints.items():
        passed = [name]
        while joint.mimics:
            if joint.mimics not in joints:
                raise ConfigError(unknown("mimicked joint", joint.mimics, joints, source))
            if joint.mimics in passed:
                raise ConfigError(f"{source}: joints mimic each other in a ring: {passed}")
            passed.append(joint.mimics)
            joint = joints[joint.mimics]


def _parents(root: ElementTree.Element, links: tuple[str, ...], source: str) -> dict[str, Parent]:
    """The tree of links. A link held twice or by an unknown one is refused."""
    parents: dict[str, Parent] = {}
    for element in root.findall("joint"):
        name, kind = (_attribute(element, key, source) for key in ("name", "type"))
        where = f"{source}: joint {name!r}"
        ends = [element.find(end) for end in ("parent", "child")]
        if kind not in KINDS:
            raise ConfigError(unknown("type", kind, KINDS, where))
        if ends[0] is None or ends[1] is None:
            raise ConfigError(f"{where} needs <parent> and <child>")
        parent, child = (_attribute(e, "link", where) for e in ends if e is not None)
        for link in (parent, child):
            if link not in links:
                raise ConfigError(unknown("link", link, links, where))
        if child in parents:
            raise ConfigError(f"{where}: link {child!r} is held by {parents[child].joint!r} too")
        parents[child] = Parent(parent, name, kind)
    return parents


def _joint(element: ElementTree.Element, source: str) -> Joint:
    name, kind = _attribute(element, "name", source), _attribute(element, "type", source)
    where = f"{source}: joint {name!r}"
    if kind not in MOVABLE:
        return Joint(name, kind, 0.0, 0.0, 0.0, 0.0)
    limit, mimic = element.find("limit"), element.find("mimic")
    endless = kind == "continuous"
    if limit is None:
        if not endless:
            raise ConfigError(f"{where}: a {kind} joint needs <limit>")
        limit = ElementTree.Element("limit")
    joint = Joint(
        name=name,
        kind=kind,
        lower=-math.inf if endless else _number(limit, "lower", where),
        upper=math.inf if endless else _number(limit, "upper", where),
        velocity=_bound(limit, "velocity", where),
        effort=_bound(limit, "effort", where),
        mimics="" if mimic is None else _attribute(mimic, "joint", where),
        multiplier=1.0 if mimic is None else _number(mimic, "multiplier", where, "1"),
        offset=0.0 if mimic is None else _number(mimic, "offset", where, "0"),
    )
    if not joint.lower < joint.upper:
        raise ConfigError(f"{where}: lower {joint.lower} must be below upper {joint.upper}")
    return joint


def _bound(limit: ElementTree.Element, key: str, where: str) -> float:
    """A bound above 0; infinite where the URDF gives none, or the 0 that exporters leave there."""
    value = _number(limit, key, where, "0")
    if value < 0:
        raise ConfigError(f"{where}: {key} must not be below 0, got {value}")
    return value or math.inf


def _linkage(element: ElementTree.Element, joints: Mapping[str, Joint], source: str) -> Linkage:
    where = f"{source}: gripper_linkage"
    linkage = Linkage(
        joint=_attribute(element, "joint", where),
        finger=_attribute(element, "finger", where),
        horn_m=_number(element, "horn", where),
        arm_m=_number(element, "arm", where),
    )
    for name in (linkage.joint, linkage.finger):
        if name not in joints:
            raise ConfigError(unknown("joint", name, joints, where))
    if not 0 < linkage.horn_m <= linkage.arm_m:
        raise ConfigError(f"{where}: needs 0 < horn <= arm, got {linkage}")
    return linkage


def _check_inside(joint: Joint, value: float, what: str, where: str) -> None:
    tolerance = 1e-6  # a robot file rounds what the URDF computes
    if not joint.lower - tolerance <= value <= joint.upper + tolerance:
        raise ConfigError(
            f"{what} has {joint.name} at {value}, outside its limits "
            f"{joint.lower:.4f} .. {joint.upper:.4f} in {where}"
        )


def _attribute(element: ElementTree.Element, key: str, where: str) -> str:
    value = element.get(key)
    if not value:
        raise ConfigError(f"{where}: <{element.tag}> lacks the attribute {key!r}")
    return value


def _number(
    element: ElementTree.Element, key: str, where: str, default: str | None = None
) -> float:
    text = element.get(key, default)
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{where}: <{element.tag}> needs a finite {key!r}, got {text!r}")
    return value
