# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A gamepad: `sensor_msgs/Joy`, a dead-man button, sticks with expo, buttons with meanings.

The stream has to flow: joy_node repeats its last message 20 times a second (`autorepeat_rate`),
and falls silent when the pad is gone. With autorepeat off, a stick held still and a pad without
battery look the same, so silence is always taken as gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lapa_core.errors import ConfigError, DataError
from lapa_core.teleop import layout
from lapa_core.teleop.reading import ArmInput, Axes, Reading
from lapa_core.teleop.shaping import shaped
from lapa_core.types import FloatArray

SILENT_S = 0.4  # eight repeats of joy_node
# A radio pad that has left its reach may keep its last state. Nobody holds every stick, trigger
# and button exactly still for so long on purpose: at 0.1 m/s the workspace ends earlier.
FROZEN_S = 6.0
MOTIONS = ("x", "y", "z", "roll", "pitch", "yaw")
NEXT_ARM, TOGGLE = "next_arm", "gripper_toggle"


@dataclass(frozen=True)
class GamepadLayout:
    """Which axis and button does what.

    Attributes:
        name: file, for errors.
        axes: motion -> (index, sign).
        pairs: motion -> (button that counts up, button that counts down).
        dead_man: button that must be held to move.
        close, open: buttons that drive the gripper while held, -1 for none.
        trigger: that the gripper follows, closed when pressed; None for none.
        buttons: event -> button, `NEXT_ARM` and `TOGGLE` included.
    """

    name: str
    axes: dict[str, tuple[int, float]]
    pairs: dict[str, tuple[int, int]]
    dead_man: int
    close: int
    open: int
    trigger: layout.Pull | None
    buttons: dict[str, int]

    @property
    def num_axes(self) -> int:
        """How many axes a message must have."""
        indices = [i for i, _ in self.axes.values()]
        if self.trigger and not self.trigger.is_button:
            indices.append(self.trigger.index)
        return max(indices, default=-1) + 1

    @property
    def num_buttons(self) -> int:
        """How many buttons a message must have."""
        pairs = [i for pair in self.pairs.values() for i in pair]
        trigger = [self.trigger.index] if self.trigger and self.trigger.is_button else []
        listed = [self.dead_man, self.close, self.open, *pairs, *trigger, *self.buttons.values()]
        return max(listed) + 1


def load(name: str) -> GamepadLayout:
    """Read a layout, or a `ConfigError`."""
    top = layout.load(name, "gamepad")
    top.text("description")
    axes, pairs = top.section("axes"), top.section("pairs")
    reversed_axes = top.names("reversed") if top.has("reversed") else ()
    found = GamepadLayout(
        name=name,
        axes={
            m: (axes.integer(m, 0), -1.0 if m in reversed_axes else 1.0)
            for m in MOTIONS
            if axes.has(m)
        },
        pairs={m: _pair(pairs.vector(m, 2)) for m in MOTIONS if pairs.has(m)},
        dead_man=top.integer("dead_man", 0),
        close=top.integer("gripper_close", 0) if top.has("gripper_close") else -1,
        open=top.integer("gripper_open", 0) if top.has("gripper_open") else -1,
        trigger=layout.pull(top, "gripper_trigger") if top.has("gripper_trigger") else None,
        buttons=layout.events(top, "buttons", (NEXT_ARM, TOGGLE)),
    )
    for section in (axes, pairs):
        section.finish(MOTIONS)
    top.finish(("reversed", "gripper_close", "gripper_open", "gripper_trigger", "buttons"))
    if both := sorted(set(found.axes) & set(found.pairs)):
        raise ConfigError(f"{name}: {both[0]} stands under axes and under pairs")
    return found


