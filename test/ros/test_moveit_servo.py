# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The arm node through MoveIt Servo: real processes and DDS, against a stand-in for Servo.

The same runs in both ways of commanding it, poses (Jazzy) and speeds (Humble).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from harness import Operator, spinning, started, wait_for
from interfaces import needs_moveit
from servo import PERIOD_S, StandInServo

from lapa_core import robot as robots
from lapa_core.control.compose import Pose, angle_between, compose
from lapa_core.data import messages
from lapa_core.robot import Robot
from lapa_core.types import ActionChunk
from lapa_ros import convert
from lapa_ros.backends.servo_status import HUMBLE, JAZZY, StatusWatch
from lapa_ros.processes import NodeProcess

TICK_S = 0.02
STALE_S = 0.1  # Servo's default incoming_command_timeout
GRIPPER_TOPIC = "wx250s/gripper_controller/joint_trajectory"
# Where the tool may end up from where it was told to. Poses leave what the controller's own
# approach leaves; speeds stop within what counts as arrived (0.5 mm, 5 mrad) of that.
NEAR_M = {"jazzy": 0.0005, "humble": 0.0015}
NEAR_RAD = {"jazzy": 0.003, "humble": 0.01}
DISTRIBUTIONS = [pytest.param("jazzy", marks=needs_moveit), "humble"]


@dataclass
class Cell:
    """A running arm node, Servo with its arm, and the operator of both."""

    servo: StandInServo
    operator: Operator
    node: NodeProcess
    distribution: str
    due_s: float = 0.0  # when the next delta may be sent: the robot's pace

    def step(self, delta: tuple[float, ...]) -> None:
        """Send one (6,) delta as the policy when it is due, and wait until the arm was told it."""
        wait_for(lambda: time.monotonic() >= self.due_s, "the next step", poll_s=0.002)
        self.due_s = time.monotonic() + self.operator.robot.step_time_s
        msg = self.operator.chunk()
        msg.points[0].positions = [*delta, 0.5]
        stamp = self.operator.send(msg)
        wait_for(
            lambda: stamp in self.operator.executed_stamps(),
            "an executed delta",
            seen=lambda: self.operator.authority[-4:],
        )

    def drive(self, deltas: list[tuple[float, ...]]) -> Pose:
        """Send deltas at the robot's pace; returns where they lead to by the book."""
        # A reference that still moves on to its own target would shift the book's by that much.
        still_s = self.operator.robot.step_time_s
        self.step((0.0,) * 6)
        while time.monotonic() - self.servo.moved_s < still_s:
            self.step((0.0,) * 6)
        target = self.servo.tool()
        for delta in deltas:
            self.step(delta)
            target = compose(target, np.array(delta))
        return target

    def expect_tool_at(self, target: Pose) -> None:
        """Keep the policy alive with zero deltas until the tool is where it was told to be."""
        near_m, near_rad = NEAR_M[self.distribution], NEAR_RAD[self.distribution]

        def off() -> tuple[float, float]:
            tool = self.servo.tool()
            away = float(np.linalg.norm(tool.xyz_m - target.xyz_m))
            return away, angle_between(tool.rotation, target.rotation)

        def there() -> bool:
            self.step((0.0,) * 6)
            return off()[0] < near_m and off()[1] < near_rad

        wait_for(
            there, "the tool at its target", seen=lambda: (off(), self.operator.authority[-6:])
        )

    def expect_hold(self, *words: str) -> None:
        def says() -> bool:
            state, reason = self.operator.state
            return state == "hold" and all(w in reason for w in words)

        wait_for(says, f"a hold that says {words}", seen=lambda: self.operator.authority[-4:])


def robot_file(folder: Path, distribution: str) -> Path:
    """The WidowX, reached through MoveIt Servo."""
    content = yaml.safe_load(Path(robots.load("wx250s").source).read_text())
    content["backend"] = "moveit_servo"
    content["arms"][0]["drivers"]["moveit_servo"] = {
        "node": "servo_node",
        "command": {"jazzy": "pose", "humble": "twist"}[distribution],
        "gripper": {"topic": GRIPPER_TOPIC, "kind": "trajectory"},
    }
    path = folder / f"servo_{distribution}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@contextmanager
