# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What moves on the page: arms, targets, the predicted chunk, pictures, and the drag handles.

Runs in a thread of its own, and only while a page is open.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image, JointState
from trajectory_msgs.msg import JointTrajectory

from lapa_core.control.compose import Pose
from lapa_core.data import messages
from lapa_core.recording.status import StreamHealth
from lapa_core.robot import Arm, Robot
from lapa_core.teleop import poses
from lapa_core.view import html, space
from lapa_core.view.health import PolledRates
from lapa_core.view.page import Page
from lapa_core.view.pictures import CameraPanel
from lapa_core.view.scene import RobotScene
from lapa_ros import interface
from lapa_ros.dashboard.driving import Driving, Tell
from lapa_ros.dashboard.taps import Tap

TICK_S = 0.05  # also the period of a dragged goal: teleop_node expects about 20 Hz
STALE_S = 1.0  # poses come fifty times a second
WARN_PERIOD_S = 5.0


class LiveView:
    """The moving part of the page."""

    def __init__(
        self, node: Node, page: Page, robot: Robot, cameras: CameraPanel, camera_rate_hz: float,
        alive_s: float, tell: Tell,
    ) -> None:  # fmt: skip
        self._node, self._page, self._robot, self._pictures = node, page, robot, cameras
        self._camera_period_s = 1.0 / camera_rate_hz
        self.scene = RobotScene(page.server.scene, robot)
        self.scene.look_at(page.server.initial_camera)
        self.authority = ""  # state alone; set by the node
        self._poses: dict[tuple[str, str], tuple[Pose, float]] = {}
        self._openings: dict[str, float] = {}
        self.driving = Driving(node, page, robot, self.scene, alive_s, self._start, tell)
        self._streams_lock = threading.Lock()  # guards taps and rates; held while they are read
        self._taps: dict[str, Tap] = {}
        self._rates = PolledRates(
            {c.topic: c.rate_hz for c in robot.cameras} | {a.joint_states: 0.0 for a in robot.arms}
        )
        self._camera_due_s = {c.name: 0.0 for c in robot.cameras}
        self._open = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)
        self._thread.start()

    # From the node's thread ----------------------------------------------------------------

    def watch(self, wanted: bool) -> None:
        """Open the streams while somebody looks, close them when nobody does."""
        if not self._thread.is_alive():
            raise RuntimeError("the thread of the live view has ended")
        if wanted == bool(self._taps):
            return
        with self._streams_lock:
            if wanted:
                self._rates.forget()
                self._taps = self._open_taps()
                self._open.set()
                return
            self._open.clear()
            for tap in self._taps.values():
                tap.close()
            self._taps = {}

    def health(self) -> tuple[StreamHealth, ...]:
        """Lights of what is looked at here, for when no recorder tells."""
        with self._streams_lock:
            return self._rates.streams(time.monotonic())

    def opening(self, arm: str) -> float | None:
        """How far the gripper is open, as measured; None before it was."""
        return self._openings.get(arm)

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._open.set()
        self._thread.join(timeout=1.0)
        self.driving.close()

    # The thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            if not self._open.is_set():
                self._open.wait()
                due = time.monotonic()
                continue
            self._guarded(self.driving.publish)
            with self._streams_lock:  # no tap is closed meanwhile
                for arm in self._robot.arms:
                    self._guarded(partial(self._arm, arm))
                self._guarded(self._chunk)
                self._guarded(self._camera)
            due = max(due + TICK_S, time.monotonic())
            self._stop.wait(due - time.monotonic())

    def _guarded(self, step: Callable[[], None]) -> None:
        """Whatever a message does, the rest goes on."""
        try:
            step()
        except Exception as error:
            self._node.get_logger().warning(
                html.clean(f"not shown: {type(error).__name__}: {error}"),
                throttle_duration_sec=WARN_PERIOD_S,
            )

    def _arm(self, arm: Arm) -> None:
        shown = self.scene.arms[arm.name]
        if (msg := self._take(arm.joint_states)) is not None:
            names, position = messages.joint_state(msg)
            joints = dict(zip(names, position.tolist(), strict=True))
            for other in self._robot.arms:  # arms may share a topic
                if other.joint_states == arm.joint_states:
                    self.scene.arms[other.name].set_joints(joints)
                    if (finger := joints.get(other.gripper.joint)) is not None:
                        self._openings[other.name] = other.gripper.opening(finger)
        for which, topic in (("pose", interface.ee_pose), ("target", interface.ee_target)):
            if (msg := self._take(topic(arm.name))) is not None:
                pose = poses.checked(msg.pose, f"the {which} of {arm.name}")
                self._poses[arm.name, which] = (pose, time.monotonic())
        shown.set_target(self._pose(arm.name, "target"))
        if (start := self._start(arm.name)) is not None:
            self.driving.follow(arm.name, start)

    def _chunk(self) -> None:
        msg = self._take(interface.POLICY_EE_DELTA)
        if msg is None:
            return
        chunk = messages.action_chunk(msg)
        for arm in self._robot.arms:
            start = self._start(arm.name)
            if start is not None:
                path = space.predicted(chunk, self._robot, arm, start)
                self.scene.arms[arm.name].set_path("predicted", [p.xyz_m for p in path])

    def _camera(self) -> None:
        """At most one picture a tick, so that no tick takes long."""
        now = time.monotonic()
        camera = min(self._robot.cameras, key=lambda c: self._camera_due_s[c.name])
        if now < self._camera_due_s[camera.name]:
            return
        self._camera_due_s[camera.name] = now + self._camera_period_s
        if (msg := self._take(camera.topic)) is not None:
            self._pictures.show(camera.name, messages.image(msg))

    def _start(self, arm: str) -> Pose | None:
        """Where a delta would begin: the arm's target while it moves, else where it is."""
        which = "target" if self.authority in space.MOVING else "pose"
        return self._pose(arm, which) or self._pose(arm, "pose")

    def _pose(self, arm: str, which: str) -> Pose | None:
        """The newest pose or target; None where it is no longer told."""
        pose, heard_s = self._poses.get((arm, which), (None, 0.0))
        return pose if time.monotonic() - heard_s < STALE_S else None

    def _take(self, topic: str) -> Any | None:
        msg = self._taps[topic].take()
        if msg is not None and self._rates.counts(topic):
            self._rates.saw(topic, self._taps[topic].sequence, time.monotonic())
        return msg

    def _open_taps(self) -> dict[str, Tap]:
        kinds: dict[str, type] = {interface.POLICY_EE_DELTA: JointTrajectory}
        for arm in self._robot.arms:
            kinds[arm.joint_states] = JointState
            kinds[interface.ee_pose(arm.name)] = PoseStamped
            kinds[interface.ee_target(arm.name)] = PoseStamped
        for camera in self._robot.cameras:
            packed = camera.topic.endswith("/compressed")
            kinds[camera.topic] = CompressedImage if packed else Image
        return {topic: Tap(self._node, kind, topic) for topic, kind in kinds.items()}
