# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where the table, the bin and the blocks stand: a function of the robot's bases and workspaces.

Everything lies in the area that every arm reaches; where the arms share too little of it, in
the first arm's. World frame, metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from lapa_core.errors import ConfigError
from lapa_core.robot import Arm, Robot
from lapa_core.types import FloatArray

BIN_HALF_M = 0.055
BLOCK_EDGE_M = 0.032  # the WidowX gripper opens to 44 mm here
MIN_AREA_M = 0.2  # the bin and four blocks need this much on both sides
# Shares of the area, lower and upper, for the blocks and for the middle of the bin.
BLOCKS_X, BLOCKS_Y = (2 / 7, 0.8), (0.275, 0.775)
BIN_X, BIN_Y = 26 / 35, 0.05
SHARED_Y = (0.1, 0.9)  # where several arms share the area
BASE_MARGIN_M = 0.2  # of the table around a base
MARGIN_X_M, MARGIN_Y_M = 0.25, 0.35  # and around the workspaces


@dataclass(frozen=True)
class Layout:
    """Places in the world.

    Attributes:
        table_lower, table_upper: (2,) edges of the table's top.
        table_z_m: its height.
        blocks_lower, blocks_upper: (2,) box for the middles of the blocks.
        bin_xy: (2,) middle of the bin.
    """

    table_lower: FloatArray
    table_upper: FloatArray
    table_z_m: float
    blocks_lower: FloatArray
    blocks_upper: FloatArray
    bin_xy: FloatArray


def layout(robot: Robot) -> Layout:
    """The scene of a robot.

    Raises:
        ConfigError: the first arm's workspace is too small for the bin and the blocks.
    """
    lower, upper, shared = common_area(robot)
    size = upper - lower
    # No block stands in the bin, however it is turned.
    clear = BIN_HALF_M + BLOCK_EDGE_M * np.sqrt(0.5) + 0.002
    if not shared:
        bin_xy = lower + size * [BIN_X, BIN_Y]
        blocks_lower = lower + size * [BLOCKS_X[0], BLOCKS_Y[0]]
        blocks_upper = lower + size * [BLOCKS_X[1], BLOCKS_Y[1]]
        blocks_lower[1] = max(blocks_lower[1], bin_xy[1] + clear)
    else:  # the bin in the middle behind the blocks: all arms reach it
        bin_xy = lower + size * [BIN_X, 0.5]
        blocks_lower = lower + size * [BLOCKS_X[0], SHARED_Y[0]]
        blocks_upper = lower + size * [BLOCKS_X[1], SHARED_Y[1]]
        blocks_upper[0] = min(blocks_upper[0], bin_xy[0] - clear)
    table_lower, table_upper = _table(robot)
    return Layout(table_lower, table_upper, robot.table_z_m, blocks_lower, blocks_upper, bin_xy)


def common_area(robot: Robot) -> tuple[FloatArray, FloatArray, bool]:
    """(2,) lower and upper corner of the area on the table where the objects stand.

    And whether several arms share it.
    """
    boxes = [workspace_in_world(arm) for arm in robot.arms]
    lower = np.max([b[0] for b in boxes], axis=0)
    upper = np.min([b[1] for b in boxes], axis=0)
    shared = len(boxes) > 1 and not np.any(upper - lower < MIN_AREA_M)
    if not shared:
        lower, upper = boxes[0]
    if np.any(upper - lower < MIN_AREA_M):
        raise ConfigError(
            f"{robot.source}: the workspace of {robot.arms[0].name} is "
            f"{np.round(upper - lower, 3).tolist()} m wide in the world; the simulated scene "
            f"needs {MIN_AREA_M} m on both sides"
        )
    return lower, upper, shared


def workspace_in_world(arm: Arm) -> tuple[FloatArray, FloatArray]:
    """(2,) lower and upper corner, in the world, of the area an arm's workspace covers."""
    ends = zip(arm.workspace_lower_m, arm.workspace_upper_m, strict=True)
    corners = np.array(list(product(*ends))) @ arm.base_rotation.T + arm.base_xyz_m
    return corners[:, :2].min(axis=0), corners[:, :2].max(axis=0)


def _table(robot: Robot) -> tuple[FloatArray, FloatArray]:
    """Carries every base and lies under every workspace, as wide to one side as to the other."""
    bases = np.array([a.base_xyz_m[:2] for a in robot.arms])
    boxes = [workspace_in_world(a) for a in robot.arms]
    margin = np.array([MARGIN_X_M, MARGIN_Y_M])
    lower = np.minimum(
        bases.min(axis=0) - BASE_MARGIN_M, np.min([b[0] for b in boxes], axis=0) - margin
    )
    upper = np.maximum(
        bases.max(axis=0) + BASE_MARGIN_M, np.max([b[1] for b in boxes], axis=0) + margin
    )
    middle = bases[:, 1].mean()
    half = max(upper[1] - middle, middle - lower[1])
    lower[1], upper[1] = middle - half, middle + half
    return lower, upper