def running(
    folder: Path, distribution: str, make: Callable[[Robot], StandInServo] | None = None
) -> Iterator[Cell]:
    """An arm node and its Servo, not enabled yet."""
    path = robot_file(folder, distribution)
    robot = robots.load(str(path))
    servo = make(robot) if make else StandInServo(robot, distribution)
    operator = Operator(robot)
    operator.act_as_policy()
    with (
        started("arm_node", {"robot": str(path)}, folder / "log") as node,
        spinning(servo, operator),
    ):
        wait_for(lambda: operator.state[0], "the first authority")
        yield Cell(servo, operator, node, distribution)
    assert "Traceback" not in node.log.read_text(), node.last_lines()


def enable(operator: Operator) -> None:
    """Call enable until Servo has been started and joint states have come."""
    answers: list[str] = []

    def enabled() -> bool:
        answer = operator.call("enable")
        answers.append(answer.message)
        return answer.success

    wait_for(enabled, "an enabled arm", poll_s=0.1, seen=lambda: answers[-3:])


@pytest.fixture(params=DISTRIBUTIONS)
def cell(request: pytest.FixtureRequest, ros_context: None, tmp_path: Path) -> Iterator[Cell]:
    with running(tmp_path, request.param) as cell:
        enable(cell.operator)
        yield cell


def test_servo_is_started_and_the_tool_goes_where_it_is_told(cell: Cell) -> None:
    expected = {
        "jazzy": ["switch_command_type 2", "pause_servo False"],
        "humble": ["start_servo"],
    }
    assert cell.servo.calls == expected[cell.distribution]
    there = [(0.03, 0.01, -0.01, 0.05, -0.03, 0.1)] * 3
    cell.expect_tool_at(cell.drive(there))
    assert cell.servo.gripper == pytest.approx((0.015 + 0.037) / 2, abs=1e-4)
    back = [tuple(-v for v in there[0])] * 3
    cell.expect_tool_at(cell.drive(back))
    stamps = [messages.stamp_ns(m.header.stamp) for _, m in cell.servo.commands]
    assert all(np.diff(stamps) > 0)
    assert {m.header.frame_id for _, m in cell.servo.commands} == {"wx250s/base_link"}


def test_home_is_a_joint_move_that_servo_follows(cell: Cell) -> None:
    start = cell.operator.robot.arms[0].start_rad
    cell.drive([(0.03, 0.02, 0.02, 0.0, 0.1, 0.1)] * 2)
    assert cell.operator.call("home").success
    wait_for(lambda: "arrived at start" in cell.operator.state[1], "the start pose")
    off = np.abs(cell.servo.position - start)
    wait_for(
        lambda: np.max(np.abs(cell.servo.position - start)) < 0.05, "the joints", seen=lambda: off
    )


def test_in_hold_servo_stops_within_its_own_timeout(cell: Cell) -> None:
    """Hold in the middle of a step: the last command counts for `STALE_S`, no longer."""
    cell.drive([(0.04, 0.0, 0.0, 0.0, 0.0, 0.0)])
    moving_s = cell.servo.moved_s
    wait_for(lambda: cell.servo.moved_s > moving_s, "motion")
    assert cell.operator.call("hold").success
    last_s = cell.servo.commands[-1][0]
    wait_for(lambda: time.monotonic() > last_s + 5 * STALE_S, "the timeout")
    assert cell.servo.commands[-1][0] - last_s < 2 * TICK_S
    # One of Servo's periods for its timer, one for a busy machine.
    assert cell.servo.moved_s - cell.servo.commands[-1][0] < STALE_S + 2 * PERIOD_S
    assert cell.node.running()


