# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The estop on a way of its own: it goes out whatever the rest of the page is busy with.

It is sent from the thread that pressed it, at once. Answers and the arm's `authority` are heard by
a node, an executor and a thread that do nothing else.
"""

from __future__ import annotations

import threading
import time

import rclpy
from rclpy.client import Client
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger

from lapa_core.view import html
from lapa_core.view.stopping import EstopWatch, Phase
from lapa_ros import interface

PERIOD_S = 0.1


class EstopLine:
    """Presses `estop` until the arm confirms it. Any thread may press."""

    def __init__(self, node: Node) -> None:
        self._watch = EstopWatch()
        self._lock = threading.Lock()
        # Names as the first node resolves them, so that its remappings count here too.
        self._node = rclpy.create_node(
            f"{node.get_name()}_estop",
            namespace=node.get_namespace(),
            context=node.context,
            use_global_arguments=False,
            start_parameter_services=False,
        )
        self._client: Client = self._node.create_client(
            Trigger, node.resolve_service_name("estop")
        )
        self._node.create_subscription(
            String,
            node.resolve_topic_name(interface.AUTHORITY),
            self._on_authority,
            interface.LATCHED_QOS,
        )
        self._timer = self._node.create_timer(PERIOD_S, self._send_if_due)
        self._timer.cancel()
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="estop", daemon=True)
        self._thread.start()

    @property
    def state(self) -> tuple[Phase, str]:
        """How far it is, and what to tell the person."""
        with self._lock:
            return self._watch.phase, self._watch.text

    def press(self) -> None:
        """Stop the arm."""
        with self._lock:
            self._watch.press(time.monotonic())
        self._send_if_due()
        self._timer.reset()

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(timeout_sec=0.5)
        self._thread.join(timeout=0.5)
        self._node.destroy_node()

    def _spin(self) -> None:
        while self._node.context.ok():
            try:
                self._executor.spin()
                return
            except (ExternalShutdownException, ShutdownException):
                return
            except Exception as error:  # whatever it was, the next press must still go out
                self._node.get_logger().error(html.clean(f"{type(error).__name__}: {error}"))

    def _send_if_due(self) -> None:
        with self._lock:
            due, waiting = self._watch.due(time.monotonic()), self._watch.phase == "sent"
        if due:
            # Also when no server is known yet: it is sent again until somebody answers.
            self._client.call_async(Trigger.Request()).add_done_callback(self._on_answer)
        elif not waiting:
            self._timer.cancel()

    def _on_answer(self, future: Future) -> None:
        response = future.result()
        if response is not None:
            with self._lock:
                self._watch.answered(response.success, response.message, time.monotonic())

    def _on_authority(self, msg: String) -> None:
        state, _ = interface.parse_authority(msg.data)
        with self._lock:
            self._watch.authority(state, time.monotonic())
