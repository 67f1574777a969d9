# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the arm does when its words are lost, others move it, or teleoperation begins anew."""

from __future__ import annotations

from collections.abc import Callable

import arms
import numpy as np
import pytest
from teleop_rig import Hand, TeleopRig

from lapa_core import robot as robots
from lapa_core.control.compose import Pose
from lapa_core.errors import UnsafeAction
from lapa_core.teleop import Teleoperator, TeleopSettings, devices
from lapa_core.teleop.browser import Browser
from lapa_core.teleop.leader import Leaders, load
from lapa_core.teleop.reading import ArmInput, Device
from lapa_core.teleop.reference import Reference

ARM = "wx250s"
WAY = np.array([0.0, 0.08, 0.0])
STAY = np.zeros(3)


def rig_of(device: Device | None = None, auto_take_over: bool = True) -> TeleopRig:
    settings = TeleopSettings(auto_take_over=auto_take_over)
    rig = TeleopRig(arms.wx250s(), device or Hand(), settings)
    rig.go_to_start()
    rig.operate(0.2)
    return rig


def start_of(rig: TeleopRig) -> Pose:
    return rig.status.measured[ARM]


# The commanded target is lost -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["goal", "hand"])
def test_without_the_commanded_target_the_arm_never_passes_the_goal(kind: str) -> None:
    """`ee_target` is best effort: everything else goes on flowing."""
    rig = rig_of()
    hand, start = rig.teleoperator._device, start_of(rig)
    assert isinstance(hand, Hand)

    def ask(way: np.ndarray) -> None:
        at = Pose(way if kind == "hand" else start.xyz_m + way, start.rotation)
        hand.arms[ARM] = ArmInput(True, **{kind: at})

    ask(STAY)
    rig.operate(0.2)
    ask(WAY)
    rig.operate(0.2)
    heard = rig.teleoperator.on_target
    rig.teleoperator.on_target = lambda arm, target, now_s: None  # type: ignore[method-assign]
    farthest = [0.0]

    def watch() -> None:
        ahead = rig.status.target[ARM].xyz_m - start.xyz_m
        farthest.append(float(ahead[1]))

    rig.operate(1.5, watch)
    assert 0.03 < max(farthest) < WAY[1] + 1e-3
    np.testing.assert_array_equal(rig.sent[-1][:6], np.zeros(6))
    assert "nothing heard of where wx250s is told to be" in rig.teleoperator.status()
    if kind == "hand":
        ask(1.5 * WAY)  # the hand goes on, which is not made up for later
        rig.operate(0.2, watch)
    rig.teleoperator.on_target = heard  # type: ignore[method-assign]
    rig.operate(1.0, watch)
    assert "moving wx250s" in rig.teleoperator.status()
    assert max(farthest) < WAY[1] + 1e-3
    if kind == "goal":
        np.testing.assert_allclose(rig.tool(), start.xyz_m + WAY, atol=2e-3)


def test_what_was_executed_since_the_last_target_is_counted() -> None:
    """Targets are lost for a moment; the deltas that were executed meanwhile are not forgotten."""
    reference = Reference()
    for _ in range(2):
        reference.on_target(Pose(np.zeros(3), np.eye(3)), 1.0)
    step = np.array([0.01, 0, 0, 0, 0, 0])
    for number in range(3):
        reference.on_sent(number, step, 1.04 * 1 + 0.04 * number)
        reference.on_executed(number)
    found = reference.pose(1.19)
    assert found is not None and found.xyz_m[0] == pytest.approx(0.03)
    assert reference.pose(1.21) is None


# Others move the arm ----------------------------------------------------------------------------


def dragged(rig: TeleopRig) -> Callable[[], None]:
    """A handle held 8 cm to the left."""
    device, goal = (
        rig.teleoperator._device,
        Pose(start_of(rig).xyz_m + WAY, start_of(rig).rotation),
    )
    assert isinstance(device, Browser)
    return lambda: device.on_goal(ARM, "", goal, rig.now_s)


