# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The interbotix backend against a driver with the real one's interface and habits.

Real processes on real DDS: `arm_node` and the driver stand-in `xs_driver.py`.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import interfaces
import numpy as np
import pytest
from harness import wait_for

from lapa_core import paths
from lapa_core import robot as robots
from lapa_core.errors import UnsafeAction
from lapa_core.types import JointCommand
from lapa_ros.backends import interbotix

if interfaces.available("interbotix_xs_msgs"):
    import xs_cell
    from interbotix_xs_msgs.msg import (
        JointGroupCommand,
        JointSingleCommand,
        JointTrajectoryCommand,
    )
    from xs_cell import Cell

pytestmark = [interfaces.needs_interbotix, pytest.mark.usefixtures("ros_context")]
PROFILE = [["Profile_Velocity", 80], ["Profile_Acceleration", 20]]  # of wx250s.yaml
OBJECT_M = 0.044
HALF_SECOND = 50  # steps of the driver
OVERLOADED = 250  # steps after which a squeezing motor of the stand-in has given up

CellMaker = Callable[..., AbstractContextManager["Cell"]]


@pytest.fixture
def make_cell(tmp_path: Path) -> CellMaker:
    """Make cells in this test's folder."""
    return partial(xs_cell.cell, tmp_path)


@pytest.fixture
def cell(make_cell: CellMaker) -> Iterator[Cell]:
    """A cell with a healthy driver, enabled and driven."""
    with make_cell() as cell:
        cell.start_driver()
        cell.enable()
        cell.drive()
        yield cell
        cell.check_manners()


def robot_file(tmp_path: Path, gripper: str) -> str:
    """A WidowX whose gripper runs in another mode."""
    text = paths.share("config/robots/wx250s.yaml").read_text(encoding="utf-8")
    text, count = re.subn(r"gripper: \{mode: pwm[^}]*\}", f"gripper: {gripper}", text)
    assert count == 1
    path = tmp_path / "robot.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_driver_may_come_late_go_and_come_back(make_cell: CellMaker) -> None:
    """Without a driver the missing service is named; each driver gets its profile once."""
    with make_cell() as cell:
        service = f"{cell.namespace}/wx250s/get_robot_info"
        assert service in cell.operator.call("enable").message
        first = cell.start_driver()
        cell.enable()
        cell.drive()
        wait_for(lambda: cell.watcher.record["count"]["group"] > 10, "commands at the driver")
        assert cell.watcher.record["written"] == PROFILE
        cell.check_manners()

        first.kill()
        cell.expect_hold("joint states", "old")
        cell.start_driver()
        cell.enable()
        cell.drive()
        assert cell.watcher.record["written"] == PROFILE
        cell.check_manners()


def test_a_driver_that_ends_is_noticed_by_its_service(cell: Cell) -> None:
    cell.keep(1.0, lambda: cell.watcher.record["count"]["group"] > 10, "commands")
    cell._drivers[-1].stop()
    cell.expect_hold()
    cell.refused(f"no service {cell.namespace}/wx250s/get_robot_info")


@pytest.mark.slow
def test_drivers_that_do_not_fit_are_refused(make_cell: CellMaker) -> None:
    """One arm node, one wrong driver after the other; nothing is ever sent to any of them."""
    wrong: list[tuple[dict[str, object], tuple[str, ...]]] = [
        ({"swap_joints": True}, ("['shoulder', 'waist'", "['waist', 'shoulder'", "order")),
        ({"arm_mode": "velocity"}, ("'velocity'", "operating_mode: position", "drops the arm")),
        ({"profile_type": "velocity"}, ("'velocity'", "profile_type: time")),
        ({"gripper_mode": "linear_position"}, ("singles: gripper: operating_mode: pwm",)),
        ({"upper_limit_rad": 1.0}, ("start_rad", "wrist_angle", "1.366")),
        ({"deaf": True}, ("Profile_Velocity", "80 ms", "2000")),
        ({"arm_error": 0x24}, ("shoulder", "overheating", "overload", "0x24")),
    ]
    with make_cell() as cell:
        for parameters, words in wrong:
            driver = cell.start_driver(**parameters)
            cell.refused(*words)
            cell.operator.send(cell.chunk(x=0.02))
            cell.refused(*words)
            assert cell.watcher.record["count"]["group"] == 0
            cell.check_manners()
            driver.stop()
            cell.refused("no service")
        assert not cell.watcher.groups
        assert not cell.watcher.singles


