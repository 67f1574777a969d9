# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Watches a running robot from outside, through topics alone: enables, homes, listens, reports.

It sees what any recorder would see; every figure of the demo's summary comes from messages.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lapa_core import robot as robots
from lapa_core.data import messages
from lapa_core.errors import ConfigError, LapaError, StaleInput
from lapa_ros import interface, runtime
from lapa_ros.demo_record import Record
from lapa_ros.demo_report import write_report
from lapa_ros.demo_video import MAX_PICTURES, Video
from lapa_ros.processes import NodeProcess

READY_TIMEOUT_S = 90.0  # loading a model and discovery, on a slow machine
HOME_TIMEOUT_S = 30.0
SERVICE_TIMEOUT_S = 10.0  # DDS discovery on one machine takes up to 3 s
VIDEO_RATE_HZ = 10.0
NICENESS = 10  # who watches must not disturb
SOURCE_NAMES = ("policy_node", "arm_node", "sim_node")


class Monitor(Node):
    """Subscriptions that fill a `Record`, and clients of the arm's services."""

    def __init__(self, robot: robots.Robot, record: Record) -> None:
        super().__init__("demo_monitor")
        self.record = record
        self.authority = ("", "")
        self.policy_status = ""
        self.video: Video | None = None
        self._next_frame_s = 0.0
        q = interface
        listen = self.create_subscription
        listen(String, q.AUTHORITY, self._on_authority, q.LATCHED_QOS)
        listen(String, q.POLICY_STATUS, self._on_policy_status, q.LATCHED_QOS)
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
        self.change_state = self.create_client(ChangeState, "policy_node/change_state")
        self.trigger_clients = {name: self.create_client(Trigger, name) for name in q.SERVICES}

    def sees_the_arm(self) -> bool:
        """Whether the arm node knows where every arm is: it publishes poses from then on."""
        return all(self.record.poses[arm.name, "pose"] for arm in self.record.robot.arms)

    def _on_authority(self, msg: String) -> None:
        self.authority = interface.parse_authority(msg.data)
        self.record.authority.append((time.monotonic(), *self.authority))

    def _on_policy_status(self, msg: String) -> None:
        self.policy_status = msg.data

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
        now = time.monotonic()
        if self.video is None or camera != self._watched[0] or now < self._next_frame_s:
            return
        if len(self._pictures) < len(self._watched):
            return  # a camera has not sent its first picture yet
        self._next_frame_s = max(self._next_frame_s + 1.0 / VIDEO_RATE_HZ, now)
        latest = self.record.executed[-1][1] if self.record.executed else None
        pictures = {name: messages.image(self._pictures[name]) for name in self._watched}
        self.video.add(pictures, latest, self.authority)


def watch(args: argparse.Namespace, nodes: Sequence[NodeProcess]) -> int:
    """Drive the demo over an already starting robot; returns the exit code."""
    robot = robots.load(args.robot)
    record = Record(robot, args.instruction, args.seconds)
    rclpy.init()
    runtime.lower_thread_priority(NICENESS)
    monitor = Monitor(robot, record)
    try:
        _bring_up(monitor, nodes)
        record.begin(time.monotonic())
        moved = "the arm" if len(robot.arms) == 1 else f"{len(robot.arms)} arms"
        print(f"demo: the policy moves {moved} for {args.seconds:g} s ...", flush=True)
        video = monitor.video = Video(args.out / "demo.mp4", args.instruction, VIDEO_RATE_HZ)
        try:
            _spin_until(monitor, nodes, lambda: False, args.seconds, None)
            # Reports come twice a second: the last one must cover the whole window.
            _spin_until(monitor, nodes, lambda: False, 0.6, None)
        finally:
            record.end(time.monotonic())
            monitor.video = None  # images go on coming
            video.close()
        _call(monitor, nodes, "hold")
        return write_report(record, Path(args.out))
    finally:
        monitor.destroy_node()
        rclpy.try_shutdown()


def _bring_up(monitor: Monitor, nodes: Sequence[NodeProcess]) -> None:
    """Load the policy, enable and home the arm, and only then let the policy decide."""
    began = time.monotonic()
    _change_state(monitor, nodes, Transition.TRANSITION_CONFIGURE)
    _spin_until(monitor, nodes, monitor.sees_the_arm, READY_TIMEOUT_S, "the arm's joint states")
    _call(monitor, nodes, "enable")
    _call(monitor, nodes, "home")
    print(f"demo: moving {time.monotonic() - began:.1f} s after the start", flush=True)
    _spin_until(
        monitor,
        nodes,
        lambda: monitor.authority[1].startswith("arrived at start"),
        HOME_TIMEOUT_S,
        "the start pose",
    )
    _change_state(monitor, nodes, Transition.TRANSITION_ACTIVATE)
    _spin_until(
        monitor, nodes, lambda: monitor.authority[0] == "policy", READY_TIMEOUT_S, "a delta"
    )


def _change_state(monitor: Monitor, nodes: Sequence[NodeProcess], transition: int) -> None:
    """Ask policy_node for a lifecycle transition; loading a model may take a while."""
    client = monitor.change_state
    _spin_until(monitor, nodes, client.service_is_ready, READY_TIMEOUT_S, "policy_node")
    request = ChangeState.Request(transition=Transition(id=transition))
    future = client.call_async(request)
    _spin_until(monitor, nodes, future.done, READY_TIMEOUT_S, "policy_node's transition")
    if not future.result().success:
        raise ConfigError(f"policy_node: {monitor.policy_status}")


def _spin_until(
    monitor: Monitor,
    nodes: Sequence[NodeProcess],
    done: Callable[[], bool],
    timeout_s: float,
    waiting_for: str | None,
) -> None:
    """Spin until `done`; past the time, an error if something was waited for."""
    deadline = time.monotonic() + timeout_s
    while not done():
        for node in nodes:
            if not node.running():
                raise StaleInput(f"{node.node} ended by itself:\n{node.last_lines()}")
        if time.monotonic() > deadline:
            if waiting_for is None:
                return
            raise StaleInput(
                f"waited {timeout_s:g} s for {waiting_for}; authority "
                f"{monitor.authority}, policy {monitor.policy_status!r}"
            )
        rclpy.spin_once(monitor, timeout_sec=0.05)


def _call(monitor: Monitor, nodes: Sequence[NodeProcess], name: str) -> None:
    client: Any = monitor.trigger_clients[name]
    _spin_until(monitor, nodes, client.service_is_ready, SERVICE_TIMEOUT_S, f"service {name}")
    future = client.call_async(Trigger.Request())
    _spin_until(monitor, nodes, future.done, SERVICE_TIMEOUT_S, f"an answer of {name}")
    response = future.result()
    if not response.success:
        raise LapaError(f"{name}: {response.message}")
