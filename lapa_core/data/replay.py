# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What to send to replay a recorded episode, and where it may begin.

The deltas are those of `executed/ee_delta`: what the arm was really told, after every clamp, at
the times it was told. Knows no topics of a running robot; `lapa_ros.replay` sends and listens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lapa_core.control.compose import Pose, between, compose, difference
from lapa_core.data import labels
from lapa_core.data.episodes import Recording
from lapa_core.data.jumps import jumps
from lapa_core.data.labels import Tracks
from lapa_core.data.tracks import read as read_tracks
from lapa_core.data.ways import Path, distance
from lapa_core.errors import ConfigError, DataError
from lapa_core.robot import Arm, Robot
from lapa_core.types import NUM_AXES, FloatArray

# A target that moved this far by no step leads elsewhere when only the steps are sent.
MAX_JUMP_M, MAX_JUMP_RAD = 0.03, 0.2
# A tool this far from where the episode began would go another way.
START_M, START_RAD = 0.03, 0.2


@dataclass(frozen=True)
class Plan:
    """An episode as it is sent.

    Attributes:
        dimensions: of the deltas.
        times_s: (n,) since the first step.
        deltas: (n, d).
        start: arm -> commanded pose before the first step.
        path: arm -> measured path, from the first step to a step time after the last.
    """

    dimensions: tuple[str, ...]
    times_s: FloatArray
    deltas: FloatArray
    start: Mapping[str, Pose]
    path: Mapping[str, Path]


def plan(recording: Recording) -> Plan:
    """Read what is to be sent.

    Raises:
        DataError: a stream is missing, or the arm was moved otherwise in between.
    """
    tracks = read_tracks(recording)
    for time_ns, arm, distance_m, angle_rad in jumps(tracks):
        if distance_m > MAX_JUMP_M or angle_rad > MAX_JUMP_RAD:
            raise DataError(
                f"{recording.folder}: {(time_ns - tracks.begins_ns) * 1e-9:.2f} s after the first "
                f"step the target of {arm} moved {distance_m * 100:.1f} cm and {angle_rad:.2f} "
                f"rad without a step; valid: at most {MAX_JUMP_M * 100:g} cm, {MAX_JUMP_RAD} rad"
            )
    before_ns = tracks.begins_ns - labels.SAME_TICK_NS // 2
    return Plan(
        dimensions=tracks.dimensions,
        times_s=(np.array(tracks.steps.times_ns) - tracks.begins_ns) * 1e-9,
        deltas=np.array(tracks.steps.values),
        start={arm: tracks.target(arm, before_ns) for arm in tracks.arms},
        path={arm: _measured(tracks, arm) for arm in tracks.arms},
    )


def slowed(whole: Plan, speed_scale: float) -> Plan:
    """The plan for a controller that takes only a share of every step: slower, as far.

    Each delta is sent as several, the more the smaller the share, in a time as much longer.

    Raises:
        ConfigError: a share that is none.
    """
    if not 0.0 < speed_scale <= 1.0:
        raise ConfigError(f"speed_scale must be above 0 and at most 1, got {speed_scale:g}")
    parts = int(np.ceil(1.0 / speed_scale - 1e-9))
    if parts == 1:
        return whole
    times, deltas = [], []
    gaps = np.diff(whole.times_s, append=whole.times_s[-1] + np.inf)
    typical = float(np.median(gaps[:-1])) if len(gaps) > 1 else 0.2
    for time_s, delta, gap_s in zip(whole.times_s, whole.deltas, gaps, strict=True):
        rows = [
            np.append(_share(row, 1.0 / parts) / speed_scale, row[6])
            for row in delta.reshape(-1, NUM_AXES)
        ]
        for k in range(parts):
            spread = min(float(gap_s), 1.5 * typical) / speed_scale
            times.append(time_s / speed_scale + k * spread / parts)
            deltas.append(np.concatenate(rows))
    path = {a: Path(p.times_s / speed_scale, p.poses) for a, p in whole.path.items()}
    return Plan(whole.dimensions, np.array(times), np.array(deltas), whole.start, path)


def merged(deltas: Sequence[FloatArray]) -> FloatArray:
    """(d,) one delta for several in a row; the grippers are the last one's."""
    rows = []
    for start in range(0, len(deltas[0]), NUM_AXES):
        origin = pose = Pose(np.zeros(3), np.eye(3))
        for delta in deltas:
            pose = compose(pose, delta[start : start + NUM_AXES])
        rows.append(np.append(difference(origin, pose), deltas[-1][start + NUM_AXES - 1]))
    return np.concatenate(rows)


def share_of_limits(delta: FloatArray, robot: Robot) -> float:
    """How much of the arms' step limits a (d,) delta needs, 1 for all."""
    needed = [
        float(np.max(np.abs(row[:3]))) / arm.max_translation_m
        for row, arm in zip(delta.reshape(-1, NUM_AXES), robot.arms, strict=True)
    ]
    needed += [
        float(np.max(np.abs(row[3:6]))) / arm.max_rotation_rad
        for row, arm in zip(delta.reshape(-1, NUM_AXES), robot.arms, strict=True)
    ]
    return max(needed)


