# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The node that hears joint states, frames and our own nodes; it publishes nothing."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String

from lapa_core.data import messages
from lapa_core.data.messages import NS_PER_S
from lapa_core.errors import DataError
from lapa_core.robot import Robot
from lapa_ros import interface
from lapa_ros.doctor.pictures import FrameLog, wanted_kind
from lapa_ros.doctor.streams import JointLog

NAME = "lapa_doctor"
DECODED_EVERY = 10  # frames; decoding all would slow down what is measured
# A queue of some frames, so that what is lost is lost on the way and not in this process.
_RELIABLE = QoSProfile(
    depth=10, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
)
_BEST_EFFORT = QoSProfile(
    depth=10, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT
)


class Listener(Node):
    """Subscriptions that fill logs.

    Attributes:
        joints: topic of the robot file -> what came.
        frames: camera -> what came.
        authority, policy_status: newest texts, "" before the first.
        diagnostics: node -> newest values of its status, by key.
    """

    def __init__(self, robot: Robot, namespace: str) -> None:
        super().__init__(
            NAME, namespace=namespace, enable_rosout=False, start_parameter_services=False
        )
        self.robot = robot
        self.authority, self.policy_status = "", ""
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.clear()
        for topic in self.joints:
            callback = partial(self._on_joints, topic)
            self.create_subscription(JointState, topic, callback, interface.JOINT_SUB_QOS)
        for camera in robot.cameras:
            raw = wanted_kind(camera.topic).endswith("/Image")
            kind = Image if raw else CompressedImage
            callback = partial(self._on_frame, camera.name)
            self.create_subscription(kind, camera.topic, callback, _BEST_EFFORT)
            callback = partial(self._on_reliable, camera.name)
            self.create_subscription(kind, camera.topic, callback, _RELIABLE, raw=True)
        q = interface
        self.create_subscription(String, q.AUTHORITY, self._on_authority, q.LATCHED_QOS)
        self.create_subscription(String, q.POLICY_STATUS, self._on_policy, q.LATCHED_QOS)
        self.create_subscription(DiagnosticArray, q.DIAGNOSTICS, self._on_values, q.EVENT_QOS)
        self._spinner = SingleThreadedExecutor()
        self._spinner.add_node(self)

    def clear(self) -> None:
        """Forget the streams heard so far: the first seconds are those of discovery."""
        self.joints: dict[str, JointLog] = {a.joint_states: JointLog() for a in self.robot.arms}
        self.frames: dict[str, FrameLog] = {c.name: FrameLog() for c in self.robot.cameras}

    def hears_everything(self) -> bool:
        """Whether every stream of the robot file has come at least once."""
        logs: list[JointLog | FrameLog] = [*self.joints.values(), *self.frames.values()]
        return all(log.arrived_s for log in logs)

    def hears_anything(self) -> bool:
        """Whether any stream has come, or somebody publishes one."""
        topics = [*self.joints, *(c.topic for c in self.robot.cameras)]
        return any(self.count_publishers(t) for t in topics)

    def spin(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        """Listen for so long, or until `done`."""
        deadline = time.monotonic() + seconds
        while rclpy.ok() and not done() and (left := deadline - time.monotonic()) > 0:
            self._spinner.spin_once(timeout_sec=min(0.05, left))

    def close(self) -> None:
        """Stop listening."""
        self._spinner.shutdown()
        self.destroy_node()

    def _age_s(self, stamp: Any) -> float:
        return (self.get_clock().now().nanoseconds - messages.stamp_ns(stamp)) / NS_PER_S

    def _on_joints(self, topic: str, msg: JointState) -> None:
        log = self.joints[topic]
        try:
            names, position = messages.joint_state(msg)
        except DataError as error:
            log.malformed.append(str(error))
            return
        log.arrived_s.append(time.monotonic())
        log.age_s.append(self._age_s(msg.header.stamp))
        log.names.append(names)
        log.position.append(position)

    def _on_frame(self, camera: str, msg: Image | CompressedImage) -> None:
        log = self.frames[camera]
        log.age_s.append(self._age_s(msg.header.stamp))
        log.arrived_s.append(time.monotonic())
        log.stamps_ns.append(messages.stamp_ns(msg.header.stamp))
        log.digests.append(zlib.crc32(memoryview(msg.data)))
        raw = isinstance(msg, Image)
        log.encodings.add(msg.encoding if raw else msg.format)
        if raw:
            log.sizes.add((msg.width, msg.height))
        if len(log.arrived_s) % DECODED_EVERY == 1:
            try:
                picture = messages.image(msg)
            except DataError as error:
                log.undecodable.append(str(error))
                return
            log.sizes.add((picture.shape[1], picture.shape[0]))
            log.means.append(float(picture[::4, ::4].mean()))

    def _on_reliable(self, camera: str, data: bytes) -> None:
        self.frames[camera].reliable_ns.append(stamp_of_cdr(data))

    def _on_authority(self, msg: String) -> None:
        self.authority = msg.data

    def _on_policy(self, msg: String) -> None:
        self.policy_status = msg.data

    def _on_values(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            mine = status.hardware_id in ("", self.get_namespace())
            if mine and status.name.startswith("lapa_ros: "):
                values = {v.key: v.value for v in status.values}
                self.diagnostics[status.name.removeprefix("lapa_ros: ")] = values


def stamp_of_cdr(data: bytes) -> int:
    """Stamp [ns] of a serialised message that begins with a `std_msgs/Header`.

    CDR: four bytes of representation (the second one's lowest bit says little-endian), then
    seconds and nanoseconds of the stamp.
    """
    order = "<" if data[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", data, 4)
    return int(seconds) * NS_PER_S + int(nanoseconds)