def test_a_halt_of_servo_is_a_hold_in_words_and_a_later_delta_leads_out(cell: Cell) -> None:
    cell.drive([(0.0, 0.0, 0.02, 0.0, 0.0, 0.0)])
    cell.servo.fault = 2  # a singularity, in both numberings
    before = cell.servo.position.copy()

    def halted() -> bool:
        cell.operator.send(cell.operator.chunk((0.01, 0.0, 0.0)))
        return cell.operator.state[0] == "hold"

    wait_for(halted, "a hold", poll_s=0.2, seen=lambda: cell.operator.authority[-4:])
    cell.expect_hold("MoveIt Servo servo_node", "halted at a singularity", "status 2")
    np.testing.assert_allclose(cell.servo.position, before, atol=1e-3)
    cell.servo.fault = None

    def obeys() -> bool:
        cell.operator.send(cell.operator.chunk())
        return cell.operator.state[0] == "policy"

    wait_for(obeys, "authority policy", poll_s=0.2)
    cell.expect_tool_at(cell.drive([(0.02, 0.0, 0.0, 0.0, 0.0, 0.0)]))


def test_slowing_down_is_logged_and_no_reason_to_hold(cell: Cell) -> None:
    """Status 1 is that in both numberings; the stand-in does not move with it, but may."""
    cell.drive([(0.0, 0.0, 0.01, 0.0, 0.0, 0.0)])
    cell.servo.fault = 1
    cell.drive([(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)] * 2)
    wait_for(lambda: "slowing down near a singularity" in cell.node.last_lines(), "a warning")
    assert cell.operator.state[0] == "policy"


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_without_servo_enable_is_refused_and_names_what_is_missing(
    distribution: str, ros_context: None, tmp_path: Path
) -> None:
    path = robot_file(tmp_path, distribution)
    operator = Operator(robots.load(str(path)))
    with started("arm_node", {"robot": str(path)}, tmp_path / "log"), spinning(operator):
        wait_for(lambda: operator.state[0], "the first authority")

        def named() -> bool:
            answer = operator.call("enable")
            assert not answer.success
            return "/servo_node/status" in answer.message and "not running" in answer.message

        wait_for(named, "a refusal that names Servo's status", poll_s=0.1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"timeout_s": 5.0}, ("incoming_command_timeout", "5 s", "0.25")),
        ({"units": "unitless"}, ("command_in_type", "'unitless'", "'speed_units'")),
    ],
)
def test_a_servo_configured_otherwise_is_refused(
    given: dict[str, object], words: tuple[str, ...], ros_context: None, tmp_path: Path
) -> None:
    """An arm that moves on for seconds in hold, or goes a part of the way, is not enabled."""
    with running(tmp_path, "humble", lambda r: StandInServo(r, "humble", **given)) as cell:

        def refused() -> bool:
            answer = cell.operator.call("enable")
            assert not answer.success
            return all(w in answer.message for w in words)

        wait_for(refused, "a refusal", poll_s=0.1, seen=lambda: cell.operator.authority[-2:])
        assert cell.servo.calls == []


def test_a_restarted_servo_is_started_again(cell: Cell) -> None:
    again = StandInServo(cell.operator.robot, cell.distribution)
    calls = list(cell.servo.calls)
    with spinning(again):
        wait_for(lambda: again.calls or len(cell.servo.calls) > len(calls), "a new start")


