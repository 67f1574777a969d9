# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Arms that go together or apart, steps cut short, steps that come too fast, and dry runs."""

from __future__ import annotations

import dataclasses

import arms
import numpy as np
import pytest
from test_controller import Bench

from lapa_core import robot as robots
from lapa_core.control import ArmController, ControlParams
from lapa_core.errors import UnsafeAction
from lapa_core.types import ActionChunk

APART = ControlParams(arms_hold_together=False)


def two(params: ControlParams | None = None) -> Bench:
    bench = Bench(robots.load("bimanual_wx250s"), params)
    bench.enable()
    return bench


def both(xyz: tuple[float, float, float]) -> list[float]:
    return [*xyz, 0, 0, 0, 1, *xyz, 0, 0, 0, 1]


def test_one_arm_without_joint_states_holds_both() -> None:
    bench = two()
    bench.send(*both((0.0, 0.0, 0.01)))
    bench.tick(5)
    bench.silent.add("right")
    for _ in range(20):
        bench.send(*both((0.0, 0.0, 0.001)))
        told = bench.tick()
    assert told == [None]
    assert "joint states of right" in bench.status.reason


def test_apart_the_other_arm_goes_on_and_the_one_comes_back() -> None:
    bench = two(APART)
    bench.send(*both((0.0, 0.0, 0.01)))
    bench.tick(5)
    bench.silent.add("right")
    for _ in range(20):
        bench.send(*both((0.0, 0.0, 0.002)))
        told = bench.tick()
    assert set(told[0]) == {"left"}
    assert "joint states of right" in bench.status.held["right"]
    assert bench.status.state == "policy"
    executed = bench.controller.take_executed()[-1].deltas[0]
    assert executed[2] > 0 and np.all(executed[7:13] == 0)
    bench.silent.clear()
    bench.send(*both((0.0, 0.0, 0.002)))
    assert set(bench.tick(2)[-1]) == {"left", "right"}
    assert bench.status.held == {}


def test_apart_one_arm_that_cannot_reach_does_not_stop_the_other() -> None:
    for params, state in ((None, "hold"), (APART, "policy")):
        bench = two(params)
        wide = list(bench.robot.arms)
        wide[1] = dataclasses.replace(wide[1], workspace_upper_m=np.array([0.9, 0.37, 0.25]))
        bench = Bench(dataclasses.replace(bench.robot, arms=tuple(wide)), params)
        bench.enable()
        before = bench.tool("left")
        for _ in range(12):
            bench.send(0, 0, 0.005, 0, 0, 0, 1, 0.05, 0, 0, 0, 0, 0, 1)
            bench.tick(10)
        assert bench.status.interventions["refused_unreachable"] >= 1
        if state == "policy":
            assert bench.tool("left")[2] - before[2] == pytest.approx(0.06, abs=2e-3)
        else:
            assert bench.tool("left")[2] - before[2] < 0.055


def test_apart_they_all_hold_when_all_have_a_problem() -> None:
    bench = two(APART)
    bench.send(*both((0.0, 0.0, 0.01)))
    bench.tick(5)
    bench.silent |= {"left", "right"}
    for _ in range(20):
        bench.send(*both((0.0, 0.0, 0.002)))
        told = bench.tick()
    assert told == [None]
    assert bench.status.state == "hold"


def test_a_step_into_the_other_arm_is_cut_short_for_both() -> None:
    bench = two()
    for _ in range(8):  # left goes right, right goes left
        bench.send(0, -0.04, 0, 0, 0, 0, 1, 0, 0.04, 0.01, 0, 0, 0, 1)
        bench.tick(10)
    assert bench.status.interventions["collision"] >= 1
    left, right = bench.status.target["left"].xyz_m, bench.status.target["right"].xyz_m
    told = np.sum([c.deltas[0] for c in bench.controller.take_executed()], axis=0)
    start = Bench().tool()
    np.testing.assert_allclose(left - start, told[:3], atol=1e-6)
    np.testing.assert_allclose(right - start, told[7:10], atol=1e-6)
    assert told[9] < 0.08  # the upward part of the cut steps is cut too


