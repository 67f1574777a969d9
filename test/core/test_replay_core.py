# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a replay sends, what it refuses, and how it measures two paths against each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from recorded import EpisodeMaker, Script, wander

from lapa_core import paths
from lapa_core import robot as robots
from lapa_core.control.compose import Pose, angle_between, compose
from lapa_core.data import jumps, replay, tracks, ways
from lapa_core.data.episodes import open_episode
from lapa_core.errors import ConfigError, DataError
from lapa_core.rotation import rotation_from_rpy


def steps_at(steps: list[np.ndarray], period_s: float) -> dict[float, np.ndarray]:
    return {round((1.0 + i * period_s) * 50) / 50: s for i, s in enumerate(steps)}


def end_of(start: Pose, deltas: np.ndarray, arm: int, scale: float = 1.0) -> Pose:
    """Where deltas lead that a controller takes a share of."""
    for delta in deltas:
        start = compose(start, scale * delta[7 * arm : 7 * arm + 6])
    return start


@pytest.mark.parametrize("robot", ["wx250s", "bimanual_wx250s"])
def test_a_plan_is_what_was_executed(robot: str, tmp_path: Path) -> None:
    maker = EpisodeMaker(robot)
    dims = len(maker.robot.dimensions)
    steps = wander(0, 12, dims)
    folder = maker.write(tmp_path / "e", Script(steps_at(steps, 0.2), 4.0))
    plan = replay.plan(open_episode(folder))
    assert plan.dimensions == maker.robot.dimensions
    np.testing.assert_allclose(plan.times_s, 0.2 * np.arange(12), atol=1e-9)
    np.testing.assert_array_equal(plan.deltas, steps)
    for index, arm in enumerate(maker.robot.arms):
        poses = list(maker.targets[arm.name].values())
        assert ways.distance(plan.start[arm.name], poses[0]) == pytest.approx((0, 0), abs=1e-7)
        end = end_of(plan.start[arm.name], plan.deltas, index)
        assert ways.distance(end, poses[-1]) == pytest.approx((0, 0), abs=1e-7)


@pytest.mark.parametrize("scale", [1.0, 0.7, 0.3, 0.05])
def test_a_slowed_plan_leads_to_the_same_place(scale: float, tmp_path: Path) -> None:
    """A controller that takes a share of every step gets more of them, none larger."""
    steps = wander(1, 10)
    folder = EpisodeMaker().write(tmp_path / "e", Script(steps_at(steps, 0.2), 4.0))
    whole = replay.plan(open_episode(folder))
    slow = replay.slowed(whole, scale)
    assert len(slow.times_s) == len(whole.times_s) * int(np.ceil(1 / scale - 1e-9))
    assert np.all(np.diff(slow.times_s) > 0)
    assert slow.times_s[-1] >= whole.times_s[-1] / scale
    # A little over: a turn's angles do not divide quite as the turn itself does.
    assert np.max(np.abs(slow.deltas[:, :6])) <= 1.01 * np.max(np.abs(whole.deltas[:, :6]))
    start = whole.start["wx250s"]
    one, other = end_of(start, whole.deltas, 0), end_of(start, slow.deltas, 0, scale)
    assert ways.distance(one, other) == pytest.approx((0, 0), abs=1e-6)
    assert slow.deltas[-1, 6] == whole.deltas[-1, 6]


def test_a_share_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = EpisodeMaker().write(tmp_path / "e", Script(steps_at(wander(2, 3), 0.2), 2.5))
    with pytest.raises(ConfigError, match="speed_scale"):
        replay.slowed(replay.plan(open_episode(folder)), 0.0)


def test_merged_deltas_lead_where_the_deltas_do() -> None:
    steps = wander(3, 4, 14)
    merged = replay.merged(steps)
    for arm in range(2):
        start = Pose(np.array([0.2, 0.1, 0.3]), rotation_from_rpy(0.3, 0.9, -1.0))
        one, other = end_of(start, np.array(steps), arm), end_of(start, merged[None], arm)
        assert ways.distance(one, other) == pytest.approx((0, 0), abs=1e-9)
        assert merged[7 * arm + 6] == steps[-1][7 * arm + 6]