def test_narrower_limits_are_said(make_cell: CellMaker) -> None:
    with make_cell() as cell:
        cell.start_driver(upper_limit_rad=1.6)
        cell.enable()
        said = cell.node.log.read_text(errors="replace")
        assert "narrower limits" in said
        assert "wrist_angle: driver -1.745 .. 1.600, URDF -1.745 .. 2.147" in said


def test_a_dry_run_checks_the_driver_and_tells_it_nothing(make_cell: CellMaker) -> None:
    with make_cell(dry_run=True) as cell:
        cell.start_driver()
        cell.enable()
        cell.drive(gripper=0.0)
        stamp = cell.operator.send(cell.chunk(x=0.02))
        wait_for(lambda: stamp in cell.operator.executed_stamps(), "a step of the dry run")
        record = cell.after(HALF_SECOND)
        assert record["calls"]["get_robot_info"] == 2
        assert record["count"]["group"] == record["count"]["single"] == 0
        assert record["written"] == []
        answer = cell.operator.call("reboot")
        assert not answer.success
        assert "dry run" in answer.message
        assert cell.after(HALF_SECOND)["calls"].get("reboot_motors", 0) == 0
        cell.check_manners()


def test_a_rival_publisher(cell: Cell) -> None:
    rival = cell.watcher.create_publisher(JointGroupCommand, "commands/joint_group", 1)
    cell.expect_hold("2 publishers", "commands/joint_group")
    cell.refused("2 publishers")
    cell.watcher.destroy_publisher(rival)
    cell.enable()
    cell.drive()

    # This topic is not ours at all, but it moves the arm too.
    rival = cell.watcher.create_publisher(JointTrajectoryCommand, "commands/joint_trajectory", 1)
    cell.expect_hold("commands/joint_trajectory")
    cell.refused("somebody commands the arm")
    cell.watcher.destroy_publisher(rival)
    cell.enable()
    cell.drive()


def test_an_estop_stops_the_gripper_too(cell: Cell) -> None:
    cell.keep(0.0, lambda: cell.watcher.record["pwm"] == -350, "the fingers to close")
    assert cell.operator.call("estop").success
    wait_for(lambda: cell.watcher.record["pwm"] == 0, "an end of the PWM")
    finger = cell.watcher.record["finger"]
    assert finger > 0.017, "the fingers had arrived anyhow: this proves nothing"
    assert cell.after(HALF_SECOND)["finger"] == pytest.approx(finger, abs=1e-3)
    assert cell.operator.call("reset").success


def test_a_failed_read_shows_joints_at_minus_pi(make_cell: CellMaker) -> None:
    """With states as the driver's own simulation has them: 30 Hz and positions alone."""
    with make_cell() as cell:
        cell.start_driver(sim_style=True)
        cell.enable()
        cell.drive()
        cell.watcher.fault(glitch=True)
        cell.expect_hold("implausible joint state")
        before = cell.watcher.record["goal"]
        cell.watcher.fault(glitch=False)
        cell.drive()
        np.testing.assert_allclose(cell.watcher.record["goal"], before, atol=0.02)
        cell.check_manners()


