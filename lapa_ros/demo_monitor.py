# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Watches a running robot from outside, through topics alone.

It hears what any recorder would hear; every figure of the demo's summary comes from messages.
"""

from __future__ import annotations

import time
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from lapa_core import robot as robots
from lapa_core.data import messages
from lapa_ros import interface
from lapa_ros.demo_record import Record
from lapa_ros.demo_video import MAX_PICTURES, Video

VIDEO_RATE_HZ = 10.0
SOURCE_NAMES = ("policy_node", "arm_node", "sim_node")


class Monitor(Node):
    """Subscriptions that fill a `Record`, and a video while there is one to fill.

    Attributes:
        record: of the run.
        video: set and taken away by whoever drives the demo; spun by another thread.
    """

    def __init__(self, robot: robots.Robot, record: Record) -> None:
        super().__init__("demo_monitor")
        self.record = record
        self.authority = ("", "")
        self.video: Video | None = None
        self._next_frame_s = 0.0
        q = interface
        listen = self.create_subscription
        listen(String, q.AUTHORITY, self._on_authority, q.LATCHED_QOS)
        listen(JointTrajectory, q.POLICY_EE_DELTA, self._on_policy, q.EVENT_QOS)
        listen(JointTrajectory, q.EXECUTED_EE_DELTA, self._on_executed, q.EVENT_QOS)
        listen(DiagnosticArray, q.DIAGNOSTICS, self._on_diagnostics, q.EVENT_QOS)
        for arm in robot.arms:
            for kind, topic in (("pose", q.ee_pose), ("target", q.ee_target)):
                callback = partial(self._on_pose, arm.name, kind)
                listen(PoseStamped, topic(arm.name), callback, q.SENSOR_PUB_QOS)
        self._watched = [c.name for c in robot.cameras[:MAX_PICTURES]]
        self._pictures: dict[str, Image] = {}
        for camera in robot.cameras[:MAX_PICTURES]:
            listen(Image, camera.topic, partial(self._on_image, camera.name), q.CAMERA_SUB_QOS)

    def sees_the_arm(self) -> bool:
        """Whether the arm node knows where every arm is: it publishes poses from then on."""
        return all(self.record.poses[arm.name, "pose"] for arm in self.record.robot.arms)

    def _on_authority(self, msg: String) -> None:
        self.authority = interface.parse_authority(msg.data)
        self.record.authority.append((time.monotonic(), *self.authority))

    def _on_policy(self, msg: JointTrajectory) -> None:
        self.record.decided.append((time.monotonic(), messages.action_chunk(msg)))

    def _on_executed(self, msg: JointTrajectory) -> None:
        self.record.executed.append((time.monotonic(), messages.action_chunk(msg)))

    def _on_pose(self, arm: str, kind: str, msg: PoseStamped) -> None:
        p, q = msg.pose.position, msg.pose.orientation
        sample = (time.monotonic(), p.x, p.y, p.z, q.w, q.x, q.y, q.z)
        self.record.poses[arm, kind].append(sample)

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            name = status.name.removeprefix("lapa_ros: ")
            if name in SOURCE_NAMES:
                values = {v.key: v.value for v in status.values}
                stamp_s = messages.stamp_ns(msg.header.stamp) * 1e-9
                self.record.diagnostics[name].append((stamp_s, values))

    def _on_image(self, camera: str, msg: Image) -> None:
        """Keep the newest picture of every camera; the policy's gives the video its beat."""
        self._pictures[camera] = msg
        now, video = time.monotonic(), self.video
        if video is None or camera != self._watched[0] or now < self._next_frame_s:
            return
        if len(self._pictures) < len(self._watched):
            return  # a camera has not sent its first picture yet
        self._next_frame_s = max(self._next_frame_s + 1.0 / VIDEO_RATE_HZ, now)
        moves = self.authority[0] != "hold" and self.record.executed
        latest = self.record.executed[-1][1] if moves else None
        pictures = {name: messages.image(self._pictures[name]) for name in self._watched}
        video.add(pictures, latest, self.authority)
