# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What can stand on the simulated table: coloured things, and the scenes made of them.

Knows sizes and colours, nothing of MuJoCo and nothing of where things stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lapa_core.errors import ConfigError, unknown

RGBA = tuple[float, float, float, float]
# Full colours, so that a picture of 256 pixels tells the things apart.
COLOURS: Mapping[str, RGBA] = {
    "red": (0.80, 0.08, 0.08, 1.0),
    "green": (0.08, 0.55, 0.15, 1.0),
    "blue": (0.10, 0.20, 0.75, 1.0),
    "yellow": (0.90, 0.75, 0.05, 1.0),
}
CUP = "cup"
CUP_COLOUR: RGBA = (0.35, 0.30, 0.40, 1.0)


@dataclass(frozen=True)
class Thing:
    """One object that can be moved.

    Attributes:
        name: of its body.
        noun: what people call it.
        edge_m: width of the box; what the arm pushes has flat sides, as round things get caught
            between the tips of closed fingers.
        height_m: when it stands.
        rgba: colour.
        mass_kg: of the whole.
    """

    name: str
    noun: str
    edge_m: float
    height_m: float
    rgba: RGBA
    mass_kg: float = 0.03


@dataclass(frozen=True)
class Cup:
    """An open box upside down with a knob to hold it by; it is put over a thing.

    The knob's middle is `hold_m` above the table when the cup stands on it. A thing of 28 mm
    turned by 45 degrees leaves 6 mm on both sides.
    """

    inner_m: float = 0.052
    wall_m: float = 0.003
    height_m: float = 0.056
    knob_m: float = 0.018
    knob_height_m: float = 0.026
    mass_kg: float = 0.04

    @property
    def hold_m(self) -> float:
        """Height of the knob's middle above the rim."""
        return self.height_m + self.knob_height_m / 2


@dataclass(frozen=True)
class Scene:
    """What stands on the table beside the bin.

    Attributes:
        name: as asked for.
        things: one of each colour.
        cup: the cup, or None.
        gap_m: least distance between the middles of two things.
    """

    name: str
    things: tuple[Thing, ...]
    cup: Cup | None = None
    gap_m: float = 0.055

    def thing(self, name: str) -> Thing:
        """The thing of that name, or a `ConfigError` that lists the valid ones."""
        for thing in self.things:
            if thing.name == name:
                return thing
        raise ConfigError(unknown("thing", name, [t.name for t in self.things], self.name))


def _one_of_each(noun: str, edge_m: float, height_m: float) -> tuple[Thing, ...]:
    return tuple(
        Thing(f"{colour}_{noun}", noun, edge_m, height_m, rgba) for colour, rgba in COLOURS.items()
    )


# The WidowX gripper opens to 44 mm here. What is to be knocked over is taller than wide.
BLOCKS = Scene("blocks", _one_of_each("block", 0.032, 0.032))
TABLETOP = Scene("tabletop", _one_of_each("block", 0.028, 0.048), Cup(), gap_m=0.068)
POSTS = Scene("posts", _one_of_each("post", 0.020, 0.050), Cup(), gap_m=0.068)
SCENES: Mapping[str, Scene] = {s.name: s for s in (BLOCKS, TABLETOP, POSTS)}


def scene(name: str) -> Scene:
    """The scene of that name, or a `ConfigError` that lists the valid ones."""
    if name not in SCENES:
        raise ConfigError(unknown("scene", name, SCENES, "lapa_core.sim.things"))
    return SCENES[name]
