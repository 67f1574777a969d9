# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The ways of the scripted demonstrator: poses to pass, one after the other, for each task.

Made of where everything stands now; who follows them is `expert`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lapa_core.control.compose import Pose, difference
from lapa_core.errors import ConfigError
from lapa_core.rotation import rotation_from_rpy
from lapa_core.sim import tasks, world
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
# Steps to let the fingers close or open, which takes them 0.1 s. In a second idle step a policy
# would see what it saw in the first, and have to do another thing.
GRIP_STEPS = 1
LYING = 0.7  # cosine of the lean of a thing's axis, below which it lies
# Places in the plans: `put` and `cover` come down, close, lift, go, lower, open, leave; `knock`
# comes down, pushes, leaves.
DOWN, GRASP, LIFT, GO, LOWER, RELEASE = range(1, 7)
PUSH = 2

# How near a waypoint must be passed. In the air the last centimetre would be a small step that
# says nothing, and a policy that has learnt such steps stands still before every one.
IN_PASSING_M, NEAR_M, EXACT_M = 0.012, 0.006, 0.003
RAD_PER_M = 12.0  # 12 mm are worth 8 degrees
# The way down begins in a funnel above its end, so that it is seldom straight: a policy that has
# seen tools come down straight above their place alone takes the place below the tool for it.
# Of what it is wide at 9 cm, 27 mm, a straight way leaves 5 mm where the fingers reach a top.
FUNNEL = 0.3  # half its width as a share of the height above its end
# A cup over a thing has less room: it must be above the thing before its rim reaches the top, and
# comes down in a wider funnel until then.
CUP_FUNNEL, RIM_CLEAR_M = 0.8, 0.01
TURNED_RAD = 0.2  # so far turned, at least, a way is still begun; it turns on the way


@dataclass(frozen=True)
class Waypoint:
    """One place to pass.

    Attributes:
        goal: pose of the tool in the arm's base.
        opening: what the gripper is told on the way there.
        wait: steps to stay there.
        near_m: from here it counts as reached.
        clear_m: so far above it nothing is in the way yet; below that the way is straight down.
        funnel: half the width, as a share of the height above that, of where the way down begins.
        slack_m: half the width where that is less.
    """

    goal: Pose
    opening: float
    near_m: float = IN_PASSING_M
    wait: int = 0
    clear_m: float = 0.0
    funnel: float = FUNNEL
    slack_m: float = IN_PASSING_M

    def towards(self, pose: Pose) -> FloatArray:
        """(6,) what is left to go: first to above it where that is still clear."""
        over_m = float(pose.xyz_m[2] - self.goal.xyz_m[2]) - self.clear_m
        if not self.clear_m or over_m <= 0 or self.across(pose, self.near_m):
            return difference(pose, self.goal)
        above = self.goal.xyz_m + np.array([0.0, 0.0, self.clear_m])
        return difference(pose, Pose(above, self.goal.rotation))

    def reached_from(self, pose: Pose) -> bool:
        """Whether a pose is near enough."""
        delta = difference(pose, self.goal)
        near = float(np.linalg.norm(delta[:3])) < self.near_m
        return near and float(np.linalg.norm(delta[3:])) < RAD_PER_M * self.near_m

    def below(self, pose: Pose) -> bool:
        """Whether a pose is in the funnel above it, or beside it."""
        height_m = float(pose.xyz_m[2] - self.goal.xyz_m[2]) - self.clear_m
        return self.across(pose, max(self.slack_m, self.funnel * height_m))

    def across(self, pose: Pose, near_m: float) -> bool:
        """Whether a pose would be near if it were as high."""
        delta = difference(pose, self.goal)
        aside, turned = np.linalg.norm(delta[:2]), np.linalg.norm(delta[3:])
        return bool(aside < near_m and turned < max(TURNED_RAD, RAD_PER_M * near_m))

    def at_height_of(self, pose: Pose) -> Waypoint:
        """The same above or below another pose's place, turned as that is."""
        xyz = np.array([*pose.xyz_m[:2], self.goal.xyz_m[2]])
        return replace(self, goal=Pose(xyz, upright(pose.rotation)))


