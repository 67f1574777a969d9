# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Arms that lean on something nobody told of: noticed, relieved, and told from sag."""

from __future__ import annotations

import dataclasses

import arms
import numpy as np
import pytest
from test_controller import Bench

from lapa_core.control.sag import Sag
from lapa_core.control.track import ArmTrack
from lapa_core.errors import UnsafeAction

WAIST, SHOULDER = np.eye(6)[0], np.eye(6)[1]


class Leaning(Bench):
    """Something bends its arm by `bend_rad` beside every command."""

    bend_rad = np.zeros(6)

    def sample(self, arm, joints) -> None:
        super().sample(arm, joints + self.bend_rad)

    def at_the_left_edge(self) -> None:
        """Rest at the start, where no sag is seen, and drive to the workspace's left edge."""
        self.enable()
        self.send(0.0)
        self.tick(30)
        for _ in range(20):
            self.send(0, 0.05, 0)
            self.tick(10)
        edge = self.robot.arms[0].workspace_upper_m[1]
        assert self.tool()[1] == pytest.approx(edge, abs=1e-3)

    def bend_out(self, metres: float) -> None:
        """Bend the tool out of the workspace to the left by so much."""
        reach = float(np.linalg.norm(self.tool()[:2]))
        self.bend_rad = WAIST * metres / reach / np.cos(np.arctan2(*self.tool()[1::-1]))

    def outside(self) -> float:
        measured = self.status.measured["wx250s"].xyz_m[1]
        return float(measured - self.robot.arms[0].workspace_upper_m[1])


class Lagging(Bench):
    """Its joints follow their commands with a time constant of 80 ms, as servos do."""

    SHARE = 1 - np.exp(-0.02 / 0.08)

    def tick(self, times: int = 1):
        told = []
        for _ in range(times):
            before = {n: q.copy() for n, q in self.joints.items()}
            told += super().tick()
            for name, command in (self.last or {}).items():
                self.goal = getattr(self, "goal", {}) | {name: command.position_rad}
            for name, goal in getattr(self, "goal", {}).items():
                self.joints[name] = before[name] + self.SHARE * (goal - before[name])
        return told


def with_floor(height_m: float):
    """The robot with its workspace's floor that high: no table is near."""
    robot = arms.wx250s()
    arm = robot.arms[0]
    lower = np.array([*arm.workspace_lower_m[:2], height_m])
    return dataclasses.replace(robot, arms=(dataclasses.replace(arm, workspace_lower_m=lower),))


def test_a_tool_bent_out_of_its_workspace_a_little_takes_its_target_along() -> None:
    bench = Leaning()
    bench.at_the_left_edge()
    bench.bend_out(0.004)
    bench.send(0, -0.01, 0)
    bench.tick(1)
    assert 0.003 < bench.outside() < 0.005
    assert bench.status.state == "policy"
    assert bench.status.interventions["stray"] == 1
    edge = bench.robot.arms[0].workspace_upper_m[1]
    assert bench.status.target["wx250s"].xyz_m[1] == pytest.approx(edge, abs=1e-3)
    bench.bend_rad = np.zeros(6)  # it has come free
    before = bench.tool()
    for _ in range(3):
        bench.send(0, -0.03, 0)
        bench.tick(10)
    assert bench.tool()[1] < before[1] - 0.05
    assert bench.status.interventions["stray"] == 1


def test_a_tool_pushed_far_out_of_its_workspace_holds_and_a_move_leads_out() -> None:
    bench = Leaning()
    bench.at_the_left_edge()
    bench.bend_out(0.009)
    for number in range(3):
        bench.send(0, 0, 0)
        bench.tick(10)
        assert bench.status.state == "hold"
        assert "mm further outside its workspace than commanded" in bench.status.reason
        # once it is seen to rest there, 4 mrad of the bend might be sag
        assert f"{9 if not number else 7} mm" in bench.status.reason
    assert bench.status.interventions["refused_pushed_out"] == 3
    bench.controller.move_to("start", bench.now_s)
    bench.tick(400)
    assert "arrived at start" in bench.status.reason


