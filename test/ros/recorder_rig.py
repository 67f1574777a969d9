# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A robot that only talks, and a person at the recorder: for the tests of recorder_node.

Every sensor message carries its number in `frame_id`, counted from the moment it is asked to, so
that what is in a bag can be compared with what was sent, message by message.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from harness import wait_for
from rclpy.node import Node
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lapa_core.recording.status import RecorderStatus
from lapa_core.robot import Robot
from lapa_core.types import ActionChunk
from lapa_ros import convert, interface

JOINT_RATE_HZ = 100.0
PICTURES = 8
WARM = "warm"


class Talker(Node):
    """Publishes pictures and joints of a robot at their rates; silent or black on request."""

    def __init__(self, robot: Robot, width: int = 160, height: int = 120) -> None:
        super().__init__("talker")
        self.robot = robot
        self.sent: dict[str, list[str]] = {}
        self.heard: dict[str, list[bytes]] = {}
        self.black: set[str] = set()
        self.silent: set[str] = set()
        self.encodings: dict[str, str] = {}
        self.jpegs: dict[str, int] = {}
        self._counting = False
        self._lock = threading.Lock()
        self._shown = 0
        rng = np.random.default_rng(0)
        self._scenes = rng.integers(0, 255, (PICTURES, height, width, 3), dtype=np.uint8)
        for camera in robot.cameras:
            pub = self.create_publisher(Image, camera.topic, interface.SENSOR_PUB_QOS)
            self._every(1.0 / camera.rate_hz, camera.topic, pub, self._picture)
        for arm in robot.arms:
            pub = self.create_publisher(JointState, arm.joint_states, interface.SENSOR_PUB_QOS)
            self._every(1.0 / JOINT_RATE_HZ, arm.joint_states, pub, self._joints)
        # What the transport carries, padding and all: a bag must hold the same bytes.
        for topic, kind in [(c.topic, Image) for c in robot.cameras] + [
            (a.joint_states, JointState) for a in robot.arms
        ]:
            keep = self.heard.setdefault(topic, []).append
            self.create_subscription(kind, topic, keep, interface.EVENT_QOS, raw=True)
        self._authority = self.create_publisher(String, interface.AUTHORITY, interface.LATCHED_QOS)
        self._instruction = self.create_publisher(
            String, interface.INSTRUCTION, interface.LATCHED_QOS
        )
        self._deltas = {
            topic: self.create_publisher(JointTrajectory, topic, interface.EVENT_QOS)
            for topic in (interface.POLICY_EE_DELTA, interface.TELEOP_EE_DELTA)
        }

    def count(self, on: bool) -> None:
        """Number the messages from now on, or no longer."""
        with self._lock:
            self._counting = on
            if on:
                self.sent = {}
                for heard in self.heard.values():
                    heard.clear()

    def instruct(self, text: str) -> None:
        """What the robot is told to do, from somebody else than the recorder."""
        self._instruction.publish(String(data=text))

    def say(self, state: str, reason: str) -> None:
        """A change of authority."""
        self._authority.publish(String(data=interface.authority_text(state, reason)))

    def offer_jpeg(self, topic: str) -> None:
        """Publish a camera as JPEG too, as image_transport does."""
        pub = self.create_publisher(
            CompressedImage, topic + "/compressed", interface.SENSOR_PUB_QOS
        )
        files = [cv2.imencode(".jpg", scene)[1].tobytes() for scene in self._scenes]
        self.jpegs[topic] = 0

        def send() -> None:
            data = files[self.jpegs[topic] % PICTURES]
            msg = CompressedImage(format="rgb8; jpeg compressed bgr8", data=data)
            msg.header.stamp = convert.time_msg(self._now_ns())
            msg.header.frame_id = WARM
            self.jpegs[topic] += 1
            pub.publish(msg)

        camera = next(c for c in self.robot.cameras if c.topic == topic)
        self.create_timer(1.0 / camera.rate_hz, send)

    def delta(self, topic: str) -> None:
        """A delta of the policy or of a person."""
        names = self.robot.dimensions
        chunk = ActionChunk(names, np.zeros((1, len(names))), np.zeros(1), self._now_ns())
        self._deltas[topic].publish(convert.chunk_msg(chunk))

    def _every(self, period_s: float, topic: str, pub: Any, make: Any) -> None:
        def send() -> None:
            if topic in self.silent:
                return
            with self._lock:
                kept = self.sent.setdefault(topic, []) if self._counting else None
                msg = make(topic, 0 if kept is None else len(kept))
                msg.header.frame_id = WARM if kept is None else str(len(kept))
                if kept is not None:
                    kept.append(msg.header.frame_id)
                pub.publish(msg)

        self.create_timer(period_s, send)

    def _picture(self, topic: str, number: int) -> Image:
        self._shown = (self._shown + 1) % PICTURES
        scene = self._scenes[self._shown] * (topic not in self.black)
        msg = convert.image_msg(scene, "", self._now_ns())
        if topic in self.encodings:  # the same bytes under another name
            msg.encoding, msg.width = self.encodings[topic], msg.step // 2
        return msg

    def _joints(self, topic: str, number: int) -> JointState:
        arm = next(a for a in self.robot.arms if a.joint_states == topic)
        t = time.monotonic()
        names = (*arm.joints, "gripper", arm.gripper.joint)
        swing = 0.2 * np.sin(t) * np.ones(len(arm.joints))
        finger = arm.gripper.joint_position(0.5 + 0.5 * np.sin(6 * t))
        position = np.array([*(arm.start_rad + swing), 0.0, finger])
        return convert.joint_state_msg(names, position, np.zeros(len(names)), self._now_ns())

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)


class Person(Node):
    """Presses the recorder's buttons and reads its status."""

    def __init__(self) -> None:
        super().__init__("person")
        self.status: RecorderStatus | None = None
        self.create_subscription(
            String, interface.RECORDER_STATUS, self._on_status, interface.LATCHED_QOS
        )
        self._buttons = {n: self.create_client(Trigger, n) for n in interface.RECORDER_SERVICES}

    def _on_status(self, msg: String) -> None:
        self.status = RecorderStatus.from_json(msg.data)

    @property
    def state(self) -> str:
        """Of the recorder; "" before it was heard."""
        return self.status.state if self.status is not None else ""

    def wait(self, *states: str) -> RecorderStatus:
        """Until the recorder is in one of the states."""
        wait_for(lambda: self.state in states, f"state {states}", seen=lambda: self.status)
        assert self.status is not None
        return self.status

    def press(self, name: str) -> tuple[bool, str]:
        """Whether it was done, and what the recorder says."""
        client = self._buttons[f"recorder/{name}"]
        wait_for(client.service_is_ready, f"service {name}")
        future = client.call_async(Trigger.Request())
        wait_for(future.done, f"an answer of {name}")
        answer = future.result()
        return bool(answer.success), str(answer.message)


def read(folder: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Topic -> (type, bytes) of every message of a bag, by a reader that is not ours."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    with AnyReader([folder]) as reader:
        for connection, _, raw in reader.messages():
            found.setdefault(connection.topic, []).append((connection.msgtype, bytes(raw)))
    return found


def numbered(folder: Path, topic: str) -> list[int]:
    """Numbers of a topic's messages in a bag."""
    with AnyReader([folder]) as reader:
        wanted = [c for c in reader.connections if c.topic == topic]
        frames = [
            reader.deserialize(raw, c.msgtype).header.frame_id
            for c, _, raw in reader.messages(wanted)
        ]
    return [int(f) for f in frames if f != WARM]
