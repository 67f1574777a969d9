# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The text of a URDF -> its joints, its tree of links and its gripper linkage.

Reads what control and simulation need and refuses what does not fit together; `description`
finds the file and is what others import.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lapa_core.errors import ConfigError, unknown

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

    def leader(self, joint: str) -> tuple[str, float, float]:
        """The joint that `joint` follows over any number of mimics, itself where it is free.

        Returns:
            Its name, a multiplier and an offset: position = multiplier * leader's + offset.
        """
        multiplier, offset = 1.0, 0.0
        while self.joints[joint].mimics:
            follower = self.joints[joint]
            offset += multiplier * follower.offset
            multiplier *= follower.multiplier
            joint = follower.mimics
        return joint, multiplier, offset


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
