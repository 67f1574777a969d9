# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The simulated robot from outside: a driver's names and types, motion on command, clean ends."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from harness import spinning, started, wait_for
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from lapa_core import robot as robots
from lapa_core.data import messages
from lapa_ros import convert, interface

pytestmark = pytest.mark.sim
JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")


class Listener(Node):
    """Keeps the newest message of each stream of the simulated robot."""

    def __init__(self) -> None:
        super().__init__("listener")
        self.robot = robots.load("wx250s")
        self.newest: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        camera = self.robot.cameras[0].topic
        self._listen(JointState, "wx250s/joint_states", "joints")
        self._listen(Image, camera, "image")
        self._listen(DiagnosticArray, interface.DIAGNOSTICS, "diagnostics")
        self.arm = self.create_publisher(
            JointTrajectory, "wx250s/arm_controller/joint_trajectory", interface.COMMAND_QOS
        )
        self.gripper = self.create_publisher(
            JointTrajectory, "wx250s/gripper_controller/joint_trajectory", interface.COMMAND_QOS
        )

    def _listen(self, kind: type, topic: str, key: str) -> None:
        def keep(msg: Any) -> None:
            self.newest[key] = msg
            self.counts[key] = self.counts.get(key, 0) + 1

        self.create_subscription(kind, topic, keep, interface.CAMERA_SUB_QOS)

    def position(self, joint: str) -> float:
        """Newest measured position [rad or m]."""
        names, position = messages.joint_state(self.newest["joints"])
        return float(position[names.index(joint)])

    def values(self) -> dict[str, str]:
        """Newest diagnostics of the sim node."""
        return {v.key: v.value for v in self.newest["diagnostics"].status[0].values}


