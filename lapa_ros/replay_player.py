# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Moves an arm to where an episode began, and sends the episode's deltas at their times.

One delta is under way at a time: the next is sent when the arm has begun the one before and
takes the next one whole, and what has become due meanwhile goes with it. Every delta starts
where the last one ended: once one is lost, nothing is sent any more.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.control.steps import RATE_SLACK
from lapa_core.data import replay, ways
from lapa_core.errors import UnsafeAction
from lapa_core.types import NUM_AXES, FloatArray
from lapa_ros.replay_link import Link

SETTLE_S = 0.5
JITTER_S = 0.005
APPROACH_SHARE = 0.5  # of the step limits, on the way to the episode's first pose
MAX_STUCK = 5  # deltas on that way that bring the arm no nearer
NEAR_M, NEAR_RAD = 0.0002, 0.001
BEGUN_S = 0.5  # an arm that has begun nothing for so long holds already, by its own watchdog
STOOD_STILL_S = 0.5  # a replay that was late by more, such as a suspended one, must not go on
TARGET_LATE_S = 0.3  # how old a target may be that is compared to the plan, on a slow machine
SILENCE = "hold: policy silent"  # how the arm node calls a pause


def approach(link: Link, plan: replay.Plan, speed_scale: float, far: bool = False) -> None:
    """Move the tools straight to where the episode began, in small steps.

    Args:
        link: to the arm, enabled.
        plan: what will be played.
        speed_scale: of the arm node.
        far: whether the way may be longer than `replay.START_M` and `START_RAD`.

    Raises:
        UnsafeAction: the way is too long, the arm does not obey, or does not get there.
    """
    if not far and (problem := replay.far_from_start(plan.start, link.measured_now())):
        raise UnsafeAction(problem)
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
    problem = replay.far_from_start(plan.start, link.measured_now())
    if problem or not begun:
        problem = problem or "the arm begins no delta"
        raise UnsafeAction(f"{problem} ({': '.join(link.authority)})")


def play(link: Link, plan: replay.Plan, speed_scale: float) -> str:
    """Send every delta at its time; why and when it stopped before the end, or "".

    It stops at the first hold that is no pause of the plan, when somebody else takes the arm,
    at a delta that the arm does not begin, and when the arm's target is not where the plan is.
    """
    link.begin()
    begin = free = time.monotonic()  # `free`: when the arm takes the next delta whole
    count, done = len(plan.times_s), 0
    watch = _Watch(link, plan.start)
    while done < count and not watch.lost:
        start = max(free, begin + float(plan.times_s[done]))
        watch.wait(start)
        if watch.lost:
            break
        due = int(np.searchsorted(plan.times_s, time.monotonic() - begin, side="right"))
        delta, taken = replay.next_delta(plan.deltas[done : max(due, done + 1)], link.robot)
        share = replay.share_of_limits(delta, link.robot)
        free = time.monotonic() + share * link.robot.step_time_s / RATE_SLACK + JITTER_S
        if watch.send(delta, speed_scale):
            done += taken
    if not watch.lost:
        watch.wait(time.monotonic() + link.robot.step_time_s)
    link.playing = False  # now it holds because nothing comes any more
    if watch.lost:
        after_s = time.monotonic() - begin
        return f"{after_s:.2f} s after the first delta, {done} of {count} begun: {watch.lost}"
    link.spin_until(lambda: False, SETTLE_S)
    return ""


class _Watch:
    """Looks whether the arm still does what the plan says.

    Attributes:
        lost: why not, or "".
    """

    def __init__(self, link: Link, start: Mapping[str, Pose]) -> None:
        self.lost = ""
        self._link = link
        self._places = dict(start)
        self._trail: deque[tuple[float, Mapping[str, Pose]]] = deque([(0.0, self._places)])
        self._sent_s = np.inf
        self._seen = 0  # holds that were pauses

    def wait(self, until_s: float) -> None:
        """Wait, and look at what comes meanwhile."""
        began_s, step_s = time.monotonic(), self._link.robot.step_time_s
        pause_s = until_s if until_s - self._sent_s > step_s else -np.inf
        self._link.spin_until(lambda: self._look(pause_s), until_s - began_s)
        late_s = time.monotonic() - max(until_s, began_s)
        if not self._look(pause_s) and late_s > STOOD_STILL_S:
            self.lost = f"the replay itself stood still for {late_s:.2f} s"

    def send(self, delta: FloatArray, speed_scale: float) -> bool:
        """Send a delta; whether the arm has begun it and all is well."""
        self._sent_s = time.monotonic()
        begun = self._link.send(delta, BEGUN_S, lambda: self._look(-np.inf))
        took_s = time.monotonic() - self._sent_s
        if not self._look(-np.inf) and (not begun or took_s > BEGUN_S + STOOD_STILL_S):
            state = ": ".join(self._link.authority)
            self.lost = f"the arm did not begin a delta within {BEGUN_S:g} s ({state})"
        self._places = replay.after(self._places, delta, speed_scale)
        self._trail.append((time.monotonic(), self._places))
        return begun

    def _look(self, pause_s: float) -> bool:
        """Whether the arm is lost; until `pause_s`, and a little longer, it may fall silent."""
        link, now = self._link, time.monotonic()
        while not self.lost and self._seen < len(link.holds):
            if link.holds[self._seen].startswith(SILENCE) and now < pause_s + STOOD_STILL_S:
                self._seen += 1
            else:
                self.lost = link.holds[self._seen]
        # The newest place that is old enough stays: the arm may still be told to be there.
        while len(self._trail) > 1 and self._trail[1][0] < now - TARGET_LATE_S:
            self._trail.popleft()
        self.lost = self.lost or replay.off_plan([p for _, p in self._trail], link.target)
        return bool(self.lost)
