# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What moves on the page: arms, targets, the predicted chunk, pictures, and the drag handles.

Runs in a thread of its own, and only while a page is open. What a person drags goes out from here
as `teleop/<arm>/goal`; nothing here publishes a delta or a joint command.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Float64
from trajectory_msgs.msg import JointTrajectory

from lapa_core.control.compose import Pose
from lapa_core.data import messages
from lapa_core.errors import LapaError
from lapa_core.recording.status import StreamHealth
from lapa_core.robot import Arm, Robot
from lapa_core.teleop import poses
from lapa_core.view import space
from lapa_core.view.drag import Drags
from lapa_core.view.handles import DragHandle
from lapa_core.view.health import PolledRates
from lapa_core.view.page import Page
from lapa_core.view.pictures import CameraPanel
from lapa_core.view.scene import RobotScene
from lapa_ros import convert, interface, runtime
from lapa_ros.dashboard.taps import Tap

TICK_S = 0.05  # also the period of a dragged goal: teleop_node expects about 20 Hz
PING_S = 0.5
STALE_S = 1.0  # poses come fifty times a second
WARN_PERIOD_S = 5.0


class LiveView:
    """The moving part of the page."""

    def __init__(
        self, node: Node, page: Page, robot: Robot, cameras: CameraPanel, camera_rate_hz: float,
        alive_s: float,
    ) -> None:  # fmt: skip
        self._node, self._page, self._robot, self._pictures = node, page, robot, cameras
        self._camera_period_s = 1.0 / camera_rate_hz
        self._alive_s = alive_s
        self.scene = RobotScene(page.server.scene, robot)
        self.scene.look_at(page.server.initial_camera)
        self.authority = ""  # state alone; set by the node
        self.drags = Drags([a.name for a in robot.arms], alive_s)
        self._lock = threading.Lock()  # guards drags; the event loop waits for it
        self._streams_lock = threading.Lock()  # guards taps and rates; held while they are read
        self._taps: dict[str, Tap] = {}
        self._poses: dict[tuple[str, str], tuple[Pose, float]] = {}
        self._rates = PolledRates(
            {c.topic: c.rate_hz for c in robot.cameras} | {a.joint_states: 0.0 for a in robot.arms}
        )
        self._camera_due_s = {c.name: 0.0 for c in robot.cameras}
        self._goal_pubs = {
            a.name: node.create_publisher(
                PoseStamped, interface.teleop_goal(a.name), interface.COMMAND_QOS
            )
            for a in robot.arms
        }
        self._gripper_pubs = {
            a.name: node.create_publisher(
                Float64, interface.teleop_gripper(a.name), interface.COMMAND_QOS
            )
            for a in robot.arms
        }
        self._handles = {
            a.name: DragHandle(page.server.scene, self.scene.arms[a.name], self._on_drag)
            for a in robot.arms
        }
        self._pinged_s = 0.0
        self._pings = ThreadPoolExecutor(1, thread_name_prefix="ping")
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

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._open.set()
        self._thread.join(timeout=1.0)
        self._pings.shutdown(wait=False)

    # From the page's threads ---------------------------------------------------------------

    def switch(self, on: bool, client: int) -> None:
        """Let this page drive the arms by their handles, or let nobody."""
        with self._lock:
            self.drags.switch(on, client, time.monotonic())
        for handle in self._handles.values():
            handle.visible = on

    def stop_driving(self, reason: str) -> None:
        """End every drag, and switch driving off."""
        with self._lock:
            self.drags.stop(reason)
        for handle in self._handles.values():
            handle.visible = False

    def left(self, client: int) -> None:
        """A page was closed."""
        with self._lock:
            was = self.drags.driver
            self.drags.left(client)
        if was == client:
            self.stop_driving(self.drags.stopped_by)

    def gripper(self, arm: str, opening: float, client: int) -> None:
        """Ask for an opening of the gripper; only from the page that drives."""
        with self._lock:
            self.drags.open_gripper(arm, client, opening, time.monotonic())

    def _on_drag(self, arm: str, phase: str, client: int, goal: Pose) -> None:
        now = time.monotonic()
        with self._lock:
            if phase == "start":
                self.drags.grab(arm, client, goal, now)
            elif phase == "update":
                self.drags.move(arm, client, goal, now)
            else:
                self.drags.release(arm, client)

    # The thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            if not self._open.is_set():
                self._open.wait()
                due = time.monotonic()
                continue
            self._guarded(self._goals)
            with self._streams_lock:  # no tap is closed meanwhile
                for arm in self._robot.arms:
                    self._guarded(partial(self._arm, arm))
                self._guarded(self._chunk)
                self._guarded(self._camera)
            due = max(due + TICK_S, time.monotonic())
            self._stop.wait(due - time.monotonic())

    def _guarded(self, step: Callable[[], None]) -> None:
        """A message that cannot be shown must not end the rest."""
        try:
            step()
        except LapaError as error:
            self._node.get_logger().warning(
                f"not shown: {error}", throttle_duration_sec=WARN_PERIOD_S
            )

    def _goals(self) -> None:
        now = time.monotonic()
        with self._lock:
            driver, goals = self.drags.driver, self.drags.goals(now)
            openings = self.drags.openings(now)
        stamp = self._node.get_clock().now().nanoseconds
        for arm, goal in goals.items():
            frame = self._robot.arm(arm).base_frame
            msg = convert.pose_msg(goal.xyz_m, goal.quaternion_wxyz, frame, stamp)
            runtime.publish(self._node, self._goal_pubs[arm], msg)
        for arm, opening in openings.items():
            runtime.publish(self._node, self._gripper_pubs[arm], Float64(data=opening))
        if goals and driver is not None and now - self._pinged_s > PING_S:
            self._pinged_s = now
            self._pings.submit(self._ping, driver).add_done_callback(_raise)

    def _ping(self, client: int) -> None:
        """Ask the page for something that only its drawing loop answers."""
        handle = self._page.server.get_clients().get(client)
        if handle is None:
            return
        try:
            handle.local_storage.get_item("alive", timeout=self._alive_s)
        except TimeoutError:
            return  # it is not heard, and so ends
        except RuntimeError:  # gone; or it answers that the browser allows no storage
            if client not in self._page.server.get_clients():
                return
        with self._lock:
            self.drags.heard(client, time.monotonic())

    def _arm(self, arm: Arm) -> None:
        shown = self.scene.arms[arm.name]
        if (msg := self._take(arm.joint_states)) is not None:
            names, position = messages.joint_state(msg)
            joints = dict(zip(names, position.tolist(), strict=True))
            for other in self._robot.arms:  # arms may share a topic
                if other.joint_states == arm.joint_states:
                    self.scene.arms[other.name].set_joints(joints)
        for which, topic in (("pose", interface.ee_pose), ("target", interface.ee_target)):
            if (msg := self._take(topic(arm.name))) is not None:
                pose = poses.checked(msg.pose, f"the {which} of {arm.name}")
                self._poses[arm.name, which] = (pose, time.monotonic())
        shown.set_target(self._pose(arm.name, "target"))
        start = self._start(arm.name)
        with self._lock:
            held = self.drags.held(arm.name)
        if start is not None and not held:
            self._handles[arm.name].follow(start)

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


def _raise(done: Future[None]) -> None:
    """Let an error of ours be seen in the log; a pool keeps it to itself."""
    done.result()
