# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Stand-ins for what the nodes talk to, on real DDS: an arm, a camera, an operator.

Each is a node of the test process. `StandInArm` has the limits of the real thing: it moves at
most at the joints' top speed, publishes at 100 Hz and holds its last target; it also has the
real thing's faults, on request. Waiting is always for an event, with a deadline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lapa_core.data import messages
from lapa_core.robot import Robot
from lapa_core.types import ActionChunk
from lapa_ros import convert, interface
from lapa_ros.processes import NodeProcess, stop_all

DEADLINE_S = 15.0  # discovery alone takes up to 3 s on a busy machine
JOINT_PERIOD_S = 0.01
MAX_SPEED_RAD_S = np.pi


class StandInArm(Node):
    """One arm behind joint trajectory controllers, with a driver's faults on request."""

    def __init__(self, robot: Robot, namespace: str = "") -> None:
        super().__init__("stand_in_arm", namespace=namespace)
        arm = robot.arms[0]
        self.names = (*arm.joints, "gripper", arm.gripper.joint, "right_finger")
        self.position = np.array([*arm.start_rad, 0.0, arm.gripper.open, -arm.gripper.open])
        self.target = self.position.copy()
        self.commands: list[tuple[float, JointTrajectory]] = []
        self.silent = False
        self.glitch_rad = 0.0
        self._pub = self.create_publisher(JointState, arm.joint_states, interface.SENSOR_PUB_QOS)
        for where in (arm.drivers.ros2_control.arm, arm.drivers.ros2_control.gripper):
            self.create_subscription(
                JointTrajectory, where.topic, self._on_command, interface.EVENT_QOS
            )
        self.create_timer(JOINT_PERIOD_S, self._step)

    def _on_command(self, msg: JointTrajectory) -> None:
        self.commands.append((time.monotonic(), msg))
        for name, value in zip(msg.joint_names, msg.points[-1].positions, strict=True):
            self.target[self.names.index(name)] = value

    def _step(self) -> None:
        reach = MAX_SPEED_RAD_S * JOINT_PERIOD_S
        self.position += np.clip(self.target - self.position, -reach, reach)
        if self.silent:
            return
        shown = self.position.copy()
        shown[0] += self.glitch_rad
        now = self.get_clock().now().nanoseconds
        velocity = np.zeros(len(shown))
        self._pub.publish(convert.joint_state_msg(self.names, shown, velocity, now))


class StandInCamera(Node):
    """A camera that publishes one picture at 30 Hz, or a broken one, or nothing.

    Where its topic ends in `/compressed` it sends JPEG, as image_transport's drivers do.
    """

    def __init__(self, robot: Robot, picture: np.ndarray) -> None:
        super().__init__("stand_in_camera")
        self.camera = robot.cameras[0]
        self.compressed = self.camera.topic.endswith("/compressed")
        self.picture = picture
        self.silent = False
        self.spoil: Callable[[Image], None] | None = None
        self.count = 0
        kind = CompressedImage if self.compressed else Image
        self._pub = self.create_publisher(kind, self.camera.topic, interface.SENSOR_PUB_QOS)
        self.create_timer(1.0 / 30.0, self._publish)

    def jpeg(self) -> bytes:
        """The picture's bytes on a compressed topic."""
        _, data = cv2.imencode(".jpg", self.picture[:, :, ::-1])
        return data.tobytes()

    def _publish(self) -> None:
        if self.silent:
            return
        now = self.get_clock().now().nanoseconds
        if self.compressed:
            # image_transport's own words; the bytes are an ordinary colour JPEG all the same.
            msg = CompressedImage(format="rgb8; jpeg compressed bgr8", data=self.jpeg())
            msg.header.stamp = convert.time_msg(now)
        else:
            msg = convert.image_msg(self.picture, self.camera.frame_id, now)
        if self.spoil is not None:
            self.spoil(msg)
        self.count += 1
        self._pub.publish(msg)


