# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the scripted demonstrator sees of its task: held, done, or past help."""

from __future__ import annotations

import numpy as np

from lapa_core.sim import tasks, world
from lapa_core.sim.layout import BIN_HALF_M
from lapa_core.sim.simulation import Simulation
from lapa_core.sim.things import CUP
from lapa_core.types import FloatArray

TOPPLED = 0.5  # cosine of the lean of a thing that has been knocked over, as the judge has it
STANDS = 0.95  # and of one that stands, to be covered
STRAIGHT = 0.99  # and of one that nobody pushes
STANDS_M = 0.01  # a cup that is higher stands on something
WIDE = 0.9  # fingers that are open wider than this hold nothing, whatever they touch
HELD_M = 0.02  # further from the middle of a thing fingers have it by its edge
OUT_M = 0.01  # things so far outside the workspace cannot be had any more


class Look:
    """At one arm and what it is to do.

    Args:
        sim: the world.
        arm: which one moves.
        thing: that is put into the bin, knocked over or covered.
        task: one of `tasks.TASKS`.
    """

    def __init__(self, sim: Simulation, arm: str, thing: str, task: str) -> None:
        self._sim, self._task = sim, task
        self._arm = sim.robot.arm(arm)
        self._thing = sim.scene.thing(thing)
        self._carried = CUP if task == tasks.COVER else thing

    def opening(self) -> float:
        """Measured opening of the gripper, 0 closed .. 1 open."""
        names, position, _ = self._sim.joint_state(self._arm.name)
        joint = self._arm.gripper.joint
        return float(self._arm.gripper.opening(float(position[names.index(joint)])))

    def holds(self) -> bool:
        """Whether two fingers touch what is to be carried, and carry it.

        Not from above, not wide open, and not by its edge: a cup hangs crooked then.
        """
        others = {o for pair in self._sim.contacts() if self._carried in pair for o in pair}
        if sum("finger" in other for other in others) < 2 or self.opening() > WIDE:
            return False
        tool = self._sim.tool_pose(self._arm.name)
        at = self._arm.base_rotation @ tool.xyz_m + self._arm.base_xyz_m
        carried = self._sim.object_poses()[self._carried].xyz_m
        beside_m = float(np.linalg.norm(at[:2] - carried[:2]))
        return bool(at[2] < self._top_m() and beside_m < HELD_M)

    def _top_m(self) -> float:
        """Height of the top of what is to be carried."""
        pose = self._sim.object_poses()[self._carried]
        if self._carried == CUP:
            cup = self._sim.scene.cup
            assert cup is not None
            return float(pose.xyz_m[2]) + cup.height_m + cup.knob_height_m
        half = np.array([self._thing.edge_m, self._thing.edge_m, self._thing.height_m]) / 2
        return float(pose.xyz_m[2] + np.abs(pose.rotation[2]) @ half)

    def held_aside_m(self) -> FloatArray:
        """(2,) from the middle of what is to be carried to the tool, in the arm's base."""
        tool = self._sim.tool_pose(self._arm.name).xyz_m
        base = self._arm.base_rotation.T
        carried = base @ (self._sim.object_poses()[self._carried].xyz_m - self._arm.base_xyz_m)
        aside: FloatArray = (tool - carried)[:2]
        return aside

    @property
    def height_m(self) -> float:
        """Of the thing, standing."""
        return self._thing.height_m

    def finished(self) -> bool:
        """Whether nothing is left to do but to leave."""
        if self._task == tasks.KNOCK:
            return self._up(self._thing.name) < TOPPLED
        done = self._over_bin() if self._task == tasks.PUT else self.covered()
        return done and not self.holds()

    def leans(self) -> bool:
        """Whether the thing does not stand straight."""
        return self._up(self._thing.name) < STRAIGHT

    def in_bin(self) -> bool:
        """Whether the thing is in the bin."""
        poses = self._sim.object_poses()
        above_m = abs(poses[self._thing.name].xyz_m[2] - poses[world.BIN].xyz_m[2])
        return self._over_bin() and bool(above_m < world.BIN_HEIGHT_M)

    def _over_bin(self) -> bool:
        """Whether it is in the bin or above it, into which it then falls."""
        poses = self._sim.object_poses()
        apart = poses[self._thing.name].xyz_m - poses[world.BIN].xyz_m
        return bool(np.all(np.abs(apart[:2]) < BIN_HALF_M))

    def touched(self) -> bool:
        """Whether a finger touches the thing."""
        name = self._thing.name
        return any(name in pair and "finger" in "".join(pair) for pair in self._sim.contacts())

    def hopeless(self) -> bool:
        """Whether no way leads to the end any more: something lies or is out of reach."""
        poses = self._sim.object_poses()
        names = {self._thing.name, self._carried}
        if self._task == tasks.COVER and min(self._up(n) for n in names) < STANDS:
            return True
        base = self._arm.base_rotation.T
        for name in names:
            at = base @ (poses[name].xyz_m - self._arm.base_xyz_m)
            low, high = self._arm.workspace_lower_m, self._arm.workspace_upper_m
            if np.any(at[:2] < low[:2] - OUT_M) or np.any(at[:2] > high[:2] + OUT_M):
                return True
        return False

    def covered(self) -> bool:
        """Whether the cup stands on the table over the thing."""
        cup = self._sim.scene.cup
        assert cup is not None
        poses = self._sim.object_poses()
        apart = poses[CUP].xyz_m - poses[self._thing.name].xyz_m
        over = float(np.linalg.norm(apart[:2])) < cup.inner_m / 2
        lifted_m = float(poses[CUP].xyz_m[2]) - self._sim.robot.table_z_m
        return over and self._up(CUP) > STANDS and lifted_m < STANDS_M

    def _up(self, name: str) -> float:
        """Cosine of a thing's lean."""
        return float(self._sim.object_poses()[name].rotation[2, 2])
