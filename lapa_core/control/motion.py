# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A slow move of every arm in joint space: a straight line with a minimum-jerk profile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lapa_core.control.group import ArmGroup
from lapa_core.control.params import ControlParams
from lapa_core.control.track import ArmTrack
from lapa_core.errors import ConfigError, UnsafeAction, unknown
from lapa_core.types import FloatArray

PLACES = ("start", "park")  # of the robot file
PATH_SAMPLES = 50  # poses that are checked before a move begins
# Peaks of the profile s(t) = 10 t^3 - 15 t^4 + 6 t^5 on 0 .. 1 (Flash and Hogan 1985).
PEAK_SPEED = 1.875
PEAK_ACCELERATION = 10.0 / math.sqrt(3.0)


@dataclass(frozen=True)
class JointMove:
    """One arm's way from (n,) `start_rad` to `goal_rad` in `duration_s`."""

    start_rad: FloatArray
    goal_rad: FloatArray
    duration_s: float

    def at(self, elapsed_s: float) -> FloatArray:
        """(n,) joint positions [rad] so long after the begin."""
        t = 1.0 if self.duration_s <= 0 else min(max(elapsed_s / self.duration_s, 0.0), 1.0)
        share = t**3 * (10.0 - 15.0 * t + 6.0 * t**2)
        return self.start_rad + share * (self.goal_rad - self.start_rad)


@dataclass
class Move:
    """A move of all arms, which begin and arrive together.

    Attributes:
        label: where it goes to, in words.
        arms: arm -> its way.
        elapsed_s: how far it has got.
    """

    label: str
    arms: dict[str, JointMove]
    elapsed_s: float = 0.0

    @property
    def done(self) -> bool:
        """Whether every arm has been told its goal."""
        return all(self.elapsed_s >= m.duration_s for m in self.arms.values())


def plan(
    group: ArmGroup,
    positions: str | Mapping[str, FloatArray],
    params: ControlParams,
) -> Move:
    """A move from where the arms are.

    Args:
        group: the arms, with believed joint states.
        positions: "start", "park", or arm -> (n,) joint positions [rad].
        params: of the controller.

    Raises:
        ConfigError: neither "start" nor "park".
        UnsafeAction: a goal outside the limits, or a way that would dip the tool below the
            workspace or bring shapes too near to each other.
    """
    tracks = group.tracks
    ends = {n: _ends(t, _goal(t, positions)) for n, t in tracks.items()}
    speed = params.speed_scale * params.move_speed_rad_s
    longest = max(
        duration_s(*ends[n], speed, t.kinematics.acceleration) for n, t in tracks.items()
    )
    arms = {n: JointMove(start, goal, longest) for n, (start, goal) in ends.items()}
    label = positions if isinstance(positions, str) else "given positions"
    for name, track in tracks.items():
        _check_floor(track, arms[name], trust_goal=label in PLACES)
    move = Move(label, arms)
    _check_collisions(group, move, longest)
    return move


def duration_s(
    start_rad: FloatArray, goal_rad: FloatArray, speed_rad_s: float, acceleration_rad_s2: float
) -> float:
    """The shortest time in which no joint exceeds the speed or the acceleration."""
    distance = float(np.max(np.abs(goal_rad - start_rad)))
    by_speed = PEAK_SPEED * distance / speed_rad_s
    return max(by_speed, math.sqrt(PEAK_ACCELERATION * distance / acceleration_rad_s2))


def _goal(track: ArmTrack, positions: str | Mapping[str, FloatArray]) -> FloatArray:
    if not isinstance(positions, str):
        if track.arm.name not in positions:
            raise UnsafeAction(unknown("arm", track.arm.name, positions, "move_to"))
        return np.asarray(positions[track.arm.name], dtype=np.float64)
    if positions not in PLACES:
        raise ConfigError(unknown("position", positions, PLACES, "move_to"))
    return track.arm.start_rad if positions == "start" else track.arm.park_rad


def _ends(track: ArmTrack, goal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Start and goal of one arm, within its limits."""
    k, name, present = track.kinematics, track.arm.name, track.origin()
    if goal.shape != k.lower.shape or not np.all(np.isfinite(goal)):
        raise UnsafeAction(f"{name}: a goal needs {len(k.joints)} finite positions, got {goal}")
    beyond = (goal < k.lower - 1e-6) | (goal > k.upper + 1e-6)
    if np.any(beyond):
        worst = int(np.argmax(beyond))
        raise UnsafeAction(
            f"{name}: the goal has {k.joints[worst]} at {goal[worst]:.3f} rad, outside its limits "
            f"{k.lower[worst]:.3f} .. {k.upper[worst]:.3f}"
        )
    return np.clip(present, k.lower, k.upper), np.clip(goal, k.lower, k.upper)


def _check_floor(track: ArmTrack, move: JointMove, trust_goal: bool) -> None:
    """Keep the tool above the workspace's floor, or above where it starts.

    A straight line in joint space is an arc of the tool, which may dip below both its ends. A
    goal of the robot file may itself lie lower, such as a rest for the arm.
    """
    times = np.linspace(0.0, move.duration_s, PATH_SAMPLES)
    height = [float(track.kinematics.fk(move.at(float(t))).xyz_m[2]) for t in times]
    floor = min(float(track.arm.workspace_lower_m[2]), height[0])
    if trust_goal:
        floor = min(floor, height[-1])
    if min(height) < floor - 1e-3:
        raise UnsafeAction(
            f"{track.arm.name}: on the straight way the tool would come down to "
            f"{min(height):.3f} m; raise it first"
        )


def _check_collisions(group: ArmGroup, move: Move, duration_s: float) -> None:
    """Refuse a way on which shapes would come too near, the arms moving all at once."""
    openings = group.openings()
    start = {n: m.start_rad for n, m in move.arms.items()}
    for time_s in np.linspace(0.0, duration_s, PATH_SAMPLES):
        there = {n: m.at(float(time_s)) for n, m in move.arms.items()}
        found = group.guard.worsened((start, openings), (there, openings))
        if found:
            raise UnsafeAction(
                f"on the straight way to {move.label}, {found}; move the arms apart first"
            )
