# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What is read from a bag equals, array by array, what was decided on live.

A real policy node, and an observer of two cameras and the arm's state, see numbered pictures
over real DDS while two others write bags: recorder_node, and a tape of a few lines. No two
listeners get a message at the same instant: while one is on its way, a decision may see it or not,
and the frame before is right too.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from geometry_msgs.msg import PoseStamped
from harness import spinning, started, wait_for
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from taping import Tape
from test_parity import photograph
from trajectory_msgs.msg import JointTrajectory

from lapa_core import paths
from lapa_core import robot as robots
from lapa_core.data.episodes import Recording, open_episode
from lapa_core.data.messages import stamp_ns
from lapa_core.data.observe import Choice, Observer, image_sizes
from lapa_core.data.samples import SampleParams, Samples
from lapa_core.data.state import ToolState
from lapa_core.data.timeline import Latest
from lapa_core.errors import LapaError
from lapa_core.recording import episode as episodes
from lapa_core.robot import Robot
from lapa_core.types import ActionChunk, Observation
from lapa_ros import convert, environment, interface

pytestmark = [pytest.mark.torch, pytest.mark.alone]
FIRST_WORDS, LATER_WORDS = "put the red block in the bin", "close the drawer"
# Unlike the decisions' rate, so that frames arrive at every phase of them.
CAMERA_HZ, STATE_HZ = 5.7, 5.1
LATE_NS = 50_000_000  # how long a message may take to a listener that does not say so
SAME_TIME_NS = 5_000_000
DECISIONS = 20


class Source(Node):
    """Two cameras, raw and JPEG, and an arm that is told to stay while its state changes."""

    def __init__(self, robot: Robot) -> None:
        super().__init__("source")
        self.robot = robot
        self.count = 0
        self._picture = photograph(0)
        q, arm = interface, robot.arms[0]
        make = self.create_publisher
        front, overview = robot.cameras
        self._raw = make(Image, front.topic, q.SENSOR_PUB_QOS)
        self._jpeg = make(CompressedImage, overview.topic, q.SENSOR_PUB_QOS)
        self._pose = make(PoseStamped, q.ee_pose(arm.name), q.SENSOR_PUB_QOS)
        self._target = make(PoseStamped, q.ee_target(arm.name), q.SENSOR_PUB_QOS)
        self._joints = make(JointState, arm.joint_states, q.SENSOR_PUB_QOS)
        self._executed = make(JointTrajectory, q.EXECUTED_EE_DELTA, q.EVENT_QOS)
        self._words = make(String, q.INSTRUCTION, q.LATCHED_QOS)
        self.create_timer(1 / CAMERA_HZ, self._see)
        self.create_timer(1 / STATE_HZ, self._feel)
        self.create_timer(0.2, self._step)

    def say(self, words: str) -> None:
        self._words.publish(String(data=words))

    def _see(self) -> None:
        """A picture that no other frame has: shifted by its number."""
        self.count += 1
        picture = np.ascontiguousarray(np.roll(self._picture, 3 * self.count, axis=1))
        now = self.get_clock().now().nanoseconds
        self._raw.publish(convert.image_msg(picture, "front", now))
        data = cv2.imencode(".jpg", picture[::-1])[1].tobytes()
        msg = CompressedImage(format="rgb8; jpeg compressed bgr8", data=data)
        msg.header.stamp = convert.time_msg(now + 1)
        self._jpeg.publish(msg)

    def _feel(self) -> None:
        now = self.get_clock().now().nanoseconds
        arm, still = self.robot.arms[0], np.array([1.0, 0.0, 0.0, 0.0])
        at = 0.2 + 1e-4 * self.count
        pose = convert.pose_msg(np.array([at, 0.0, 0.2]), still, arm.base_frame, now)
        self._pose.publish(pose)
        ahead = convert.pose_msg(np.array([at + 0.02, 0.0, 0.19]), still, arm.base_frame, now)
        self._target.publish(ahead)
        names = (*arm.joints, arm.gripper.joint)
        position = np.append(arm.start_rad, arm.gripper.joint_position(at))
        msg = convert.joint_state_msg(names, position, np.zeros(len(names)), now)
        self._joints.publish(msg)

    def _step(self) -> None:
        delta = np.array([[0.0] * 6 + [1.0]])
        now = self.get_clock().now().nanoseconds
        chunk = ActionChunk(self.robot.dimensions, delta, np.zeros(1), now, self.robot.base_frame)
        self._executed.publish(convert.chunk_msg(chunk))


