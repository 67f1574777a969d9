# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Leader arms: closing their grippers begins, differences are followed, both arms at once."""

from __future__ import annotations

import numpy as np
import pytest
from teleop_rig import TeleopRig

from lapa_core import robot as robots
from lapa_core.errors import DataError
from lapa_core.teleop import leader

NAMES = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper")
HELD = np.array([0.2, -0.4, 0.5, 0.1, 0.6, 0.0])  # a pose of the leader, not the follower's
CLOSED, OPEN = -0.05, 0.83


class Pair:
    """Two leaders in two hands."""

    def __init__(self, names: tuple[str, ...] = ("left", "right")) -> None:
        self.device = leader.Leaders(names, leader.load("leader_aloha2"))
        self.joints = {n: HELD.copy() for n in names}
        self.grip = dict.fromkeys(names, OPEN)

    def send(self, now_s: float) -> None:
        for name, joints in self.joints.items():
            self.device.on_joint_state(name, NAMES, np.append(joints, self.grip[name]), now_s)

    def read(self, now_s: float):
        self.send(now_s)
        return self.device.read(now_s)


def test_closing_all_grippers_engages_and_releasing_asks_for_it_again() -> None:
    pair = Pair()
    assert "close all the leaders' grippers" in pair.read(0.0).note
    pair.grip["left"] = CLOSED
    assert not pair.read(0.1).engaged
    pair.grip["right"] = CLOSED
    assert pair.read(0.2).engaged
    pair.grip["left"] = OPEN
    assert pair.read(0.3).engaged  # from then on they are grippers
    pair.device.release()
    pair.grip["left"] = CLOSED
    assert not pair.read(0.4).engaged  # closed, but not seen open since
    pair.grip["left"] = OPEN
    pair.read(0.5)
    pair.grip["left"] = CLOSED
    assert pair.read(0.6).engaged


def test_a_leader_closed_when_the_node_starts_does_not_begin() -> None:
    pair = Pair()
    pair.grip = dict.fromkeys(pair.grip, CLOSED)
    assert not any(pair.read(0.1 * i).engaged for i in range(5))


def test_a_silent_or_lying_leader_is_not_trusted_and_must_engage_anew() -> None:
    pair = Pair()
    pair.read(0.0)
    pair.grip = dict.fromkeys(pair.grip, CLOSED)
    assert pair.read(0.01).engaged
    assert "joint states of the leader of left are 0.29 s old" in pair.device.read(0.3).problem
    assert not pair.read(0.31).engaged
    with pytest.raises(DataError, match=r"jumped|outside"):
        pair.device.on_joint_state("left", NAMES, np.full(7, -np.pi), 0.32)
    assert pair.device.read(0.33).problem


def test_the_opening_is_read_off_the_calibration() -> None:
    made = leader.load("leader_aloha1")
    assert made.opening(-0.6842) == 0.0
    assert made.opening(0.3083) == 1.0
    assert made.opening(2.0) == 1.0
    assert made.pinched(-0.31) and not made.pinched(-0.29)


def test_both_followers_do_what_both_leaders_do() -> None:
    """Each leader in a pose of its own; the followers move and turn by their differences."""
    robot = robots.load("bimanual_wx250s").with_backend("ros2_control")
    pair = Pair()
    rig = TeleopRig(robot, pair.device)
    rig.go_to_start()
    rig.operate(0.2, lambda: pair.send(rig.now_s))
    pair.grip = dict.fromkeys(pair.grip, CLOSED)
    rig.operate(0.3, lambda: pair.send(rig.now_s))
    assert rig.status.state == "teleop"
    assert all(abs(x) < 1e-6 for row in rig.sent for x in [*row[:6], *row[7:13]])  # no jump

    def tools():
        return {a.name: rig.sim.tool_pose(a.name) for a in robot.arms}

    def hands():
        return {n: pair.device._leaders[n].kinematics.fk(q) for n, q in pair.joints.items()}

    tools_0, hands_0, begin = tools(), hands(), rig.now_s
    goal = {
        "left": np.array([0.15, 0.1, -0.1, 0.1, 0, 0.2]),
        "right": np.array([-0.1, 0, 0.1, 0, 0.2, 0]),
    }

    def move() -> None:
        share = min((rig.now_s - begin) / 1.5, 1.0)
        for name, change in goal.items():
            pair.joints[name] = HELD + share * change
        pair.grip["left"] = CLOSED + share * (OPEN - CLOSED)
        pair.send(rig.now_s)

    rig.operate(2.5, move)
    for name, tool in tools().items():
        hand = hands()[name]
        moved = hand.xyz_m - hands_0[name].xyz_m
        assert np.linalg.norm(moved) > 0.02
        np.testing.assert_allclose(tool.xyz_m - tools_0[name].xyz_m, moved, atol=2e-3)
        turn = hand.rotation @ hands_0[name].rotation.T
        np.testing.assert_allclose(tool.rotation @ tools_0[name].rotation.T, turn, atol=0.01)
    assert rig.status.interventions["clamp_rate"] == 0
    assert rig.sent[-1][6] == pytest.approx(1.0)
    assert rig.sent[-1][13] == pytest.approx(1.0)  # its leader, closed, has not met it yet