@pytest.fixture(scope="module")
def listener(ros_context: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    log = tmp_path_factory.mktemp("sim") / "sim_node.log"
    node = Listener()
    with started("sim_node", {"robot": "wx250s", "seed": 3}, log) as process, spinning(node):
        wait_for(lambda: {"joints", "image", "diagnostics"} <= set(node.newest), "all streams")
        yield node
    assert "Traceback" not in process.log.read_text()


def test_joint_states_have_the_drivers_names_and_begin_parked(listener: Listener) -> None:
    names, position = messages.joint_state(listener.newest["joints"])
    assert names == (*JOINTS, "gripper", "left_finger", "right_finger")
    np.testing.assert_allclose(position[:6], listener.robot.arms[0].park_rad, atol=0.02)
    assert position[8] == pytest.approx(-position[7], abs=1e-4)


def test_images_have_the_size_of_the_robot_file(listener: Listener) -> None:
    rgb = messages.image(listener.newest["image"])
    assert rgb.shape == (480, 640, 3)
    assert rgb.std() > 10  # a picture, not a blank


def test_a_target_is_reached_and_the_gripper_closes(listener: Listener) -> None:
    start = listener.robot.arms[0].start_rad
    wait_for(lambda: listener.arm.get_subscription_count() > 0, "the arm controller")
    listener.arm.publish(convert.joint_target_msg(JOINTS, start, 1.0))
    listener.gripper.publish(convert.joint_target_msg(("left_finger",), np.array([0.015]), 0.5))
    wait_for(lambda: abs(listener.position("wrist_angle") - start[4]) < 0.02, "the start pose")
    wait_for(lambda: abs(listener.position("left_finger") - 0.015) < 0.001, "a closed gripper")


def test_a_target_for_an_unknown_joint_moves_nothing(listener: Listener) -> None:
    """The refusal is counted in diagnostics; the good target sent after it is the sentinel."""
    before = int(listener.values()["targets_refused"])
    waist = listener.position("waist")
    bad = convert.joint_target_msg(("waist", "wheel"), np.array([1.0, 1.0]), 0.1)
    listener.arm.publish(bad)
    wait_for(lambda: int(listener.values()["targets_refused"]) > before, "a counted refusal")
    listener.gripper.publish(convert.joint_target_msg(("left_finger",), np.array([0.03]), 0.1))
    wait_for(lambda: abs(listener.position("left_finger") - 0.03) < 0.001, "the sentinel")
    assert abs(listener.position("waist") - waist) < 0.01


def test_a_collision_is_counted_and_named(listener: Listener) -> None:
    """Folded past its park pose the wrist meets the shoulder; then the arm is brought back."""
    arm = listener.robot.arms[0]
    assert listener.values()["collisions"] == "0"
    listener.arm.publish(convert.joint_target_msg(JOINTS, arm.park_rad, 1.0))
    wait_for(lambda: abs(listener.position("shoulder") - arm.park_rad[1]) < 0.02, "the park pose")
    assert listener.values()["collisions"] == "0"
    folded = arm.park_rad + np.array([0.0, 0.0, 0.0, 0.0, 1.2, 0.0])
    listener.arm.publish(convert.joint_target_msg(JOINTS, folded, 0.5))
    wait_for(lambda: "shoulder_link" in listener.values()["touching"], "a named collision")
    assert int(listener.values()["collisions"]) > 0
    listener.arm.publish(convert.joint_target_msg(JOINTS, arm.park_rad, 0.5))
    wait_for(lambda: listener.values()["touching"] == "", "an arm that is free again")


class TwoArms(Node):
    """Keeps the newest joint states and pictures of a two-arm robot."""

    def __init__(self) -> None:
        super().__init__("two_arms")
        self.robot = robots.load("bimanual_wx250s")
        self.newest: dict[str, Any] = {}
        for kind, topics in (
            (JointState, [a.joint_states for a in self.robot.arms]),
            (Image, [c.topic for c in self.robot.cameras]),
        ):
            for topic in topics:
                keep = partial(self.newest.__setitem__, topic)
                self.create_subscription(kind, topic, keep, interface.CAMERA_SUB_QOS)
        self.arms = {
            a.name: self.create_publisher(
                JointTrajectory, a.drivers.ros2_control.arm.topic, interface.COMMAND_QOS
            )
            for a in self.robot.arms
        }

    def waist(self, arm: str) -> float:
        """Newest measured waist position [rad]."""
        names, position = messages.joint_state(self.newest[self.robot.arm(arm).joint_states])
        return float(position[names.index("waist")])

    def picture(self, camera: str) -> np.ndarray:
        """Newest picture as (H, W, 3)."""
        return messages.image(self.newest[self.robot.camera(camera).topic])


def test_two_arms_have_topics_of_their_own_and_cameras_that_ride_along(
    ros_context: None, tmp_path: Path
) -> None:
    node = TwoArms()
    log = tmp_path / "sim_node.log"
    with started("sim_node", {"robot": "bimanual_wx250s"}, log), spinning(node):
        streams = len(node.robot.arms) + len(node.robot.cameras)
        wait_for(lambda: len(node.newest) == streams, "all streams", seen=lambda: [*node.newest])
        before = {c.name: node.picture(c.name) for c in node.robot.cameras}
        wait_for(lambda: node.arms["right"].get_subscription_count() > 0, "the arm controller")
        turned = node.robot.arm("right").park_rad + np.array([0.8, 0, 0, 0, 0, 0])
        node.arms["right"].publish(convert.joint_target_msg(JOINTS, turned, 0.5))
        wait_for(lambda: abs(node.waist("right") - 0.8) < 0.02, "the right arm")
        wait_for(
            lambda: _changed(before, node, "cam_right_wrist"), "what the right wrist sees now"
        )
        assert abs(node.waist("left")) < 0.01
        assert not _changed(before, node, "cam_left_wrist", share=0.005)


def _changed(
    before: dict[str, np.ndarray], node: TwoArms, camera: str, share: float = 0.05
) -> bool:
    """Whether more than a share of the pixels differ clearly from an earlier picture's."""
    difference = np.abs(node.picture(camera).astype(int) - before[camera]).max(axis=2)
    return bool((difference > 20).mean() > share)
