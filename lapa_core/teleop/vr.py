# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Controllers in the air: `PoseStamped` and `Joy` of each, with a clutch.

While the grip is held the tool follows the hand; each press ties them anew (Bridge's way). The
gripper is 1 minus the trigger. Which way the operator faces in the robot's world is a rotation in
the layout; from there each arm's base is known, so that arms which face each other both go where
the hands go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.errors import DataError
from lapa_core.robot import Robot
from lapa_core.rotation import rotation_from_rpy
from lapa_core.teleop import layout
from lapa_core.teleop.reading import ArmInput, Reading
from lapa_core.teleop.shaping import PoseFilter, Smoothing, turn_vector
from lapa_core.types import FloatArray

SILENT_S = 0.2  # headsets send 50 to 90 poses a second
PRESSED, LET_GO = 0.6, 0.4  # of the grip: apart, so that a half pressed one does not chatter
HANDS = ("left", "right")
# Faster than a hand goes: tracking was lost and found elsewhere. Poses that have queued arrive
# at once, hence the slack; and the time of lost ones counts for three of 50 Hz at most.
JUMP_M_S, JUMP_RAD_S = 3.0, 20.0
SLACK_M, SLACK_RAD = 0.03, 0.2
JUMP_S = 0.06


@dataclass(frozen=True)
class VrLayout:
    """How the controllers are read.

    Attributes:
        name: file, for errors.
        rotation: (3, 3) that turns vectors of the headset's frame into the robot's world.
        clutch, trigger: of each controller.
        buttons: hand -> event -> button.
        smoothing: of the poses.
    """

    name: str
    rotation: FloatArray
    clutch: layout.Pull
    trigger: layout.Pull
    buttons: Mapping[str, Mapping[str, int]]
    smoothing: Smoothing


def load(name: str) -> VrLayout:
    """Read a layout, or a `ConfigError`."""
    top = layout.load(name, "vr")
    top.text("description")
    roll, pitch, yaw = (float(v) for v in top.vector("rotation_rpy_rad", 3))
    buttons, smoothing = top.section("buttons"), top.section("smoothing")
    found = VrLayout(
        name=name,
        rotation=rotation_from_rpy(roll, pitch, yaw),
        clutch=layout.pull(top, "clutch"),
        trigger=layout.pull(top, "trigger"),
        buttons={hand: layout.events(buttons, hand) for hand in HANDS},
        smoothing=Smoothing(
            smoothing.positive("still_hz"),
            smoothing.positive("per_m_s"),
            smoothing.positive("per_rad_s"),
        ),
    )
    for section in (buttons, smoothing):
        section.finish(HANDS if section is buttons else ())
    top.finish()
    return found


@dataclass
class _Controller:
    filter: PoseFilter
    buttons: layout.Buttons
    rotation: FloatArray  # (3, 3) from the headset's frame to the arm's base
    raw: Pose | None = None  # in the base's axes, before the filter
    hand: Pose | None = None
    pose_s: float = -np.inf
    joy_s: float = -np.inf
    held: bool = False
    jumped: str = ""  # how far, while the grip was held; until that is let go
    opening: float | None = None  # None before the trigger was seen at rest
    refused: dict[str, str] = field(default_factory=dict)


class Controllers:
    """One controller for every arm.

    Attributes:
        hands: arm -> "left" or "right", the controller that moves it.
    """

    name = "vr"

    def __init__(self, robot: Robot, hands: Mapping[str, str], made: VrLayout) -> None:
        """Make it.

        Args:
            robot: whose arms they move.
            hands: arm -> "left" or "right", the controller that moves it.
            made: how they are read.
        """
        self._layout = made
        self.hands = dict(hands)
        self._controllers = {
            arm: _Controller(
                PoseFilter(made.smoothing),
                layout.Buttons(made.buttons[hand]),
                robot.arm(arm).base_rotation.T @ made.rotation,
            )
            for arm, hand in hands.items()
        }

    def on_pose(self, arm: str, pose: Pose, now_s: float) -> None:
        """Take a pose of the controller of `arm`, in the headset's frame."""
        c = self._controllers[arm]
        a, last, dt_s = c.rotation, c.raw, now_s - c.pose_s
        c.raw, c.pose_s = Pose(a @ pose.xyz_m, a @ pose.rotation @ a.T), now_s
        if last is not None and (jump := _jump(last, c.raw, dt_s)):
            c.filter.reset()
            c.jumped = jump if c.held else ""
        c.hand = c.filter.update(c.raw, now_s)

    def on_joy(
        self, arm: str, axes: Sequence[float], buttons: Sequence[int], now_s: float
    ) -> None:
        """Take the buttons of the controller of `arm`.

        Raises:
            DataError: too few axes or buttons, or a number that is not finite.
        """
        c, made = self._controllers[arm], self._layout
        try:
            pulls = (made.clutch, made.trigger)
            needed = max([p.index for p in pulls if not p.is_button], default=-1)
            layout.check_size("axes", needed + 1, len(axes), made.name)
            pressed = [p.index for p in pulls if p.is_button]
            needed = max([*pressed, *made.buttons[self.hands[arm]].values()], default=-1)
            layout.check_size("buttons", needed + 1, len(buttons), made.name)
            if not np.all(np.isfinite(axes)):
                raise DataError(f"Joy message holds an axis that is not finite: {list(axes)}")
        except DataError as error:
            c.refused["joy"] = str(error)
            c.buttons.update_stops(buttons)
            raise
        if c.refused or now_s - c.joy_s > SILENT_S:
            c.opening = None
        c.refused.clear()
        c.joy_s = now_s
        c.buttons.update(buttons)
        c.held = made.clutch.value(axes, buttons) > (LET_GO if c.held else PRESSED)
        c.jumped = c.jumped if c.held else ""
        if c.opening is not None or made.trigger.at_rest(axes):
            c.opening = 1.0 - made.trigger.value(axes, buttons)

    def read(self, now_s: float) -> Reading:
        """See `Device`."""
        arms: dict[str, ArmInput] = {}
        events: list[str] = []
        problem = ""
        for arm, c in self._controllers.items():
            events += c.buttons.take()
            problem = problem or self._problem(arm, c, now_s)
            held = c.held and not c.jumped
            arms[arm] = ArmInput(held, hand=c.hand, gripper=c.opening, pick_up=True)
        return Reading(arms, tuple(events), problem, self._note(arms))

    def release(self) -> None:
        """See `Device`."""

    def _note(self, arms: Mapping[str, ArmInput]) -> str:
        for arm, c in self._controllers.items():
            if c.jumped:
                return f"the {self.hands[arm]} controller {c.jumped}: let go of its grip first"
        return "" if any(a.engaged for a in arms.values()) else "hold the grip to move"

    def _problem(self, arm: str, c: _Controller, now_s: float) -> str:
        if c.refused:
            return next(iter(c.refused.values()))
        hand = self.hands[arm]
        for what, heard_s in (("poses", c.pose_s), ("buttons", c.joy_s)):
            if heard_s == -np.inf:
                return f"no {what} of the {hand} controller yet"
            if now_s - heard_s > SILENT_S:
                return f"{what} of the {hand} controller silent {now_s - heard_s:.1f} s"
        return ""


def _jump(before: Pose, after: Pose, dt_s: float) -> str:
    """How far a controller has gone that no hand can have brought there, or ""."""
    dt_s = min(dt_s, JUMP_S)
    way = float(np.linalg.norm(after.xyz_m - before.xyz_m))
    turn = float(np.linalg.norm(turn_vector(before.rotation, after.rotation)))
    if way <= JUMP_M_S * dt_s + SLACK_M and turn <= JUMP_RAD_S * dt_s + SLACK_RAD:
        return ""
    return f"jumped {way:.2f} m and {turn:.2f} rad"
