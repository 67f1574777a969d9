# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The node through which a replay sends deltas to an arm node, and hears what becomes of them.

It commands through `policy/ee_delta` alone, so that everything a policy's deltas go through
holds for it too, and a person's teleop outranks it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lapa_core.control.compose import Pose
from lapa_core.data import messages
from lapa_core.data.state import pose
from lapa_core.errors import LapaError, StaleInput, UnsafeAction
from lapa_core.robot import Robot
from lapa_core.types import ActionChunk, FloatArray
from lapa_ros import convert, interface
from lapa_ros.processes import NodeProcess

SERVICE_TIMEOUT_S = 10.0
HOME_TIMEOUT_S = 30.0
ECHO_TIMEOUT_S = 0.15  # an arm begins a step within a control period, 0.05 s at most
POSE_TIMEOUT_S = 1.0  # poses come at the rate of the control loop, 20 Hz at least
PARAMETERS = ("robot", "speed_scale", "dry_run")


class Link(Node):
    """Publishes deltas, and keeps what comes back.

    Attributes:
        authority: state and reason now.
        playing: whether `holds` is kept.
        holds: what took the arm from the replay while playing, as "<state>: <reason>".
        sent, executed: deltas sent and begun since `begin`.
        interventions: the arm node's counters, newest.
        paths: arm -> (seconds since the first step, measured pose).
        target, measured: arm -> newest pose.
    """

    def __init__(self, robot: Robot, nodes: Sequence[NodeProcess] = ()) -> None:
        super().__init__("replay")
        self.robot = robot
        self.authority = ("", "")
        self.holds: list[str] = []
        self.sent = self.executed = 0
        self.interventions: dict[str, int] = {}
        self.paths: dict[str, list[tuple[float, Pose]]] = {a.name: [] for a in robot.arms}
        self.target: dict[str, Pose] = {}
        self.measured: dict[str, Pose] = {}
        self._measured_s: dict[str, float] = {}
        self._nodes = nodes
        self._begun_ns = self._stamp_ns = 0
        self._began_s: float | None = None
        self.playing = False
        self._reports = 0
        q, listen = interface, self.create_subscription
        listen(String, q.AUTHORITY, self._on_authority, q.LATCHED_QOS)
        listen(DiagnosticArray, q.DIAGNOSTICS, self._on_diagnostics, q.EVENT_QOS)
        listen(JointTrajectory, q.EXECUTED_EE_DELTA, self._on_executed, q.EVENT_QOS)
        for arm in robot.arms:
            for known, topic in ((self.target, q.ee_target), (self.measured, q.ee_pose)):
                callback = partial(self._on_pose, arm.name, known)
                listen(PoseStamped, topic(arm.name), callback, q.SENSOR_PUB_QOS)
        self._publisher: Any = None
        self._triggers = {n: self.create_client(Trigger, n) for n in ("enable", "home", "hold")}
        self._asking = self.create_client(GetParameters, "arm_node/get_parameters")

    # What comes back -----------------------------------------------------------------------

    def _on_authority(self, msg: String) -> None:
        self.authority = interface.parse_authority(msg.data)
        if self.playing and self.authority[0] != "policy":
            self.holds.append(msg.data)

    def _on_executed(self, msg: JointTrajectory) -> None:
        self._begun_ns = max(self._begun_ns, messages.stamp_ns(msg.header.stamp))
        if self._began_s is not None:
            self.executed += 1
            if self.executed == 1:
                self._began_s = time.monotonic()

    def _on_pose(self, arm: str, known: dict[str, Pose], msg: PoseStamped) -> None:
        known[arm] = found = Pose(*pose(msg))
        if known is not self.measured:
            return
        now = self._measured_s[arm] = time.monotonic()
        if self.executed:
            assert self._began_s is not None
            self.paths[arm].append((now - self._began_s, found))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name == "lapa_ros: arm_node":
                self._reports += 1
                prefix = "interventions_"
                self.interventions = {
                    v.key.removeprefix(prefix): int(v.value)
                    for v in status.values
                    if v.key.startswith(prefix)
                }

    # The arm node --------------------------------------------------------------------------

    def spin_until(self, done: Callable[[], Any], timeout_s: float, what: str = "") -> bool:
        """Spin until `done`; past the time False, or an error where `what` was waited for."""
        deadline = time.monotonic() + timeout_s
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                if what:
                    raise StaleInput(f"waited {timeout_s:g} s for {what}; arm: {self.authority}")
                return False
            for node in self._nodes:
                if not node.running():
                    raise StaleInput(f"{node.node} ended by itself:\n{node.last_lines()}")
            rclpy.spin_once(self, timeout_sec=min(left, 0.05))
        return True

    def wait_for_the_arm(self, timeout_s: float) -> None:
        """Wait until the arm node says where every arm is."""
        self.spin_until(
            lambda: len(self.measured) == len(self.robot.arms) and self.authority[0],
            timeout_s,
            "arm_node to say where the arm is",
        )

    def measured_now(self) -> dict[str, Pose]:
        """Where every arm is, from poses that come after this call; without, a `StaleInput`."""
        began, arms = time.monotonic(), [a.name for a in self.robot.arms]
        self.spin_until(
            lambda: all(self._measured_s.get(a, began) > began for a in arms),
            POSE_TIMEOUT_S,
            f"new poses of {', '.join(arms)}",
        )
        return dict(self.measured)

    def parameters(self) -> dict[str, Any]:
        """`PARAMETERS` of the running arm node."""
        ready = self._asking.service_is_ready
        self.spin_until(ready, SERVICE_TIMEOUT_S, "arm_node's parameters")
        future = self._asking.call_async(GetParameters.Request(names=list(PARAMETERS)))
        self.spin_until(future.done, SERVICE_TIMEOUT_S, "arm_node's parameters")
        robot, scale, dry = future.result().values
        return {
            "robot": robot.string_value,
            "speed_scale": scale.double_value,
            "dry_run": dry.bool_value,
        }

    def call(self, name: str, timeout_s: float = SERVICE_TIMEOUT_S) -> None:
        """Call a service of the arm node; its refusal is an error."""
        deadline = time.monotonic() + timeout_s
        client = self._triggers[name]
        self.spin_until(client.service_is_ready, timeout_s, f"service {name}")
        future = client.call_async(Trigger.Request())
        left = max(0.0, deadline - time.monotonic())
        self.spin_until(future.done, left, f"an answer of {name}")
        if not future.result().success:
            raise UnsafeAction(f"{name}: {future.result().message}")

    def home(self) -> None:
        """Move to the robot file's start pose."""
        self.call("home")
        still = "moving to start"
        self.spin_until(lambda: still in self.authority[1], SERVICE_TIMEOUT_S, "a move to start")
        self.spin_until(lambda: still not in self.authority[1], HOME_TIMEOUT_S, "the start pose")
        if "arrived at start" not in self.authority[1]:
            raise UnsafeAction(f"the arm did not get to its start pose: {self.authority[1]}")

    def require_alone(self) -> None:
        """Refuse where somebody else publishes on `policy/ee_delta`.

        Raises:
            UnsafeAction: how many do.
        """
        others = self.count_publishers(interface.POLICY_EE_DELTA) - bool(self._publisher)
        if others > 0:
            raise UnsafeAction(
                f"{others} publisher(s) on {interface.POLICY_EE_DELTA}: stop the policy first"
            )

    def become_the_policy(self, discovery_s: float) -> None:
        """Publish on `policy/ee_delta`, after looking for others for a while.

        Raises:
            UnsafeAction: somebody else does.
        """
        self.spin_until(lambda: False, discovery_s)
        self.require_alone()
        self._publisher = self.create_publisher(
            JointTrajectory, interface.POLICY_EE_DELTA, interface.COMMAND_QOS
        )
        subscribed = self._publisher.get_subscription_count
        self.spin_until(subscribed, SERVICE_TIMEOUT_S, "arm_node to listen")

    def begin(self) -> None:
        """From now on deltas, holds and poses count."""
        self.holds.clear()
        self.playing = True
        self.sent = self.executed = 0
        self._began_s = time.monotonic()

    def send(
        self,
        delta: FloatArray,
        timeout_s: float = ECHO_TIMEOUT_S,
        or_when: Callable[[], Any] = lambda: False,
    ) -> bool:
        """Publish one delta for now; whether the arm has begun it in time, or `or_when`."""
        stamp_ns = self._stamp_ns = max(self.get_clock().now().nanoseconds, self._stamp_ns + 1)
        chunk = ActionChunk(
            self.robot.dimensions, delta[None], np.zeros(1), stamp_ns, self.robot.base_frame
        )
        self._publisher.publish(convert.chunk_msg(chunk))
        self.sent += 1
        self.spin_until(lambda: self._begun_ns >= stamp_ns or or_when(), timeout_s)
        return self._begun_ns >= stamp_ns

    def wait_for_report(self) -> None:
        """Wait for diagnostics that were made after now, which come twice a second."""
        count = self._reports
        self.spin_until(lambda: self._reports > count, SERVICE_TIMEOUT_S, "diagnostics")

    def hold(self, timeout_s: float) -> None:
        """Make the arm hold; says so when it could not."""
        try:
            self.call("hold", timeout_s)
        except LapaError as error:
            print(f"replay: {error}; the arm holds by itself when no delta comes", flush=True)
