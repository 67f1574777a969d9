# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where in its way a demonstrator goes on after somebody else has moved the arm.

Decided by where the arm and the things are now and by nothing that was planned before, so that
what is demonstrated follows from what can be seen: from the same place a plain demonstration does
the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.sim import tasks
from lapa_core.sim.look import Look
from lapa_core.sim.ways import (
    DOWN,
    GO,
    GRASP,
    IN_PASSING_M,
    LIFT,
    LOWER,
    PUSH,
    STAND_OFF_M,
    THROUGH_M,
    Waypoint,
    Ways,
    upright,
)

OPEN_ENOUGH = 0.85  # fingers that are closed further come down on what they are to grasp
CLEAR_M = 0.045  # so far above where it grasps the fingers may still open on the way down
HIGH_M = 0.06  # a cup so far above where it is let go is above all things


@dataclass
class Place:
    """Where to go on.

    Attributes:
        plan: the way from now on.
        at: which waypoint of it is next; -1: `first`.
        first: a waypoint before the plan's own.
    """

    plan: list[Waypoint]
    at: int
    first: Waypoint | None = None


def resume(ways: Ways, look: Look, task: str, target: Pose) -> Place:
    """Where to go on from here.

    Args:
        ways, look: of the task.
        task: one of `tasks.TASKS`.
        target: commanded pose of the tool in the arm's base.
    """
    plan = ways.plan()
    if look.finished():
        return _leave(plan, target)
    if task == tasks.KNOCK:
        return _push(plan, look, target)
    if look.holds():
        return _carry(plan, task, target)
    return _fetch(plan, look, target)


def _leave(plan: list[Waypoint], target: Pose) -> Place:
    """Straight up from where it is."""
    plan[-1] = plan[-1].at_height_of(target)
    return Place(plan, len(plan) - 1)


def _begin_anew(plan: list[Waypoint], target: Pose) -> Place:
    """From above, and up there first."""
    rise = plan[0].at_height_of(target)
    if target.xyz_m[2] >= rise.goal.xyz_m[2] - rise.near_m:
        return Place(plan, 0)
    return Place(plan, -1, rise)


def _push(plan: list[Waypoint], look: Look, target: Pose) -> Place:
    """Knock over: on along the line where it stands before the thing, else from above."""
    before, beyond = plan[DOWN].goal.xyz_m, plan[PUSH].goal.xyz_m
    ahead = (beyond - before) / float(np.linalg.norm(beyond - before))
    along = float((target.xyz_m - before) @ ahead)
    # Short of the thing's middle, or behind it while it falls.
    if -IN_PASSING_M < along < STAND_OFF_M + THROUGH_M * look.leans():
        on_line = replace(plan[DOWN], goal=Pose(before + along * ahead, plan[DOWN].goal.rotation))
        if on_line.reached_from(target):
            return Place(plan, PUSH)
    if _above(plan[DOWN], target):
        return Place(plan, DOWN)
    return _begin_anew(plan, target)


def _fetch(plan: list[Waypoint], look: Look, target: Pose) -> Place:
    """Take it: close where it stands between the fingers, come down above it, else begin anew."""
    ready = look.opening() > OPEN_ENOUGH
    if plan[DOWN].reached_from(target) and ready:
        return Place(_as_it_is(plan, target), GRASP)
    high = float(target.xyz_m[2] - plan[GRASP].goal.xyz_m[2]) > CLEAR_M
    if _above(plan[DOWN], target) and (ready or high):
        return Place(plan, DOWN)
    return _begin_anew(plan, target)


def _carry(plan: list[Waypoint], task: str, target: Pose) -> Place:
    """Go on with what is held, the fingers turned as they are."""
    plan = _as_it_is(plan, target)
    if _above(plan[LOWER], target, _slack_m(task, plan, target)):
        return Place(plan, LOWER)
    if target.xyz_m[2] > plan[LIFT].goal.xyz_m[2] - plan[LIFT].near_m:
        return Place(plan, GO)
    return Place(plan, LIFT)


def _slack_m(task: str, plan: list[Waypoint], target: Pose) -> float:
    """How far beside its place what is held may be let down."""
    high = float(target.xyz_m[2] - plan[LOWER].goal.xyz_m[2]) > HIGH_M
    return plan[GO].near_m if high or task == tasks.PUT else plan[LOWER].near_m


def _as_it_is(plan: list[Waypoint], target: Pose) -> list[Waypoint]:
    """The plan of somebody who has it in his fingers here, turned as they are."""
    turned = upright(target.rotation)
    found = [*plan[:GRASP], replace(plan[GRASP], goal=target), plan[LIFT].at_height_of(target)]
    found += [replace(p, goal=Pose(p.goal.xyz_m, turned)) for p in plan[GO:]]
    return found


def _above(waypoint: Waypoint, target: Pose, near_m: float = IN_PASSING_M) -> bool:
    """Whether a pose is above a waypoint, or below it."""
    there = Pose(np.array([*target.xyz_m[:2], waypoint.goal.xyz_m[2]]), target.rotation)
    return replace(waypoint, near_m=near_m).reached_from(there)
