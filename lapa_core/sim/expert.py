# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A scripted demonstrator: does one task with one thing, one end-effector delta a step.

It sees what the simulation knows, and speaks as a policy does: deltas in the arm's base axes,
each added to the commanded target, an absolute gripper opening.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lapa_core.control.compose import Pose, difference
from lapa_core.errors import ConfigError
from lapa_core.rotation import rotation_from_rpy
from lapa_core.sim import tasks, world
from lapa_core.sim.layout import BIN_HALF_M
from lapa_core.sim.simulation import Simulation
from lapa_core.sim.things import CUP
from lapa_core.types import FloatArray

OPEN, CLOSED = 1.0, 0.0
TRAVEL_M = 0.12  # height of the tool above the table on its way
CARRY_M = 0.145  # and with the cup, whose rim then clears the things
GRASP_M = 0.018  # the tool is at least this high, and 18 mm below the top of a tall thing
ABOVE_BIN_M = 0.052  # what hangs below the tool passes the bin's wall
STAND_OFF_M, THROUGH_M = 0.05, 0.05  # before and beyond a thing that is pushed over
BELOW_TOP_M = 0.01  # where it is pushed
STEP_SHARE = 0.8  # of the robot file's largest step
# From here a waypoint counts as reached; the commanded target gets there exactly.
NEAR_M, NEAR_RAD = 1e-3, 1e-2
# Steps to let the fingers close or open, which takes them 0.1 s. In a second idle step a policy
# would see what it saw in the first, and have to do another thing.
GRIP_STEPS = 1
# With a generator, a demonstrator is not exact on its way, as a person is not:
STRAY_SHARE = 0.3  # of the demonstrations pass a point beside the first waypoint
STRAY_M = (0.04, 0.04, 0.03)
HEIGHT_M = 0.01  # spread of the height it travels at
# After somebody moved the arm: this near to its way it goes on, else it rises and begins again.
BESIDE_M, LOW_M = 0.012, 0.02
GRASP_OFF_M, GRASP_OFF_RAD = 0.005, 0.1  # nobody goes back for that little before closing
UPRIGHT = 0.7  # cosine of the lean of a thing that still stands
STANDS_M = 0.01  # a cup that is higher stands on something
GRASP, CARRY, RELEASE = 2, 3, 6  # places in the plans of `put` and `cover`

Waypoint = tuple[Pose, float, int]  # goal in the base frame, opening, steps to stay there


