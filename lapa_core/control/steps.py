# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A source's steps, taken by all arms of one robot.

A step is taken by every arm or by none, one share of it by all. Where the parameters say so, an
arm that cannot take its part stays instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np

from lapa_core.control.collision import CollisionGuard
from lapa_core.control.limits import Refusal
from lapa_core.control.player import Step
from lapa_core.control.track import ArmTrack, Plan
from lapa_core.types import NUM_AXES, FloatArray

# Halvings in search of the largest share of a step whose end is free: 1/32 of 5 cm is 1.6 mm.
HALVINGS = 5
# A source may be this much faster than one full step a step time, for its jitter.
RATE_SLACK = 1.25
# A step of a faster source is spread over its own period and half as much again: then the next
# one comes before the tool has stopped, and the tool is not a whole step time behind.
SPREAD = 1.5


class Steps:
    """Takes steps.

    Args:
        tracks: all arms.
        guard: keeps their shapes apart.
        held: those that hold alone; looked at at each step.
        interventions: counts what is clamped, shortened or refused.
        together: whether a step that one arm cannot take is refused for all.
        step_time_s: of the robot.
    """

    def __init__(
        self,
        tracks: Mapping[str, ArmTrack],
        guard: CollisionGuard,
        held: Collection[str],
        interventions: Counter[str],
        together: bool,
        step_time_s: float,
    ) -> None:
        self._tracks, self._guard, self._held = tracks, guard, held
        self._interventions = interventions
        self._together, self._step_time_s = together, step_time_s
        self._last_begin_s = -np.inf
        self._last_source = ""

    def begin(self, step: Step, now_s: float) -> FloatArray:
        """Take a due step; returns the (d,) delta that it comes to.

        Raises:
            Refusal: an arm cannot take it; none has then changed its target.
        """
        rate, period_s = 1.0, np.inf
        if step.source == self._last_source:
            period_s = now_s - self._last_begin_s
            rate = min(1.0, RATE_SLACK * period_s / self._step_time_s)
        elif self._last_source:
            # Who takes over starts from where the arm is, not from where the other's step was to
            # end: else the arm would go on there, and two full steps would add up.
            for track in self._tracks.values():
                track.rest(now_s)
        # Neither may a step that is to be over sooner go as far as a whole one.
        rate = min(rate, RATE_SLACK * step.duration_s / self._step_time_s)
        rows = dict(
            zip(self._tracks, step.delta.reshape(len(self._tracks), NUM_AXES), strict=True)
        )
        plans = self._free_plans(rows, rate)
        duration_s = self._duration_s(step, plans, period_s, now_s)
        for name, plan in plans.items():
            self._tracks[name].take(plan, now_s, duration_s)
            self._interventions.update(plan.interventions)
        self._last_begin_s, self._last_source = now_s, step.source
        return np.concatenate([p.executed for p in plans.values()])

    def _duration_s(
        self, step: Step, plans: Mapping[str, Plan], period_s: float, now_s: float
    ) -> float:
        """Time to spread a step over: its own, or less where its source is faster than that.

        What is left of the steps before goes along, so the time is never so short that an arm
        would go faster than a full step in a step time.
        """
        lag = max(t.lag_share(plans[n].target, now_s) for n, t in self._tracks.items())
        return min(step.duration_s, max(SPREAD * period_s, lag * self._step_time_s))

    def _free_plans(self, rows: Mapping[str, FloatArray], rate: float) -> dict[str, Plan]:
        """Plans for the largest share of the step whose end is free of collisions."""
        whole = {n: self._plan(n, row, rate) for n, row in rows.items()}
        if self._free(whole):
            return whole
        self._interventions["collision"] += 1
        best = {n: self._plan(n, row, rate, 0.0) for n, row in rows.items()}
        if not self._free(best):  # opening a gripper alone brings its fingers too near
            return {n: t.stay() for n, t in self._tracks.items()}
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            plans = {n: self._plan(n, row, rate, middle) for n, row in rows.items()}
            if self._free(plans):
                low, best = middle, plans
            else:
                high = middle
        return best

    def _free(self, plans: Mapping[str, Plan]) -> bool:
        """Whether no shapes are too near at the ends of the plans, unless they are so now."""
        present = {n: self._tracks[n].present(n in self._held) for n in self._tracks}
        ends = {n: present[n] if n in self._held else p.position_rad for n, p in plans.items()}
        now = {n: t.widest_opening for n, t in self._tracks.items()}
        then = {n: max(opening, plans[n].opening) for n, opening in now.items()}
        return self._guard.worsened((present, now), (ends, then)) is None

    def _plan(self, name: str, row: FloatArray, rate: float, share: float = 1.0) -> Plan:
        track = self._tracks[name]
        if name in self._held:
            return track.stay()
        try:
            return track.plan(row, rate, share)
        except Refusal as error:
            if self._together:
                raise
            self._interventions[f"refused_{error.kind}"] += share == 1.0
            return track.stay()