class Ways:
    """Plans for one arm, one task and one thing.

    Args:
        sim: what stands where.
        arm: which one moves.
        thing: that is put into the bin, knocked over or covered.
        task: one of `tasks.TASKS`.
        travel_m: height of the tool above the table on its way.

    Raises:
        ConfigError: the simulation has no such thing, arm or cup, or there is no such task.
    """

    def __init__(
        self, sim: Simulation, arm: str, thing: str, task: str, travel_m: float = TRAVEL_M
    ) -> None:
        tasks.check_task(task)
        self._sim, self._task, self._travel_m = sim, task, travel_m
        self._arm = sim.robot.arm(arm)
        self._thing = sim.scene.thing(thing)
        self._cup = sim.scene.cup
        if task == tasks.COVER and self._cup is None:
            raise ConfigError(f"scene {sim.scene.name} has no cup to cover the {thing} with")

    def plan(self) -> list[Waypoint]:
        """The way from above, with everything where it stands now."""
        ways = {tasks.PUT: self._put, tasks.KNOCK: self._knock, tasks.COVER: self._cover}
        return list(ways[self._task]())

    def _put(self) -> Iterator[Waypoint]:
        poses = self._sim.object_poses()
        thing, to = poses[self._thing.name], poses[world.BIN].xyz_m[:2]
        if abs(thing.rotation[2, 2]) < LYING:  # on a face: it is taken across its length
            long, grasp_m = thing.rotation[:, 2], GRASP_M
            yaw = self._turn(math.atan2(long[1], long[0]), math.pi)
        else:
            grasp_m = max(GRASP_M, self._thing.height_m - GRASP_M)
            yaw = self._across(thing.rotation)
        heights = (self._travel_m, grasp_m, grasp_m + ABOVE_BIN_M)
        yield from self._carried(thing.xyz_m[:2], to, yaw, heights)

    def _cover(self) -> Iterator[Waypoint]:
        assert self._cup is not None
        poses = self._sim.object_poses()
        cup, to = poses[CUP], poses[self._thing.name].xyz_m[:2]
        heights = (CARRY_M, self._cup.hold_m, self._cup.hold_m)
        yaw = self._across(cup.rotation)
        for place, waypoint in enumerate(self._carried(cup.xyz_m[:2], to, yaw, heights)):
            if place == LOWER:
                clear_m = self._thing.height_m + RIM_CLEAR_M
                waypoint = replace(
                    waypoint, near_m=EXACT_M, clear_m=clear_m, funnel=CUP_FUNNEL, slack_m=NEAR_M
                )
            yield waypoint

    def _carried(
        self,
        at: FloatArray,
        to: FloatArray,
        yaw: float,
        heights: tuple[float, float, float],
    ) -> Iterator[Waypoint]:
        """Take something at one place and leave it at another.

        Args:
            at, to: (2,) the places, in the world.
            yaw: of the tool.
            heights: of travel, grasp and release.
        """
        travel, grasp, release = heights
        yield Waypoint(self._goal_at(at, travel, yaw), OPEN)
        yield Waypoint(self._goal_at(at, grasp, yaw), OPEN, NEAR_M)
        yield Waypoint(self._goal_at(at, grasp, yaw), CLOSED, wait=GRIP_STEPS)
        yield Waypoint(self._goal_at(at, travel, yaw), CLOSED)
        yield Waypoint(self._goal_at(to, travel, yaw), CLOSED)
        yield Waypoint(self._goal_at(to, release, yaw), CLOSED)
        yield Waypoint(self._goal_at(to, release, yaw), OPEN, wait=GRIP_STEPS)
        yield Waypoint(self._goal_at(to, travel, yaw), OPEN)

    def _knock(self) -> Iterator[Waypoint]:
        """Push it over away from the base, with closed fingers."""
        at = self._sim.object_poses()[self._thing.name].xyz_m[:2]
        ahead = self._arm.base_rotation[:2, 0]
        height = self._thing.height_m - BELOW_TOP_M
        before, beyond = at - STAND_OFF_M * ahead, at + THROUGH_M * ahead
        yield Waypoint(self._goal_at(before, self._travel_m, 0.0), CLOSED)
        yield Waypoint(self._goal_at(before, height, 0.0), CLOSED, NEAR_M)
        yield Waypoint(self._goal_at(beyond, height, 0.0), CLOSED)
        yield Waypoint(self._goal_at(beyond, self._travel_m, 0.0), CLOSED)

    def _goal_at(self, xy: FloatArray, height_m: float, yaw: float) -> Pose:
        """A pose of the tool in the base frame: pointing down, turned by `yaw`.

        The fingers close across that heading.
        """
        base = self._arm.base_rotation
        xyz = np.array([*xy, self._sim.robot.table_z_m + height_m])
        return Pose(base.T @ (xyz - self._arm.base_xyz_m), pointing_down(yaw))

    def _across(self, rotation: FloatArray) -> float:
        """Heading in which the fingers close across two faces of a box, nearest to ahead."""
        return self._turn(math.atan2(rotation[1, 0], rotation[0, 0]), 0.5 * math.pi)

    def _turn(self, heading: float, period: float) -> float:
        """A heading in the world as one in the base, nearest to straight ahead."""
        heading -= float(self._arm.base_rpy_rad[2])
        return heading - period * round(heading / period)


def pointing_down(yaw: float) -> FloatArray:
    """(3, 3) rotation of a tool that points down, turned by `yaw`."""
    return rotation_from_rpy(0.0, 0.0, yaw) @ rotation_from_rpy(0.0, 0.5 * math.pi, 0.0)


def upright(rotation: FloatArray) -> FloatArray:
    """(3, 3) the rotation of a tool that points down with the heading of this one."""
    return pointing_down(math.atan2(-rotation[0, 1], rotation[1, 1]))