@pytest.mark.parametrize("auto_take_over", [True, False])
def test_a_home_that_somebody_else_asks_for_ends_what_is_held(auto_take_over: bool) -> None:
    """The arm arrives and stays, though the handle is held 8 cm away all the time."""
    rig = rig_of(Browser(arms.wx250s()), auto_take_over)
    home, hold = start_of(rig).xyz_m, dragged(rig)
    rig.teleoperator.take_over()
    rig.operate(1.0, hold)
    assert np.linalg.norm(rig.tool() - home) > 0.06
    rig.controller.move_to("start", rig.now_s)
    rig.operate(0.2, hold)
    assert "the arm is moving to start: let go" in rig.teleoperator.status()
    rig.teleoperator.take_over()  # early: the arm must have arrived first
    rig.operate(0.4)
    while rig.status.moving:  # let go meanwhile, and engaged anew before it has arrived
        rig.operate(0.1, hold)
    rig.operate(1.0, hold)
    np.testing.assert_allclose(rig.tool(), home, atol=3e-3)
    assert "let go of the device first" in rig.teleoperator.status()
    rig.operate(0.5)
    rig.operate(1.0, hold)
    assert np.linalg.norm(rig.tool() - home) > 0.06


def test_leaders_have_to_be_closed_anew_after_a_move() -> None:
    device = Leaders((ARM,), load("leader_aloha2"))
    teleoperator = Teleoperator(arms.wx250s(), device, TeleopSettings())
    device._engaged = True
    teleoperator.on_authority("hold", "moving to start")
    assert not device._engaged


# A new node, a gripper that holds something -----------------------------------------------------


def beginner(opening: float | None, measured: float = 0.4) -> tuple[Teleoperator, Hand]:
    """A teleoperator that has just begun, in front of an arm that is enabled."""
    hand = Hand()
    made = Teleoperator(arms.wx250s(), hand, TeleopSettings())
    if opening is not None:
        made.on_gripper_target(ARM, opening)
    made.on_authority("", "nothing heard of arm_node: is it running?")  # not yet discovered
    made.on_authority("hold", "teleop silent 0.22 s")
    made.on_opening(ARM, measured)
    made.tick(1.0)
    hand.arms[ARM] = ArmInput(True, np.array([0.05, 0.0, 0.0]))
    return made, hand


@pytest.mark.parametrize(("told", "expected"), [(0.0, 0.0), (np.nan, 0.4)])
def test_a_new_node_asks_for_what_the_gripper_was_told(told: float, expected: float) -> None:
    """An object keeps the fingers at 0.4; NaN: none since the enable, then the arm does so too."""
    delta = beginner(told)[0].tick(1.04).delta
    assert delta is not None and delta[6] == expected


def test_before_the_arm_has_said_so_nothing_is_taken_over() -> None:
    made = beginner(None)[0]
    assert made.tick(1.04).delta is None
    with pytest.raises(UnsafeAction, match="what the gripper of wx250s was told"):
        made.take_over()


# Arms that face each other ----------------------------------------------------------------------


@pytest.mark.parametrize("moved", [(0.1, 0, 0), (0, 0.1, 0), (0, 0, -0.1)])
def test_both_hands_move_both_tools_the_same_way_in_the_world(
    moved: tuple[float, float, float],
) -> None:
    """ALOHA's bases face each other; both hands go one way, so must both tools."""
    robot = robots.load("aloha")
    device = devices.make(robot, devices.DeviceSettings(device="vr"))
    ways = []
    for arm in robot.arms:
        hands = []
        for at_s, xyz in ((0.0, np.zeros(3)), (1.0, np.array(moved))):  # a second: not filtered
            device.on_pose(arm.name, Pose(xyz, np.eye(3)), at_s)
            hands.append(device.read(at_s).arms[arm.name].hand.xyz_m)
        ways.append(arm.base_rotation @ (hands[1] - hands[0]))
    assert np.linalg.norm(ways[0]) == pytest.approx(0.1)
    np.testing.assert_allclose(ways[0], ways[1], atol=1e-9)
