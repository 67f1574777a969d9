# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One `/diagnostics` status a node: level, one sentence, and numbers with units in their keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from lapa_ros import interface, runtime

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
PERIOD_S = 0.5

Report = tuple[bytes, str, Mapping[str, object]]


class Reporter:
    """Publishes what `report` returns, every half second and whenever asked."""

    def __init__(self, node: Node, report: Callable[[], Report]) -> None:
        self._node = node
        self._report = report
        self._publisher = node.create_publisher(
            DiagnosticArray, interface.DIAGNOSTICS, interface.EVENT_QOS
        )
        self._timer = node.create_timer(PERIOD_S, self.publish)

    def publish(self) -> None:
        """Publish the status now."""
        level, message, values = self._report()
        status = DiagnosticStatus(
            level=level,
            name=f"lapa_ros: {self._node.get_name()}",
            message=message,
            hardware_id=self._node.get_namespace(),
            values=[KeyValue(key=k, value=_text(v)) for k, v in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        runtime.publish(self._node, self._publisher, array)

    def close(self) -> None:
        """Stop publishing."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
