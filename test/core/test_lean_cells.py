# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Arms that lean, in cells of two, in joint moves and in a dry run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from test_controller import Bench
from test_lean import SHOULDER, WAIST, Leaning, over_the_table

from lapa_core import robot as robots
from lapa_core.control.controller import ArmController
from lapa_core.control.params import ControlParams

TOWARDS_THE_TABLE = 0.03 * WAIST + 0.008 * SHOULDER


class Pair(Bench):
    """Two arms; something bends one of them by `bend_rad` beside every command."""

    leans = "left"
    bend_rad = np.zeros(6)

    def __init__(self, together: bool = True) -> None:
        super().__init__(
            robots.load("bimanual_wx250s"), ControlParams(arms_hold_together=together)
        )

    def sample(self, arm: str, joints: Sequence[float] | np.ndarray) -> None:
        super().sample(arm, np.asarray(joints) + self.bend_rad * (arm == self.leans))

    def send_to(self, arm: str, *delta: float) -> None:
        """The other one is told to stay."""
        before = [] if arm == "left" else [0.0] * 6 + [1.0]
        self.send(*before, *delta)

    def over_the_table(self) -> None:
        """The one that will lean goes down to where its fingers are kept from the table."""
        self.enable()
        self.send(0.0)
        self.tick(30)
        for _ in range(12):
            self.send_to(self.leans, 0, 0, -0.02)
            self.tick(10)
        assert self.status.state == "policy"


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("leans", ["left", "right"])
def test_of_two_arms_both_hold_and_only_the_one_that_leans_gives_way(
    leans: str, together: bool
) -> None:
    bench = Pair(together)
    bench.leans = leans
    bench.over_the_table()
    before, height = bench.joints[leans].copy(), bench.tool(leans)[2]
    bench.bend_rad = TOWARDS_THE_TABLE
    bench.send(0.0)
    told = bench.tick(30)
    assert bench.status.state == "hold"
    assert "pushed out of its way: " in bench.status.reason and leans in bench.status.reason
    given = [command for command in told if command]
    assert [list(command) for command in given] == [[leans]]
    moved = given[0][leans].position_rad - before
    assert moved[0] == pytest.approx(0.03, abs=6e-3)
    assert bench.tool(leans)[2] > height - 5e-4


def test_one_that_leans_gives_way_beside_one_whose_joint_states_are_missing() -> None:
    """That one is where it was last seen, and is told nothing."""
    bench = Pair(together=False)
    bench.over_the_table()
    bench.silent.add("right")
    bench.send_to("left", 0, 0, 0)
    bench.tick(20)
    assert bench.status.interventions["held_right"] == 1
    bench.bend_rad = TOWARDS_THE_TABLE
    bench.send_to("left", 0, 0, 0)
    told = bench.tick(30)
    assert "pushed out of its way: " in bench.status.reason
    after = told[next(i for i, command in enumerate(told) if command is None) :]
    assert [list(command) for command in after if command] == [["left"]]


def test_who_is_pushed_in_a_joint_move_holds_and_gives_way_once() -> None:
    bench = over_the_table()
    bench.tick(20)
    bench.controller.move_to("start", bench.now_s)
    bench.tick(2)
    before = bench.joints["wx250s"].copy()
    bench.bend_rad = TOWARDS_THE_TABLE
    told = bench.tick(40)
    assert "pushed out of its way: table" in bench.status.reason
    given = [i for i, command in enumerate(told) if command]
    assert len(given) == 1 and given[0] >= 6
    assert told[given[0]]["wx250s"].position_rad[0] > before[0] + 0.02


def test_in_a_dry_run_nothing_that_is_measured_moves_anything() -> None:
    """The arm does not follow there: that it is elsewhere says nothing."""
    bench = Leaning()
    bench.controller = ArmController(bench.robot, None, dry_run=True)
    bench.enable()
    for _ in range(9):
        bench.send(0, 0, -0.02)
        bench.tick(10)
    bench.bend_rad = TOWARDS_THE_TABLE
    for _ in range(3):
        bench.send(0, 0, 0)
        bench.tick(10)
        assert bench.status.state == "policy"
    bench.tick(30)
    counts = bench.status.interventions
    assert counts["refused_pushed"] == counts["gave_way"] == counts["stray"] == 0
