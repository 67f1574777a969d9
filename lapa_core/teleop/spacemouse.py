# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A SpaceMouse through spacenav: six velocities from one puck, and a few buttons.

Touching the puck is engaging it; it springs back by itself. spacenav sends zeros all the time
while the puck rests, so silence means that the node is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lapa_core.errors import DataError
from lapa_core.teleop import layout
from lapa_core.teleop.reading import ArmInput, Axes, Reading
from lapa_core.teleop.shaping import shaped
from lapa_core.types import FloatArray

SILENT_S = 0.5  # spacenav sends about 30 zeros a second
NEXT_ARM, TOGGLE = "next_arm", "gripper_toggle"


def load(name: str) -> dict[str, int]:
    """Event -> button of a layout, or a `ConfigError`."""
    top = layout.load(name, "spacemouse")
    top.text("description")
    found = layout.events(top, "buttons", (NEXT_ARM, TOGGLE))
    top.finish(("buttons",))
    return found


class SpaceMouse:
    """One puck, for one arm at a time."""

    name = "spacemouse"

    def __init__(
        self,
        arms: tuple[str, ...],
        buttons: Mapping[str, int],
        speeds: FloatArray,
        deadzone: float = 0.08,
        expo: float = 0.3,
        axes: Axes = "base",
    ) -> None:
        """Make it; arguments as of a gamepad."""
        self._arms, self._arm, self._axes = arms, 0, axes
        self._speeds, self._deadzone, self._expo = speeds, deadzone, expo
        self._buttons = layout.Buttons(buttons)
        self._heard_s = -np.inf
        self._refused = ""
        self._asked = ArmInput()

    def on_twist(self, linear: FloatArray, angular: FloatArray, now_s: float) -> None:
        """Take a twist of spacenav: two (3,) of -1 .. 1, in ROS axes.

        Raises:
            DataError: a number is not finite.
        """
        raw = np.concatenate([linear, angular])
        if not np.all(np.isfinite(raw)):
            self._refused = f"twist of the SpaceMouse is not finite: {raw.tolist()}"
            raise DataError(self._refused)
        self._refused, self._heard_s = "", now_s
        motion = np.array([shaped(float(v), self._deadzone, self._expo) for v in raw])
        velocity = motion * self._speeds
        engaged = bool(np.any(motion != 0.0))
        self._asked = ArmInput(engaged, velocity[:3], velocity[3:], self._axes)

    def on_joy(self, buttons: Sequence[int]) -> None:
        """Take its buttons; spacenav leaves out those that have not changed."""
        self._buttons.update(buttons)

    def read(self, now_s: float) -> Reading:
        """See `Device`."""
        pressed = self._buttons.take()
        if pressed.count(NEXT_ARM):
            self._arm = (self._arm + pressed.count(NEXT_ARM)) % len(self._arms)
        asked = self._asked
        if pressed.count(TOGGLE) % 2:  # the button is a press of its own, the puck may rest
            asked = replace(asked, engaged=True, toggle=True)
        arm = self._arms[self._arm]
        events = tuple(e for e in pressed if e not in (NEXT_ARM, TOGGLE))
        note = arm if len(self._arms) > 1 else ""
        return Reading({arm: asked}, events, self._problem(now_s), note)

    def release(self) -> None:
        """See `Device`."""

    def _problem(self, now_s: float) -> str:
        if self._refused:
            return self._refused
        if self._heard_s == -np.inf:
            return "no twist of spacenav yet: is the spacenav node running, and spacenavd?"
        silent_s = now_s - self._heard_s
        return f"SpaceMouse silent {silent_s:.1f} s" if silent_s > SILENT_S else ""
