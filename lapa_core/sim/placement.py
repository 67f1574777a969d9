# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where the things of a scene are put: at random, upright, none touching another.

Draws from the generator it is given: the same one gives the same places.
"""

from __future__ import annotations

import math

import numpy as np

from lapa_core.sim.layout import Layout
from lapa_core.sim.things import CUP, Scene
from lapa_core.types import FloatArray

_TRIALS = 100  # of one thing, before all are placed anew
CUP_WIDTH_M = (
    0.075  # the strip of the things' area that is the cup's, on the side away from the bin
)


def names(scene: Scene) -> tuple[str, ...]:
    """Bodies that are placed, in the order they are drawn."""
    return (*(t.name for t in scene.things), *((CUP,) if scene.cup else ()))


def draw(scene: Scene, layout: Layout, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Body -> (7,) place [m] and quaternion (w first) in the world."""
    lower, upper = layout.blocks_lower, layout.blocks_upper
    if scene.cup:  # its strip reaches a little beyond the area, which leaves the things more
        upper = upper - [0.0, CUP_WIDTH_M / 2]
    placed: list[FloatArray] = []
    turns: list[float] = []
    while len(placed) < len(scene.things):
        for _ in range(_TRIALS):
            xy = rng.uniform(lower, upper)
            if all(np.linalg.norm(xy - other) >= scene.gap_m for other in placed):
                placed.append(xy)
                turns.append(rng.uniform(-math.pi, math.pi))
                break
        else:  # the first ones left no room for this one
            placed, turns = [], []
    found = {
        thing.name: _pose(xy, layout.table_z_m + thing.height_m / 2, turn)
        for thing, xy, turn in zip(scene.things, placed, turns, strict=True)
    }
    if scene.cup:
        y = float(upper[1]) + CUP_WIDTH_M * 0.75
        x = rng.uniform(lower[0] + 0.02, layout.blocks_upper[0] - 0.02)
        turn = rng.uniform(-math.pi / 6, math.pi / 6)
        found[CUP] = _pose(np.array([x, y]), layout.table_z_m, turn)
    return found


def _pose(xy: FloatArray, height_m: float, turn: float) -> FloatArray:
    return np.array([*xy, height_m, math.cos(turn / 2), 0.0, 0.0, math.sin(turn / 2)])