@pytest.mark.parametrize("outside_m", [0.008, 0.015, 0.021])
def test_who_is_pushed_out_gives_way_however_far(outside_m: float) -> None:
    bench = Leaning()
    bench.at_the_left_edge()
    bench.send(0, -0.002, 0)  # the command is inside
    bench.tick(10)
    before = bench.joints["wx250s"].copy()
    bench.bend_out(outside_m + 0.002)
    told = [command for _ in range(3) for command in (bench.send(0, 0, 0), bench.tick(10))[1]]
    given = [command for command in told if command]
    assert given and bench.status.interventions["gave_way"] >= 1
    assert given[-1]["wx250s"].position_rad[0] > before[0] + 1e-3  # to where it is pushed
    edge = bench.robot.arms[0].workspace_upper_m[1]
    assert bench.tool()[1] <= edge + 1e-3  # of the command


@pytest.mark.parametrize("step_m", [0.01, 0.02, 0.05])
def test_an_arm_that_comes_in_from_outside_lags_and_leans_on_nothing(step_m: float) -> None:
    bench = Lagging()
    waist = bench.joints["wx250s"][0]
    for _ in range(200):  # 40 mm beyond the left edge
        if bench.tool()[1] > bench.robot.arms[0].workspace_upper_m[1] + 0.04:
            break
        waist += 0.01
        bench.joints["wx250s"][0] = waist
    bench.enable()
    fastest, before = 0.0, bench.tool()
    for _ in range(round(0.12 / step_m) + 2):
        bench.send(0, -step_m, 0)
        for _ in range(10):
            bench.tick()
            fastest = max(fastest, float(np.linalg.norm(bench.tool() - before)) / 0.02)
            before = bench.tool()
    counts = bench.status.interventions
    assert counts["stray"] == counts["refused_pushed_out"] == 0
    assert bench.tool()[1] < bench.robot.arms[0].workspace_upper_m[1] - 0.03
    assert fastest < 1.6 * step_m / 0.2  # what is asked for, and how a step begins and ends


