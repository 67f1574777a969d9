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

from lapa_core.control.compose import Pose, difference
from lapa_core.sim import tasks
from lapa_core.sim.look import Look
from lapa_core.sim.ways import (
    DOWN,
    GO,
    GRASP,
    IN_PASSING_M,
    LIFT,
    LOWER,
    NEAR_M,
    PUSH,
    RELEASE,
    STAND_OFF_M,
    THROUGH_M,
    TURNED_RAD,
    Waypoint,
    Ways,
    upright,
)

OPEN_ENOUGH = 0.85  # fingers that are closed further come down on what they are to grasp
# So far above where it grasps the fingers are above a thing's top, and may go sideways; and from
# so far up they have time to open on the way down.
CLEAR_M, OPENS_ON_THE_WAY_M = 0.03, 0.065
LEVEL_M = 0.05  # nearer than this a way above the things does not rise: up and down would meet
GRASP_NEAR_M = 0.009  # fingers that are so far aside close around a thing, and centre it
ON_LINE_M, AS_HIGH_M = 0.012, 0.008  # beside, and above or below, the line of a push
OVER_BIN_M = 0.025  # beside its middle, from where what is held falls into it


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
        return _carry(plan, look, task, target)
    return _fetch(plan, look, target)


def _leave(plan: list[Waypoint], target: Pose) -> Place:
    """Straight up from where it is."""
    plan[-1] = plan[-1].at_height_of(target)
    return Place(plan, len(plan) - 1)


def _begin_anew(plan: list[Waypoint], target: Pose) -> Place:
    """From above: straight up while the fingers are between things, level where it is near."""
    goal, height_m = plan[0].goal, float(target.xyz_m[2])
    clear_m = float(plan[DOWN].goal.xyz_m[2]) + CLEAR_M
    if height_m < clear_m:
        return Place(plan, -1, plan[0].at_height_of(target))
    if np.linalg.norm(target.xyz_m[:2] - goal.xyz_m[:2]) < LEVEL_M:
        level = np.array([*goal.xyz_m[:2], min(height_m, goal.xyz_m[2])])
        plan[0] = replace(plan[0], goal=Pose(level, goal.rotation))
    return Place(plan, 0)


def _push(plan: list[Waypoint], look: Look, target: Pose) -> Place:
    """Knock over: on along the line where it stands before the thing, else from above."""
    before, beyond = plan[DOWN].goal.xyz_m, plan[PUSH].goal.xyz_m
    ahead = (beyond - before) / float(np.linalg.norm(beyond - before))
    along = float((target.xyz_m - before) @ ahead)
    # Short of the thing's middle, or behind it while it falls.
    if -IN_PASSING_M < along < STAND_OFF_M + THROUGH_M * look.leans():
        off = difference(target, Pose(before + along * ahead, plan[DOWN].goal.rotation))
        near = np.linalg.norm(off[:2]) < ON_LINE_M and abs(off[2]) < AS_HIGH_M
        if near and np.linalg.norm(off[3:]) < TURNED_RAD:
            return Place(plan, PUSH)
    if plan[DOWN].below(target):
        return Place(plan, DOWN)
    return _begin_anew(plan, target)


def _fetch(plan: list[Waypoint], look: Look, target: Pose) -> Place:
    """Take it: close where it stands between the fingers, come down above it, else begin anew."""
    ready = look.opening() > OPEN_ENOUGH
    if replace(plan[DOWN], near_m=GRASP_NEAR_M).reached_from(target) and ready:
        return Place(_as_it_is(plan, target), GRASP)
    high = float(target.xyz_m[2] - plan[GRASP].goal.xyz_m[2]) > OPENS_ON_THE_WAY_M
    if plan[DOWN].below(target) and (ready or high):
        return Place(plan, DOWN)
    return _begin_anew(plan, target)


def _carry(plan: list[Waypoint], look: Look, task: str, target: Pose) -> Place:
    """Go on with what is held, the fingers turned as they are."""
    plan = _as_it_is(plan, target)
    slack_m = OVER_BIN_M
    if task == tasks.COVER:
        if look.covered():  # it stands over the thing
            plan[RELEASE] = replace(plan[RELEASE], goal=target)
            return Place(_leave(plan, target).plan, RELEASE)
        plan = _cup_over(plan, look)
        # With its rim below the top the thing is in it: up would be no way to correct that.
        low = target.xyz_m[2] - plan[LOWER].goal.xyz_m[2] < look.height_m
        if not low and plan[LOWER].below(target):
            return Place(plan, LOWER)
        slack_m = IN_PASSING_M if low else 0.0
    if plan[LOWER].across(target, slack_m):
        return Place(plan, LOWER)
    if target.xyz_m[2] > plan[LIFT].goal.xyz_m[2] - plan[LIFT].near_m:
        return Place(plan, GO)
    return Place(plan, LIFT)


def _cup_over(plan: list[Waypoint], look: Look) -> list[Waypoint]:
    """The plan that brings the cup over the thing, though the fingers have it off its middle."""
    aside = np.array([*look.held_aside_m(), 0.0])
    if np.linalg.norm(aside) < NEAR_M:  # as well as a demonstrator grasps it
        return plan
    moved = [replace(p, goal=Pose(p.goal.xyz_m + aside, p.goal.rotation)) for p in plan[GO:]]
    return [*plan[:GO], *moved]


def _as_it_is(plan: list[Waypoint], target: Pose) -> list[Waypoint]:
    """The plan of somebody who has it in his fingers here, turned as they are."""
    turned = upright(target.rotation)
    found = [*plan[:GRASP], replace(plan[GRASP], goal=target), plan[LIFT].at_height_of(target)]
    found += [replace(p, goal=Pose(p.goal.xyz_m, turned)) for p in plan[GO:]]
    return found
