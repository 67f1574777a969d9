# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A URDF or xacro file -> its text, its joints, and a MuJoCo model.

The URDF is the only place where kinematics, joint limits and the gripper linkage stand; the
controller, the simulation and ROS all read it through here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from xml.parsers.expat import ExpatError

import mujoco
import xacro

from lapa_core import meshes, paths
from lapa_core.errors import ConfigError, unknown
from lapa_core.robot import Arm
from lapa_core.urdf import FIXED, Description, Joint, Linkage, Parent, parse

__all__ = [
    "FIXED", "Description", "Joint", "Linkage", "Parent",
    "expand", "for_arm", "load", "parse", "to_spec",
]  # fmt: skip


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


def _check_inside(joint: Joint, value: float, what: str, where: str) -> None:
    tolerance = 1e-6  # a robot file rounds what the URDF computes
    if not joint.lower - tolerance <= value <= joint.upper + tolerance:
        raise ConfigError(
            f"{what} has {joint.name} at {value}, outside its limits "
            f"{joint.lower:.4f} .. {joint.upper:.4f} in {where}"
        )
