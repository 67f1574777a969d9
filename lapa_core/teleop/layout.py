# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Reads `config/teleop/*.yaml`: which button does what, how a leader arm is built.

Every mistake is a `ConfigError` naming the place and the valid values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from lapa_core import paths
from lapa_core.errors import ConfigError, DataError, unknown
from lapa_core.teleop.reading import EVENTS
from lapa_core.yaml_section import Section

FORMAT = 1
FOLDER = "config/teleop"
# SDL's axes read 0 before their first event, which for many triggers is half pressed.
REST = 0.1  # an axis this near to its rest is let go
STOPS = ("hold", "estop")


def load(name_or_path: str, device: str) -> Section:
    """The content of a layout by its name in `config/teleop`, or of a file of one's own.

    Raises:
        ConfigError: there is none, or it is one of another device.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        names = paths.names(FOLDER, ".yaml")
        if name_or_path not in names:
            raise ConfigError(unknown("layout", name_or_path, names, FOLDER))
        path = paths.share(f"{FOLDER}/{name_or_path}.yaml")
    if not path.is_file():
        raise ConfigError(f"no layout at {path}")
    try:
        top = Section(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    if (version := top.integer("format")) != FORMAT:
        raise ConfigError(f"{path}: format {version} is not readable here; valid: {FORMAT}")
    if (found := top.text("device")) != device:
        raise ConfigError(f"{path} is a layout of {found}, not of {device}")
    return top


@dataclass(frozen=True)
class Pull:
    """A trigger or grip, or a button, as a number of 0 at rest .. 1 pressed.

    Attributes:
        index: of the axis, or of the button.
        rest, pressed: values of the axis; the same for both makes it a button.
    """

    index: int
    rest: float
    pressed: float

    @property
    def is_button(self) -> bool:
        """Whether it is a button."""
        return self.rest == self.pressed

    def value(self, axes: Sequence[float], buttons: Sequence[int]) -> float:
        """How far it is pressed, 0 .. 1."""
        if self.is_button:
            return float(bool(buttons[self.index]))
        share = (axes[self.index] - self.rest) / (self.pressed - self.rest)
        return min(max(float(share), 0.0), 1.0)

    def at_rest(self, axes: Sequence[float]) -> bool:
        """Whether it is let go, as far as an axis can tell."""
        return self.is_button or abs(axes[self.index] - self.rest) <= REST


@dataclass
class Buttons:
    """Which buttons have been pressed since they were last asked for.

    Attributes:
        meanings: event -> index of its button.
    """

    meanings: Mapping[str, int]
    _down: frozenset[str] = frozenset()
    _pressed: list[str] = field(default_factory=list)

    def update(self, buttons: Sequence[int]) -> None:
        """Take the present state; a button that is left out of the message is not down."""
        self._take(buttons, tuple(self.meanings))

    def update_stops(self, buttons: Sequence[int]) -> None:
        """Take of a message that is refused what stops the arm, and nothing else.

        Of another pad than the layout's a button may mean anything: to stop is never wrong.
        """
        self._take(buttons, STOPS)

    def _take(self, buttons: Sequence[int], counting: Sequence[str]) -> None:
        down = frozenset(
            name for name, i in self.meanings.items() if i < len(buttons) and buttons[i]
        )
        self._pressed += [n for n in self.meanings if n in down - self._down and n in counting]
        self._down = down

    def take(self) -> tuple[str, ...]:
        """What was pressed since the last call, in order."""
        pressed, self._pressed = self._pressed, []
        return tuple(pressed)


def pull(s: Section, key: str) -> Pull:
    """A trigger `{axis, rest, pressed}`, or a button `{button}`."""
    part = s.section(key)
    if part.has("button"):
        found = Pull(part.integer("button", 0), 1.0, 1.0)
    else:
        found = Pull(part.integer("axis", 0), part.number("rest"), part.number("pressed"))
        if found.is_button:
            raise ConfigError(f"{part.where}: rest and pressed are both {found.rest:g}")
    part.finish()
    return found


def events(s: Section, key: str, more: Sequence[str] = ()) -> dict[str, int]:
    """Event -> button; `more` names what is valid beside `EVENTS`."""
    if not s.has(key):
        return {}
    part = s.section(key)
    valid = (*EVENTS, *more)
    found = {name: part.integer(name, 0) for name in valid if part.has(name)}
    part.finish(valid)
    return found


def check_size(what: str, needed: int, got: int, layout: str) -> None:
    """Refuse a `sensor_msgs/Joy` with fewer axes or buttons than the layout names.

    Raises:
        DataError: saying how many there are.
    """
    if needed > got:
        raise DataError(
            f"Joy message has {got} {what}, but {layout} names number {needed - 1}: another "
            f"controller or driver than this layout is for; valid: one of {FOLDER}, or your own"
        )
