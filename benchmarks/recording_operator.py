# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A person at the recorder: waits until it is ready and presses its buttons."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from lapa_core.recording.status import RecorderStatus
from lapa_ros import interface

READY_TIMEOUT_S = 60.0


class Operator:
    """Client of `recorder/*`."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = Node("recording_operator")
        self.status: RecorderStatus | None = None
        self.node.create_subscription(
            String, interface.RECORDER_STATUS, self._on_status, interface.LATCHED_QOS
        )
        self._buttons = {
            name: self.node.create_client(Trigger, name) for name in interface.RECORDER_SERVICES
        }

    def _on_status(self, msg: String) -> None:
        self.status = RecorderStatus.from_json(msg.data)

    def wait_until_ready(self) -> None:
        """Until every stream has arrived."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self.status is None or self.status.state == "starting":
            if time.monotonic() > deadline:
                raise TimeoutError(f"the recorder is not ready: {self.status}")
            rclpy.spin_once(self.node, timeout_sec=0.1)

    def press(self, name: str, timeout_s: float = 120.0) -> str:
        """Call a service and return its answer; a refusal is an error."""
        client: Any = self._buttons[name]
        if not client.wait_for_service(timeout_sec=READY_TIMEOUT_S):
            raise TimeoutError(f"no service {name}")
        future = client.call_async(Trigger.Request())
        rclpy.spin_until_future_complete(self.node, future, timeout_sec=timeout_s)
        answer = future.result()
        if answer is None or not answer.success:
            raise RuntimeError(f"{name}: {answer.message if answer else 'no answer'}")
        return str(answer.message)

    def try_press(self, name: str, alive: Callable[[], bool]) -> bool:
        """Call a service of a node that may die meanwhile; whether it was done and answered."""
        client: Any = self._buttons[name]
        while not client.service_is_ready():
            if not alive():
                return False
            rclpy.spin_once(self.node, timeout_sec=0.02)
        future = client.call_async(Trigger.Request())
        while not future.done():
            if not alive():
                rclpy.spin_once(self.node, timeout_sec=0.1)  # an answer may be on its way
                break
            rclpy.spin_once(self.node, timeout_sec=0.02)
        return bool(future.done() and future.result().success)

    def wait(self, seconds: float, alive: Callable[[], bool]) -> None:
        """Let time pass, at most until the node is gone."""
        end = time.monotonic() + seconds
        while alive() and time.monotonic() < end:
            rclpy.spin_once(self.node, timeout_sec=0.02)

    def close(self) -> None:
        """Leave the graph."""
        self.node.destroy_node()
        rclpy.try_shutdown()
