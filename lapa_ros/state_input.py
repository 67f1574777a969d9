# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The arms' state for a policy, from live topics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from lapa_core.data.messages import stamp_ns
from lapa_core.data.state import ToolState
from lapa_core.data.timeline import Latest
from lapa_core.robot import Robot
from lapa_ros import interface

KEPT = 100  # changes of authority; a tenth of a second is looked back


@dataclass(frozen=True)
class StateInput:
    """What is listened to.

    Attributes:
        state: the state now, for `Observation.state`.
        subscriptions: to be destroyed by whoever asked for it.
    """

    state: ToolState
    subscriptions: list[object]


def listen(node: Node, robot: Robot, now_s: Callable[[], float], commanded: bool) -> StateInput:
    """Subscribe to the arms' poses, joint states and commanded poses, and to who moves them.

    Args:
        node: whose subscriptions they become.
        robot: whose arms.
        now_s: the clock of the arrivals.
        commanded: whether the commanded poses are needed, see `ToolState`.
    """
    poses: dict[str, Latest[PoseStamped]] = {a.name: Latest() for a in robot.arms}
    joints: dict[str, Latest[JointState]] = {a.name: Latest() for a in robot.arms}
    targets: dict[str, Latest[PoseStamped]] = {a.name: Latest() for a in robot.arms}
    changes: tuple[tuple[float, str], ...] = ()  # of authority: replaced, as another thread reads

    def keep(latest: Latest[Any], msg: Any) -> None:
        latest.put(msg, stamp_ns(msg.header.stamp), now_s())

    def keep_authority(msg: String) -> None:
        nonlocal changes
        changes = (*changes[1 - KEPT :], (now_s(), interface.parse_authority(msg.data)[0]))

    def state_at(at_s: float) -> str | None:
        return next((s for since_s, s in reversed(changes) if since_s <= at_s), None)

    subscribe, qos = node.create_subscription, interface.JOINT_SUB_QOS
    subscriptions: list[object] = [
        subscribe(String, interface.AUTHORITY, keep_authority, interface.LATCHED_QOS)
    ]
    for arm in robot.arms:
        for kind, topic, latest in (
            (PoseStamped, interface.ee_pose(arm.name), poses[arm.name]),
            (JointState, arm.joint_states, joints[arm.name]),
            (PoseStamped, interface.ee_target(arm.name), targets[arm.name]),
        ):
            subscriptions.append(subscribe(kind, topic, partial(keep, latest), qos))
    state = ToolState(
        robot, poses, joints, targets,
        authority=state_at, now_s=now_s, commanded=commanded,
    )  # fmt: skip
    return StateInput(state, subscriptions)
