# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a device says at one tick, and the protocol all devices follow.

A device is fed by whoever owns its topic or terminal, with the time of arrival, and read once a
tick. It knows neither the arm's state nor who has authority.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.types import FloatArray

Axes = Literal["base", "world", "tool"]
AXES: tuple[Axes, ...] = ("base", "world", "tool")

# What a button may mean beside moving. Those of an arm and of a recorder are passed on.
OWN_EVENTS = ("take_over", "hand_back")
ARM_EVENTS = ("enable", "hold", "estop", "reset", "home", "park")
RECORDER_EVENTS = ("start", "save", "fail", "discard", "redo", "undo_last", "stop")
EVENTS = (*OWN_EVENTS, *ARM_EVENTS, *RECORDER_EVENTS)


def _zeros() -> FloatArray:
    return np.zeros(3)


@dataclass(frozen=True)
class ArmInput:
    """What a device asks of one arm now: a velocity, a hand to follow, or a goal.

    Attributes:
        engaged: whether the person means it to move: the dead-man, where there is one.
        linear_m_s, angular_rad_s: (3,) velocity of the tool in `axes`.
        axes: of the velocity: the arm's base, the robot's world, or the tool.
        hand: pose of a hand in axes parallel to the arm's base, wherever its origin is; the
            tool follows its displacement since engaging.
        goal: pose of the tool in the arm's base that is asked for outright.
        gripper: opening asked for, 0 closed .. 1 open; None asks for nothing.
        pick_up: whether `gripper` counts only from when it has met the opening in force: a
            trigger that nobody presses must not drop what a policy has grasped.
        gripper_rate: change of the opening a second, of full scale 1.
        toggle: the gripper is to close if open, to open if closed; true in one reading alone.
    """

    engaged: bool = False
    linear_m_s: FloatArray = field(default_factory=_zeros)
    angular_rad_s: FloatArray = field(default_factory=_zeros)
    axes: Axes = "base"
    hand: Pose | None = None
    goal: Pose | None = None
    gripper: float | None = None
    pick_up: bool = False
    gripper_rate: float = 0.0
    toggle: bool = False

    @property
    def needs_target(self) -> bool:
        """Whether it means nothing without the arm's commanded target."""
        return self.hand is not None or self.goal is not None or self.axes == "tool"


@dataclass(frozen=True)
class Reading:
    """What a device says at one tick.

    Attributes:
        arms: by name; an arm that is left out is not engaged.
        events: of `EVENTS`, pressed since the last reading.
        problem: why the device cannot be trusted now (silent, malformed, waiting), or "".
        note: what a person should know of its state: speed, arm, what to do to begin.
    """

    arms: Mapping[str, ArmInput] = field(default_factory=dict)
    events: tuple[str, ...] = ()
    problem: str = ""
    note: str = ""

    @property
    def engaged(self) -> bool:
        """Whether any arm is meant to move."""
        return not self.problem and any(a.engaged for a in self.arms.values())


class Device(Protocol):
    """One way to teleoperate."""

    name: str

    def read(self, now_s: float) -> Reading:
        """What it says now; events and toggles since the last call are given once."""
        ...

    def release(self) -> None:
        """Authority was given up, or others move the arm: what engages for longer than a press
        must be done anew."""
        ...
