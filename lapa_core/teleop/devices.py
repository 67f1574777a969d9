# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One device by its name, made from settings; what is wrong in them is named."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lapa_core.errors import ConfigError, unknown
from lapa_core.robot import Robot
from lapa_core.teleop import gamepad, leader, spacemouse, vr
from lapa_core.teleop.browser import Browser
from lapa_core.teleop.keyboard import Keyboard
from lapa_core.teleop.reading import AXES, Device
from lapa_core.teleop.twist import UNITS, Twists

DEVICES = ("keyboard", "gamepad", "spacemouse", "leader", "vr", "twist", "browser")
# Layouts that are taken where none is named.
LAYOUTS = {
    "gamepad": "gamepad_uniform",
    "spacemouse": "spacemouse",
    "leader": "leader_aloha2",
    "vr": "vr_bridge",
}


@dataclass(frozen=True)
class DeviceSettings:
    """What a device is made from.

    Attributes:
        device: one of `DEVICES`.
        layout: in `config/teleop` or a file; "" takes the one of `LAYOUTS`.
        linear_m_s, angular_rad_s: speed at full deflection.
        gripper_speed: change of the opening a second while a button drives it.
        axes: of a velocity, see `reading.AXES`.
        twist_units: Servo's `command_in_type`.
        close_to_engage: whether closing the leaders' grippers engages them.
        hand: which controller moves a single arm.
    """

    device: str = "keyboard"
    layout: str = ""
    linear_m_s: float = 0.1
    angular_rad_s: float = 0.6
    gripper_speed: float = 1.5
    axes: str = "base"
    twist_units: str = "speed_units"
    close_to_engage: bool = True
    hand: str = "right"


def make(robot: Robot, settings: DeviceSettings) -> Device:
    """The device.

    Raises:
        ConfigError: no such device, layout, axes or units.
    """
    s, arms = settings, tuple(a.name for a in robot.arms)
    where = "the parameters of teleop_node"
    if s.device not in DEVICES:
        raise ConfigError(unknown("device", s.device, DEVICES, where))
    if s.layout and s.device not in LAYOUTS:
        raise ConfigError(
            f"layout {s.layout!r}: {s.device} takes none; those that do: {', '.join(LAYOUTS)}"
        )
    axes = next((a for a in AXES if a == s.axes), None)
    units = next((u for u in UNITS if u == s.twist_units), None)
    if axes is None:
        raise ConfigError(unknown("axes", s.axes, AXES, where))
    if units is None:
        raise ConfigError(unknown("twist_units", s.twist_units, UNITS, where))
    speeds = np.repeat([s.linear_m_s, s.angular_rad_s], 3)
    name = s.layout or LAYOUTS.get(s.device, "")
    if s.device == "keyboard":
        return Keyboard(arms, s.linear_m_s, s.angular_rad_s, axes)
    if s.device == "gamepad":
        pad = gamepad.load(name)
        return gamepad.Gamepad(arms, pad, speeds, s.gripper_speed, axes=axes)
    if s.device == "spacemouse":
        return spacemouse.SpaceMouse(arms, spacemouse.load(name), speeds, axes=axes)
    if s.device == "leader":
        return leader.Leaders(arms, leader.load(name), s.close_to_engage)
    if s.device == "vr":
        return vr.Controllers(robot, hands(robot, s.hand), vr.load(name))
    return Twists(robot, speeds, units) if s.device == "twist" else Browser(robot)


def hands(robot: Robot, hand: str) -> dict[str, str]:
    """Which controller moves which arm: `hand` a single one, left and right the two of a pair.

    Raises:
        ConfigError: no such hand, or more than two arms.
    """
    if hand not in vr.HANDS:
        raise ConfigError(unknown("hand", hand, vr.HANDS, "the parameters of teleop_node"))
    names = [a.name for a in robot.arms]
    if len(names) == 1:
        return {names[0]: hand}
    if len(names) > 2:
        raise ConfigError(f"{robot.name} has {len(names)} arms; a person has two hands")
    if set(names) == set(vr.HANDS):
        return {n: n for n in names}
    return dict(zip(names, vr.HANDS, strict=True))