class LiveObserver(Node):
    """Decides nothing, but sees and feels as a policy with state and two cameras would.

    Attributes:
        seen: when, and the observation.
    """

    def __init__(self, robot: Robot) -> None:
        super().__init__("live_observer")
        self.seen: list[tuple[int, Observation]] = []
        arm = robot.arms[0]
        cameras: dict[str, Latest[Any]] = {c.name: Latest() for c in robot.cameras}
        pose, joints, target = Latest[Any](), Latest[Any](), Latest[Any]()
        q = interface
        for camera in robot.cameras:
            kind = CompressedImage if camera.topic.endswith("/compressed") else Image
            self._listen(kind, camera.topic, cameras[camera.name], q.CAMERA_SUB_QOS)
        self._listen(PoseStamped, q.ee_pose(arm.name), pose, q.JOINT_SUB_QOS)
        self._listen(JointState, arm.joint_states, joints, q.JOINT_SUB_QOS)
        self._listen(PoseStamped, q.ee_target(arm.name), target, q.JOINT_SUB_QOS)
        each = ({arm.name: latest} for latest in (pose, joints, target))
        state = ToolState(robot, *each, authority=lambda _: "hold", now_s=time.monotonic)
        self.observer = Observer(
            cameras,
            image_sizes(robot),
            Choice(image_wait_s=0.0),
            now_s=time.monotonic,
            state=state,
        )
        self.observer.instruction = FIRST_WORDS
        self.create_subscription(String, q.INSTRUCTION, self._hear, q.LATCHED_QOS)

    def _listen(self, kind: Any, topic: str, latest: Latest[Any], qos: Any) -> None:
        def keep(msg: Any) -> None:
            latest.put(msg, stamp_ns(msg.header.stamp), time.monotonic())

        self.create_subscription(kind, topic, keep, qos)

    def _hear(self, msg: String) -> None:
        self.observer.instruction = msg.data

    def look(self) -> None:
        """Observe now, if there is something new."""
        decided_ns = time.time_ns()
        try:
            self.seen.append((decided_ns, self.observer.observe()))
        except LapaError:
            return