def next_delta(due: Sequence[FloatArray], robot: Robot) -> tuple[FloatArray, int]:
    """One delta for as many of those that are due as the step limits allow, and how many."""
    delta, taken = due[0], 1
    while taken < len(due):
        more = merged(due[: taken + 1])
        if share_of_limits(more, robot) > 1.0:
            break
        delta, taken = more, taken + 1
    return delta, taken


def towards(now: Pose, goal: Pose, arm: Arm, share: float) -> FloatArray:
    """(6,) the delta from `now` to `goal`, at most `share` of the arm's step limits."""
    way = difference(now, goal)
    bounds = share * np.repeat([arm.max_translation_m, arm.max_rotation_rad], 3)
    needed = float(np.max(np.abs(way) / bounds))
    return way if needed <= 1.0 else difference(now, between(now, goal, 1.0 / needed))


def off_plan(trail: Sequence[Mapping[str, Pose]], target: Mapping[str, Pose]) -> str:
    """Which arm's target is at none of the places the plan led it to lately, or "".

    Args:
        trail: arm -> pose, after each of the last deltas: a target comes a little later.
        target: arm -> pose.
    """
    for arm, pose in target.items():
        away = [distance(pose, places[arm]) for places in trail]
        if not any(m <= START_M and r <= START_RAD for m, r in away):
            metres, radians = min(away)
            return (
                f"the target of {arm} is {metres * 100:.1f} cm and {radians:.2f} rad from the "
                f"plan; valid: at most {START_M * 100:g} cm and {START_RAD:g} rad"
            )
    return ""


def after(places: Mapping[str, Pose], delta: FloatArray, speed_scale: float) -> dict[str, Pose]:
    """Where a (d,) delta leads the arms' targets, of which a controller takes a share."""
    rows = speed_scale * delta.reshape(-1, NUM_AXES)
    return {arm: compose(p, row) for (arm, p), row in zip(places.items(), rows, strict=True)}


def far_from_start(start: Mapping[str, Pose], now: Mapping[str, Pose]) -> str:
    """Which arm is not where the episode began, with the figures, or ""."""
    found = []
    for arm, pose in start.items():
        metres, radians = distance(now[arm], pose)
        if metres > START_M or radians > START_RAD:
            found.append(f"{arm} is {metres * 100:.1f} cm and {radians:.2f} rad away")
    if not found:
        return ""
    return (
        f"not where the episode began: {'; '.join(found)}; valid: at most "
        f"{START_M * 100:g} cm and {START_RAD:g} rad"
    )


def check_robot(recorded: Robot, running: Robot) -> None:
    """Refuse a robot on which the recorded deltas would lead elsewhere, or grip otherwise.

    Raises:
        ConfigError: naming every difference.
    """
    here, there = _described(recorded), _described(running)
    wrong = [
        f"{k}: episode {here.get(k)!r}, robot {there.get(k)!r}"
        for k in {**here, **there}
        if here.get(k) != there.get(k)
    ]
    if wrong:
        raise ConfigError("the episode is of another robot: " + "; ".join(wrong))


def _described(robot: Robot) -> dict[str, object]:
    """What a delta's meaning depends on, by its name in the robot file."""
    found: dict[str, object] = {
        "robot": robot.name,
        "dimensions": robot.dimensions,
        "step_time_s": robot.step_time_s,
    }
    for arm in robot.arms:
        found |= {
            f"{arm.name}: tool_link": arm.tool_link,
            f"{arm.name}: base_in_world xyz_m": arm.base_xyz_m.tolist(),
            f"{arm.name}: base_in_world rpy_rad": arm.base_rpy_rad.tolist(),
            f"{arm.name}: gripper closed": arm.gripper.closed,
            f"{arm.name}: gripper open": arm.gripper.open,
        }
    return found


def _share(row: FloatArray, share: float) -> FloatArray:
    """(6,) a share of one arm's delta: of its way, and of its turn about the same axis."""
    origin = Pose(np.zeros(3), np.eye(3))
    return difference(origin, between(origin, compose(origin, row), share))


def _measured(tracks: Tracks, arm: str) -> Path:
    track = tracks.measured[arm]
    inside = [
        (t, p)
        for t, p in zip(track.times_ns, track.values, strict=True)
        if tracks.begins_ns <= t <= tracks.ends_ns
    ]
    if len(inside) < 2:
        raise DataError(f"the episode has no measured path of {arm} ({arm}/ee_pose)")
    times_s = np.array([(t - tracks.begins_ns) * 1e-9 for t, _ in inside], dtype=np.float64)
    return Path(times_s, tuple(p for _, p in inside))
