# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the arm was told in a recording: commanded targets, steps, grippers, and who told it.

The label of a decision at t is, arm by arm, the delta that takes the commanded target at t to
the commanded target a step time later (`<arm>/ee_target`), and the opening commanded by then
(`executed/ee_delta`). Labels of consecutive decisions compose to the whole way: nothing is lost
or counted twice between them, however the source's steps lie on the grid. Two other sources may
be chosen, see `SOURCES`. Knows no pictures.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapa_core.control.compose import Pose, angle_between, between, compose, difference
from lapa_core.data import state
from lapa_core.errors import ConfigError, StaleInput, unknown
from lapa_core.types import NUM_AXES, FloatArray

MAX_TARGET_AGE_S = 0.25  # `ee_target` comes at 50 Hz while arm_node lives
SAME_TICK_NS = round(state.SAME_TICK_S * 1e9)
MOVERS = ("teleop", "policy")  # teleop first: where both moved the arm, a person corrected it
# Where the six numbers of an arm's motion come from; its gripper is as commanded in all of them.
#   commanded  the way of the commanded target, whatever moved it
#   executed   the steps begun in the interval, composed: without clamps, jumps and new starts
#   reached    the way of the measured tool: with the arm's lag, its sag and what it touched
SOURCES = ("commanded", "executed", "reached")
_STILL = Pose(np.zeros(3), np.eye(3))


@dataclass(frozen=True)
class Timeline:
    """Values and when they came [ns, as the bag], increasing."""

    times_ns: tuple[int, ...]
    values: tuple[Any, ...]

    def at(self, time_ns: int) -> Any | None:
        """The newest value at that time, None before the first."""
        index = bisect_right(self.times_ns, time_ns)
        return self.values[index - 1] if index else None

    def within(self, start_ns: int, end_ns: int) -> tuple[Any, ...]:
        """The values that came after `start_ns`, up to and with `end_ns`."""
        first, last = bisect_right(self.times_ns, start_ns), bisect_right(self.times_ns, end_ns)
        return self.values[first:last]

    def age_s(self, time_ns: int) -> float:
        """Seconds since the newest value came; infinite before the first."""
        index = bisect_right(self.times_ns, time_ns)
        return (time_ns - self.times_ns[index - 1]) * 1e-9 if index else float("inf")


_NEVER = Timeline((), ())


