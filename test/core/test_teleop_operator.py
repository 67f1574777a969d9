# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Take-over, dead-man, saturation, clutch, gripper: what is sent, and that nothing else is."""

from __future__ import annotations

import itertools

import arms
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from teleop_rig import Hand, TeleopRig

from lapa_core.control.compose import Pose
from lapa_core.errors import UnsafeAction
from lapa_core.teleop import Teleoperator, TeleopSettings
from lapa_core.teleop.reading import ArmInput
from lapa_core.teleop.shaping import turned
from lapa_core.types import ActionChunk

ARM = "wx250s"
PERIOD_S = 0.04
READY = ("hold", "enabled: waiting for a chunk")


class Desk:
    """A teleoperator whose clock only `tick` advances; nobody executes anything."""

    def __init__(self, robot=None, opening: float = 1.0, **more) -> None:
        self.robot = robot or arms.wx250s()
        self.hand = Hand()
        self.teleoperator = Teleoperator(self.robot, self.hand, TeleopSettings(**more))
        self.teleoperator.on_authority(*READY)
        for arm in self.robot.arms:
            self.teleoperator.on_gripper_target(arm.name, np.nan)  # none since the enable
            self.teleoperator.on_opening(arm.name, opening)
        self.now_s = 5.0

    def tick(self, problem: str = ""):
        self.now_s += PERIOD_S
        return self.teleoperator.tick(self.now_s, problem)

    def engage(self, **asked) -> None:
        self.hand.arms[self.robot.arms[0].name] = ArmInput(engaged=True, **asked)

    def idle(self) -> None:
        self.hand.arms.clear()

    def aim(self, xyz=(0.3, 0.0, 0.15), state: str = "teleop") -> None:
        """Let the arm follow teleop, its target here."""
        self.teleoperator.on_authority(state, "following teleop")
        for _ in range(2):
            for arm in self.robot.arms:
                target = Pose(np.array(xyz, float), np.eye(3))
                self.teleoperator.on_target(arm.name, target, self.now_s)


@pytest.fixture
def desk() -> Desk:
    return Desk()


FORWARD = {"linear_m_s": np.array([0.1, 0.0, 0.0])}


def test_nothing_is_sent_before_a_take_over_and_zeros_while_idle_after_it(desk: Desk) -> None:
    assert desk.tick().delta is None
    desk.teleoperator.take_over()
    np.testing.assert_array_equal(desk.tick().delta, [0, 0, 0, 0, 0, 0, 1.0])


def test_engaging_takes_over_and_moves_by_speed_times_time(desk: Desk) -> None:
    desk.tick()
    desk.engage(**FORWARD)
    np.testing.assert_allclose(desk.tick().delta, [0.1 * PERIOD_S, 0, 0, 0, 0, 0, 1.0])
    desk.idle()
    np.testing.assert_array_equal(desk.tick().delta[:6], np.zeros(6))


def test_a_device_that_is_engaged_from_the_start_does_not_take_over(desk: Desk) -> None:
    """A dead-man stuck or taped down must be let go first."""
    desk.engage(**FORWARD)
    assert [desk.tick().delta for _ in range(3)] == [None] * 3


def test_without_auto_take_over_only_a_person_s_act_does() -> None:
    desk = Desk(auto_take_over=False)
    desk.tick()
    desk.engage(**FORWARD)
    assert desk.tick().delta is None
    desk.hand.events.append("take_over")
    assert desk.tick().delta is not None


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("hold", "disabled: call enable", "disabled"),
        ("hold", "arrived at start; disabled: call enable", "disabled"),
        ("estop", "estop requested", "estop is latched"),
        ("", "nothing heard of arm_node: is it running?", "is it running"),
    ],
)
def test_an_arm_that_may_not_move_is_not_taken_over_and_ends_it(
    desk: Desk, state: str, reason: str, said: str
) -> None:
    desk.tick()
    desk.teleoperator.take_over()
    desk.teleoperator.on_authority(state, reason)
    desk.engage(**FORWARD)
    assert desk.tick().delta is None
    assert said in desk.teleoperator.status()
    with pytest.raises(UnsafeAction, match=said):
        desk.teleoperator.take_over()
    assert desk.hand.released