@contextmanager
def deciding(observer: LiveObserver) -> Iterator[None]:
    """Let it look every 0.2 s in a thread of its own, as the policy node does."""
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.2):
            observer.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def observing_policy(robot_file: Path, checkpoint: Path, folder: Path) -> Iterator[None]:
    script = Path(__file__).with_name("observing_policy.py")
    parameters = {
        "robot": str(robot_file),
        "checkpoint": str(checkpoint),
        "instruction": FIRST_WORDS,
        "autostart": "true",
        "num_threads": "1",
    }
    arguments = [word for k, v in parameters.items() for word in ("-p", f"{k}:={v}")]
    variables = {**os.environ, **environment.dds_variables()}
    variables["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, str(script), str(folder), "--ros-args", *arguments]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=10.0)


@pytest.fixture(scope="module")
def robot_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The WidowX with a raw camera and one that sends JPEG."""
    text = paths.share("config/robots/wx250s.yaml").read_text(encoding="utf-8")
    text = text.replace("camera/overview/image_raw", "camera/overview/image_raw/compressed")
    file = tmp_path_factory.mktemp("robot") / "robot.yaml"
    file.write_text(text)
    return file


class Live:
    """What was seen live, and the bags of it."""

    def __init__(
        self, recordings: dict[str, Recording], policy: list[Any], observed: list[Any]
    ) -> None:
        self.recordings = recordings
        self.policy = policy
        self.observed = observed


@pytest.fixture(scope="module")
def live(
    ros_context: None,
    robot_file: Path,
    debug_checkpoint: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Live:
    robot = robots.parse(yaml.safe_load(robot_file.read_text()), "test")
    folder = tmp_path_factory.mktemp("live")
    q, arm = interface, robot.arms[0]
    front, overview = robot.cameras
    tape = Tape(
        {
            front.topic: (Image, q.CAMERA_SUB_QOS),
            overview.topic: (CompressedImage, q.CAMERA_SUB_QOS),
            q.ee_pose(arm.name): (PoseStamped, q.JOINT_SUB_QOS),
            q.ee_target(arm.name): (PoseStamped, q.JOINT_SUB_QOS),
            arm.joint_states: (JointState, q.JOINT_SUB_QOS),
            q.EXECUTED_EE_DELTA: (JointTrajectory, q.EVENT_QOS),
            q.INSTRUCTION: (String, q.LATCHED_QOS),
        }
    )
    source, observer = Source(robot), LiveObserver(robot)

    recorder = {n: source.create_client(Trigger, f"recorder/{n}") for n in ("start", "save")}

    def asked(name: str) -> bool:
        wait_for(recorder[name].service_is_ready, f"recorder/{name}", 30.0)
        future = recorder[name].call_async(Trigger.Request())
        wait_for(future.done, f"an answer of recorder/{name}", 30.0)
        return bool(future.result().success)

    def decisions() -> int:
        return len(list(folder.glob("[0-9]*.npz")))

    parameters = {"robot": str(robot_file), "folder": str(folder / "data"), "images": "raw"}
    with (
        observing_policy(robot_file, debug_checkpoint, folder),
        started("recorder_node", {**parameters, "min_free_gb": 0.1}, folder / "recorder.log"),
        spinning(tape),
        spinning(source),
        spinning(observer),
    ):
        wait_for(lambda: tape.count(front.topic) > 3, "pictures on the tape")
        wait_for(lambda: asked("start"), "the recorder", 30.0, poll_s=0.2)
        with deciding(observer):
            wait_for(lambda: decisions() >= DECISIONS // 2, "decisions", 60.0)
            source.say(LATER_WORDS)
            wait_for(lambda: decisions() >= DECISIONS, "decisions", 30.0)
            wait_for(lambda: len(observer.seen) >= DECISIONS, "observations", 30.0)
        assert asked("save")
    kept = tape.write(folder / "episode_0000", robot, robot_file.read_text(), FIRST_WORDS)
    policy = []
    for file in sorted(folder.glob("[0-9]*.npz")):
        with np.load(file) as saved:
            policy.append(
                (
                    int(saved["decided_ns"]),
                    Observation(
                        int(saved["stamp_ns"]),
                        {"front": saved["image_front"]},
                        str(saved["instruction"]),
                    ),
                )
            )
    # The recorder has no task of its own here; the words before the first are the parameter's.
    (saved_to,) = (folder / "data").glob("episode_*")
    episode = dataclasses.replace(episodes.read(saved_to), instruction=FIRST_WORDS)
    episodes.write(episode, saved_to)
    recordings = {"tape": open_episode(kept), "recorder_node": open_episode(saved_to)}
    return Live(recordings, policy, observer.seen)


def beyond_doubt(
    recording: Recording, times_ns: list[int], topics: set[str], words_ns: int
) -> list[int]:
    """The decisions before or after all messages: none was on its way, to either listener."""
    bag = recording.bag
    sent = np.array([words_ns - LATE_NS])
    came = np.array([words_ns])
    for _, kind, arrived_ns, raw in bag.messages(topics):
        sent = np.append(sent, bag.header_stamp_ns(kind, raw))
        came = np.append(came, arrived_ns)
    ends = np.maximum(came, sent + LATE_NS) + SAME_TIME_NS
    on_the_way = [(sent - SAME_TIME_NS < t) & (ends > t) for t in times_ns]
    return [i for i, under_way in enumerate(on_the_way) if not np.any(under_way)]


def assert_same(one: Observation, other: Any) -> None:
    assert isinstance(other, Observation), other
    assert one.stamp_ns == other.stamp_ns
    assert one.instruction == other.instruction
    assert one.images.keys() == other.images.keys()
    for name, image in one.images.items():
        np.testing.assert_array_equal(image, other.images[name])
    assert one.state == other.state


def words_at(recording: Recording) -> int:
    (came,) = [t for _, _, t, _ in recording.bag.messages({"/instruction"})]
    return int(came)


@pytest.mark.timeout(150)
@pytest.mark.parametrize("by", ["tape", "recorder_node"])
def test_the_policy_node_saw_what_the_bag_gives_at_its_stamps(live: Live, by: str) -> None:
    """Every decision: taken at the frame whose stamp it carries, pixel for pixel."""
    recording = live.recordings[by]
    topic = "/" + recording.robot.cameras[0].topic
    bag = recording.bag
    came = {bag.header_stamp_ns(k, raw): t for _, k, t, raw in bag.messages({topic})}
    reader = Samples(recording, SampleParams(cameras=("front",), state=False))
    known = [(t, o) for t, o in live.policy if o.stamp_ns in came]
    assert len(known) >= DECISIONS // 2, "most frames are not in the bag"
    words_ns = words_at(recording)
    offline = reader.observations([came[o.stamp_ns] for _, o in known])
    said = set()
    for (decided_ns, observation), (_, found) in zip(known, offline, strict=True):
        if abs(decided_ns - words_ns) < 0.1e9:
            continue  # the words came between the frame and the decision on it
        assert_same(observation, found)
        said.add(observation.instruction)
    assert said == {FIRST_WORDS, LATER_WORDS}
    assert len({o.stamp_ns for _, o in known}) == len(known)


@pytest.mark.parametrize("by", ["tape", "recorder_node"])
@pytest.mark.parametrize("who", ["policy node", "observer with state"])
def test_at_the_times_of_the_decisions_the_same_frames_are_chosen(
    live: Live, who: str, by: str
) -> None:
    """The choice by arrival: equal wherever no message came too near to the decision to say."""
    recording = live.recordings[by]
    robot = recording.robot
    arm = robot.arms[0]
    alone = who == "policy node"
    decided = live.policy if alone else live.observed
    cameras = robot.cameras[:1] if alone else robot.cameras
    topics = {c.topic for c in cameras}
    if not alone:
        topics |= {interface.ee_pose(arm.name), arm.joint_states}
    began_ns = recording.bag.begins_ns + 500_000_000
    decided = [(t, o) for t, o in decided if began_ns < t < recording.bag.ends_ns]
    times = [t for t, _ in decided]
    params = SampleParams(cameras=tuple(c.name for c in cameras), state=not alone)
    reader = Samples(recording, params)
    sure = beyond_doubt(recording, times, {f"/{t}" for t in topics}, words_at(recording))
    assert len(sure) >= 5, f"{len(sure)} of {len(times)} decisions say something"
    for i in sure:
        # Alone: whether a frame was used before depends on a decision that may be in doubt.
        ((_, found),) = reader.observations([times[i]])
        assert_same(decided[i][1], found)
    if not alone:
        states = {tuple(decided[i][1].state.values()) for i in sure}
        assert len(states) > 3, "the state never changed: this proves nothing"
        assert set(decided[sure[0]][1].images) == {"front", "overview"}