@dataclass(frozen=True)
class Tracks:
    """Everything of an episode that is no picture.

    Attributes:
        dimensions: of the robot.
        arms: names of its arms.
        step_time_s: of the robot.
        targets: arm -> commanded `Pose` of the tool in the arm's base.
        measured: arm -> measured `Pose`.
        steps: (d,) executed deltas, in the robot's order.
        authority: state in force.
        instruction: words in force; those of episode.yaml until one came.
    """

    dimensions: tuple[str, ...]
    arms: tuple[str, ...]
    step_time_s: float
    targets: dict[str, Timeline]
    measured: dict[str, Timeline]
    steps: Timeline
    authority: Timeline
    instruction: Timeline

    @property
    def begins_ns(self) -> int:
        """When the first step was begun."""
        return self.steps.times_ns[0]

    @property
    def ends_ns(self) -> int:
        """When the last step was over."""
        return self.steps.times_ns[-1] + round(self.step_time_s * 1e9)

    def target(self, arm: str, time_ns: int) -> Pose:
        """The commanded pose in force.

        Raises:
            StaleInput: none yet, or none for too long.
        """
        track = self.targets[arm]
        found: Pose | None = track.at(time_ns)
        if found is None:
            raise StaleInput(f"no commanded target of {arm} yet")
        if (age_s := track.age_s(time_ns)) > MAX_TARGET_AGE_S:
            raise StaleInput(f"the commanded target of {arm} is {age_s:.2f} s old; valid: at most "
                             f"{MAX_TARGET_AGE_S:g} s")  # fmt: skip
        return found

    def told(self, time_ns: int) -> FloatArray:
        """(3 a,) where the tools were told to be, in their arms' bases [m], as `ToolState` has it:
        the measured place where no target is in force; NaN: not known."""
        poses = self._told(time_ns)
        return np.concatenate([np.full(3, np.nan) if p is None else p.xyz_m for p in poses])

    def told_headings(self, time_ns: int) -> FloatArray:
        """(a,) how they were told to be turned, as `headings` [rad]."""
        poses = self._told(time_ns)
        return np.array([np.nan if p is None else state.heading(p.rotation) for p in poses])

    def _told(self, time_ns: int) -> list[Pose | None]:
        """The commanded pose of each arm; the measured one if nobody moves it; else none."""
        moved = self.authority.at(time_ns - SAME_TICK_NS) in MOVERS
        found: list[Pose | None] = []
        for arm in self.arms:
            track = self.targets[arm]
            fresh = track.age_s(time_ns) <= MAX_TARGET_AGE_S
            if not fresh and not moved:
                track = self.measured.get(arm, _NEVER)
            found.append(track.at(time_ns) if fresh or not moved else None)
        return found

    def tools(self, time_ns: int) -> FloatArray:
        """(3 a,) measured places of the tools in their arms' bases [m]; NaN: not known."""
        found = []
        for arm in self.arms:
            track = self.measured.get(arm)
            pose = track.at(time_ns) if track is not None else None
            found.append(np.full(3, np.nan) if pose is None else pose.xyz_m)
        return np.concatenate(found)

    def headings(self, time_ns: int) -> FloatArray:
        """(a,) how the tools are turned about their bases' z, as `data.state` has it [rad]."""
        found = []
        for arm in self.arms:
            track = self.measured.get(arm)
            pose = track.at(time_ns) if track is not None else None
            found.append(np.nan if pose is None else state.heading(pose.rotation))
        return np.array(found)

    def openings(self, time_ns: int) -> FloatArray:
        """(arms,) commanded openings of the grippers in force.

        Raises:
            StaleInput: no step has been begun yet.
        """
        step: FloatArray | None = self.steps.at(time_ns)
        if step is None:
            raise StaleInput("no step has commanded the grippers yet")
        openings: FloatArray = step[NUM_AXES - 1 :: NUM_AXES]
        return openings

    def label(self, time_ns: int, source: str = "commanded") -> FloatArray:
        """(d,) what the arms were told, or did, in the step time after `time_ns`.

        Args:
            time_ns: of the decision.
            source: one of `SOURCES`.

        Raises:
            StaleInput: a target, pose or gripper command is missing or too old at either end.
        """
        end_ns = time_ns + round(self.step_time_s * 1e9)
        openings = self.openings(end_ns)
        rows = [
            np.append(self._motion(index, time_ns, end_ns, source), opening)
            for index, opening in enumerate(openings)
        ]
        return np.concatenate(rows)

    def _motion(self, index: int, start_ns: int, end_ns: int, source: str) -> FloatArray:
        """(6,) of one arm between two times."""
        arm = self.arms[index]
        if source == "commanded":
            return difference(self.target(arm, start_ns), self.target(arm, end_ns))
        if source == "reached":
            return difference(self.reached(arm, start_ns), self.reached(arm, end_ns))
        if source != "executed":
            raise ConfigError(unknown("source of labels", source, SOURCES, "samples"))
        pose = _STILL
        for step in self.steps.within(start_ns, end_ns):
            pose = compose(pose, step[index * NUM_AXES : (index + 1) * NUM_AXES])
        return difference(_STILL, pose)

    def reached(self, arm: str, time_ns: int) -> Pose:
        """The measured pose, between the two messages around the time.

        Raises:
            StaleInput: none yet, or none for too long.
        """
        track = self.measured[arm]
        after = bisect_right(track.times_ns, time_ns)
        age_s = track.age_s(time_ns)
        if age_s > MAX_TARGET_AGE_S:
            since = "yet" if not after else f"for {age_s:.2f} s; valid: {MAX_TARGET_AGE_S:g} s"
            raise StaleInput(f"no measured pose of {arm} {since}")
        before: Pose = track.values[after - 1]
        if after == len(track.times_ns):
            return before
        begin_ns, end_ns = track.times_ns[after - 1], track.times_ns[after]
        return between(before, track.values[after], (time_ns - begin_ns) / (end_ns - begin_ns))

    def mover(self, time_ns: int) -> str:
        """Who moved the arm in the step time after `time_ns`; else hold or estop.

        Raises:
            StaleInput: nothing is known of authority yet.
        """
        end_ns = time_ns + round(self.step_time_s * 1e9)
        states = [self.authority.at(time_ns), *self.authority.within(time_ns, end_ns)]
        for mover in MOVERS:
            if mover in states:
                return mover
        if states[0] is None:
            raise StaleInput("no authority yet")
        return str(states[0])

    def corrects(self, time_ns: int) -> bool:
        """Whether a policy has moved the arm before: teleop is then a correction of it."""
        return "policy" in self.authority.within(-1, time_ns)

    def opening_change(self, time_ns: int) -> float:
        """Largest change of a gripper's command in the step time after `time_ns`, 0 .. 1."""
        end_ns = time_ns + round(self.step_time_s * 1e9)
        steps = [*self.steps.within(time_ns, end_ns)]
        before: FloatArray | None = self.steps.at(time_ns)
        if before is not None:
            steps.append(before)
        if not steps:
            return 0.0
        return float(np.max(np.ptp(np.array(steps)[:, NUM_AXES - 1 :: NUM_AXES], axis=0)))

    def grid(self) -> NDArray[np.int64]:
        """(n,) decision times [ns], a step time apart, from the first step to the last one's end.

        Steps fall between the decisions, not on them: a source that steps at the same rate, as
        a policy does, would otherwise have two steps before one decision and none before the
        next, by its jitter alone.
        """
        step_ns = round(self.step_time_s * 1e9)
        begun = np.array(self.steps.times_ns, dtype=np.int64)
        turns = (begun - begun[0]) / step_ns * 2j * np.pi
        mean_ns = round(float(np.angle(np.mean(np.exp(turns)))) / (2 * np.pi) * step_ns)
        # The largest place of the grid that is before the first step.
        first_ns = self.begins_ns + (mean_ns + step_ns // 2) % step_ns - step_ns
        return np.arange(first_ns, int(begun[-1]), step_ns, dtype=np.int64)


def same(one: Pose, other: Pose) -> bool:
    """Whether two commanded poses are one: nearer than numbers in messages differ."""
    far = float(np.linalg.norm(one.xyz_m - other.xyz_m)) > 1e-7
    return not far and angle_between(one.rotation, other.rotation) < 1e-6
