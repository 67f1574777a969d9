# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The time a node lives in: the computer's steady clock, or a simulation's.

On a robot everything is measured with the steady clock, which no correction of the system time
can jump. Where `use_sim_time` is set, a simulation publishes `/clock`, faster or slower than
real time, and watchdogs and timers follow it, as they must when a second of the arm is not one of
the computer.
"""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node


class NodeClock:
    """Time of one node.

    Attributes:
        simulated: whether it is a simulation's.
        clock: for the node's timers.
    """

    def __init__(self, node: Node) -> None:
        self.simulated = bool(node.get_parameter("use_sim_time").value)
        self.clock: Clock = (
            node.get_clock() if self.simulated else Clock(clock_type=ClockType.STEADY_TIME)
        )

    def now_s(self) -> float:
        """Seconds since an arbitrary moment; never runs backwards on a robot."""
        if self.simulated:
            return float(self.clock.now().nanoseconds) * 1e-9
        return time.monotonic()
