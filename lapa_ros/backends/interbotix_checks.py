# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What Interbotix' driver says of itself against what the robot file says of it.

Pure. A mode that does not fit is refused and never changed from here: changing it switches the
motors' torque off, and the arm falls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from lapa_core.description import Joint
from lapa_core.errors import ConfigError
from lapa_core.robot import Arm
from lapa_core.robot.drivers import Interbotix
from lapa_core.types import FloatArray

# Bits of Hardware_Error_Status (Dynamixel X series e-manual, address 70).
HARDWARE_ERRORS = {
    0x01: "input voltage",
    0x04: "overheating",
    0x08: "encoder",
    0x10: "electrical shock",
    0x20: "overload",
}
GRIPPER_MODES = {  # the robot file's mode -> what the driver may call it
    "pwm": ("pwm",),
    "linear_position": ("linear_position",),
    "joint": ("position", "current_based_position"),
}
TOLERANCE = 1e-3  # [rad or m] the driver keeps limits as float32 and rounds them
RESTART = (
    "park the arm, change the driver's mode file and restart the driver: changing a mode "
    "drops the arm, so it is never done from here"
)


class RobotInfo(Protocol):
    """The fields used of a `get_robot_info` response."""

    mode: str
    profile_type: str
    joint_names: Sequence[str]
    joint_lower_limits: Sequence[float]
    joint_upper_limits: Sequence[float]


def check_group(info: RobotInfo, arm: Arm, driver: Interbotix, where: str) -> None:
    """Refuse to command the arm's joints unless the driver has them as the robot file says.

    Args:
        info: of the arm's group.
        arm: as in the robot file.
        driver: of this arm.
        where: the driver, for the error.

    Raises:
        ConfigError: other joints or another order, another mode or profile, or limits that
            leave the start or park pose outside.
    """
    wanted, got = list(arm.joints), list(info.joint_names)
    if not got:
        raise ConfigError(f"{where} knows no group {driver.group!r}; see groups in its motor file")
    if got != wanted:
        raise ConfigError(
            f"{where} has the joints {got} in group {driver.group!r}, the robot file has "
            f"{wanted}: names and order must be the same"
        )
    if not len(info.joint_lower_limits) == len(info.joint_upper_limits) == len(got):
        raise ConfigError(f"{where} gives no limits for every joint of group {driver.group!r}")
    if info.mode != "position":
        raise ConfigError(
            f"{where} has group {driver.group!r} in mode {info.mode!r}, needed is 'position' "
            f"(mode file: groups: {driver.group}: operating_mode: position); {RESTART}"
        )
    if info.profile_type != "time":
        raise ConfigError(
            f"{where} has group {driver.group!r} with profile_type {info.profile_type!r}, needed "
            f"is 'time' (mode file: groups: {driver.group}: profile_type: time); {RESTART}"
        )
    for name, pose in (("start_rad", arm.start_rad), ("park_rad", arm.park_rad)):
        _check_pose(info, name, pose, where)


def _check_pose(info: RobotInfo, name: str, pose: FloatArray, where: str) -> None:
    lower, upper = _limits(info)
    outside = (pose < lower - TOLERANCE) | (pose > upper + TOLERANCE)
    for i in np.flatnonzero(outside):
        raise ConfigError(
            f"{name} of the robot file has {info.joint_names[i]} at {pose[i]:.3f} rad, outside "
            f"the limits {lower[i]:.3f} .. {upper[i]:.3f} of {where}"
        )


def check_gripper(info: RobotInfo, driver: Interbotix, where: str) -> None:
    """Refuse to command a gripper whose motor is in another mode than the robot file says.

    Raises:
        ConfigError: with the line of the driver's mode file.
    """
    valid = GRIPPER_MODES[driver.gripper.mode]
    if info.mode not in valid:
        raise ConfigError(
            f"{where} has {driver.single!r} in mode {info.mode!r}, the robot file's gripper mode "
            f"{driver.gripper.mode!r} needs {' or '.join(repr(v) for v in valid)} (mode file: "
            f"singles: {driver.single}: operating_mode: {valid[0]}); {RESTART}"
        )


def narrower(info: RobotInfo, names: Sequence[str], joints: Mapping[str, Joint]) -> list[str]:
    """What of the URDF's ranges the driver does not allow; one line a joint.

    Args:
        info: of a group, or of the gripper, which the driver describes by its finger.
        names: the joints in the driver's order, by their names in the URDF.
        joints: of the URDF [rad or m].
    """
    lines = []
    for name, low, high in zip(names, *_limits(info), strict=True):
        ours = joints[name]
        if low > ours.lower + TOLERANCE or high < ours.upper - TOLERANCE:
            lines.append(
                f"{name}: driver {low:.3f} .. {high:.3f}, "
                f"URDF {ours.lower:.3f} .. {ours.upper:.3f}"
            )
    return lines


def _limits(info: RobotInfo) -> tuple[FloatArray, FloatArray]:
    lower, upper = (
        np.array(values, dtype=np.float64)
        for values in (info.joint_lower_limits, info.joint_upper_limits)
    )
    return lower, upper


def hardware_errors(names: Sequence[str], values: Sequence[int]) -> str:
    """Which motors have switched themselves off and why, or "".

    Args:
        names: of the motors asked.
        values: of `Hardware_Error_Status`, one a motor.
    """
    faults = [
        f"{name} reports {decode_error(value)}"
        for name, value in zip(names, values, strict=True)
        if value
    ]
    return "; ".join(faults)


def decode_error(value: int) -> str:
    """The meaning of a `Hardware_Error_Status` that is not 0."""
    known = [text for bit, text in HARDWARE_ERRORS.items() if value & bit]
    if rest := value & ~sum(HARDWARE_ERRORS):
        known.append(f"unknown bits 0x{rest:02x}")
    return f"{', '.join(known)} (Hardware_Error_Status 0x{value:02x})"
