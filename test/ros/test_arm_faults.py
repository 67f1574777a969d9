# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Faults at the arm node, over real DDS, against an arm with a driver's interface.

Every test ends the same way: the arm holds, `authority` and `/diagnostics` say why, the node
lives, and a good delta moves the arm again once the cause is gone. That nothing was commanded
is proven by a sentinel - a good delta along +z sent after the bad one: everything the arm was
told must lie on the sentinel's path - never by sleeping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from harness import Operator, StandInArm, spinning, started, wait_for
from trajectory_msgs.msg import JointTrajectory

from lapa_core import description
from lapa_core import robot as robots
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.data import messages
from lapa_ros import convert, interface
from lapa_ros.processes import NodeProcess

SENTINEL_M = 0.008
MIDDLE_M = 0.2  # a height that leaves room both ways
ATTEMPTS = 3  # of a sentinel, where the computer is busy
COMMANDS_APART = 10  # between two deltas: five ticks of arm and gripper
ON_PATH_M = 0.002  # servo-free: commands only; below a quarter of the smallest bad delta


@dataclass
class Cell:
    """A running arm node, the arm it moves, and the operator of both."""

    arm: StandInArm
    operator: Operator
    node: NodeProcess
    kinematics: ArmKinematics

    def tool_path(self, since: int) -> np.ndarray:
        """(n, 3) tool positions [m] of the joint commands from index `since` on."""
        joints = self.kinematics.joints
        sent = [m for _, m in self.arm.commands[since:] if m.joint_names[0] == joints[0]]
        points = [self.kinematics.fk(np.array(m.points[-1].positions)).xyz_m for m in sent]
        return np.array(points).reshape(-1, 3)

    def drive(self) -> None:
        """Be a policy that asks for nothing, until the arm obeys it."""

        def obeys() -> bool:
            self.operator.send(self.operator.chunk())
            return self.operator.state[0] == "policy"

        wait_for(obeys, "authority policy", poll_s=0.05)

    def expect_hold(self, *words: str) -> None:
        """Wait until the arm holds for a reason with these words, also in diagnostics."""

        def says() -> bool:
            state, reason = self.operator.state
            text = f"{state}: {reason}"
            diagnosed = self.operator.diagnostics.get("arm_node", ("", {}))[0]
            return state in ("hold", "estop") and all(w in text and w in diagnosed for w in words)

        wait_for(says, f"a hold that says {words}", seen=lambda: self.operator.authority[-4:])
        assert self.node.running()

    def ignored(self) -> int:
        """Deltas that the node has heard and not played, as diagnostics say."""
        _, values = self.operator.diagnostics["arm_node"]
        return sum(int(n) for key, n in values.items() if key.startswith("interventions_ignored_"))

    def expect_sentinel_alone(self, since: int, refused_stamps: set[int]) -> None:
        """Send a good delta; nothing but it may have been commanded or executed since.

        On a busy computer a watchdog may break the sentinel's own step off, and says so: then
        what was commanded is judged all the same, and another sentinel is sent.
        """
        for _ in range(ATTEMPTS):
            if self._sentinel_arrives(since, refused_stamps):
                return
            self.drive()
            since = len(self.arm.commands)
        told = [m.points[0].positions[2] for m in self.operator.executed[-6:]]
        pytest.fail(
            f"{ATTEMPTS} sentinels were broken off: {self.operator.authority[-6:]}; told {told}"
        )

    def _sentinel_arrives(self, since: int, refused_stamps: set[int]) -> bool:
        """Whether a sentinel went its way; False where a hold came between."""
        operator = self.operator
        # A step that is begun one tick after another shares its clamp: 6.25 mm are left of 50.
        told = len(self.arm.commands)
        wait_for(
            lambda: (
                len(self.arm.commands) >= told + COMMANDS_APART or operator.state[0] != "policy"
            ),
            "the ticks after the zero delta",
        )
        heard = len(operator.authority)
        begin = self.kinematics.fk(self.arm.target[: len(self.kinematics.joints)]).xyz_m
        # Many of them upwards would end at the top of the workspace, where none arrives.
        up = 1.0 if begin[2] < MIDDLE_M else -1.0
        stamp = operator.send(operator.chunk((0.0, 0.0, up * SENTINEL_M)))
        wait_for(lambda: stamp in operator.executed_stamps(), "the sentinel")

        def arrived() -> bool:
            path = self.tool_path(since)
            return bool(len(path) and up * (path[-1, 2] - begin[2]) > 0.8 * SENTINEL_M)

        wait_for(
            lambda: arrived() or (operator.state[0] == "hold" and len(operator.authority) > heard),
            "the sentinel's motion",
            seen=lambda: operator.authority[-4:],
        )
        assert not refused_stamps & operator.executed_stamps()
        path = self.tool_path(since) - begin
        if not len(path):
            return False
        assert np.abs(path[:, :2]).max() < ON_PATH_M
        assert (up * path[:, 2]).min() > -ON_PATH_M
        assert (up * path[:, 2]).max() < SENTINEL_M + ON_PATH_M
        return arrived()


