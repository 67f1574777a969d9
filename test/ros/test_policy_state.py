# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A model that reads the arm's state, on real DDS: what it is given live is what a bag gives.

A real policy node decides while a tape of a few lines records the same topics. It waits where
the state is missing or old, and where somebody moves the arm and nobody tells where to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from geometry_msgs.msg import PoseStamped
from harness import Operator, spinning, wait_for
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from taping import Tape
from trajectory_msgs.msg import JointTrajectory

from lapa_core import paths
from lapa_core import robot as robots
from lapa_core.data.episodes import open_episode
from lapa_core.data.samples import SampleParams, Samples
from lapa_core.data.state import MAX_STATE_AGE_S
from lapa_core.robot import Robot
from lapa_core.types import AXES, ActionChunk, FloatArray
from lapa_ros import convert, environment, interface

pytestmark = [pytest.mark.torch, pytest.mark.alone]
WORDS = "put the red block in the bin"
NAMES = (
    *(f"wx250s/{axis}" for axis in AXES),
    *(f"wx250s/target_{axis}" for axis in ("x", "y", "z", "yaw")),
)
AHEAD_M = 0.03  # of the tool, along x, is where it is told to be
PERIOD_S = 1 / 30
# x [m], turn about the base's z axis [rad] and opening: three places that the arm is in.
PLACES = ((0.20, 0.0, 1.0), (0.31, 0.6, 0.4), (0.38, -1.1, 0.1))
ON_THE_WAY_NS = 150_000_000  # a message may take so long to one of two listeners on a busy machine


class Body(Node):
    """A camera and an arm that stands where it is put.

    Attributes:
        place: one of `PLACES`.
        felt: whether its state is published.
        told: whether its commanded target is.
    """

    def __init__(self, robot: Robot) -> None:
        super().__init__("body")
        self.robot, self.arm = robot, robot.arms[0]
        self.place = PLACES[0]
        self.felt, self.told = False, True
        rng = np.random.default_rng(0)
        camera = robot.cameras[0]
        self._picture = rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        q, make = interface, self.create_publisher
        self._image = make(Image, camera.topic, q.SENSOR_PUB_QOS)
        self._joints = make(JointState, self.arm.joint_states, q.SENSOR_PUB_QOS)
        self._pose = make(PoseStamped, q.ee_pose(self.arm.name), q.SENSOR_PUB_QOS)
        self._target = make(PoseStamped, q.ee_target(self.arm.name), q.SENSOR_PUB_QOS)
        self._authority = make(String, q.AUTHORITY, q.LATCHED_QOS)
        self._executed = make(JointTrajectory, q.EXECUTED_EE_DELTA, q.EVENT_QOS)
        self.create_timer(PERIOD_S, self._publish)
        self.create_timer(0.2, self._step)

    def _publish(self) -> None:
        now = self.get_clock().now().nanoseconds
        self._image.publish(convert.image_msg(self._picture, "front", now))
        if not self.felt:
            return
        x, turn, opening = self.place
        # The gripper straight down, then turned: the state counts roll, pitch, yaw from there.
        down: FloatArray = np.array([np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0])
        c, s = np.cos(turn / 2), np.sin(turn / 2)
        w, _, y, _ = down
        wxyz = np.array([c * w, -s * y, c * y, s * w])  # (c, 0, 0, s) times (w, 0, y, 0)
        frame = self.arm.base_frame
        self._pose.publish(convert.pose_msg(np.array([x, 0.02, 0.1]), wxyz, frame, now))
        if self.told:
            target = convert.pose_msg(np.array([x + AHEAD_M, 0.02, 0.1]), wxyz, frame, now)
            self._target.publish(target)
        names = (*self.arm.joints, self.arm.gripper.joint)
        position = np.append(self.arm.start_rad, self.arm.gripper.joint_position(opening))
        self._joints.publish(convert.joint_state_msg(names, position, np.zeros(len(names)), now))

    def say(self, authority: str) -> None:
        self._authority.publish(String(data=f"{authority}: as the test has it"))

    def _step(self) -> None:
        delta = np.array([[0.0] * 6 + [1.0]])
        now = self.get_clock().now().nanoseconds
        chunk = ActionChunk(self.robot.dimensions, delta, np.zeros(1), now, self.robot.base_frame)
        self._executed.publish(convert.chunk_msg(chunk))


@pytest.fixture(scope="module")
def robot_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = paths.share("config/robots/wx250s.yaml").read_text(encoding="utf-8")
    file = tmp_path_factory.mktemp("robot") / "robot.yaml"
    file.write_text(text.replace("width: 640", "width: 64").replace("height: 480", "height: 48"))
    return file