def test_what_is_due_goes_together_within_the_limits() -> None:
    """Late deltas are sent as one, but never as one that the arm would cut."""
    robot = robots.load("bimanual_wx250s")
    step = np.zeros(14)
    step[[0, 7]] = 0.02
    step[6] = 1.0
    delta, taken = replay.next_delta([step] * 5, robot)
    assert taken == 2
    np.testing.assert_allclose(delta, [0.04, *[0.0] * 5, 1.0, 0.04, *[0.0] * 6], atol=1e-12)
    assert replay.share_of_limits(delta, robot) == pytest.approx(0.8)
    assert replay.next_delta([5 * step], robot)[1] == 1


def test_an_arm_that_went_home_in_between_cannot_be_replayed(tmp_path: Path) -> None:
    """The figures and the time are in the refusal; a small new start is none."""
    steps = steps_at(wander(4, 5), 0.2) | {
        t + 3.0: s for t, s in steps_at(wander(5, 5), 0.2).items()
    }

    def with_jump(name: str, metres: float) -> replay.Plan:
        jump = ("wx250s", np.array([metres, 0, 0, 0, 0, 0.01]))
        script = Script(steps, 6.0, jumps={3.0: jump})
        return replay.plan(open_episode(EpisodeMaker().write(tmp_path / name, script)))

    assert len(with_jump("small", 0.01).times_s) == 10
    with pytest.raises(DataError, match=r"2\.00 s after the first step .* 10\.0 cm and 0\.01 rad"):
        with_jump("large", 0.1)