@pytest.fixture(scope="module")
def running(
    ros_context: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[StandInArm, Operator, NodeProcess]]:
    """One arm node process for all tests of this file."""
    robot = robots.load("wx250s")
    log: Path = tmp_path_factory.mktemp("arm") / "arm_node.log"
    arm, operator = StandInArm(robot), Operator(robot)
    operator.act_as_policy()
    with (
        started("arm_node", {"robot": "wx250s", "backend": "ros2_control"}, log) as node,
        spinning(arm, operator),
    ):
        wait_for(lambda: operator.state[0], "the first authority")
        yield arm, operator, node


@pytest.fixture
def cell(running: tuple[StandInArm, Operator, NodeProcess]) -> Iterator[Cell]:
    """The cell, enabled, in its start pose and obeying the operator's zero deltas."""
    arm, operator, node = running
    spec = operator.robot.arms[0]
    cell = Cell(arm, operator, node, ArmKinematics(spec, description.for_arm(spec)))
    assert operator.call("enable").success, operator.state
    cell.drive()
    yield cell
    arm.silent, arm.glitch_rad = False, 0.0
    assert node.running(), node.last_lines()


def with_nan(cell: Cell) -> JointTrajectory:
    return cell.operator.chunk((float("nan"), 0.0, 0.0))


def with_wrong_names(cell: Cell) -> JointTrajectory:
    msg = cell.operator.chunk((0.02, 0.0, 0.0))
    msg.joint_names = [n.replace("wx250s", "left") for n in msg.joint_names]
    return msg


def with_wrong_length(cell: Cell) -> JointTrajectory:
    msg = cell.operator.chunk((0.02, 0.0, 0.0))
    msg.joint_names = list(msg.joint_names)[:6]
    msg.points[0].positions = list(msg.points[0].positions)[:6]
    return msg


def with_too_few_numbers(cell: Cell) -> JointTrajectory:
    msg = cell.operator.chunk((0.02, 0.0, 0.0))
    msg.points[0].positions = list(msg.points[0].positions)[:6]
    return msg


def with_an_old_stamp(cell: Cell) -> JointTrajectory:
    msg = cell.operator.chunk((0.02, 0.0, 0.0))
    msg.header.stamp = convert.time_msg(messages.stamp_ns(msg.header.stamp) - 5 * 10**9)
    return msg


def with_a_metre(cell: Cell) -> JointTrajectory:
    return cell.operator.chunk((1.0, 0.0, 0.0))


BAD: list[tuple[Callable[[Cell], JointTrajectory], tuple[str, ...]]] = [
    (with_nan, ("finite", "wx250s/x")),
    (with_wrong_names, ("left/x", "wx250s/x")),
    (with_wrong_length, ("chunk names", "wx250s/gripper", "once")),
    (with_too_few_numbers, ("7 names", "6")),
    (with_an_old_stamp, ("old",)),
    (with_a_metre, ("wx250s/x", "1")),
]


@pytest.mark.parametrize(("make", "words"), BAD, ids=[m.__name__ for m, _ in BAD])
def test_a_bad_delta_is_refused_and_the_next_good_one_obeyed(
    make: Callable[[Cell], JointTrajectory], words: tuple[str, ...], cell: Cell
) -> None:
    bad = make(cell)
    since = len(cell.arm.commands)
    stamp = cell.operator.send(bad)
    cell.expect_hold(*words)
    cell.expect_sentinel_alone(since, {stamp})
    wait_for(lambda: cell.operator.state[0] == "policy", "authority policy")


def test_silence_of_the_policy_is_a_hold(cell: Cell) -> None:
    cell.expect_hold("policy", "silent")
    since = len(cell.arm.commands)
    cell.expect_sentinel_alone(since, set())


def test_joint_states_stop_and_come_back(cell: Cell) -> None:
    cell.arm.silent = True
    cell.expect_hold("joint states", "wx250s")
    since, ignored = len(cell.arm.commands), cell.ignored()
    refused = cell.operator.send(cell.operator.chunk((0.02, 0.0, 0.0)))
    # Heard after the joint states are back it would be a good one.
    wait_for(lambda: cell.ignored() > ignored, "a delta ignored for want of joint states")
    cell.arm.silent = False
    cell.drive()
    cell.expect_sentinel_alone(since, {refused})


