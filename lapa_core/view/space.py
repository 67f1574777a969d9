# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a person sees beside the robot itself, as numbers: for RViz and for the page alike.

Knows no messages and no viewer.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from lapa_core.control.compose import Pose, compose, in_axes
from lapa_core.errors import DataError, unknown
from lapa_core.robot import Arm, Robot
from lapa_core.types import ActionChunk, FloatArray, dimension_names

Colour = tuple[float, float, float]

# Green moves by the policy, blue by a person, amber holds, red is stopped until reset.
COLOURS: dict[str, Colour] = {
    "policy": (0.15, 0.75, 0.25),
    "teleop": (0.20, 0.55, 0.95),
    "hold": (0.95, 0.65, 0.10),
    "estop": (0.90, 0.10, 0.10),
}
UNKNOWN: Colour = (0.6, 0.6, 0.6)  # nobody has announced an authority yet
MOVING = ("policy", "teleop")
BOX_COLOUR: Colour = (0.35, 0.65, 0.95)
TABLE_COLOUR: Colour = (0.55, 0.50, 0.45)
MAX_DELTA = 10.0  # m or rad; a step of an arm is a hundredth of it
TABLE_MARGIN_M = 0.1  # around the bases and workspaces that stand on it


def byte_colour(colour: Colour) -> tuple[int, int, int]:
    """The same colour with parts of 0 .. 255."""
    red, green, blue = (round(255 * part) for part in colour)
    return red, green, blue


def box_edges(arm: Arm) -> FloatArray:
    """(24, 3) ends of the twelve edges of the workspace box [m], in the arm's base."""
    sides = np.stack([arm.workspace_lower_m, arm.workspace_upper_m], axis=1)
    corners = np.array(list(product(*sides)))
    pairs = [
        (i, j)
        for i, j in product(range(8), range(8))
        if i < j and bin(i ^ j).count("1") == 1  # neighbours differ in one coordinate
    ]
    edges: FloatArray = corners[np.array(pairs).reshape(-1)]
    return edges


def table_extent(robot: Robot) -> tuple[FloatArray, FloatArray]:
    """(2,) lower and upper corner of the table [m] in the world, under all bases and boxes."""
    points: list[FloatArray] = []
    for arm in robot.arms:
        points += [arm.base_xyz_m, *(box_edges(arm) @ arm.base_rotation.T + arm.base_xyz_m)]
    lower: FloatArray = np.min(points, axis=0)[:2] - TABLE_MARGIN_M
    upper: FloatArray = np.max(points, axis=0)[:2] + TABLE_MARGIN_M
    return lower, upper


def predicted(chunk: ActionChunk, robot: Robot, arm: Arm, start: Pose) -> list[Pose]:
    """The tool poses a chunk leads to, `start` first: what is asked for, before any clamp.

    Args:
        chunk: in each arm's own base or in the world; dimensions in any order.
        robot: whose frames these are.
        arm: the arm of the poses.
        start: pose in the arm's base, as are the results.

    Raises:
        DataError: another frame, a dimension of the arm is missing, or no step of any arm.
    """
    if chunk.frame_id not in (valid := ("", robot.base_frame, robot.world_frame)):
        raise DataError(unknown("frame_id", chunk.frame_id, valid, "the chunk"))
    for name in (names := dimension_names((arm.name,))):
        if name not in chunk.names:
            raise DataError(unknown("dimension", name, chunk.names, "the chunk"))
    deltas = chunk.deltas[:, [chunk.names.index(n) for n in names]]
    if not np.all(np.abs(deltas) < MAX_DELTA):  # nor where it is not a number
        raise DataError(f"a delta of the chunk is not finite, or beyond {MAX_DELTA:g} m or rad")
    if chunk.frame_id == robot.world_frame:
        deltas = in_axes(deltas, arm.base_rotation.T)
    poses = [start]
    for delta in deltas:
        poses.append(compose(poses[-1], delta))
    return poses
