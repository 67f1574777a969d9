# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Controllers in the air: `PoseStamped` and `Joy` of each, with a clutch.

While the grip is held the tool follows the hand; each press ties them anew (Bridge's way). The
gripper is 1 minus the trigger. Which way the operator faces is a rotation in the layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.errors import DataError
from lapa_core.rotation import rotation_from_rpy
from lapa_core.teleop import layout
from lapa_core.teleop.reading import ArmInput, Reading
from lapa_core.teleop.shaping import PoseFilter, Smoothing
from lapa_core.types import FloatArray

SILENT_S = 0.2  # headsets send 50 to 90 poses a second
PRESSED, LET_GO = 0.6, 0.4  # of the grip: apart, so that a half pressed one does not chatter
HANDS = ("left", "right")


@dataclass(frozen=True)
class VrLayout:
    """How the controllers are read.

    Attributes:
        name: file, for errors.
        rotation: (3, 3) that turns vectors of the headset's frame into the arm's base.
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
    hand: Pose | None = None
    pose_s: float = -np.inf
    joy_s: float = -np.inf
    held: bool = False
    opening: float = 1.0
    refused: dict[str, str] = field(default_factory=dict)


class Controllers:
    """One controller for every arm.

    Attributes:
        hands: arm -> "left" or "right", the controller that moves it.
    """

    name = "vr"

    def __init__(self, hands: Mapping[str, str], made: VrLayout) -> None:
        """Make it.

        Args:
            hands: arm -> "left" or "right", the controller that moves it.
            made: how they are read.
        """
        self._layout = made
        self.hands = dict(hands)
        self._controllers = {
            arm: _Controller(PoseFilter(made.smoothing), layout.Buttons(made.buttons[hand]))
            for arm, hand in hands.items()
        }

    def on_pose(self, arm: str, pose: Pose, now_s: float) -> None:
        """Take a pose of the controller of `arm`, in the headset's frame."""
        c, a = self._controllers[arm], self._layout.rotation
        c.pose_s = now_s
        c.hand = c.filter.update(Pose(a @ pose.xyz_m, a @ pose.rotation @ a.T), now_s)

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
            raise
        c.refused.clear()
        c.joy_s = now_s
        c.buttons.update(buttons)
        c.held = made.clutch.value(axes, buttons) > (LET_GO if c.held else PRESSED)
        c.opening = 1.0 - made.trigger.value(axes, buttons)

    def read(self, now_s: float) -> Reading:
        """See `Device`."""
        arms: dict[str, ArmInput] = {}
        events: list[str] = []
        problem = ""
        for arm, c in self._controllers.items():
            events += c.buttons.take()
            problem = problem or self._problem(arm, c, now_s)
            arms[arm] = ArmInput(c.held, hand=c.hand, gripper=c.opening, pick_up=True)
        held = any(c.held for c in self._controllers.values())
        return Reading(arms, tuple(events), problem, "" if held else "hold the grip to move")

    def release(self) -> None:
        """See `Device`."""

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