def test_a_joint_state_that_jumps_by_a_radian(cell: Cell) -> None:
    since = len(cell.arm.commands)
    cell.arm.glitch_rad = 1.0
    cell.expect_hold("waist", "jump")
    cell.arm.glitch_rad = 0.0
    cell.drive()
    cell.expect_sentinel_alone(since, set())


def test_teleop_takes_over_and_hands_back_with_an_empty_message(cell: Cell) -> None:
    teleop = cell.operator.create_publisher(
        JointTrajectory, interface.TELEOP_EE_DELTA, interface.EVENT_QOS
    )

    def teleop_has_it() -> bool:
        teleop.publish(cell.operator.chunk())
        return cell.operator.state[0] == "teleop"

    wait_for(teleop_has_it, "authority teleop", poll_s=0.1)
    cell.operator.send(cell.operator.chunk())
    nothing = cell.operator.chunk()
    nothing.points = []
    teleop.publish(nothing)
    wait_for(lambda: cell.operator.state[0] == "hold", "the hand-back")
    assert "handed back" in cell.operator.state[1]
    cell.drive()
    assert cell.operator.state[0] == "policy"
    cell.operator.destroy_publisher(teleop)


def test_two_publishers_fight(cell: Cell) -> None:
    """While two nodes send deltas neither is obeyed; when one goes, the other is."""
    robot = cell.operator.robot
    rival = Operator(robot)
    since = len(cell.arm.commands)
    with spinning(rival):
        rival.act_as_policy()

        def both_send() -> bool:
            cell.operator.send(cell.operator.chunk())
            rival.send(rival.chunk((0.02, 0.0, 0.0)))
            return "2 publishers" in cell.operator.state[1]

        # The rival's first deltas may arrive before the graph shows two publishers; they are
        # asked to be refused from then on, which is what the sentinel checks.
        wait_for(both_send, "two publishers noticed", poll_s=0.05)
        cell.expect_hold("2 publishers")
        since = len(cell.arm.commands)
        stamp = rival.send(rival.chunk((0.02, 0.0, 0.0)))
        rival.resign_as_policy()
    cell.drive()
    cell.expect_sentinel_alone(since, {stamp})


def test_an_unreachable_target_is_not_approached(cell: Cell) -> None:
    """Turning the gripper ever further: the wrist's limit comes, the arm holds, and comes back."""
    operator = cell.operator

    def pitch(amount: float) -> JointTrajectory:
        msg = operator.chunk()
        values = list(msg.points[0].positions)
        values[4] = amount
        msg.points[0].positions = values
        return msg

    def refused() -> bool:
        operator.send(pitch(0.2))
        return operator.state[0] == "hold" and "reach" in operator.state[1]

    wait_for(refused, "an unreachable target", poll_s=0.2, seen=lambda: operator.authority[-4:])
    cell.expect_hold("reach")
    wait_for(lambda: operator.send(pitch(-0.1)) and operator.state[0] == "policy", "back", 5, 0.2)
    cell.drive()


def test_estop_is_latched_until_reset(cell: Cell) -> None:
    operator = cell.operator
    assert operator.call("estop").success
    cell.expect_hold("estop requested")
    assert operator.state[0] == "estop"
    since = len(cell.arm.commands)
    stamp = operator.send(operator.chunk((0.02, 0.0, 0.0)))
    refusal = operator.call("enable")  # answered after the delta was handled: the sentinel here
    assert not refusal.success
    assert "reset" in refusal.message
    assert operator.state[0] == "estop"
    assert len(cell.tool_path(since)) == 0
    assert operator.call("reset").success
    assert operator.state[0] == "hold"
    assert operator.call("enable").success
    cell.drive()
    cell.expect_sentinel_alone(since, {stamp})


def test_the_node_starts_disabled_and_a_delta_does_not_enable_it(
    ros_context: None, tmp_path: Path
) -> None:
    """A node of its own, which nobody has enabled yet; the service call is the sentinel."""
    robot = robots.load("wx250s")
    arm, operator = StandInArm(robot, "other"), Operator(robot, "other")
    operator.act_as_policy()
    node = started(
        "arm_node",
        {"robot": "wx250s", "backend": "ros2_control"},
        tmp_path / "log",
        remappings={"__ns": "/other"},
    )
    with node, spinning(arm, operator):
        wait_for(lambda: operator.state[0], "the first authority")
        assert operator.state == ("hold", "disabled: call enable")
        operator.send(operator.chunk((0.02, 0.0, 0.0)))
        answer = operator.call("home")
        assert not answer.success
        assert "call enable" in answer.message
        assert operator.state[0] == "hold"
        assert not arm.commands
