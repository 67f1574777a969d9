# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One input device -> `teleop/ee_delta`: take-over, dead-man, hand-back. It moves no arm itself.

It wires topics to `lapa_core.teleop.Teleoperator`, which decides everything, and ticks it. It
sends nothing before a take-over and nothing while its device is silent. Ended by a person's Ctrl-C
it hands authority back; ended by anything else (an exception, SIGTERM, SIGKILL) it does not, so
that the arm holds and no policy acts on.
"""

from __future__ import annotations

import queue
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NoReturn

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lapa_core import robot as robots
from lapa_core.data.timeline import PeriodMeter
from lapa_core.errors import LapaError
from lapa_core.teleop import Teleoperator, TeleopSettings, devices
from lapa_core.teleop.keyboard import HELP, Keyboard
from lapa_core.teleop.terminal import NO_TERMINAL, KeyReader
from lapa_core.types import ActionChunk, FloatArray
from lapa_ros import convert, diagnostics, interface, runtime
from lapa_ros.clock import NodeClock
from lapa_ros.params import declare, param
from lapa_ros.teleop.calls import Calls
from lapa_ros.teleop.inputs import Inputs
from lapa_ros.teleop.robot_side import RobotSide

STATUS_PERIOD_S = 0.25  # at most so often, where only its numbers change
GRAPH_PERIOD_S = 0.25  # how often publishers are counted
NUMBER = re.compile(r"[\d.]+")
LAST_WORDS_S = 0.3  # how long the chunk that hands back may take to arrive


@dataclass(frozen=True)
class TeleopParams:
    """Parameters of the node."""

    robot: str = param("wx250s", "robot file: a name in config/robots, or a path")
    device: str = param("keyboard", f"one of {', '.join(devices.DEVICES)}")
    layout: str = param("", "file of config/teleop, or a path; empty: the device's own")
    rate_hz: float = param(25.0, "deltas a second", low=10.0, high=50.0)
    speed_scale: float = param(1.0, "share of all speeds", low=0.05, high=1.0)
    linear_m_s: float = param(0.1, "speed at full deflection", low=0.005, high=0.5)
    angular_rad_s: float = param(0.6, "turning at full deflection", low=0.02, high=2.5)
    gripper_speed: float = param(
        1.5, "change of the opening a second while a button drives it", low=0.1, high=10.0
    )
    motion_scale: float = param(
        1.0, "metres of the tool for a metre of a hand (leader, vr)", low=0.1, high=2.0
    )
    axes: str = param("base", "of keyboard, gamepad and spacemouse: base, world or tool")
    auto_take_over: bool = param(
        True, "engaging the device takes over; false: only the service or its button does"
    )
    twist_units: str = param("speed_units", "Servo's command_in_type: speed_units or unitless")
    close_to_engage: bool = param(True, "closing the leaders' grippers engages them")
    hand: str = param("right", "VR controller that moves a single arm: left or right")
    leader_topics: str = param(
        "", "joint states of the leaders, commas between; empty: leader[_<arm>]/joint_states"
    )
    terminal: bool = param(True, "read keys from the terminal, if there is one")


class TeleopNode(Node):
    """Topics, services and a timer around one teleoperator."""

    def __init__(self) -> None:
        super().__init__("teleop_node")
        self.params = declare(self, TeleopParams)
        p = self.params
        self._time = NodeClock(self)
        self.robot = robots.load(p.robot)
        wanted = {f.name: getattr(p, f.name) for f in fields(devices.DeviceSettings)}
        self.device = devices.make(self.robot, devices.DeviceSettings(**wanted))
        settings = TeleopSettings(p.rate_hz, p.speed_scale, p.motion_scale, p.auto_take_over)
        self.teleoperator = Teleoperator(self.robot, self.device, settings)
        self._inputs = Inputs(self, self.robot, self.device, p.leader_topics, self._time.now_s)
        self._calls = Calls(self)
        self._meter = PeriodMeter()
        self._sent = 0
        self._status, self._status_s = "", -np.inf
        self._problem = ""
        # Keys reach the device between two ticks, whichever thread has read them.
        self._keys: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        self._presses = Keyboard((), 0.0, 0.0)  # what keys mean beside moving, for all devices
        self._pub = self.create_publisher(
            JointTrajectory, interface.TELEOP_EE_DELTA, interface.EVENT_QOS
        )
        self._status_pub = self.create_publisher(
            String, interface.TELEOP_STATUS, interface.LATCHED_QOS
        )
        self._robot_side = RobotSide(self, self.robot, self.teleoperator, self._time.now_s)
        self._keys_sub = self.create_subscription(
            String, interface.TELEOP_KEYS, self._on_key, interface.EVENT_QOS
        )
        self.create_service(Trigger, "teleop/take_over", self._on_take_over)
        self.create_service(Trigger, "teleop/hand_back", self._on_hand_back)
        self._reporter = diagnostics.Reporter(self, self._report)
        self._reader = self._open_terminal()
        self.create_timer(1.0 / p.rate_hz, self._tick, clock=self._time.clock)
        self.create_timer(GRAPH_PERIOD_S, self._look_around, clock=self._time.clock)
        self.get_logger().info(f"{p.device} for {self.robot.name}")

    def _open_terminal(self) -> KeyReader | None:
        """Keys of the terminal, where there is one and nobody forbids it."""
        if not self.params.terminal or not sys.stdin.isatty():
            return None
        reader = KeyReader(lambda key: self._keys.put((key, self._time.now_s())), 0)
        print(HELP, flush=True)
        return reader

    # What a person asks for -----------------------------------------------------------------

    def _on_key(self, msg: String) -> None:
        self._keys.put((msg.data, self._time.now_s()))

    def _take_keys(self) -> tuple[str, ...]:
        """Hand the keys to the keyboard, or what they mean beside moving to nobody but us."""
        while not self._keys.empty():
            key, at_s = self._keys.get()
            if isinstance(self.device, Keyboard):
                known = self.device.press(key, at_s)
            else:
                known = self._presses.press_event(key)
            if not known:
                self.get_logger().info(f"key {key!r} means nothing here")
        return self._presses.take_events()

    def _on_take_over(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        try:
            self.teleoperator.take_over()
            response.success = True
        except LapaError as error:
            response.message = str(error)
        response.message = response.message or self.teleoperator.status()
        return response

    def _on_hand_back(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        response.success = self.teleoperator.hand_back()
        if response.success:
            self._publish(None)
        response.message = "handed back" if response.success else "had not taken over"
        return response

    # Output ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._time.now_s()
        self._meter.tick(now)
        own = self._take_keys()
        output = self.teleoperator.tick(now, self._problem, own)
        if output.hand_back:
            self._publish(None)
        if output.delta is not None:
            stamp_ns = self._publish(output.delta)
            self.teleoperator.on_sent(stamp_ns, output.delta, now)
            self._sent += 1
        for event in output.events:
            self._calls.press(event)
        self._announce(now)

    def _publish(self, delta: FloatArray | None) -> int:
        """Send a delta, or the chunk without steps that hands back; returns its stamp [ns]."""
        stamp_ns = self.get_clock().now().nanoseconds
        names = self.robot.dimensions
        deltas = np.zeros((0, len(names))) if delta is None else delta[None]
        chunk = ActionChunk(names, deltas, np.zeros(len(deltas)), stamp_ns, self.robot.base_frame)
        self._pub.publish(convert.chunk_msg(chunk))
        return stamp_ns

    def _announce(self, now_s: float) -> None:
        text = f"{self.params.device}: {self.teleoperator.status()}"
        before, after = (t.rstrip(").0123456789 s") for t in (self._status, text))
        if text != self._status and (before != after or now_s - self._status_s >= STATUS_PERIOD_S):
            self._status, self._status_s = text, now_s
            self._status_pub.publish(String(data=text))

    def _look_around(self) -> None:
        """Whether arm and device are there at all; a publisher gone says so at once."""
        self._robot_side.look_around()
        others = self.count_publishers(self._pub.topic_name) - 1
        self._problem = ""
        if others > 0:
            self._problem = f"{others} others publish on {self._pub.topic_name}; valid: this alone"
        elif isinstance(self.device, Keyboard):
            self._problem = self._no_keys()
        else:
            self._problem = self._inputs.absent()

    def _no_keys(self) -> str:
        if self.count_publishers(self._keys_sub.topic_name):
            return ""
        return self._reader.ended if self._reader else NO_TERMINAL

    def _report(self) -> diagnostics.Report:
        teleoperator = self.teleoperator
        reading = teleoperator.reading
        values: dict[str, object] = {
            "device": self.params.device,
            "taken_over": teleoperator.owns,
            "engaged": reading.engaged,
            "rate_hz": self._meter.rate_hz(),
            "deltas_sent": self._sent,
            "saturated": teleoperator.saturated,
            "messages_refused": self._inputs.refused,
            "last_call": self._calls.last,
        }
        level = diagnostics.WARN if reading.problem else diagnostics.OK
        return level, teleoperator.status(), values

    def close(self) -> None:
        """Put the terminal in order, whatever ended the node; authority stays where it is."""
        if self._reader:
            self._reader.close()

    def interrupted(self) -> None:
        """Hand back what was taken: a person has ended the node."""
        if self.teleoperator.hand_back():
            self._publish(None)
            self._pub.wait_for_all_acked(Duration(seconds=LAST_WORDS_S))


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `ros2 run lapa_ros teleop_node`."""
    runtime.main(TeleopNode, args, last_words=True)  # so that it can still hand back


if __name__ == "__main__":
    main()
