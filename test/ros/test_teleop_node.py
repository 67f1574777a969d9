# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""teleop_node with a gamepad: take-over, correction of a policy, silence, buttons. Real DDS."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from harness import wait_for
from teleop_cell import Cell, cell


@pytest.fixture(scope="module")
def pad_cell(ros_context: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    folder = tmp_path_factory.mktemp("pad")
    with cell("wx250s", folder, "gamepad", layout="gamepad_ps4") as made:
        yield made


@pytest.fixture
def pad(pad_cell: Cell) -> Iterator[Cell]:
    """The cell with a live pad that nobody touches, the arm enabled, nobody in authority."""
    person, operator = pad_cell.person, pad_cell.operator
    person.let_go()
    person.sending = True
    person.call("hand_back")
    person.showing()  # a press within a tick of the hand-back is one that was never let go
    assert operator.call("enable").success
    pad_cell.expect_status("ready to take over")
    yield pad_cell
    assert pad_cell.teleop.running(), pad_cell.teleop.last_lines()


def test_a_press_takes_over_and_moves_and_letting_go_stops(pad: Cell) -> None:
    start = pad.tool()
    pad.person.hold(1.0)
    pad.expect("teleop")
    wait_for(lambda: pad.tool()[0] > start[0] + 0.04, "four centimetres", seen=pad.tool)
    pad.person.let_go()
    at = pad.tool()
    moved = pad.expect_rest() - start
    assert np.abs(moved[1:]).max() < 2e-3
    assert moved[0] < at[0] - start[0] + 0.035  # a third of a second at 0.1 m/s
    told = sum(m.points[0].positions[0] for m in pad.operator.executed)
    assert moved[0] == pytest.approx(told, abs=2e-3)
    pad.expect("teleop")  # idle keeps authority
    assert pad.person.call("hand_back").success
    pad.expect("hold", "handed back")
    assert not pad.person.call("hand_back").success
    values = pad.operator.diagnostics["arm_node"][1]
    assert not [
        k for k in values if k.startswith(("interventions_refused", "interventions_clamp"))
    ]


def test_a_correction_of_a_running_policy_is_marked_and_ends_when_handed_back(pad: Cell) -> None:
    operator, person = pad.operator, pad.person
    operator.act_as_policy()
    timer = operator.create_timer(0.2, lambda: operator.send(operator.chunk((0, 0, -0.001))))
    try:
        pad.expect("policy")
        executed = len(operator.executed)
        person.hold(-0.6)
        pad.expect("teleop")
        person.let_go()
        wait_for(lambda: len(operator.executed) > executed + 10, "a correction")
        assert operator.state[0] == "teleop"  # the policy goes on sending, in vain
        person.press("hand_back")
        pad.expect("policy")
        since = [s for _, s, _ in operator.authority]
        assert since[-3:] == ["teleop", "hold", "policy"]
    finally:
        operator.destroy_timer(timer)
        operator.resign_as_policy()


def test_a_pad_that_falls_silent_lets_the_arm_hold_and_says_why(pad: Cell) -> None:
    pad.person.hold(0.5)
    pad.expect("teleop")
    pad.person.sending = False
    pad.expect("hold", "teleop silent")
    pad.expect_status("gamepad silent")
    wait_for(lambda: "silent" in pad.operator.diagnostics["teleop_node"][0], "diagnostics")
    at = pad.tool()
    pad.person.sending = True  # back with the stick still pushed: authority, but no motion
    pad.expect("teleop")
    pad.expect_status("let go of the sticks")
    assert np.linalg.norm(pad.expect_rest() - at) < 3e-3


def test_buttons_reach_the_arm_s_services(pad: Cell) -> None:
    pad.person.press("estop")
    pad.expect("estop")
    pad.expect_status("estop is latched")
    answer = pad.person.call("take_over")
    assert not answer.success and "estop is latched" in answer.message
    pad.person.hold(1.0)
    count = len(pad.person.deltas)
    wait_for(lambda: "estop" in pad.person.status, "status")
    assert pad.operator.call("reset").success
    pad.person.let_go()
    pad.person.type("e")  # keys that move nothing work beside every device
    pad.expect("hold", "enabled")
    assert len(pad.person.deltas) == count
    pad.person.type("Backspace")
    pad.expect("hold", "disabled: hold requested")
    pad.expect_status("the arm is disabled")
    pad.person.type("Escape")
    pad.expect("estop")
    assert pad.operator.call("reset").success


def test_an_arm_that_nobody_has_enabled_is_not_sent_anything(pad: Cell) -> None:
    assert pad.operator.call("hold").success
    count = len(pad.person.deltas)
    pad.person.hold(1.0)
    pad.expect_status("the arm is disabled")
    answer = pad.person.call("take_over")
    assert not answer.success and "the arm is disabled" in answer.message
    assert len(pad.person.deltas) == count
