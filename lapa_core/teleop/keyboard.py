# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Keys of a terminal or of a page -> motion, gripper, events.

A terminal tells that a key was pressed, never that it was let go. So a press moves for a short
time, and the repeats of a key that is held extend it: the arm stops that long after letting go.
"""

from __future__ import annotations

import numpy as np

from lapa_core.teleop.reading import ArmInput, Axes, Reading

# Longer than the time between two repeats (25 to 40 ms, and over a network now and then 100 ms
# more), shorter than a person notices as running on. Before the first repeat terminals wait 0.25
# to 0.66 s: a key that is held makes one short move, pauses, then goes on.
PULSE_S = 0.15
FINE = 0.25  # share of the speed with shift held
# Bridge's keys (bridge_data_robot, teleop.py): two rows of three pairs under each hand.
MOTION = {
    "w": (0, 1.0), "s": (0, -1.0), "a": (1, 1.0), "d": (1, -1.0), "z": (2, 1.0), "c": (2, -1.0),
    "i": (3, 1.0), "k": (3, -1.0), "j": (4, 1.0), "l": (4, -1.0), "n": (5, 1.0), "m": (5, -1.0),
}  # fmt: skip
KEY_EVENTS = {
    "t": ("take_over",),
    "b": ("hand_back",),
    "e": ("enable",),
    "h": ("home",),
    "p": ("park",),
    "escape": ("estop", "stop"),
    "backspace": ("hold",),
    "enter": ("start",),
    "right": ("save",),
    "down": ("fail",),
    "left": ("redo",),
    "u": ("undo_last",),
    "x": ("discard",),
}
SPEEDS = {str(d): (d or 10) / 10.0 for d in range(10)}  # 1 a tenth .. 9 nine tenths, 0 all
NAMES = {
    " ": "space", "esc": "escape", "return": "enter", "\t": "tab", "\n": "enter", "\r": "enter",
    "\x1b": "escape", "\x7f": "backspace", "\x08": "backspace", "delete": "backspace",
}  # fmt: skip
HELP = """
  w s  forward, back      i k  roll        space  gripper open / close
  a d  left, right        j l  pitch       tab    next arm
  z c  up, down           n m  yaw         1..9,0 speed; with shift: a quarter of it
  t take over   b hand back   e enable   h home   p park   esc ESTOP   backspace hold
  enter begin   right save    left redo  down save as a failure   x discard   u undo the last
"""


def canonical(key: str) -> str:
    """One name for what terminals and browsers call the same key; letters keep their case."""
    if len(key) == 1 and key not in NAMES:
        return key
    name = key.lower().removeprefix("arrow")
    return NAMES.get(name, name)


class Keyboard:
    """The keys of one person."""

    def __init__(
        self,
        arms: tuple[str, ...],
        linear_m_s: float,
        angular_rad_s: float,
        axes: Axes = "base",
        name: str = "keyboard",
    ) -> None:
        """Make it.

        Args:
            arms: names; the first one is moved first.
            linear_m_s, angular_rad_s: speeds of key 0; it begins at half of them.
            axes: of the motion.
            name: of the device.
        """
        self.name = name
        self._arms, self._arm, self._axes = arms, 0, axes
        self._full = np.repeat([linear_m_s, angular_rad_s], 3)
        self._share = 0.5
        self._pulses: dict[int, tuple[float, float]] = {}  # axis -> (signed share, end)
        self._toggle = False
        self._events: list[str] = []

    def press(self, key: str, now_s: float) -> bool:
        """Take a key; whether it means anything here."""
        key = canonical(key)
        if key.lower() in MOTION:
            axis, sign = MOTION[key.lower()]
            self._pulses[axis] = (sign * (FINE if key.isupper() else 1.0), now_s + PULSE_S)
        elif key == "space":
            self._toggle = True
        elif key == "tab":
            self._pulses.clear()
            self._arm = (self._arm + 1) % len(self._arms)
        elif key in SPEEDS:
            self._share = SPEEDS[key]
        else:
            return self.press_event(key)
        return True

    def press_event(self, key: str) -> bool:
        """Take a key that moves nothing; whether it is one."""
        events = KEY_EVENTS.get(canonical(key))
        if events is None:
            return False
        self._pulses.clear()
        self._events += events
        return True

    def take_events(self) -> tuple[str, ...]:
        """What was pressed since the last call beside motion."""
        events, self._events = tuple(self._events), []
        return events

    def read(self, now_s: float) -> Reading:
        """See `Device`."""
        self._pulses = {a: p for a, p in self._pulses.items() if p[1] > now_s}
        velocity = np.zeros(6)
        for axis, (share, _) in self._pulses.items():
            velocity[axis] = share * self._share * self._full[axis]
        asked = ArmInput(
            engaged=bool(self._pulses) or self._toggle,
            linear_m_s=velocity[:3],
            angular_rad_s=velocity[3:],
            axes=self._axes,
            toggle=self._toggle,
        )
        arm = self._arms[self._arm]
        events, self._toggle = self.take_events(), False
        which = f"{arm}, " if len(self._arms) > 1 else ""
        return Reading({arm: asked}, events, note=f"{which}speed {self._share:.0%}")

    def release(self) -> None:
        """See `Device`."""
        self._pulses.clear()
        self._toggle = False
