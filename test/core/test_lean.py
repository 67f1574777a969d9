# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Arms that lean on something nobody told of: noticed, relieved, and told from sag."""

from __future__ import annotations

import re

import numpy as np
import pytest
from test_controller import Bench

from lapa_core.control.sag import Sag

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
    bench.bend_out(0.008)
    for _ in range(3):
        bench.send(0, 0, 0)
        bench.tick(10)
        assert bench.status.state == "hold"
        # once it is seen to rest there, a millimetre of the 8 might be sag
        assert re.search("[78] mm further outside its workspace than comm", bench.status.reason)
    assert bench.status.interventions["refused_pushed_out"] == 3
    bench.controller.move_to("start", bench.now_s)
    bench.tick(400)
    assert "arrived at start" in bench.status.reason


def test_an_arm_that_was_seen_to_sag_out_of_its_workspace_is_not_held() -> None:
    bench = Leaning()
    bench.bend_rad = 0.012 * SHOULDER
    bench.enable()
    for _ in range(24):
        bench.send(0.02, 0, -0.01)
        bench.tick(10)
        bench.tick(20)  # every step ends in a hold, in which the sag is seen
    floor = bench.robot.arms[0].workspace_lower_m[2]
    assert bench.status.measured["wx250s"].xyz_m[2] < floor - 0.002
    assert bench.status.interventions["refused_pushed_out"] == 0


def test_an_arm_pushed_towards_the_table_gives_way() -> None:
    bench = Leaning()
    bench.enable()
    for _ in range(9):
        bench.send(0, 0, -0.02)
        bench.tick(10)
    before = bench.joints["wx250s"].copy()
    bench.bend_rad = 0.03 * WAIST + 0.006 * SHOULDER
    bench.send(0, 0, 0)
    told = bench.tick()[0]
    assert bench.status.state == "hold"
    assert "pushed out of its way: table" in bench.status.reason
    moved = told["wx250s"].position_rad - before
    assert moved[0] == pytest.approx(0.03, abs=5e-3)  # sideways it goes along
    assert (
        bench.tool()[2] > -1e-3 + bench.controller._tracks["wx250s"].kinematics.fk(before).xyz_m[2]
    )
    assert bench.tick(5) == [None] * 5  # once


def test_what_other_places_do_not_show_is_no_sag() -> None:
    sag = Sag(2)
    here, there = np.zeros(3), np.array([0.1, 0, 0])
    sag.rested(here, np.array([0.008, 0.05]))
    np.testing.assert_allclose(sag.rad, [0.008, 0.01])  # one place: what servos may sag
    sag.rested(there, np.array([0.012, 0.0]))
    np.testing.assert_allclose(sag.rad, [0.012, 0.0])
    for _ in range(9):  # it leans, and goes on leaning
        sag.rested(here, np.array([0.012, 0.03]))
    np.testing.assert_allclose(sag.rad, [0.012, 0.002])