@pytest.mark.parametrize("period_s", [0.2, 0.04, 0.02])
def test_steps_alone_are_no_jump(period_s: float, tmp_path: Path) -> None:
    """Also where the recorder missed some of the poses, and the arm rested for a while."""
    count = round(2.0 / period_s)
    steps = wander(6, count, size=period_s / 0.2)
    steps[count // 2] = np.zeros(7)
    lost = np.random.default_rng(0).uniform(0, 5.0, 20)

    def keep(topic: str, at_s: float) -> bool:
        missed = topic.endswith("ee_target") and np.min(np.abs(lost - at_s)) < 0.011
        return not (missed and at_s > 1.2)

    folder = EpisodeMaker().write(
        tmp_path / "e", Script(steps_at(steps, period_s), 4.0, keep=keep, rested=False)
    )
    assert jumps.jumps(tracks.read(open_episode(folder))) == []


def circle(radius_m: float, late_s: float = 0.0, turn_rad: float = 0.0) -> ways.Path:
    times = np.arange(0, 4, 0.02)
    poses = []
    for t in times - late_s:
        at = np.array([0.3 + radius_m * np.cos(t), radius_m * np.sin(t), 0.2])
        poses.append(Pose(at, rotation_from_rpy(turn_rad, 0.2 * np.sin(t), 0.1 * t)))
    return ways.Path(times, tuple(poses))


def test_distance_of_paths_is_one_of_ways_not_of_times() -> None:
    same = ways.deviation(circle(0.1), circle(0.1))
    assert (same.late_s, same.max_mm) == pytest.approx((0, 0), abs=1e-9)
    assert same.max_deg < 1e-4
    late = ways.deviation(circle(0.1), circle(0.1, late_s=0.13))
    assert late.late_s == pytest.approx(0.13, abs=0.002)
    assert late.median_mm < 0.1
    assert late.median_deg < 0.1
    wide = ways.deviation(circle(0.1), circle(0.107))
    assert (wide.median_mm, wide.max_mm) == pytest.approx((7, 7), abs=0.2)
    turned = ways.deviation(circle(0.1), circle(0.1, turn_rad=0.1))
    assert turned.median_deg == pytest.approx(np.degrees(0.1), rel=0.05)
    assert turned.median_mm < 3.0


def test_an_excursion_counts_though_the_recorded_path_is_covered() -> None:
    """An arm that goes the recorded way and elsewhere besides has not gone the recorded way."""
    poses = list(circle(0.1).poses)
    poses[100] = Pose(poses[100].xyz_m + np.array([0, 0, 0.05]), poses[100].rotation)
    found = ways.deviation(circle(0.1), ways.Path(circle(0.1).times_s, tuple(poses)))
    assert found.max_mm == pytest.approx(50, abs=1)
    assert found.median_mm < 1


def test_paths_without_a_time_in_common_are_refused() -> None:
    later = circle(0.1)
    later = ways.Path(later.times_s + 10.0, later.poses)
    with pytest.raises(DataError, match="no time in common"):
        ways.deviation(circle(0.1), later)


def test_another_robot_is_refused_with_every_difference() -> None:
    one, other = robots.load("wx250s"), robots.load("bimanual_wx250s")
    replay.check_robot(one, one)
    with pytest.raises(ConfigError, match=r"robot: episode 'wx250s'.*dimensions"):
        replay.check_robot(one, other)


@pytest.mark.parametrize(
    ("line", "changed", "said"),
    [
        ("tool_link: ee_gripper_link", "tool_link: tip", "tool_link: episode 'ee_.*robot 'tip'"),
        ("xyz_m: [0, 0, 0]", "xyz_m: [0, 0.1, 0]", r"xyz_m: episode \[0.*robot \[0.0, 0.1, 0.0\]"),
        ("rpy_rad: [0, 0, 0]", "rpy_rad: [0, 0, 0.5]", r"rpy_rad: .*robot \[0.0, 0.0, 0.5\]"),
        ("closed: 0.015", "closed: 0.016", "gripper closed: episode 0.015, robot 0.016"),
        ("open: 0.037", "open: 0.03", "gripper open: episode 0.037, robot 0.03$"),
    ],
)
def test_a_robot_file_that_was_changed_since_is_refused_by_name(
    line: str, changed: str, said: str
) -> None:
    """On such a robot the same deltas lead elsewhere, or the gripper does something else."""
    text = paths.share("config/robots/wx250s.yaml").read_text(encoding="utf-8")
    assert text.count(line) == 1
    running = robots.parse(yaml.safe_load(text.replace(line, changed)), "changed")
    with pytest.raises(ConfigError, match=f"another robot: wx250s: .*{said}") as refused:
        replay.check_robot(robots.load("wx250s"), running)
    assert str(refused.value).count("; ") == 0, "one difference alone"


def test_far_from_the_start_is_said_with_figures() -> None:
    here = {"left": Pose(np.zeros(3), np.eye(3)), "right": Pose(np.zeros(3), np.eye(3))}
    there = dict(here, right=Pose(np.array([0.04, 0, 0]), rotation_from_rpy(0, 0, 0.1)))
    near = dict(here, right=Pose(np.array([0.02, 0, 0]), rotation_from_rpy(0, 0, 0.1)))
    assert replay.far_from_start(here, near) == ""
    assert "right is 4.0 cm and 0.10 rad away" in replay.far_from_start(here, there)


def test_a_target_off_the_plan_is_said_with_figures() -> None:
    """One that comes late is not off the plan; one that lost a delta is."""
    places = [{"arm": Pose(np.array([x, 0.0, 0.0]), np.eye(3))} for x in (0.0, 0.04, 0.08)]
    late = {"arm": Pose(np.array([0.0, 0.01, 0.0]), np.eye(3))}
    assert replay.off_plan(places, late) == ""
    assert "target of arm is 4.1 cm and 0.00 rad" in replay.off_plan(places[1:], late)
    turned = {"arm": Pose(np.zeros(3), rotation_from_rpy(0.3, 0, 0))}
    assert "0.30 rad from the plan" in replay.off_plan(places, turned)
    assert replay.off_plan(places, {}) == ""


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_where_a_plan_leads_is_where_the_deltas_do(scale: float) -> None:
    here = Pose(np.array([0.2, 0.1, 0.3]), rotation_from_rpy(0.3, 0.9, -1.0))
    steps, places = wander(8, 5, 14), {"left": here, "right": here}
    for step in steps:
        places = replay.after(places, step, scale)
    for arm, name in enumerate(("left", "right")):
        end = end_of(here, np.array(steps), arm, scale)
        assert ways.distance(places[name], end) == pytest.approx((0, 0), abs=1e-9)


def test_towards_keeps_to_a_share_of_the_limits_and_arrives() -> None:
    arm = robots.load("wx250s").arms[0]
    pose = Pose(np.array([0.3, 0.0, 0.2]), np.eye(3))
    goal = Pose(np.array([0.2, 0.15, 0.25]), rotation_from_rpy(0.4, -0.7, 1.0))
    for _ in range(40):
        delta = replay.towards(pose, goal, arm, 0.5)
        assert np.max(np.abs(delta[:3])) <= 0.5 * arm.max_translation_m + 1e-9
        assert np.max(np.abs(delta[3:])) <= 0.5 * arm.max_rotation_rad + 0.01
        pose = compose(pose, delta)
    assert ways.distance(pose, goal) == pytest.approx((0, 0), abs=1e-7)
    assert angle_between(pose.rotation, goal.rotation) < 1e-7