class Operator(Node):
    """Hears everything, calls services, sends deltas as a policy would."""

    def __init__(self, robot: Robot, namespace: str = "") -> None:
        super().__init__("operator", namespace=namespace)
        self.robot = robot
        self.authority: list[tuple[float, str, str]] = []
        self.executed: list[JointTrajectory] = []
        self.decided: list[JointTrajectory] = []
        self.policy_status = ""
        self.diagnostics: dict[str, tuple[str, dict[str, str]]] = {}
        q = interface
        self.create_subscription(String, q.AUTHORITY, self._on_authority, q.LATCHED_QOS)
        self.create_subscription(String, q.POLICY_STATUS, self._on_status, q.LATCHED_QOS)
        self.create_subscription(DiagnosticArray, q.DIAGNOSTICS, self._on_diagnostics, q.EVENT_QOS)
        for topic, kept in (
            (q.EXECUTED_EE_DELTA, self.executed),
            (q.POLICY_EE_DELTA, self.decided),
        ):
            self.create_subscription(JointTrajectory, topic, kept.append, q.EVENT_QOS)
        self._trigger_clients = {name: self.create_client(Trigger, name) for name in q.SERVICES}
        self._pub: Any = None
        self._words = self.create_publisher(String, q.INSTRUCTION, q.LATCHED_QOS)

    def _on_authority(self, msg: String) -> None:
        self.authority.append((time.monotonic(), *interface.parse_authority(msg.data)))

    def _on_status(self, msg: String) -> None:
        self.policy_status = msg.data

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            values = {v.key: v.value for v in status.values}
            self.diagnostics[status.name.removeprefix("lapa_ros: ")] = (status.message, values)

    @property
    def state(self) -> tuple[str, str]:
        """Newest authority and its reason."""
        return self.authority[-1][1:] if self.authority else ("", "")

    def act_as_policy(self) -> None:
        """Become the publisher of `policy/ee_delta`."""
        self._pub = self.create_publisher(
            JointTrajectory, interface.POLICY_EE_DELTA, interface.EVENT_QOS
        )

    def executed_stamps(self) -> set[int]:
        """Stamps [ns] of the deltas the arm was told."""
        return {messages.stamp_ns(m.header.stamp) for m in self.executed}

    def resign_as_policy(self) -> None:
        """Stop being a publisher of `policy/ee_delta`."""
        self.destroy_publisher(self._pub)
        self._pub = None

    def chunk(self, xyz_m: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> JointTrajectory:
        """A well-formed one-step chunk for now: a translation, gripper open."""
        delta = np.array([[*xyz_m, 0.0, 0.0, 0.0, 1.0]])
        now = self.get_clock().now().nanoseconds
        chunk = ActionChunk(self.robot.dimensions, delta, np.zeros(1), now, self.robot.base_frame)
        return convert.chunk_msg(chunk)

    def send(self, msg: JointTrajectory) -> int:
        """Publish a chunk; returns its stamp [ns]."""
        self._pub.publish(msg)
        return messages.stamp_ns(msg.header.stamp)

    def instruct(self, words: str) -> None:
        """Tell the policy what to do."""
        self._words.publish(String(data=words))

    def call(self, name: str) -> Any:
        """Call a Trigger service and return its response."""
        client = self._trigger_clients[name]
        wait_for(client.service_is_ready, f"service {name}")
        future = client.call_async(Trigger.Request())
        wait_for(future.done, f"answer of {name}")
        return future.result()


def wait_for(
    done: Callable[[], Any],
    what: str,
    deadline_s: float = DEADLINE_S,
    poll_s: float = 0.005,
    seen: Callable[[], object] = lambda: "",
) -> Any:
    """Return `done()` once it is true; fail after the deadline, with what was `seen` instead."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not (result := done()):
        assert time.monotonic() < end, f"waited {deadline_s:g} s in vain for {what} {seen()}"
        pause.wait(poll_s)
    return result


@contextmanager
def started(
    node: str, parameters: dict[str, object], log: Path, **more: Any
) -> Iterator[NodeProcess]:
    """A node process that ends with the block, however that ends; it must then end cleanly."""
    process = NodeProcess(node, parameters, log, **more)
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    assert stop_all([process]) == {node: 0}, process.last_lines()


@contextmanager
def spinning(*nodes: Node) -> Iterator[None]:
    """Spin the nodes in one background thread; destroy them afterwards."""
    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            return

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()
        thread.join(timeout=5.0)
        for node in nodes:
            node.destroy_node()
