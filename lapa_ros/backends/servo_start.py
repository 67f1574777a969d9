# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Brings a Servo node to take our commands: a list of service calls, made one after the other.

Never waits: `poll` is called from a timer, looks at what has come and goes on from there. It
begins again when another Servo publishes the status, which is how a restart shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future

ANSWER_S = 5.0  # Servo answers these calls at once; discovery takes up to 3 s
RETRY_S = 1.0
TIMEOUT = "moveit_servo.incoming_command_timeout"
UNITS = "moveit_servo.command_in_type"
MAX_TIMEOUT_S = 0.25  # as long as the arm node bears missing joint states


@dataclass
class Call:
    """One service call.

    Attributes:
        service: its resolved name, for people.
        client: of it.
        request: what is asked.
        refusal: from the response, why it is not good enough, or "".
    """

    service: str
    client: Client
    request: Any
    refusal: Callable[[Any], str]


class Starter:
    """Makes the calls to one Servo node.

    Attributes:
        problem: why Servo does not take commands yet, or "".
    """

    def __init__(self, node: Node, servo: str, status_topic: str, calls: Sequence[Call]) -> None:
        self._node = node
        self._servo = servo
        self._status_topic = status_topic
        self._calls = tuple(calls)
        self._servos: frozenset[bytes] = frozenset()  # who publishes the status
        self._next = 0
        self._asked: Future | None = None
        self._asked_s = 0.0
        self._not_before_s = 0.0
        self.problem = f"MoveIt Servo {servo} has not been found yet"

    def poll(self, now_s: float) -> None:
        """Go on as far as possible at a monotonic time [s]."""
        found = self._node.get_publishers_info_by_topic(self._status_topic)
        servos = frozenset(bytes(f.endpoint_gid) for f in found)
        if servos - self._servos:
            self._begin_again()
        self._servos = servos
        if not servos:
            self.problem = (
                f"MoveIt Servo is not running: nobody publishes {self._status_topic} "
                f"(robot file: drivers: moveit_servo: node)"
            )
            return
        while self._next < len(self._calls) and self._call(self._calls[self._next], now_s):
            self._next += 1
        if self._next == len(self._calls) and self.problem:
            self.problem = ""
            self._node.get_logger().info(f"MoveIt Servo {self._servo} takes commands")

    def _begin_again(self) -> None:
        self._drop()
        self._next, self._not_before_s = 0, 0.0

    def _drop(self) -> None:
        if self._asked is not None:
            self._calls[self._next].client.remove_pending_request(self._asked)
            self._asked = None

    def _call(self, call: Call, now_s: float) -> bool:
        """Make or follow one call; whether it has been answered well."""
        if self._asked is None:
            if now_s < self._not_before_s:
                return False
            if not call.client.service_is_ready():
                self.problem = f"MoveIt Servo {self._servo} offers no service {call.service}"
                return False
            self._asked, self._asked_s = call.client.call_async(call.request), now_s
        if not self._asked.done():
            self.problem = f"MoveIt Servo {self._servo} is starting: {call.service} is called"
            if now_s - self._asked_s > ANSWER_S:
                self.problem = f"{call.service} has not answered for {ANSWER_S:g} s"
                self._drop()
            return False
        asked, self._asked = self._asked, None
        refusal = _failure(asked) or call.refusal(asked.result())
        if refusal:
            self.problem = f"{call.service}: {refusal}"
            self._not_before_s = now_s + RETRY_S
        return not refusal


def _failure(future: Future) -> str:
    """What went wrong with the call itself, or ""."""
    if future.cancelled():
        return "the call was cancelled"
    error = future.exception()
    return "" if error is None else f"{type(error).__name__}: {error}"


def call(node: Node, servo: str, service: str, kind: Any, request: Any) -> Call:
    """A call of a Servo node's service whose response has `success`."""
    name = f"{servo}/{service}"
    return Call(node.resolve_service_name(name), node.create_client(kind, name), request, _failed)


def check_parameters(node: Node, servo: str, units: str | None = None) -> Call:
    """Ask for Servo's parameters and refuse those that our commands would mean harm with.

    Args:
        node: whose executor serves it.
        servo: name of the Servo node.
        units: what `command_in_type` must be, None where it does not matter.
    """
    name = f"{servo}/get_parameters"
    return Call(
        node.resolve_service_name(name),
        node.create_client(GetParameters, name),
        GetParameters.Request(names=[TIMEOUT, UNITS]),
        partial(_parameter_refusal, units=units),
    )


def _failed(response: Any) -> str:
    """Why a call was refused, from a response with `success`."""
    reason = getattr(response, "message", "") or "no reason given"
    return "" if response.success else f"refused: {reason}"


def _parameter_refusal(response: GetParameters.Response, units: str | None) -> str:
    """What is wrong with Servo's parameters, or ""."""
    # A node that does not know one of the names answers for none of them.
    timeout, unit = response.values if len(response.values) == 2 else [ParameterValue()] * 2
    if timeout.type != ParameterType.PARAMETER_DOUBLE:
        return f"{TIMEOUT} or {UNITS} is not declared there: this is no MoveIt Servo"
    if not 0.0 < timeout.double_value <= MAX_TIMEOUT_S:
        return (
            f"{TIMEOUT} is {timeout.double_value:g} s: so long would the arm move on in hold; "
            f"valid: above 0 and at most {MAX_TIMEOUT_S:g} s"
        )
    if units is not None and unit.string_value != units:
        return f"{UNITS} is {unit.string_value!r}; valid: {units!r} (m/s, rad/s)"
    return ""