def test_opening_a_finger_into_the_table_is_not_obeyed() -> None:
    bench = Bench()
    bench.fingers["wx250s"] = bench.robot.arms[0].gripper.closed
    bench.joints["wx250s"] = np.array([0, 0.45, 0.45, 0, 0.68, 0.5 * np.pi])
    bench.enable()
    for _ in range(12):
        bench.send(0, 0, -0.02, 0, 0, 0, 0)
        bench.tick(10)
    before = bench.last["wx250s"].gripper
    bench.send(0, 0, 0, 0, 0, 0, 1)
    bench.tick(10)
    assert bench.last["wx250s"].gripper == before < 0.1
    assert bench.controller.take_executed()[-1].deltas[0, 6] < 0.1


def test_steps_that_come_faster_than_the_step_time_add_up_to_the_same_speed() -> None:
    bench = Bench()
    bench.enable()
    before = bench.tool()
    for _ in range(20):  # every 20 ms for 0.4 s: two step times
        bench.send(0, 0.05, 0)
        bench.tick()
    bench.tick(20)
    moved = bench.tool()[1] - before[1]
    assert moved <= 0.05 + 1.25 * 0.1 + 1e-3  # the first step, and then the slack's share
    assert bench.status.interventions["clamp_rate"] == 19


def test_a_chunk_in_the_worlds_axes_is_turned_into_each_base() -> None:
    bench = Bench(arms.two_arms())  # they face each other
    bench.enable()
    before = {n: bench.tool(n) for n in ("left", "right")}
    row = np.array([both((0.03, 0.01, 0.02))])
    row[0, 5] = row[0, 12] = 0.1
    row[0, 4] = row[0, 11] = 0.05
    chunk = ActionChunk(bench.robot.dimensions, row, np.zeros(1), bench.now_ns, "world")
    bench.controller.on_chunk("policy", chunk, bench.now_s, bench.now_ns)
    bench.tick(18)
    np.testing.assert_allclose(bench.tool("left") - before["left"], [0.03, 0.01, 0.02], atol=1e-3)
    turned = bench.tool("right") - before["right"]
    np.testing.assert_allclose(turned, [-0.03, -0.01, 0.02], atol=1e-3)
    (executed,) = bench.controller.take_executed()
    assert executed.frame_id == bench.robot.base_frame
    np.testing.assert_allclose(executed.deltas[0, 10:13], [0, -0.05, 0.1], atol=2e-3)


def test_an_unknown_frame_is_refused_with_the_valid_ones() -> None:
    bench = Bench()
    bench.enable()
    chunk = dataclasses.replace(bench.chunk(0.01), frame_id="camera")
    bench.controller.on_chunk("policy", chunk, bench.now_s, bench.now_ns)
    assert "'camera'" in bench.status.last_refusal
    assert "'world'" in bench.status.last_refusal


def test_in_a_dry_run_an_arm_that_stands_still_is_no_fault() -> None:
    for dry in (False, True):
        bench = Bench()
        bench.controller = ArmController(bench.robot, dry_run=dry)
        bench.enable()
        still = bench.joints["wx250s"].copy()
        for _ in range(12):
            bench.send(0, 0.05, 0)
            for _ in range(10):
                bench.tick()
                bench.joints["wx250s"] = still
        counts = bench.status.interventions
        assert bool(counts["wind_up"]) is not dry
        assert bench.status.state == "policy"
        reached = bench.status.target["wx250s"].xyz_m[1]
        assert reached == pytest.approx(0.25, abs=1e-6) if dry else reached < 0.2


def test_a_problem_of_the_driver_holds_and_refuses_enable() -> None:
    bench = Bench()
    bench.controller.set_driver_problem("service /x missing", bench.now_s)
    bench.read()
    with pytest.raises(UnsafeAction, match="service /x missing"):
        bench.controller.enable(bench.now_s)
    bench.controller.set_driver_problem("", bench.now_s)
    bench.drive()
    bench.controller.set_driver_problem("the gripper's motor: overload", bench.now_s)
    assert bench.authority == ("hold", "the gripper's motor: overload")
    bench.send(0.01)
    assert bench.tick(3) == [None] * 3
    bench.controller.set_driver_problem("", bench.now_s)
    bench.send(0.01)
    bench.tick()
    assert bench.authority == ("policy", "following policy")


def test_a_move_through_the_other_arm_is_refused_with_the_pair() -> None:
    bench = two()
    away = {"left": bench.joints["left"].copy(), "right": bench.joints["right"].copy()}
    away["left"] = np.array([-1.3, 0.2, -0.3, 0, 0.9, 0])  # across the right arm's forearm
    with pytest.raises(UnsafeAction, match=r"on the straight way.*left/.*right/"):
        bench.controller.move_to(away, bench.now_s)
    assert bench.status.moving == ""


