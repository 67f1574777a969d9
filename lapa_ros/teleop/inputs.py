# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The topics of every device, and the way of their messages into it. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped, Vector3
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Float64

from lapa_core.data import messages
from lapa_core.errors import ConfigError, LapaError
from lapa_core.robot import Robot
from lapa_core.teleop.browser import Browser
from lapa_core.teleop.gamepad import Gamepad
from lapa_core.teleop.leader import Leaders
from lapa_core.teleop.poses import checked
from lapa_core.teleop.reading import Device
from lapa_core.teleop.spacemouse import SpaceMouse
from lapa_core.teleop.twist import Twists
from lapa_core.teleop.vr import Controllers
from lapa_core.types import FloatArray
from lapa_ros import interface

WARN_PERIOD_S = 2.0


def delta_twist(arm: str) -> str:
    """Velocity asked for of an arm, as Servo has it."""
    return f"teleop/{arm}/delta_twist_cmds"


class Inputs:
    """Subscriptions of one device.

    Attributes:
        refused: how many messages the device has refused.
    """

    def __init__(
        self,
        node: Node,
        robot: Robot,
        device: Device,
        leader_topics: str,
        now_s: Callable[[], float],
    ) -> None:
        """Subscribe.

        Args:
            node: that owns the subscriptions.
            robot: whose arms are moved.
            device: that is fed.
            leader_topics: joint states of the leaders in the robot file's order of arms, with
                commas between; "" for `leader/joint_states` or `leader_<arm>/joint_states`.
            now_s: time of arrival.

        Raises:
            ConfigError: not as many leader topics as arms.
        """
        self.refused = 0
        self._node, self._robot, self._now_s = node, robot, now_s
        self._subscriptions: list[Any] = []
        # Devices of which silence says nothing: somebody must at least be there to send.
        self._silent_kind = isinstance(device, (Twists, Browser))
        self._connect(device, [a.name for a in robot.arms], leader_topics)

    def _connect(self, device: Device, arms: list[str], leader_topics: str) -> None:
        """Listen to what this kind of device sends."""
        if isinstance(device, Gamepad):
            self._listen(Joy, "joy", partial(_joy, device), interface.EVENT_QOS)
        elif isinstance(device, SpaceMouse):
            self._listen(Twist, "spacenav/twist", partial(_puck, device))
            self._listen(TwistStamped, "spacenav/twist_stamped", partial(_puck_stamped, device))
            self._listen(Joy, "spacenav/joy", partial(_puck_joy, device), interface.EVENT_QOS)
        elif isinstance(device, Twists):
            for arm in arms:
                self._listen(TwistStamped, delta_twist(arm), partial(self._twist, device, arm))
                self._gripper(device, arm)
        elif isinstance(device, Leaders):
            for arm, topic in zip(arms, _leader_topics(arms, leader_topics), strict=True):
                self._listen(JointState, topic, partial(_leader, device, arm))
        elif isinstance(device, Controllers):
            for arm, hand in device.hands.items():
                self._listen(PoseStamped, f"vr/{hand}/pose", partial(_controller, device, arm))
                self._listen(
                    Joy, f"vr/{hand}/joy", partial(_vr_joy, device, arm), interface.EVENT_QOS
                )
        elif isinstance(device, Browser):
            for arm in arms:
                self._listen(PoseStamped, interface.teleop_goal(arm), partial(_goal, device, arm))
                self._gripper(device, arm)

    def absent(self) -> str:
        """Which topics nobody sends on, where that alone says that the device is gone, or ""."""
        if not self._silent_kind:
            return ""
        topics = [s.topic_name for s in self._subscriptions]
        if any(self._node.count_publishers(t) for t in topics):
            return ""
        return f"nobody publishes on {' or '.join(topics)}"

    def _listen(
        self,
        kind: type,
        topic: str,
        take: Callable[[Any, float], None],
        qos: QoSProfile = interface.JOINT_SUB_QOS,
    ) -> None:
        def callback(msg: Any) -> None:
            try:
                take(msg, self._now_s())
            except LapaError as error:
                self.refused += 1
                self._node.get_logger().warning(
                    f"{topic}: {error}", throttle_duration_sec=WARN_PERIOD_S
                )

        self._subscriptions.append(self._node.create_subscription(kind, topic, callback, qos))

    def _gripper(self, device: Twists | Browser, arm: str) -> None:
        self._listen(
            Float64,
            interface.teleop_gripper(arm),
            lambda msg, now_s: device.on_gripper(arm, msg.data, now_s),
            interface.EVENT_QOS,
        )

    def _twist(self, device: Twists, arm: str, msg: TwistStamped, now_s: float) -> None:
        stamp_ns = messages.stamp_ns(msg.header.stamp)
        age_s = (self._node.get_clock().now().nanoseconds - stamp_ns) * 1e-9 if stamp_ns else 0.0
        linear, angular = _vector(msg.twist.linear), _vector(msg.twist.angular)
        device.on_twist(arm, msg.header.frame_id, linear, angular, now_s, age_s)


def _leader_topics(arms: Sequence[str], given: str) -> list[str]:
    topics = [t.strip() for t in given.split(",") if t.strip()]
    if not topics:
        one = len(arms) == 1
        return ["leader/joint_states"] if one else [f"leader_{a}/joint_states" for a in arms]
    if len(topics) != len(arms):
        raise ConfigError(
            f"leader_topics: {len(topics)} topics for the arms {', '.join(arms)}; one each"
        )
    return topics


def _vector(msg: Vector3) -> FloatArray:
    return np.array([msg.x, msg.y, msg.z])


def _joy(device: Gamepad, msg: Joy, now_s: float) -> None:
    device.on_joy(msg.axes, msg.buttons, now_s)


def _puck(device: SpaceMouse, msg: Twist, now_s: float) -> None:
    device.on_twist(_vector(msg.linear), _vector(msg.angular), now_s)


def _puck_stamped(device: SpaceMouse, msg: TwistStamped, now_s: float) -> None:
    _puck(device, msg.twist, now_s)


def _puck_joy(device: SpaceMouse, msg: Joy, now_s: float) -> None:
    del now_s
    device.on_joy(msg.buttons)


def _leader(device: Leaders, arm: str, msg: JointState, now_s: float) -> None:
    names, position = messages.joint_state(msg)
    device.on_joint_state(arm, names, position, now_s)


def _controller(device: Controllers, arm: str, msg: PoseStamped, now_s: float) -> None:
    device.on_pose(arm, checked(msg.pose, f"the controller of {arm}"), now_s)


def _vr_joy(device: Controllers, arm: str, msg: Joy, now_s: float) -> None:
    device.on_joy(arm, msg.axes, msg.buttons, now_s)


def _goal(device: Browser, arm: str, msg: PoseStamped, now_s: float) -> None:
    device.on_goal(arm, msg.header.frame_id, checked(msg.pose, f"the goal of {arm}"), now_s)
