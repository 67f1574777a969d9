# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Moves an arm to where an episode began, and sends the episode's deltas at their times.

One delta is under way at a time: the next is sent when the arm has begun the one before and
takes the next one whole, and what has become due meanwhile goes with it.
"""

from __future__ import annotations

import time

import numpy as np

from lapa_core.control.group import RATE_SLACK
from lapa_core.data import replay, ways
from lapa_core.errors import UnsafeAction
from lapa_core.types import NUM_AXES
from lapa_ros.replay_link import Link

SETTLE_S = 0.5
JITTER_S = 0.005
APPROACH_SHARE = 0.5  # of the step limits, on the way to the episode's first pose
MAX_STUCK = 5  # deltas on that way that bring the arm no nearer
NEAR_M, NEAR_RAD = 0.0002, 0.001


def approach(link: Link, plan: replay.Plan, speed_scale: float) -> None:
    """Move the tools straight to where the episode began, in small steps.

    Raises:
        UnsafeAction: the arm does not obey, or does not get there.
    """
    arms, share = link.robot.arms, APPROACH_SHARE * speed_scale
    openings = plan.deltas[0].reshape(-1, NUM_AXES)[:, -1]
    # The first delta only sets the grippers: what the target is shows after it.
    rows = [np.zeros(NUM_AXES - 1) for _ in arms]
    nearest, stuck = np.inf, 0
    while stuck < MAX_STUCK:
        begun = link.send(
            np.concatenate([np.append(r, o) for r, o in zip(rows, openings, strict=True)])
        )
        link.spin_until(lambda: False, link.robot.step_time_s)
        if not begun or len(link.target) < len(arms):
            stuck += 1
            continue
        away = [ways.distance(link.target[a.name], plan.start[a.name]) for a in arms]
        if all(m < NEAR_M and r < NEAR_RAD for m, r in away):
            break
        left = sum(m + r for m, r in away)
        stuck = 0 if left < nearest - 1e-4 else stuck + 1
        nearest = min(nearest, left)
        rows = [
            replay.towards(link.target[a.name], plan.start[a.name], a, share) / speed_scale
            for a in arms
        ]
    link.spin_until(lambda: False, SETTLE_S)
    problem = replay.far_from_start(plan.start, link.measured)
    if problem or not begun:
        problem = problem or "the arm begins no delta"
        raise UnsafeAction(f"{problem} ({': '.join(link.authority)})")


def play(link: Link, plan: replay.Plan) -> None:
    """Send every delta at its time.

    Raises:
        UnsafeAction: somebody took the arm over, disabled it, or pressed estop.
    """
    link.begin()
    begin = free = time.monotonic()  # `free`: when the arm takes the next delta whole
    count, done = len(plan.times_s), 0
    while done < count:
        start = max(free, begin + float(plan.times_s[done]))
        link.spin_until(lambda: False, start - time.monotonic())
        _check_ours(link)
        due = int(np.searchsorted(plan.times_s, time.monotonic() - begin, side="right"))
        delta, taken = replay.next_delta(plan.deltas[done : max(due, done + 1)], link.robot)
        share = replay.share_of_limits(delta, link.robot)
        free = time.monotonic() + share * link.robot.step_time_s / RATE_SLACK + JITTER_S
        link.send(delta)
        done += taken
    link.spin_until(lambda: False, link.robot.step_time_s)
    link.playing = False  # now it holds because nothing comes any more
    link.spin_until(lambda: False, SETTLE_S)


def _check_ours(link: Link) -> None:
    state, reason = link.authority
    if state in ("teleop", "estop") or "disabled" in reason:
        raise UnsafeAction(f"the replay has lost the arm: {state}: {reason}")
