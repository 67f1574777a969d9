# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Robots that none of our code knows, over real nodes and DDS, from a robot file and a URDF.

One speaks `JointTrajectory`, the other `Float64MultiArray`; both have all joints on one topic.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from harness import Operator, spinning, started, wait_for
from sensor_msgs.msg import JointState

from lapa_core import robot as robots
from lapa_core.data import messages
from lapa_core.robot import Robot
from lapa_ros import interface

pytestmark = [pytest.mark.sim, pytest.mark.alone]
FOLDER = Path(__file__).parent.parent / "robots"
STEPS_M = [(0.03, 0.0, 0.0), (0.0, 0.03, 0.0), (0.0, 0.0, -0.03), (-0.02, -0.02, 0.0)]
HOME_S = 40.0


class Hand(Operator):
    """An operator that also sees the tool and the joints."""

    def __init__(self, robot: Robot) -> None:
        super().__init__(robot)
        self.xyz_m: dict[str, np.ndarray] = {}
        self.joints: dict[str, float] = {}
        arm = robot.arms[0]
        for kind, topic in (("measured", interface.ee_pose), ("target", interface.ee_target)):
            self.create_subscription(
                PoseStamped,
                topic(arm.name),
                partial(self._on_pose, kind),
                interface.SENSOR_PUB_QOS,
            )
        self.create_subscription(
            JointState, arm.joint_states, self._on_joints, interface.CAMERA_SUB_QOS
        )

    def _on_pose(self, kind: str, msg: PoseStamped) -> None:
        p = msg.pose.position
        self.xyz_m[kind] = np.array([p.x, p.y, p.z])

    def _on_joints(self, msg: JointState) -> None:
        names, position = messages.joint_state(msg)
        self.joints = dict(zip(names, map(float, position), strict=True))


@dataclass
class Cell:
    """A running robot and who commands it."""

    robot: Robot
    hand: Hand


@pytest.fixture(scope="module", params=["seven_joints", "prefixed_six"])
def cell(
    request: pytest.FixtureRequest, ros_context: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cell]:
    file = str(FOLDER / f"{request.param}.yaml")
    robot, logs = robots.load(file), tmp_path_factory.mktemp(request.param)
    hand = Hand(robot)
    rendering = {"MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
    sim = started("sim_node", {"robot": file}, logs / "sim.log", extra_environment=rendering)
    with sim, started("arm_node", {"robot": file}, logs / "arm.log"), spinning(hand):
        hand.act_as_policy()
        wait_for(lambda: "measured" in hand.xyz_m, "the tool's pose")
        assert hand.call("enable").success
        assert hand.call("home").success
        wait_for(
            lambda: hand.state[1].startswith("arrived at start"),
            "the start pose",
            HOME_S,
            seen=lambda: hand.state,
        )
        yield Cell(robot, hand)


def test_the_tool_goes_where_it_is_told(cell: Cell) -> None:
    hand = cell.hand
    told = hand.xyz_m["measured"].copy()
    for step in STEPS_M:
        stamp = hand.send(hand.chunk(step))
        wait_for(
            partial(_executed, hand, stamp), "the step to be executed", seen=lambda: hand.state
        )
        told += step
        wait_for(partial(_is_at, hand, told), f"the tool at {told}", seen=lambda: hand.xyz_m)
    np.testing.assert_allclose(hand.xyz_m["target"], told, atol=3e-3)


def test_the_gripper_closes_in_its_own_unit(cell: Cell) -> None:
    gripper, hand = cell.robot.arms[0].gripper, cell.hand

    def closed() -> bool:
        msg = hand.chunk()
        msg.points[0].positions[6] = 0.0
        hand.send(msg)
        return abs(gripper.opening(hand.joints[gripper.joint])) < 0.05

    wait_for(closed, "a closed gripper", poll_s=0.2, seen=lambda: hand.joints)


def test_cameras_of_the_file_are_simulated_under_its_topics(cell: Cell) -> None:
    topics = dict(cell.hand.get_topic_names_and_types())
    for camera in cell.robot.cameras:
        assert topics[f"/{camera.topic}"] == ["sensor_msgs/msg/Image"]


def _executed(hand: Hand, stamp: int) -> bool:
    return stamp in hand.executed_stamps()


def _is_at(hand: Hand, xyz_m: np.ndarray) -> bool:
    return bool(np.linalg.norm(hand.xyz_m["measured"] - xyz_m) < 3e-3)