def test_a_move_ends_when_one_arm_falls_silent_also_where_arms_hold_apart() -> None:
    for params in (None, APART):
        bench = two(params)
        bench.joints = {a.name: np.array(a.park_rad) for a in bench.robot.arms}
        bench = Bench(bench.robot, params)
        bench.joints = {a.name: np.array(a.park_rad) for a in bench.robot.arms}
        bench.enable()
        bench.controller.move_to("start", bench.now_s)
        bench.tick(20)
        bench.silent.add("right")
        told = bench.tick(30)
        assert told[-1] is None
        assert "joint states of right" in bench.status.reason


def test_a_held_arm_counts_where_it_is_and_not_where_it_was_told() -> None:
    bench = two(APART)
    bench.send(*both((0.0, 0.0, 0.001)))
    bench.tick(12)
    bench.silent.add("right")
    for _ in range(20):
        bench.send(*both((0.0, 0.0, 0.0)))
        bench.tick()
    assert "right" in bench.status.held
    still = bench.joints["right"].copy()
    for _ in range(40):  # left goes for the right arm's side
        bench.send(0, -0.03, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1)
        bench.tick(10)
    np.testing.assert_array_equal(bench.joints["right"], still)
    guard = bench.controller._group.guard
    near = guard.near(bench.joints, {"left": 1.0, "right": 1.0})
    assert near, "they never met: this proves nothing"
    assert near[0].excess_m > -1e-4


class Sagging(Bench):
    """Its arm rests a little below every goal, as servos without an integral term do."""

    SAG_RAD = np.array([0, 0.008, 0, 0, 0, 0])

    def sample(self, arm, joints) -> None:
        super().sample(arm, joints + self.SAG_RAD)


def test_a_sagging_arm_does_not_climb_down_hold_by_hold() -> None:
    bench = Sagging()
    bench.enable()
    before = None
    for _ in range(28):  # zero deltas with a hold by silence after each
        bench.send(0.0)
        bench.tick(30)
        assert bench.status.state == "hold"
        before = bench.tool() if before is None else before
    assert np.linalg.norm(bench.tool() - before) < 1e-3
    bench.controller.move_to("start", bench.now_s)
    bench.tick(400)
    assert np.max(np.abs(bench.joints["wx250s"] - bench.robot.arms[0].start_rad)) < 1e-6


def test_a_sagging_arm_over_the_table_is_not_taken_for_a_pushed_one() -> None:
    bench = Sagging()
    bench.enable()
    for _ in range(24):
        bench.send(0, 0, -0.02)
        bench.tick(10)
    # Once at most: the sag is not known before the first hold near the table.
    assert bench.status.interventions["refused_pushed"] <= 1
    assert bench.status.interventions["collision"] >= 1


def test_after_an_estop_nothing_moves_before_enable() -> None:
    bench = Bench()
    bench.drive()
    bench.controller.estop("button", bench.now_s)
    bench.controller.reset(bench.now_s)
    with pytest.raises(UnsafeAction, match="call enable once"):
        bench.controller.move_to("start", bench.now_s)


def test_a_fault_in_the_worlds_axes_is_a_fault() -> None:
    bench = Bench()
    bench.enable()
    row = np.array([[0, 0, 0, 0, 0, 6.1, 1.0]])  # turned into the base it would be -0.18
    chunk = ActionChunk(bench.robot.dimensions, row, np.zeros(1), bench.now_ns, "world")
    bench.controller.on_chunk("policy", chunk, bench.now_s, bench.now_ns)
    assert bench.status.interventions["refused_fault"] == 1


def test_a_step_that_is_to_be_over_soon_goes_less_far() -> None:
    bench = Bench()
    bench.enable()
    rows = np.zeros((2, 7))
    rows[:, 6] = 1.0
    rows[0, 1] = 0.05
    due = np.array([0.0, 0.02])
    chunk = ActionChunk(bench.robot.dimensions, rows, due, bench.now_ns, "")
    bench.controller.on_chunk("policy", chunk, bench.now_s, bench.now_ns)
    bench.tick(1)
    assert bench.controller.take_executed()[0].deltas[0, 1] == pytest.approx(0.05 * 1.25 * 0.1)