def test_an_unknown_gripper_is_a_refusal() -> None:
    """Taken for open, it would drop what the arm holds."""
    desk = Desk()
    desk.teleoperator = Teleoperator(desk.robot, desk.hand, TeleopSettings())
    desk.teleoperator.on_authority(*READY)
    desk.teleoperator.on_gripper_target(ARM, np.nan)
    with pytest.raises(UnsafeAction, match="no joint states of wx250s"):
        desk.teleoperator.take_over()


def test_a_failed_device_silences_it_and_must_be_let_go_before_it_moves_again(desk: Desk) -> None:
    desk.tick()
    desk.engage(**FORWARD)
    desk.tick()
    assert desk.tick("gamepad silent 0.4 s").delta is None
    assert "gamepad silent 0.4 s: the arm holds" in desk.teleoperator.status()
    np.testing.assert_array_equal(desk.tick().delta[:6], np.zeros(6))  # back, still pressed
    assert "let go" in desk.teleoperator.status()
    desk.idle()
    desk.tick()
    desk.engage(**FORWARD)
    assert desk.tick().delta[0] > 0


def test_handing_back_says_so_once_and_needs_a_new_press(desk: Desk) -> None:
    desk.tick()
    desk.engage(**FORWARD)
    desk.tick()
    desk.hand.events.append("hand_back")
    output = desk.tick()
    assert (output.delta, output.hand_back) == (None, True)
    assert (desk.tick().delta, desk.tick().hand_back) == (None, False)
    assert not desk.teleoperator.hand_back()


def test_events_of_arm_and_recorder_are_passed_on_whatever_else_is(desk: Desk) -> None:
    desk.hand.events += ["estop", "save", "take_over"]
    assert desk.tick("silent").events == ("estop", "save")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-5, 5), min_size=6, max_size=6),
    st.floats(0.05, 1.0),
    st.floats(0.001, 0.3),
    st.sampled_from(["base", "world", "tool"]),
    st.booleans(),
)
def test_whatever_is_asked_for_stays_below_the_clamp_for_its_time(
    asked: list[float], speed_scale: float, dt_s: float, axes: str, as_goal: bool
) -> None:
    """With the 1.25 of slack that the arm allows beside, jitter never costs a metre."""
    desk = DESK
    desk.teleoperator = Teleoperator(
        desk.robot, desk.hand, TeleopSettings(speed_scale=speed_scale)
    )
    desk.idle()
    desk.teleoperator.on_authority(*READY)
    desk.teleoperator.on_gripper_target(ARM, np.nan)
    desk.teleoperator.on_opening(ARM, 0.5)
    desk.tick()
    desk.teleoperator.take_over()
    desk.aim()
    motion = np.array(asked)
    if as_goal:
        desk.engage(goal=Pose(motion[:3], turned(motion[3:])))
    else:
        desk.engage(linear_m_s=motion[:3], angular_rad_s=motion[3:], axes=axes)
    desk.now_s += dt_s - PERIOD_S
    delta = desk.tick().delta
    arm, time_s = desk.robot.arms[0], min(dt_s, 1.5 * PERIOD_S)
    share = time_s / desk.robot.step_time_s * speed_scale + 1e-9
    assert np.linalg.norm(delta[:3]) <= share * arm.max_translation_m
    assert np.max(np.abs(delta[3:6])) <= share * arm.max_rotation_rad
    assert np.all(np.isfinite(delta)) and 0.0 <= delta[6] <= 1.0


DESK = Desk()