def test_each_arm_of_two_has_a_servo_of_its_own(ros_context: None, tmp_path: Path) -> None:
    """Left goes forward, right goes up; with one Servo missing neither is enabled."""
    content = yaml.safe_load(Path(robots.load("bimanual_wx250s").source).read_text())
    content["backend"] = "moveit_servo"
    for arm in content["arms"]:
        gripper = {"topic": f"{arm['name']}/gripper", "kind": "forward"}
        driver = {"node": f"{arm['name']}/servo_node", "command": "twist", "gripper": gripper}
        arm["drivers"]["moveit_servo"] = driver
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(content))
    robot = robots.load(str(path))
    operator = Operator(robot)
    operator.act_as_policy()
    left = StandInServo(robot, "humble")
    with started("arm_node", {"robot": str(path)}, tmp_path / "log"), spinning(operator, left):
        wait_for(lambda: left.calls == ["start_servo"], "the left Servo's start")
        wait_for(lambda: operator.state[0], "the first authority")

        def right_is_missed() -> bool:
            answer = operator.call("enable")
            assert not answer.success
            return "/right/servo_node/status" in answer.message

        wait_for(right_is_missed, "a refusal that names the right Servo", poll_s=0.1)
        right = StandInServo(robot, "humble", index=1)
        with spinning(right):
            enable(operator)
            heights = [s.tool().xyz_m.copy() for s in (left, right)]
            delta = np.array([[0.02, *[0.0] * 5, 1.0, 0.0, 0.0, 0.02, *[0.0] * 3, 1.0]])

            def send(row: np.ndarray) -> int:
                now = operator.get_clock().now().nanoseconds
                chunk = ActionChunk(robot.dimensions, row, np.zeros(1), now, robot.base_frame)
                return operator.send(convert.chunk_msg(chunk))

            def arrived() -> bool:
                send(delta * 0.0)
                gone = [s.tool().xyz_m - h for s, h in zip((left, right), heights, strict=True)]
                return np.allclose(gone, [[0.02, 0, 0], [0, 0, 0.02]], atol=NEAR_M["humble"])

            wait_for(
                lambda: send(delta * 0.0) and operator.state[0] == "policy",
                "authority",
                poll_s=0.2,
            )
            due_s = time.monotonic() + robot.step_time_s
            wait_for(lambda: time.monotonic() >= due_s, "the next step")
            stamp = send(delta)
            wait_for(
                lambda: stamp in operator.executed_stamps(),
                "the delta",
                seen=lambda: operator.authority[-4:],
            )
            wait_for(arrived, "both arms", poll_s=0.2, seen=lambda: operator.authority[-4:])


def test_two_arms_on_one_servo_node_are_refused(ros_context: None, tmp_path: Path) -> None:
    path = robot_file(tmp_path, "humble")
    content = yaml.safe_load(path.read_text())
    second = yaml.safe_load(path.read_text())["arms"][0]
    apart = {"xyz_m": [0, 1.2, 0], "rpy_rad": [0, 0, 0]}
    content["arms"].append({**second, "name": "other", "base_in_world": apart})
    content["collision"]["arms_m"] = 0.02
    path.write_text(yaml.safe_dump(content))
    process = NodeProcess("arm_node", {"robot": str(path)}, tmp_path / "log")
    assert process.process.wait(timeout=30) == 2
    assert "both name the Servo node 'servo_node'" in process.last_lines()


def test_the_numberings_differ_where_the_distributions_do() -> None:
    halts = {name: {c for c in t if t[c].halts} for name, t in (("h", HUMBLE), ("j", JAZZY))}
    assert halts == {"h": {-1, 2, 4, 5}, "j": {-1, 2, 5, 6}}
    assert HUMBLE[6] == JAZZY[3]
    assert HUMBLE[4] == JAZZY[5]
    assert HUMBLE[5] == JAZZY[6]


def test_a_halt_counts_only_while_we_command() -> None:
    warned: list[str] = []
    watch = StatusWatch("servo_node", JAZZY, warned.append)
    watch.heard(5, "", 0.0)
    assert watch.problem(0.0) == ""  # nothing was sent
    for t in np.arange(10.0, 10.3, 0.02):
        watch.sent(t)
        watch.heard(5, "Collision detected", t)
        # Until Servo has worked on a new command, it repeats what it said of the last one.
        assert bool(watch.problem(t)) == (t - 10.0 >= 0.1)
    assert "halted before a collision (status 5): Collision detected" in watch.problem(10.3)
    assert watch.problem(11.0) == ""
    watch.sent(11.0)
    assert watch.problem(11.0) == ""
    assert not warned


def test_a_servo_that_says_nothing_while_commanded_is_a_problem() -> None:
    watch = StatusWatch("servo_node", HUMBLE, lambda text: None)
    for t in np.arange(0.0, 1.5, 0.02):
        watch.sent(t)
    assert "no status for 1 s" in watch.problem(1.5)
    watch.heard(0, "", 1.51)
    assert watch.problem(1.52) == ""
