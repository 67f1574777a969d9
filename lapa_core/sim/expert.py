# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A scripted demonstrator: puts one block into the bin, one end-effector delta a step.

It sees what the simulation knows, and speaks as a policy does: deltas in the arm's base axes,
each added to the commanded target, an absolute gripper opening.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lapa_core.control.compose import Pose, difference
from lapa_core.errors import ConfigError, unknown
from lapa_core.rotation import rotation_from_rpy
from lapa_core.sim import world
from lapa_core.sim.layout import BIN_HALF_M
from lapa_core.sim.simulation import Simulation
from lapa_core.types import FloatArray

OPEN, CLOSED = 1.0, 0.0
TRAVEL_M = 0.12  # height of the tool above the table on its way
GRASP_M = 0.018  # the middle of a block, and a little
RELEASE_M = 0.07  # above the bin's wall with the block in the fingers
STEP_SHARE = 0.8  # of the robot file's largest step
# From here a waypoint counts as reached; the commanded target gets there exactly.
NEAR_M, NEAR_RAD = 1e-3, 1e-2
GRIP_STEPS = 4  # steps to let the fingers close or open


class Expert:
    """Demonstrates with one arm; asked once a step.

    Attributes:
        done: whether the last waypoint has been reached.
    """

    def __init__(self, sim: Simulation, arm: str, block: str = "red_block") -> None:
        """Plan for the block where it stands now.

        Raises:
            ConfigError: the simulation has no such block or arm.
        """
        if block not in world.BLOCKS:
            raise ConfigError(unknown("block", block, world.BLOCKS, "the simulation"))
        self.done = False
        self._sim = sim
        self._arm = sim.robot.arm(arm)
        self._block = block
        self._plan = self._waypoints()
        self._goal, self._opening, self._wait = next(self._plan)

    def decide(self, target: Pose) -> FloatArray:
        """(7,) the next delta [m, rad, 0..1] after a pose commanded so far, in the base frame."""
        while not self.done and _reached(target, self._goal) and self._wait <= 0:
            following = next(self._plan, None)
            if following is None:
                self.done = True
            else:
                self._goal, self._opening, self._wait = following
        delta = difference(target, self._goal)
        if _reached(target, self._goal):
            self._wait -= 1
        bound = np.repeat([self._arm.max_translation_m, self._arm.max_rotation_rad], 3)
        ratio = float(np.max(np.abs(delta) / (STEP_SHARE * bound)))
        return np.concatenate([delta / max(1.0, ratio), [self._opening]])

    def succeeded(self) -> bool:
        """Whether the block lies in the bin and no finger holds it."""
        poses = self._sim.object_poses()
        apart = np.abs(poses[self._block].xyz_m - poses[world.BIN].xyz_m)
        inside = bool(np.all(apart[:2] < BIN_HALF_M)) and apart[2] < world.BIN_HEIGHT_M
        held = any(self._block in pair and "finger" in "".join(pair) for pair in self._touching())
        return inside and not held

    def _touching(self) -> list[tuple[str, str]]:
        return self._sim.contacts()

    def _waypoints(self) -> Iterator[tuple[Pose, float, int]]:
        """Goal in the base frame, opening, and steps to stay there."""
        poses = self._sim.object_poses()
        block, bin_xyz = poses[self._block], poses[world.BIN].xyz_m
        yaw = self._yaw(block.rotation)
        at, to = block.xyz_m[:2], bin_xyz[:2]
        yield self._goal_at(at, TRAVEL_M, yaw), OPEN, 0
        yield self._goal_at(at, GRASP_M, yaw), OPEN, 0
        yield self._goal_at(at, GRASP_M, yaw), CLOSED, GRIP_STEPS
        yield self._goal_at(at, TRAVEL_M, yaw), CLOSED, 0
        yield self._goal_at(to, TRAVEL_M, yaw), CLOSED, 0
        yield self._goal_at(to, RELEASE_M, yaw), CLOSED, 0
        yield self._goal_at(to, RELEASE_M, yaw), OPEN, GRIP_STEPS
        yield self._goal_at(to, TRAVEL_M, yaw), OPEN, 0

    def _goal_at(self, xy: FloatArray, height_m: float, yaw: float) -> Pose:
        """A pose of the tool in the base frame: pointing down, fingers closing along `yaw`."""
        base = self._arm.base_rotation
        xyz = np.array([*xy, self._sim.robot.table_z_m + height_m])
        down = rotation_from_rpy(0.0, 0.5 * math.pi, 0.0)
        turned = rotation_from_rpy(0.0, 0.0, yaw) @ down
        return Pose(base.T @ (xyz - self._arm.base_xyz_m), turned)

    def _yaw(self, rotation: FloatArray) -> float:
        """Heading of the fingers across two faces of the block, nearest to straight ahead."""
        heading = math.atan2(rotation[1, 0], rotation[0, 0]) - float(self._arm.base_rpy_rad[2])
        quarter = 0.5 * math.pi
        return heading - quarter * round(heading / quarter)


def _reached(pose: Pose, goal: Pose) -> bool:
    delta = difference(pose, goal)
    return bool(np.all(np.abs(delta[:3]) < NEAR_M) and np.all(np.abs(delta[3:]) < NEAR_RAD))