def test_axes_of_the_tool_and_the_world() -> None:
    robot = arms.two_arms()  # the right one looks back
    desk = Desk(robot)
    desk.tick()
    desk.teleoperator.take_over()
    down = turned(np.array([0.0, np.pi / 2, 0.0]))
    desk.aim()
    for _ in range(2):
        desk.teleoperator.on_target("left", Pose(np.zeros(3), down), desk.now_s)
    desk.hand.arms = {
        "left": ArmInput(True, np.array([0.1, 0, 0]), axes="tool"),
        "right": ArmInput(True, np.array([0.1, 0, 0]), axes="world"),
    }
    delta = desk.tick().delta
    np.testing.assert_allclose(delta[:3], [0, 0, -0.1 * PERIOD_S], atol=1e-12)
    np.testing.assert_allclose(delta[7:10], [-0.1 * PERIOD_S, 0, 0], atol=1e-12)


def test_letting_the_clutch_in_never_jumps_and_the_hand_is_followed_from_there(desk: Desk) -> None:
    desk.tick()
    tilted = turned(np.array([0.4, -0.2, 0.9]))
    desk.engage(hand=Pose(np.array([5.0, -3.0, 1.0]), tilted))
    np.testing.assert_array_equal(desk.tick().delta[:6], np.zeros(6))  # not followed yet
    desk.aim()
    np.testing.assert_allclose(desk.tick().delta[:6], np.zeros(6), atol=1e-12)
    turn = turned(np.array([0.0, 0.0, 0.02]))
    desk.engage(hand=Pose(np.array([5.004, -3.0, 1.0]), turn @ tilted))
    np.testing.assert_allclose(desk.tick().delta[:6], [0.004, 0, 0, 0, 0, 0.02], atol=1e-9)


def test_losing_authority_opens_the_clutch(desk: Desk) -> None:
    """The arm held for a second while the hand went on: it must not leap after it."""
    desk.tick()
    desk.engage(hand=Pose(np.zeros(3), np.eye(3)))
    desk.tick()
    desk.aim()
    desk.tick()
    desk.aim(state="hold")
    desk.engage(hand=Pose(np.array([0.1, 0, 0]), np.eye(3)))
    desk.tick()
    desk.aim()
    np.testing.assert_allclose(desk.tick().delta[:6], np.zeros(6), atol=1e-12)


def test_a_delta_on_its_way_is_not_asked_for_twice(desk: Desk) -> None:
    desk.tick()
    goal = Pose(np.array([0.305, 0.0, 0.15]), np.eye(3))
    desk.engage(goal=goal)
    desk.tick()
    desk.aim()
    delta = desk.tick().delta
    desk.teleoperator.on_sent(77, delta, desk.now_s)
    assert delta[0] == pytest.approx(0.005)
    assert desk.tick().delta[0] == pytest.approx(0.0)  # not executed yet
    dims = desk.robot.dimensions
    desk.teleoperator.on_executed(ActionChunk(dims, delta[None], np.zeros(1), 77))
    desk.aim((0.303, 0.0, 0.15))  # the arm could not go all the way
    assert desk.tick().delta[0] == pytest.approx(0.002)


def test_a_lost_delta_is_asked_for_again(desk: Desk) -> None:
    desk.tick()
    desk.engage(goal=Pose(np.array([0.305, 0.0, 0.15]), np.eye(3)))
    desk.tick()
    desk.aim()
    desk.teleoperator.on_sent(77, desk.tick().delta, desk.now_s)
    for _ in range(6):
        desk.aim()
        delta = desk.tick().delta
    assert delta[0] == pytest.approx(0.005)


def test_a_hand_that_runs_far_ahead_slips(desk: Desk) -> None:
    """Else the arm would go on for seconds after the hand has stopped."""
    desk.tick()
    desk.engage(hand=Pose(np.zeros(3), np.eye(3)))
    desk.tick()
    desk.aim()
    desk.tick()
    desk.engage(hand=Pose(np.array([1.0, 0, 0]), np.eye(3)))
    assert desk.tick().delta[0] == pytest.approx(0.25 * PERIOD_S)
    desk.engage(hand=Pose(np.array([0.852, 0, 0]), np.eye(3)))  # 0.148 back of 0.15 ahead
    assert desk.tick().delta[0] == pytest.approx(0.002)