class Gamepad:
    """One pad, for one arm at a time."""

    name = "gamepad"

    def __init__(
        self,
        arms: tuple[str, ...],
        pad: GamepadLayout,
        speeds: FloatArray,
        gripper_speed: float,
        deadzone: float = 0.08,
        expo: float = 0.4,
        axes: Axes = "base",
    ) -> None:
        """Make it.

        Args:
            arms: names; the first one is moved first.
            pad: which axis and button does what.
            speeds: (6,) at full deflection [m/s, rad/s].
            gripper_speed: change of the opening a second while a button drives it.
            deadzone, expo: of the sticks, see `shaped`.
            axes: of the motion.
        """
        self._arms, self._arm, self._pad = arms, 0, pad
        self._speeds, self._gripper_speed = speeds, gripper_speed
        self._deadzone, self._expo, self._axes = deadzone, expo, axes
        self._buttons = layout.Buttons(pad.buttons)
        self._last: tuple[tuple[float, ...], tuple[int, ...]] = ((), ())
        self._heard_s = self._changed_s = -np.inf
        self._refused = ""
        self._asked = ArmInput()
        self._begin()

    def _begin(self) -> None:
        """Nothing is known of how the pad is held."""
        self._held = False  # the dead-man
        self._counts = False  # whether all was let go when the dead-man was pressed
        self._trigger_seen = False  # at rest, so that its axis is really the trigger's

    def on_joy(self, axes: Sequence[float], buttons: Sequence[int], now_s: float) -> None:
        """Take a message.

        Raises:
            DataError: too few axes or buttons for the layout, or a number that is not finite.
        """
        try:
            layout.check_size("axes", self._pad.num_axes, len(axes), self._pad.name)
            layout.check_size("buttons", self._pad.num_buttons, len(buttons), self._pad.name)
            if not np.all(np.isfinite(axes)):
                raise DataError(f"Joy message holds an axis that is not finite: {list(axes)}")
        except DataError as error:
            self._refused = str(error)
            self._buttons.update_stops(buttons)
            raise
        if self._refused or now_s - self._heard_s > SILENT_S:
            self._begin()  # it may be another pad, or one whose axes are unknown anew
        self._refused, self._heard_s = "", now_s
        state = (tuple(float(a) for a in axes), tuple(int(b) for b in buttons))
        if state != self._last:
            self._last, self._changed_s = state, now_s
        self._buttons.update(buttons)
        self._asked = self._read(*state)

    def read(self, now_s: float) -> Reading:
        """See `Device`."""
        pressed = self._buttons.take()
        if pressed.count(NEXT_ARM):
            self._arm = (self._arm + pressed.count(NEXT_ARM)) % len(self._arms)
        problem, asked = self._problem(now_s), self._asked
        if pressed.count(TOGGLE) % 2 and asked.engaged:
            asked = replace(asked, toggle=True)
        arm = self._arms[self._arm]
        events = tuple(e for e in pressed if e not in (NEXT_ARM, TOGGLE))
        note = "" if asked.engaged else self._note()
        if note and len(self._arms) > 1:
            note = f"{arm}, {note}"
        return Reading({arm: asked}, events, problem, note)

    def release(self) -> None:
        """See `Device`."""

    def _note(self) -> str:
        """What a person has to do to begin."""
        if self._held and not self._counts:
            return "let go of the sticks first, then press the dead-man anew"
        if self._pad.trigger and not self._trigger_seen:
            return "press the gripper's trigger once and let go; hold the dead-man"
        return "hold the dead-man"

    def _problem(self, now_s: float) -> str:
        if self._refused:
            return self._refused
        if self._heard_s == -np.inf:
            return "no Joy message yet: is joy_node running, and the pad connected?"
        silent_s = now_s - self._heard_s
        if silent_s > SILENT_S:
            return (
                f"gamepad silent {silent_s:.1f} s: unplugged, without battery, or joy_node runs "
                "with autorepeat_rate below 10 (20 is its default)"
            )
        if self._asked.engaged and now_s - self._changed_s > FROZEN_S:
            return f"gamepad frozen {now_s - self._changed_s:.0f} s: let go of the dead-man"
        return ""

    def _read(self, axes: tuple[float, ...], buttons: tuple[int, ...]) -> ArmInput:
        pad = self._pad
        motion = self._motion(axes, buttons)
        held = bool(buttons[pad.dead_man])
        if held and not self._held:
            # A trigger that another driver has where this layout has a stick rests at the stick's
            # end: pressed like this it would move the arm that nobody asked to move.
            self._counts = not np.any(motion)
        self._held = held
        closing = pad.close >= 0 and bool(buttons[pad.close])
        opening = pad.open >= 0 and bool(buttons[pad.open])
        velocity = motion * self._speeds
        return ArmInput(
            engaged=held and self._counts,
            linear_m_s=velocity[:3],
            angular_rad_s=velocity[3:],
            axes=self._axes,
            gripper=self._opening(axes, buttons),
            pick_up=True,
            gripper_rate=self._gripper_speed * (opening - closing),
        )

    def _opening(self, axes: tuple[float, ...], buttons: tuple[int, ...]) -> float | None:
        """What the trigger asks for; None before it was seen at rest."""
        trigger = self._pad.trigger
        if trigger is None:
            return None
        self._trigger_seen |= trigger.at_rest(axes)
        return 1.0 - trigger.value(axes, buttons) if self._trigger_seen else None

    def _motion(self, axes: tuple[float, ...], buttons: tuple[int, ...]) -> FloatArray:
        """(6,) of -1 .. 1."""
        pad = self._pad
        motion = np.zeros(6)
        for number, name in enumerate(MOTIONS):
            if name in pad.axes:
                index, sign = pad.axes[name]
                motion[number] = sign * shaped(axes[index], self._deadzone, self._expo)
            elif name in pad.pairs:
                up, down = pad.pairs[name]
                motion[number] = float(bool(buttons[up])) - float(bool(buttons[down]))
        return motion


def _pair(values: FloatArray) -> tuple[int, int]:
    if np.any(values < 0) or np.any(values != np.round(values)):
        raise ConfigError(f"pairs: two numbers of buttons, got {values.tolist()}")
    return int(values[0]), int(values[1])