@pytest.mark.parametrize("seen", [True, False])
def test_an_arm_that_was_seen_to_sag_out_of_its_workspace_is_not_held(
    seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not seen:
        monkeypatch.setattr(Sag, "rested", lambda *_: None)
    bench = Leaning(with_floor(0.1))
    bench.bend_rad = 0.018 * SHOULDER
    bench.enable()
    deepest = 0.0
    for step in [(0, 0.05, 0), (0, -0.05, 0)] + [(0.02, 0, -0.015)] * 10:
        bench.send(*step)
        bench.tick(30)  # every step ends in a hold, in which the sag can be seen
        deepest = max(deepest, 0.1 - bench.status.measured["wx250s"].xyz_m[2])
    assert deepest > 0.005  # more than is let go of what nobody has seen
    counts = bench.status.interventions
    found = [counts[k] > 0 for k in ("refused_pushed_out", "stray")]
    assert found == [not seen] * 2 and not counts["refused_pushed"]


def over_the_table() -> Leaning:
    """Down to where the fingers are kept from the table; the sag is known: none."""
    bench = Leaning()
    bench.enable()
    bench.send(0.0)
    bench.tick(30)
    for _ in range(9):
        bench.send(0, 0, -0.02)
        bench.tick(10)
    return bench


def test_an_arm_pushed_towards_the_table_gives_way_once_a_hold() -> None:
    bench = over_the_table()
    before, height = bench.joints["wx250s"].copy(), bench.tool()[2]
    bench.bend_rad = 0.03 * WAIST + 0.008 * SHOULDER
    bench.send(0, 0, 0)
    told = bench.tick(30)
    assert bench.status.state == "hold"
    assert "pushed out of its way: table" in bench.status.reason
    given = [i for i, command in enumerate(told) if command]
    assert given == [6]  # 0.12 s later: the arm has stopped, and still leans
    moved = told[6]["wx250s"].position_rad - before
    assert moved[0] == pytest.approx(0.03, abs=6e-3)  # sideways it goes along
    assert bench.tool()[2] > height - 5e-4  # and not down
    bench.send(0, 0, 0)
    assert sum(command is not None for command in bench.tick(30)) <= 1


def test_one_bad_sample_may_stop_an_arm_and_moves_none() -> None:
    bench = over_the_table()
    bench.bend_rad = 0.2 * SHOULDER
    bench.send(0, 0, 0)
    bench.tick(1)
    assert bench.status.state == "hold" and "pushed out of its way" in bench.status.reason
    bench.bend_rad = np.zeros(6)
    assert bench.tick(30) == [None] * 30


def test_who_gives_way_keeps_its_grip() -> None:
    bench = over_the_table()
    bench.send(0, 0, 0, 0, 0, 0, 0)  # closed, on a thing that keeps the fingers apart
    bench.tick(40)
    blocked = bench.robot.arms[0].gripper.joint_position(0.4)
    bench.bend_rad = 0.03 * WAIST + 0.008 * SHOULDER
    bench.send(0, 0, 0, 0, 0, 0, 0)
    told = []
    for _ in range(10):
        bench.fingers["wx250s"] = blocked
        told += bench.tick()
    (given,) = [command["wx250s"] for command in told if command]
    assert given.gripper == 0.0


@pytest.mark.parametrize("what", ["estop", "disable"])
def test_a_person_who_stops_the_arm_has_the_last_word(what: str) -> None:
    bench = over_the_table()
    bench.bend_rad = 0.03 * WAIST + 0.008 * SHOULDER
    bench.send(0, 0, 0)
    bench.tick(2)
    assert "pushed out of its way" in bench.status.reason
    getattr(bench.controller, what)("a person", bench.now_s)
    assert bench.tick(30) == [None] * 30


def test_a_driver_that_stops_where_it_is_is_told_nothing() -> None:
    bench = over_the_table()
    bench.controller.driver_keeps_goal = False
    bench.bend_rad = 0.03 * WAIST + 0.008 * SHOULDER
    bench.send(0, 0, 0)
    assert bench.tick(30) == [None] * 30
    assert bench.status.interventions["refused_pushed"] == 1


def test_where_no_way_is_found_it_holds_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = over_the_table()
    bench.bend_rad = 0.03 * WAIST + 0.008 * SHOULDER
    bench.send(0, 0, 0)
    bench.tick(1)
    reason = bench.status.reason

    def fails(*_: object) -> None:
        raise UnsafeAction("inverse kinematics fails")

    monkeypatch.setattr(ArmTrack, "give", fails)
    assert bench.tick(30) == [None] * 30
    assert bench.status.reason == reason and "pushed out of its way" in reason
    assert bench.status.interventions["gave_way_refused"] == 1
    assert bench.status.last_refusal == "inverse kinematics fails"


def test_what_other_places_do_not_show_is_no_sag() -> None:
    sag = Sag(2)
    here, there = np.zeros(3), np.array([0.1, 0, 0])
    sag.rested(here, np.array([0.008, 0.05]))
    np.testing.assert_allclose(sag.rad, [0.008, 0.01])  # one place: what servos may sag
    sag.rested(there, np.array([0.012, 0.0]))
    np.testing.assert_allclose(sag.rad, [0.012, 0.0])
    for _ in range(9):  # it leans, and goes on leaning
        sag.rested(here, np.array([0.012, 0.03]))
    np.testing.assert_allclose(sag.rad, [0.012, 0.004])
    sag.rested(there, np.array([-0.012, 0.0]))  # the other way is no sag either
    np.testing.assert_allclose(sag.rad, [-0.004, 0.0])


def test_a_chain_of_small_steps_comes_to_other_places() -> None:
    sag = Sag(1)
    for number in range(12):
        sag.rested(np.array([0.02 * number, 0, 0]), np.array([0.012]))
    np.testing.assert_allclose(sag.rad, [0.012])