# The gripper -----------------------------------------------------------------------------------


def test_the_gripper_keeps_what_the_policy_commanded_not_what_is_measured() -> None:
    """Fingers on a block are measured half open; that opening would let go of it."""
    desk = Desk(opening=0.5)
    dims = desk.robot.dimensions
    row = np.array([[0, 0, 0, 0, 0, 0, 0.1]])
    desk.teleoperator.on_executed(ActionChunk(dims, row, np.zeros(1), 3))
    desk.tick()
    desk.teleoperator.take_over()
    assert desk.tick().delta[6] == 0.1


def test_after_an_enable_it_starts_from_what_is_measured() -> None:
    desk = Desk(opening=0.5)
    dims = desk.robot.dimensions
    row = np.array([[0, 0, 0, 0, 0, 0, 0.1]])
    desk.teleoperator.on_executed(ActionChunk(dims, row, np.zeros(1), 3))
    desk.teleoperator.on_authority("hold", "disabled: hold requested")
    desk.teleoperator.on_authority(*READY)
    desk.tick()
    desk.teleoperator.take_over()
    assert desk.tick().delta[6] == 0.5


def test_a_trigger_counts_once_it_has_met_the_opening_in_force() -> None:
    desk = Desk(opening=0.0)
    desk.tick()
    for asked, expected in ((1.0, 0.0), (0.6, 0.0), (0.05, 0.05), (0.7, 0.7), (1.0, 1.0)):
        desk.engage(gripper=asked, pick_up=True)
        assert desk.tick().delta[6] == pytest.approx(expected), asked
    desk.idle()
    desk.tick()
    desk.engage(gripper=0.2, pick_up=True)
    assert desk.tick().delta[6] == 1.0  # let go: to be met again


def test_a_gripper_is_toggled_and_driven_only_while_engaged(desk: Desk) -> None:
    desk.tick()
    desk.engage(toggle=True)
    assert desk.tick().delta[6] == 0.0
    desk.engage(gripper_rate=2.0)
    assert desk.tick().delta[6] == pytest.approx(2.0 * PERIOD_S)
    desk.hand.arms[ARM] = ArmInput(engaged=False, toggle=True, gripper_rate=2.0, gripper=1.0)
    assert desk.tick().delta[6] == pytest.approx(2.0 * PERIOD_S)


# With the controller and physics behind --------------------------------------------------------


@pytest.fixture
def rig() -> TeleopRig:
    rig = TeleopRig(arms.wx250s(), Hand())
    rig.go_to_start()
    rig.operate(0.2)
    return rig


def hand_of(rig: TeleopRig) -> Hand:
    hand = rig.teleoperator._device
    assert isinstance(hand, Hand)
    return hand


def test_full_speed_is_never_clamped_and_goes_where_it_should(rig: TeleopRig) -> None:
    start, hand = rig.tool(), hand_of(rig)
    hand.arms[ARM] = ArmInput(True, np.array([0.0, 1.0, 0.0]))  # far more than may be
    rig.operate(0.4)
    hand.arms.clear()
    rig.operate(0.6)
    assert rig.status.state == "teleop"
    moved = rig.tool() - start
    assert moved[1] == pytest.approx(0.25 * 0.4, abs=0.011)  # a tick more or less
    assert np.abs(moved[[0, 2]]).max() < 1e-3
    assert rig.status.interventions["clamp_rate"] == 0
    assert rig.teleoperator.saturated >= 9


