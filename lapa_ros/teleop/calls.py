# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Presses of a device become service calls: asynchronous, their answers logged."""

from __future__ import annotations

from functools import partial

from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from lapa_core.teleop.reading import ARM_EVENTS, RECORDER_EVENTS

SERVICES = {e: e for e in ARM_EVENTS} | {e: f"recorder/{e}" for e in RECORDER_EVENTS}
QUIET = ("stop",)  # comes with Escape, where there may be no recorder at all


class Calls:
    """Clients of the services that a device may press.

    Attributes:
        last: the newest answer, for diagnostics.
    """

    def __init__(self, node: Node) -> None:
        self.last = ""
        self._node = node
        self._clients: dict[str, Client] = {
            event: node.create_client(Trigger, service) for event, service in SERVICES.items()
        }

    def press(self, event: str) -> None:
        """Call the event's service; without one there, say so."""
        client = self._clients[event]
        if not client.service_is_ready():
            if event not in QUIET:
                self._say(f"{event}: nobody offers the service {client.srv_name}", good=False)
            return
        client.call_async(Trigger.Request()).add_done_callback(partial(self._done, event))

    def _done(self, event: str, future: Future) -> None:
        answer = future.result()
        if answer is None:
            self._say(f"{event}: no answer", good=False)
        else:
            self._say(f"{event}: {answer.message or 'done'}", answer.success)

    def _say(self, text: str, good: bool) -> None:
        self.last = text
        logger = self._node.get_logger()
        # One line of code for each: rclpy refuses a severity that changes between its calls.
        if good:
            logger.info(text)
        else:
            logger.warning(text)