class Expert:
    """Demonstrates with one arm; asked once a step.

    Attributes:
        done: whether the last waypoint has been reached.
    """

    def __init__(
        self,
        sim: Simulation,
        arm: str,
        thing: str = "red_block",
        task: str = tasks.PUT,
        rng: np.random.Generator | None = None,
        strays: bool = True,
    ) -> None:
        """Plan for the thing where it stands now.

        Args:
            sim: what stands where.
            arm: which one moves.
            thing: that is put into the bin, knocked over or covered.
            task: one of `tasks.TASKS`.
            rng: of the ways that differ from one demonstration to the next; None: always the same.
            strays: whether some of those begin with a point beside the way.

        Raises:
            ConfigError: the simulation has no such thing, arm or cup, or there is no such task.
        """
        tasks.check_task(task)
        self.done = False
        self._sim = sim
        self._arm = sim.robot.arm(arm)
        self._thing = sim.scene.thing(thing)
        self._cup = sim.scene.cup
        if task == tasks.COVER and self._cup is None:
            raise ConfigError(f"scene {sim.scene.name} has no cup to cover the {thing} with")
        self._travel_m = TRAVEL_M + (rng.uniform(-HEIGHT_M, HEIGHT_M) if rng else 0.0)
        self._task, self._moved = task, False
        self._plan = self._ways()
        self._astray = self._beside(rng if strays else None)
        self._at = -1 if self._astray else 0  # place in the plan
        self._begin()

    def _ways(self) -> list[Waypoint]:
        ways = {tasks.PUT: self._put, tasks.KNOCK: self._knock, tasks.COVER: self._cover}
        return list(ways[self._task]())

    def _begin(self) -> None:
        """Make for the waypoint at the place in the plan, or the one before it."""
        before = self._astray if self._at < 0 else None
        self._goal, self._opening, self._wait = before or self._plan[self._at]

    @property
    def opening(self) -> float:
        """What the gripper is told now, 0 .. 1."""
        return self._opening

    @property
    def carries(self) -> bool:
        """Whether it should hold something that must not fall."""
        return self._task != tasks.KNOCK and GRASP <= self._at < RELEASE

    def disturbed(self) -> None:
        """Say that somebody else has moved the arm; the next decision makes up for it."""
        self._moved = True

    def decide(self, target: Pose) -> FloatArray:
        """(7,) the next delta [m, rad, 0..1] after a pose commanded so far, in the base frame."""
        if self._moved:
            self._moved = False
            self._make_up(target)
        while not self.done and _reached(target, self._goal) and self._wait <= 0:
            if self._at + 1 == len(self._plan):
                self.done = True
            else:
                self._at += 1
                self._begin()
        delta = difference(target, self._goal)
        if _reached(target, self._goal):
            self._wait -= 1
        bound = np.repeat([self._arm.max_translation_m, self._arm.max_rotation_rad], 3)
        ratio = float(np.max(np.abs(delta) / (STEP_SHARE * bound)))
        return np.concatenate([delta / max(1.0, ratio), [self._opening]])

    def _make_up(self, target: Pose) -> None:
        """Go on from where the world is now, else begin again from above.

        Whoever learns from it sees what to do beside the way, which a faultless way never shows.
        """
        if self._finished():
            self._at = len(self._plan) - 1
            self._begin()
            return
        if self._task != tasks.KNOCK and self._holds():
            if self._at < RELEASE or self._aside_m(target, RELEASE) > BESIDE_M:
                self._carry(target)
            return
        goal = self._plan[1][0]
        aside = difference(target, goal)
        if (
            self._at == GRASP
            and self._task != tasks.KNOCK
            and float(np.linalg.norm(aside[:3])) < GRASP_OFF_M
            and float(np.linalg.norm(aside[3:])) < GRASP_OFF_RAD
        ):
            self._plan[GRASP] = target, CLOSED, GRIP_STEPS
            self._begin()
            return
        above_it = (
            self._aside_m(self._ways()[1][0], 1) < NEAR_M  # it has not been moved
            and self._aside_m(target, 1) < BESIDE_M
        )
        if above_it and self._task != tasks.KNOCK and 1 <= self._at <= GRASP:
            self._at = 1
            self._begin()
            return
        self._plan = self._ways()
        above = self._plan[0][0].xyz_m[2]
        low = target.xyz_m[2] < above - LOW_M
        rise = Pose(np.array([*target.xyz_m[:2], above]), target.rotation)
        self._astray = (rise, self._plan[0][1], 0) if low else None
        self._at = -1 if low else 0
        self._begin()

    def _aside_m(self, pose: Pose, place: int) -> float:
        """How far a pose is from a place in the plan, seen from above."""
        return float(np.linalg.norm(pose.xyz_m[:2] - self._plan[place][0].xyz_m[:2]))

    def _carry(self, target: Pose) -> None:
        """Lift what is held where it is and go on with it, the fingers turned as they are."""
        self._plan = self._ways()
        for place in range(CARRY, len(self._plan)):
            goal, opening, wait = self._plan[place]
            self._plan[place] = Pose(goal.xyz_m, target.rotation), opening, wait
        lift, opening, wait = self._plan[CARRY]
        over = Pose(np.array([*target.xyz_m[:2], lift.xyz_m[2]]), target.rotation)
        self._plan[CARRY] = over, opening, wait
        self._at = CARRY
        self._begin()

    def _holds(self) -> bool:
        """Whether two fingers touch what is to be carried."""
        name = CUP if self._task == tasks.COVER else self._thing.name
        return len(self._fingers_at(name)) > 1

    def _fingers_at(self, name: str) -> set[str]:
        """The fingers that touch a thing."""
        others = {other for pair in self._sim.contacts() if name in pair for other in pair}
        return {other for other in others if "finger" in other}

    def _fallen(self) -> bool:
        return bool(self._sim.object_poses()[self._thing.name].rotation[2, 2] < UPRIGHT)

    def _finished(self) -> bool:
        """Whether nothing is left to do but to leave."""
        if self._task == tasks.KNOCK:
            return self._fallen()
        if self._task == tasks.PUT:
            return self.succeeded()
        assert self._cup is not None
        poses = self._sim.object_poses()
        cup, thing = poses[CUP], poses[self._thing.name]
        apart = np.abs(cup.xyz_m - thing.xyz_m)
        over = float(np.linalg.norm(apart[:2])) < self._cup.inner_m / 2
        return over and self._lies_low(cup) and not self._fingers_at(CUP)

    def _lies_low(self, cup: Pose) -> bool:
        """Whether the cup stands on the table."""
        assert self._cup is not None
        lifted_m = cup.xyz_m[2] - self._sim.robot.table_z_m
        return bool(cup.rotation[2, 2] > UPRIGHT and lifted_m < STANDS_M)

    def succeeded(self) -> bool:
        """Whether the thing lies in the bin and no finger holds it."""
        poses = self._sim.object_poses()
        name = self._thing.name
        apart = np.abs(poses[name].xyz_m - poses[world.BIN].xyz_m)
        inside = bool(np.all(apart[:2] < BIN_HALF_M)) and apart[2] < world.BIN_HEIGHT_M
        held = any(name in pair and "finger" in "".join(pair) for pair in self._sim.contacts())
        return inside and not held

    def _put(self) -> Iterator[Waypoint]:
        poses = self._sim.object_poses()
        thing, bin_xyz = poses[self._thing.name], poses[world.BIN].xyz_m
        at, to = thing.xyz_m[:2], bin_xyz[:2]
        if self._fallen():  # it lies on a face, and is taken across its length
            long, grasp_m = thing.rotation[:, 2], GRASP_M
            yaw = self._turn(math.atan2(long[1], long[0]), math.pi)
        else:
            yaw = self._yaw(thing.rotation)
            grasp_m = max(GRASP_M, self._thing.height_m - GRASP_M)
        yield self._goal_at(at, self._travel_m, yaw), OPEN, 0
        yield self._goal_at(at, grasp_m, yaw), OPEN, 0
        yield self._goal_at(at, grasp_m, yaw), CLOSED, GRIP_STEPS
        yield self._goal_at(at, self._travel_m, yaw), CLOSED, 0
        yield self._goal_at(to, self._travel_m, yaw), CLOSED, 0
        yield self._goal_at(to, grasp_m + ABOVE_BIN_M, yaw), CLOSED, 0
        yield self._goal_at(to, grasp_m + ABOVE_BIN_M, yaw), OPEN, GRIP_STEPS
        yield self._goal_at(to, self._travel_m, yaw), OPEN, 0

    def _knock(self) -> Iterator[Waypoint]:
        """Push it over away from the base, with closed fingers."""
        at = self._sim.object_poses()[self._thing.name].xyz_m[:2]
        ahead = self._arm.base_rotation[:2, 0]
        height = self._thing.height_m - BELOW_TOP_M
        before, beyond = at - STAND_OFF_M * ahead, at + THROUGH_M * ahead
        yield self._goal_at(before, self._travel_m, 0.0), CLOSED, 0
        yield self._goal_at(before, height, 0.0), CLOSED, 0
        yield self._goal_at(beyond, height, 0.0), CLOSED, 0
        yield self._goal_at(beyond, self._travel_m, 0.0), CLOSED, 0

    def _cover(self) -> Iterator[Waypoint]:
        assert self._cup is not None
        poses = self._sim.object_poses()
        cup, thing = poses[CUP], poses[self._thing.name]
        yaw = self._yaw(cup.rotation)
        at, to, hold = cup.xyz_m[:2], thing.xyz_m[:2], self._cup.hold_m
        yield self._goal_at(at, CARRY_M, yaw), OPEN, 0
        yield self._goal_at(at, hold, yaw), OPEN, 0
        yield self._goal_at(at, hold, yaw), CLOSED, GRIP_STEPS
        yield self._goal_at(at, CARRY_M, yaw), CLOSED, 0
        yield self._goal_at(to, CARRY_M, yaw), CLOSED, 0
        yield self._goal_at(to, hold, yaw), CLOSED, 0
        yield self._goal_at(to, hold, yaw), OPEN, GRIP_STEPS
        yield self._goal_at(to, CARRY_M, yaw), OPEN, 0

    def _beside(self, rng: np.random.Generator | None) -> Waypoint | None:
        """Now and then, a point beside the first waypoint to pass before it."""
        if rng is None or rng.random() >= STRAY_SHARE:
            return None
        goal, opening, _ = self._plan[0]
        return Pose(goal.xyz_m + rng.uniform(-1, 1, size=3) * STRAY_M, goal.rotation), opening, 0

    def _goal_at(self, xy: FloatArray, height_m: float, yaw: float) -> Pose:
        """A pose of the tool in the base frame: pointing down, turned by `yaw`.

        The fingers close across that heading.
        """
        base = self._arm.base_rotation
        xyz = np.array([*xy, self._sim.robot.table_z_m + height_m])
        down = rotation_from_rpy(0.0, 0.5 * math.pi, 0.0)
        turned = rotation_from_rpy(0.0, 0.0, yaw) @ down
        return Pose(base.T @ (xyz - self._arm.base_xyz_m), turned)

    def _yaw(self, rotation: FloatArray) -> float:
        """Heading of the fingers across two faces of a box, nearest to straight ahead."""
        return self._turn(math.atan2(rotation[1, 0], rotation[0, 0]), 0.5 * math.pi)

    def _turn(self, heading: float, period: float) -> float:
        """A heading in the world as one in the base, nearest to straight ahead."""
        heading -= float(self._arm.base_rpy_rad[2])
        return heading - period * round(heading / period)


def _reached(pose: Pose, goal: Pose) -> bool:
    delta = difference(pose, goal)
    return bool(np.all(np.abs(delta[:3]) < NEAR_M) and np.all(np.abs(delta[3:]) < NEAR_RAD))