def test_a_slow_driver_is_asked_nothing_while_it_moves(make_cell: CellMaker) -> None:
    with make_cell() as cell:
        cell.start_driver(service_delay_s=0.15)
        cell.enable()
        cell.drive()
        # What was asked while it still held may be under way, one call of it.
        until = cell.watcher.record["steps"] + HALF_SECOND
        cell.keep(1.0, lambda: cell.watcher.record["steps"] > until, "the last answer")
        asked = cell.watcher.record["calls"]
        until += 4 * HALF_SECOND
        cell.keep(1.0, lambda: cell.watcher.record["steps"] > until, "two seconds of motion")
        assert cell.watcher.record["calls"] == asked
        polled = asked["get_motor_registers"]
        wait_for(
            lambda: cell.watcher.record["calls"]["get_motor_registers"] > polled,
            "the motors' errors to be read in hold",
        )
        cell.check_manners()


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM, signal.SIGKILL]
)
def test_the_end_of_the_arm_node_leaves_the_arm_standing(
    number: signal.Signals, make_cell: CellMaker
) -> None:
    with make_cell() as cell:
        cell.start_driver()
        cell.enable()
        cell.drive()
        begin = cell.watcher.record["goal"]
        gripper = 0.0 if number != signal.SIGKILL else 1.0

        def moves() -> bool:
            cell.operator.send(cell.chunk(gripper, x=0.02))
            record = cell.watcher.record
            closing = record["pwm"] < 0 or gripper == 1.0
            return closing and np.abs(np.subtract(record["goal"], begin)).max() > 0.01

        wait_for(moves, "motion", poll_s=0.1)
        cell.exit_code = -number if number == signal.SIGKILL else 0
        cell.node.process.send_signal(number)
        cell.node.process.wait(timeout=5)
        goal = cell.after(20)["goal"]
        later = cell.after(HALF_SECOND)
        assert later["goal"] == goal
        np.testing.assert_allclose(later["arm"], goal, atol=1e-3)
        assert later["pwm"] == 0.0
        finger = later["finger"]
        if gripper == 0.0:
            assert finger > 0.017, "the fingers had arrived anyhow: this proves nothing"
        assert cell.after(HALF_SECOND)["finger"] == finger
        cell.check_manners()


def test_pwm_closes_on_an_object_holds_it_and_lets_go(make_cell: CellMaker) -> None:
    with make_cell() as cell:
        cell.start_driver(object_m=OBJECT_M)
        cell.enable()
        cell.drive()
        cell.keep(0.0, lambda: cell.watcher.record["pwm"] == -150, "the hold PWM")
        touched = next(r["steps"] for r in cell.watcher.records if r["finger"] <= OBJECT_M / 2)
        held = next(r["steps"] for r in cell.watcher.records if r["pwm"] == -150)
        print(f"full PWM to hold PWM: {(held - touched) * 10} ms after touching")
        assert held - touched <= HALF_SECOND
        assert max(r["pwm"] for r in cell.watcher.records) <= 350
        assert min(r["pwm"] for r in cell.watcher.records) == -350

        cell.expect_hold("silent")  # a hold keeps the object held
        assert cell.after(HALF_SECOND)["pwm"] == -150
        cell.keep(1.0, lambda: cell.watcher.record["finger"] > 0.036, "the fingers to open")
        cell.keep(1.0, lambda: cell.watcher.record["pwm"] == 0, "an end of the PWM")
        cell.watcher.fault(object_m=0.0)
        cell.keep(0.0, lambda: cell.watcher.record["finger"] < 0.016, "the fingers to close")
        cell.keep(0.0, lambda: cell.watcher.record["pwm"] == 0, "an end of the PWM")

        cell.watcher.fault(object_m=OBJECT_M)
        cell.keep(1.0, lambda: cell.watcher.record["finger"] > 0.03, "the fingers to open")
        cell.keep(0.0, lambda: cell.watcher.record["pwm"] == -150, "the hold PWM")
        cell.node.process.send_signal(signal.SIGINT)
        assert cell.node.process.wait(timeout=5) == 0
        assert cell.after(HALF_SECOND)["pwm"] == -150, "the end of the node dropped the object"
        cell.check_manners()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gripper", "mode"),
    [
        ("{mode: linear_position}", "linear_position"),
        ("{mode: joint, closed_rad: -0.378, open_rad: 1.2}", "current_based_position"),
    ],
    ids=["linear_position", "joint"],
)
def test_position_modes_never_overload_the_motor(
    gripper: str, mode: str, make_cell: CellMaker, tmp_path: Path
) -> None:
    with make_cell(robot_file(tmp_path, gripper)) as cell:
        cell.start_driver(gripper_mode=mode, object_m=OBJECT_M)
        cell.enable()
        cell.drive()
        cell.keep(0.0, lambda: cell.watcher.record["finger"] <= OBJECT_M / 2, "a grip")
        until = cell.watcher.record["steps"] + OVERLOADED
        cell.keep(0.0, lambda: cell.watcher.record["steps"] > until, "a long grip")
        assert cell.watcher.record["error"] == 0
        assert cell.watcher.record["finger"] == pytest.approx(OBJECT_M / 2)
        cell.keep(1.0, lambda: cell.watcher.record["finger"] > 0.0355, "the fingers to open")
        cell.watcher.fault(object_m=0.0)
        cell.keep(0.0, lambda: cell.watcher.record["finger"] < 0.016, "the fingers to close")
        until = cell.watcher.record["steps"] + OVERLOADED
        cell.keep(0.0, lambda: cell.watcher.record["steps"] > until, "closed for long")
        assert cell.watcher.record["error"] == 0
        cell.check_manners()


