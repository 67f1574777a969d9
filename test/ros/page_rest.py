# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What surrounds a dashboard in its tests: services and topics of the other nodes, on real DDS."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lapa_core import robot as robots
from lapa_core.evaluate.live import SessionStatus
from lapa_core.recording.episode import Finding
from lapa_core.recording.status import RecorderStatus, StreamHealth
from lapa_core.view.progress import Progress
from lapa_ros import convert, interface

ROBOT = robots.load("wx250s")
ARM = ROBOT.arms[0].name
TOOL = (0.3, 0.0, 0.15)


class Rest(Node):
    """The other nodes as the page sees them: services that answer, or hang, and what they say."""

    def __init__(self) -> None:
        super().__init__("rest")
        self.called: list[str] = []
        self.hanging = threading.Event()  # set: services answer
        self.hanging.set()
        self.goals: list[tuple[float, PoseStamped]] = []
        self.openings: list[float] = []
        self.instructions: list[str] = []
        q = interface
        recorder = ("recorder/start", "recorder/save", "recorder/redo", "recorder/stop")
        evaluation = ("evaluate/yes", "evaluate/no", "evaluate/credit_50")
        for name in ("enable", "estop", "reset", "home", *recorder, *evaluation):
            self.create_service(Trigger, name, lambda _, r, n=name: self._serve(n, r))
        latched = q.LATCHED_QOS
        self._authority = self.create_publisher(String, q.AUTHORITY, latched)
        self._recorder = self.create_publisher(String, q.RECORDER_STATUS, latched)
        self._evaluation = self.create_publisher(String, q.EVALUATE_STATUS, latched)
        self._progress = self.create_publisher(String, q.PROGRESS, latched)
        self._joints = self.create_publisher(
            JointState, ROBOT.arms[0].joint_states, q.SENSOR_PUB_QOS
        )
        self.opening = self.create_publisher(Float64, q.gripper_target(ARM), latched)
        self.policy = self.create_publisher(JointTrajectory, q.POLICY_EE_DELTA, q.COMMAND_QOS)
        self.tells = True  # where the tool is
        self._pose = self.create_publisher(PoseStamped, q.ee_pose(ARM), q.SENSOR_PUB_QOS)
        listen = self.create_subscription
        listen(PoseStamped, q.teleop_goal(ARM), self._on_goal, q.EVENT_QOS)
        listen(Float64, q.teleop_gripper(ARM), lambda m: self.openings.append(m.data), q.EVENT_QOS)
        listen(String, q.INSTRUCTION, lambda m: self.instructions.append(m.data), latched)
        self.create_timer(0.02, self._move)

    def says(self, authority: str) -> None:
        self._authority.publish(String(data=authority))

    def reports(self, status: RecorderStatus) -> None:
        self._recorder.publish(String(data=status.to_json()))

    def evaluates(self, status: SessionStatus) -> None:
        self._evaluation.publish(String(data=status.to_json()))

    def works(self, progress: Progress) -> None:
        self._progress.publish(String(data=progress.to_json()))

    def writes(self, topic: str, text: str) -> None:
        """Anybody may publish anything."""
        pubs = {interface.PROGRESS: self._progress, interface.AUTHORITY: self._authority}
        pubs.get(topic, self._recorder).publish(String(data=text))

    def _serve(self, name: str, response: Trigger.Response) -> Trigger.Response:
        self.called.append(name)
        self.hanging.wait(10.0)
        response.success = name != "recorder/redo"
        response.message = f"{name} <done>"
        if name == "estop":
            self.says("estop: service called")
        return response

    def _on_goal(self, msg: PoseStamped) -> None:
        self.goals.append((time.monotonic(), msg))

    def _move(self) -> None:
        now = self.get_clock().now().nanoseconds
        arm = ROBOT.arms[0]
        names = (*arm.joints, arm.gripper.joint)
        position = np.append(arm.start_rad, arm.gripper.open)
        msg = convert.joint_state_msg(names, position, np.zeros(len(names)), now)
        self._joints.publish(msg)
        wxyz = np.array([1.0, 0.0, 0.0, 0.0])
        if self.tells:
            self._pose.publish(convert.pose_msg(np.array(TOOL), wxyz, arm.base_frame, now))


def status(**changes: Any) -> RecorderStatus:
    """What a recorder says."""
    values: dict[str, Any] = {
        "state": "recording", "episode": 37, "saved": 37, "episodes": 150, "instruction": "stack",
        "tasks": ("stack", "sort"), "operator": "", "elapsed_s": 3.2, "reset_left_s": 0.0,
        "folder": "/data", "free_gb": 80.0, "minutes_left": 90.0, "message": "recording",
        "streams": (StreamHealth("/cam", 12.0, 30.0, 99, 0, "red", "12 Hz instead of 30"),),
        "findings": (Finding("rate", "/cam", 1.5, 3.0, "12 Hz instead of 30 Hz"),),
    }  # fmt: skip
    return RecorderStatus(**{**values, **changes})
