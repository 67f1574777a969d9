# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Every device's topics, by name and type, into the device that reads them. Real DDS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from harness import spinning, wait_for
from rclpy.node import Node
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Float64

from lapa_core import robot as robots
from lapa_core.errors import ConfigError
from lapa_core.teleop import devices
from lapa_core.teleop.reading import Reading
from lapa_ros import convert
from lapa_ros.teleop.inputs import Inputs

JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper")


def twist(kind: type) -> Any:
    msg = kind()
    inner = msg if kind is Twist else msg.twist
    inner.linear.x, inner.angular.z = 0.5, -0.5
    return msg


def pose(frame_id: str = "") -> PoseStamped:
    return convert.pose_msg(np.array([0.3, 0.1, 0.2]), np.array([1.0, 0, 0, 0]), frame_id, 1)


def leader(gripper: float) -> JointState:
    values = np.array([0.0, -0.3, 0.4, 0.0, 0.5, 0.0, gripper])
    return convert.joint_state_msg(JOINTS, values, np.zeros(7), 1)


def joy(axes: int, buttons: int, *down: int) -> Joy:
    pressed = [int(i in down) for i in range(buttons)]
    return Joy(axes=[0.0] * axes, buttons=pressed)


def grip() -> Joy:
    return Joy(axes=[0.0, 0.0, 0.0625, 1.0], buttons=[0, 0, 0])


# device -> what is published where, and how its reading shows that all of it has arrived
CASES: dict[str, tuple[dict[str, Any], Callable[[Reading], bool]]] = {
    "gamepad": ({"joy": joy(6, 15, 9)}, lambda r: r.engaged),
    "spacemouse": (
        {"spacenav/twist": twist(Twist), "spacenav/joy": joy(6, 2, 1)},
        lambda r: r.engaged,
    ),
    "spacemouse stamped": ({"spacenav/twist_stamped": twist(TwistStamped)}, lambda r: r.engaged),
    "twist": (
        {
            "teleop/left/delta_twist_cmds": twist(TwistStamped),
            "teleop/right/gripper": Float64(data=0.5),
        },
        lambda r: r.arms["left"].linear_m_s[0] == 0.5 and r.arms["right"].gripper == 0.5,
    ),
    "leader": (
        {"leader_left/joint_states": leader(0.8), "leader_right/joint_states": leader(0.8)},
        lambda r: not r.problem and all(a.hand is not None for a in r.arms.values()),
    ),
    "vr": (
        {f"vr/{h}/pose": pose() for h in ("left", "right")}
        | {f"vr/{h}/joy": grip() for h in ("left", "right")},
        lambda r: r.engaged and r.arms["left"].gripper == 0.9375,
    ),
    "browser": (
        {"teleop/right/goal": pose("right/base_link"), "teleop/left/gripper": Float64(data=0.5)},
        lambda r: r.arms["right"].goal is not None and r.arms["left"].gripper == 0.5,
    ),
}


class Clock:
    """Stands still, so that nothing times out on a busy computer."""

    def __call__(self) -> float:
        return 7.0


@pytest.fixture
def node(ros_context: None) -> Iterator[Node]:
    yield Node("teleop_inputs")


@pytest.mark.parametrize("case", CASES)
def test_what_is_published_reaches_the_device(case: str, node: Node) -> None:
    robot = robots.load("bimanual_wx250s")
    device = devices.make(robot, devices.DeviceSettings(device=case.partition(" ")[0]))
    inputs = Inputs(node, robot, device, "", Clock())
    messages, arrived = CASES[case]
    pubs = [(node.create_publisher(type(m), topic, 10), m) for topic, m in messages.items()]

    def sent() -> bool:
        for pub, msg in pubs:
            pub.publish(msg)
        return arrived(device.read(7.0))

    with spinning(node):
        wait_for(sent, case, poll_s=0.02, seen=lambda: device.read(7.0))
        assert inputs.refused == 0
        assert inputs.absent() == ""


def test_a_message_that_means_nothing_is_refused_and_counted(node: Node) -> None:
    robot = robots.load("wx250s")
    device = devices.make(robot, devices.DeviceSettings(device="browser"))
    inputs = Inputs(node, robot, device, "", Clock())
    assert "nobody publishes on /teleop/wx250s/goal" in inputs.absent()
    pub = node.create_publisher(PoseStamped, "teleop/wx250s/goal", 10)

    def refused() -> bool:
        pub.publish(pose("elsewhere"))
        return inputs.refused > 0

    with spinning(node):
        wait_for(refused, "a refusal", poll_s=0.02)
        assert not device.read(7.0).engaged


def test_leader_topics_are_one_an_arm(node: Node) -> None:
    robot = robots.load("bimanual_wx250s")
    device = devices.make(robot, devices.DeviceSettings(device="leader"))
    with pytest.raises(ConfigError, match="1 topics for the arms left, right"):
        Inputs(node, robot, device, "leader/joint_states", Clock())
    node.destroy_node()