def test_a_hand_s_way_is_closed_without_error_though_a_third_of_it_is_lost(
    rig: TeleopRig,
) -> None:
    """Ten rounds of a circle in the air; deltas are lost, the tool comes back to where it was."""
    rng, hand, start = np.random.default_rng(1), hand_of(rig), rig.tool()
    rig.lose = lambda: bool(rng.random() < 0.3)
    begin = rig.now_s

    def circle() -> None:
        angle = 2 * np.pi * (rig.now_s - begin) / 1.0
        xyz = 0.02 * np.array([1 - np.cos(angle), np.sin(angle), 0.0])
        hand.arms[ARM] = ArmInput(True, hand=Pose(xyz, np.eye(3)))

    hand.arms[ARM] = ArmInput(True, hand=Pose(np.zeros(3), np.eye(3)))
    rig.operate(0.2)
    begin = rig.now_s
    rig.operate(5.0, circle)
    hand.arms[ARM] = ArmInput(True, hand=Pose(np.zeros(3), np.eye(3)))
    rig.operate(1.0)
    np.testing.assert_allclose(rig.tool(), start, atol=1.5e-3)


@pytest.mark.parametrize("speed_m_s", [0.05, 0.2])
def test_the_tool_follows_a_hand_within_a_fifth_of_a_second(
    rig: TeleopRig, speed_m_s: float
) -> None:
    """Messages 20 ms, inverse kinematics 40 ms and servos included; see docs/teleop.md."""
    hand, lags = hand_of(rig), []
    hand.arms[ARM] = ArmInput(True, hand=Pose(np.zeros(3), np.eye(3)))
    rig.operate(0.3)
    begin, start = rig.now_s, rig.tool()

    def move() -> None:
        way = np.array([0.0, speed_m_s * (rig.now_s - begin), 0.0])
        hand.arms[ARM] = ArmInput(True, hand=Pose(way, np.eye(3)))
        if rig.now_s - begin > 0.5:
            lags.append((way - rig.tool() + start)[1] / speed_m_s)

    rig.operate(0.8, move)
    assert 0.1 < np.mean(lags) < 0.2


def test_letting_go_stops_the_arm_soon(rig: TeleopRig) -> None:
    hand = hand_of(rig)
    hand.arms[ARM] = ArmInput(True, np.array([0.0, 0.1, 0.0]))
    rig.operate(1.0)
    hand.arms.clear()
    at = rig.tool()
    rig.operate(0.5)
    later = rig.tool()
    rig.operate(0.3)
    assert np.linalg.norm(later - at) < 0.03
    assert np.linalg.norm(rig.tool() - later) < 1e-3


def test_a_correction_of_a_running_policy(rig: TeleopRig) -> None:
    """Pressing takes over, handing back lets the policy go on; every step says whose it was."""
    hand, ticks = hand_of(rig), itertools.count()

    def policy() -> None:
        if next(ticks) % 10 == 0:
            rig.send([0.0, 0.0, 0.002], "policy")

    rig.operate(0.6, policy)
    assert rig.status.state == "policy"
    hand.arms[ARM] = ArmInput(True, np.array([0.1, 0.0, 0.0]))
    rig.operate(0.6, policy)
    assert rig.status.state == "teleop"
    assert rig.status.interventions["ignored_outranked"] > 0
    hand.arms.clear()
    rig.operate(0.4, policy)
    assert rig.status.state == "teleop"  # idle is not handing back
    hand.events.append("hand_back")
    rig.operate(0.6, policy)
    assert rig.status.state == "policy"
    states = [e.state for e in rig.controller.history][-5:]
    assert states[-4:] == ["policy", "teleop", "hold", "policy"]


def test_speeds_are_shared_out_by_the_scale() -> None:
    fast, slow = Desk(), Desk(speed_scale=0.3)
    for desk in (fast, slow):
        desk.tick()
        desk.engage(**FORWARD)
    assert slow.tick().delta[0] == pytest.approx(0.3 * fast.tick().delta[0])