def test_an_overloaded_gripper_is_named_and_rebooted(make_cell: CellMaker, tmp_path: Path) -> None:
    """Somebody else squeezes (ours does not): the stand-in's motor gives up, as the real one."""
    with make_cell(robot_file(tmp_path, "{mode: linear_position}")) as cell:
        cell.start_driver(gripper_mode="linear_position", object_m=OBJECT_M)
        cell.enable()
        rival = cell.watcher.create_publisher(JointSingleCommand, "commands/joint_single", 1)

        def squeezed() -> bool:
            rival.publish(JointSingleCommand(name="gripper", cmd=0.031))
            return bool(cell.watcher.record["error"] == 0x20)

        wait_for(squeezed, "an overload", poll_s=0.1)
        cell.watcher.destroy_publisher(rival)
        cell.refused("gripper reports overload", "0x20")
        answer = cell.operator.call("reboot")
        assert answer.success, answer.message
        assert "reboot_motors" in cell.node.log.read_text(errors="replace")
        wait_for(lambda: cell.watcher.record["error"] == 0, "the error to be gone")
        cell.enable()
        cell.drive()
        record = cell.watcher.record
        assert record["calls"]["reboot_motors"] == 1
        assert record["written"] == PROFILE, "the arm's profile was not lost"
        cell.keep(1.0, lambda: cell.watcher.record["finger"] > 0.0355, "the gripper obeys again")
        assert not cell.operator.call("reboot").success, "reboot while the policy moves the arm"
        cell.check_manners()


def test_not_a_number_goes_nowhere(cell: Cell) -> None:
    """Neither through the contract nor, were that to fail, through the backend."""
    cell.operator.send(cell.chunk(y=float("nan")))
    cell.expect_hold("finite")
    cell.operator.send(cell.chunk(gripper=float("nan")))
    cell.drive()
    robot = robots.load("wx250s")
    arm = interbotix.InterbotixArm(cell.watcher, robot.arms[0], interbotix.messages())
    position = np.zeros(6)
    position[2] = np.nan
    for joints, values in (
        (robot.arms[0].joints, position),
        (robot.arms[0].joints, np.zeros(5)),
        (robot.arms[0].joints[::-1], np.zeros(6)),
    ):
        with pytest.raises(UnsafeAction, match="wx250s"):
            arm.message(JointCommand("wx250s", joints, values, 1.0))


def test_an_unknown_group_ends_the_stand_in(make_cell: CellMaker) -> None:
    """The habit behind the rule that nothing is published before the driver was asked."""
    with make_cell() as cell:
        driver = cell.start_driver()
        cell.enable()
        rival = cell.watcher.create_publisher(JointGroupCommand, "commands/joint_group", 1)
        wait_for(lambda: rival.get_subscription_count() >= 1, "the driver to listen")

        def dead() -> bool:
            rival.publish(JointGroupCommand(name="legs", cmd=[0.0]))
            return driver.process.poll() is not None

        wait_for(dead, "the driver's end", poll_s=0.05)
        assert "KeyError: 'legs'" in driver.log.read_text()
