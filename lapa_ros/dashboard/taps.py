# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Streams that are looked at a few times a second instead of being listened to.

A camera's 30 frames a second through an executor cost a tenth of a core each, and the page wants
four. A subscription of depth one that no executor serves holds the newest message in the
middleware; only what is looked at is ever copied.
"""

from __future__ import annotations

from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

# Best effort matches every publisher, and asks none to send again what is old.
NEWEST_QOS = QoSProfile(
    depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT
)


class _Unserved(CallbackGroup):
    """Keeps executors away."""

    def can_execute(self, entity: object) -> bool:
        del entity
        return False

    def beginning_execution(self, entity: object) -> bool:
        del entity
        return False

    def ending_execution(self, entity: object) -> None:
        del entity


class Tap:
    """One stream. Opened and closed in the node's own thread; taken from in one other.

    Attributes:
        sequence: the publisher's number of the message taken last, None where rclpy does not
            tell it (Humble).
    """

    def __init__(self, node: Node, kind: type, topic: str) -> None:
        self.sequence: int | None = None
        self._node = node
        self._subscription = node.create_subscription(
            kind, topic, lambda msg: None, NEWEST_QOS, callback_group=_Unserved()
        )

    def take(self) -> Any | None:
        """The newest message, or None where none has come since the last look."""
        with self._subscription.handle:
            # What rclpy's executors do for every message, without waiting for one.
            taken = self._subscription.handle.take_message(self._subscription.msg_type, False)
        if taken is None:
            return None
        msg, info = taken
        self.sequence = info.get("publication_sequence_number") if info else None
        return msg

    def close(self) -> None:
        """Stop receiving."""
        self._node.destroy_subscription(self._subscription)