@pytest.fixture(scope="module")
def checkpoint(robot_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lapa_core.model import fresh

    out = tmp_path_factory.mktemp("state") / "checkpoint"
    made = fresh.checkpoint("debug", robots.load(str(robot_file)), state=NAMES)
    made.save_pretrained(out)
    return out


@contextmanager
def observing(robot_file: Path, checkpoint: Path, folder: Path) -> Iterator[None]:
    """The policy node, which writes down what its policy is given."""
    parameters = {"robot": robot_file, "checkpoint": checkpoint, "instruction": WORDS}
    words = [w for k, v in parameters.items() for w in ("-p", f"{k}:={v}")]
    words += ["-p", "autostart:=true", "-p", "num_threads:=1"]
    script = Path(__file__).with_name("observing_policy.py")
    variables = {**os.environ, **environment.dds_variables()}
    variables["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(script), str(folder), "--ros-args", *words],
            env=variables, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=10.0)


def given(folder: Path) -> list[tuple[int, int, dict[str, float]]]:
    """When, the stamp of the picture, and the state of every decision so far."""
    found = []
    for file in sorted(folder.glob("[0-9]*.npz")):
        with np.load(file) as saved:
            state = json.loads(str(saved["state"]))
            found.append((int(saved["decided_ns"]), int(saved["stamp_ns"]), state))
    return found


@pytest.mark.timeout(150)
def test_the_state_is_waited_for_and_the_same_live_and_from_a_bag(
    ros_context: None, robot_file: Path, checkpoint: Path, tmp_path: Path
) -> None:
    robot = robots.load(str(robot_file))
    arm, q = robot.arms[0], interface
    tape = Tape(
        {
            robot.cameras[0].topic: (Image, q.CAMERA_SUB_QOS),
            q.ee_pose(arm.name): (PoseStamped, q.JOINT_SUB_QOS),
            q.ee_target(arm.name): (PoseStamped, q.JOINT_SUB_QOS),
            arm.joint_states: (JointState, q.JOINT_SUB_QOS),
            q.EXECUTED_EE_DELTA: (JointTrajectory, q.EVENT_QOS),
            q.AUTHORITY: (String, q.LATCHED_QOS),
        }
    )
    body, operator = Body(robot), Operator(robot)
    changed: list[int] = []
    with (
        observing(robot_file, checkpoint, tmp_path),
        spinning(tape),
        spinning(body),
        spinning(operator),
    ):
        wait_for(lambda: "no pose of wx250s yet" in operator.policy_status, "a refusal", 60.0)
        assert not operator.decided
        body.felt = True
        for place in PLACES:
            body.place = place
            changed.append(body.get_clock().now().nanoseconds)
            wait_for(lambda: len(_settled(given(tmp_path), changed[-1:])) >= 3, "decisions", 30.0)
        changed.append(body.get_clock().now().nanoseconds)
        _lose_the_target(body, operator)
        body.felt = False
        pose = "waiting: the pose of wx250s is 0."
        wait_for(lambda: operator.policy_status.startswith(pose), "old state", 30.0)
    folder = tape.write(tmp_path / "episode_0000", robot, robot_file.read_text(), WORDS)
    live = _settled(given(tmp_path), changed)
    assert len(live) >= 9
    recording = open_episode(folder, robots.parse(yaml.safe_load(robot_file.read_text()), "test"))
    samples = Samples(recording, SampleParams(cameras=("front",)))
    offline = dict(samples.observations([decided_ns for decided_ns, _, _ in live]))
    _compare(checkpoint, live, offline, lost_ns=changed[-1])


def _lose_the_target(body: Body, operator: Operator) -> None:
    """What is commanded is not made up while somebody moves the arm, or may be."""

    def wait(status: str) -> None:
        wait_for(lambda: status in operator.policy_status, status, 30.0)

    body.told = False
    wait("no commanded target of wx250s, and nobody says on `authority`")
    body.say("policy")
    wait("the commanded target of wx250s is ")
    decided = len(operator.decided)
    for _ in range(5):
        body.say("policy")
        assert "the commanded target of wx250s is " in operator.policy_status
        time.sleep(0.2)
    assert len(operator.decided) == decided
    body.say("hold")  # the next delta goes on from the measured pose then
    wait("deciding")
    body.say("teleop")
    wait("the commanded target of wx250s is ")


def _settled(
    decisions: list[tuple[int, int, dict[str, float]]], changed: list[int]
) -> list[tuple[int, int, dict[str, float]]]:
    """The decisions at which nothing of a place was on its way, by when the arm was moved."""
    return [
        d for d in decisions
        if d[0] > changed[0] and not any(-1e6 < d[0] - t < ON_THE_WAY_NS for t in changed)
    ]  # fmt: skip


def _compare(checkpoint: Path, live: Any, offline: Any, lost_ns: int) -> None:
    from lapa_core.model.checkpoint import Checkpoint

    states = Checkpoint.from_pretrained(checkpoint).states
    assert states is not None
    seen = set()
    for index, (decided_ns, _, state) in enumerate(live):
        assert set(NAMES) <= set(state)
        assert offline[index].state == state, f"decision {index}"
        tokens = states.tokens(state)
        np.testing.assert_array_equal(tokens, states.tokens(offline[index].state))
        seen.add(tuple(tokens.tolist()))
        place = min(PLACES, key=lambda p, s=state: abs(p[0] - s["wx250s/x"]))
        pose = [place[0], 0.02, 0.1, 0.0, 0.0, place[1]]
        in_force = decided_ns < lost_ns + 2e9 * MAX_STATE_AGE_S  # then a second of none, then hold
        ahead_m = AHEAD_M if in_force else 0.0
        told = [*pose, place[2], place[0] + ahead_m, *pose[1:]]
        np.testing.assert_allclose(list(state.values()), told, atol=1e-6)
    assert len(seen) == len(PLACES) + 1  # the last place with nothing commanded, too
