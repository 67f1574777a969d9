# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Who is there, and who publishes and listens where: a picture of the ROS graph, and its judges.

`take` reads the graph through a node; everything else works on the picture alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lapa_core.robot import Robot
from lapa_ros.doctor.finding import Finding, judge

# As in lapa_ros/interface.py, which this module does not import: it needs no ROS.
DELTAS = ("policy/ee_delta", "teleop/ee_delta")
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
SIMULATION, ARM_NODE, POLICY_NODE = "sim_node", "arm_node", "policy_node"


@dataclass(frozen=True)
class Endpoint:
    """A publisher or subscription: full name of its node, and the message type."""

    node: str
    kind: str


@dataclass(frozen=True)
class Graph:
    """What is there, under resolved names.

    Attributes:
        nodes: full names; a name that two nodes have stands twice.
        services: name -> types.
        publishers, subscribers: topic -> endpoints, our own left out.
    """

    nodes: tuple[str, ...] = ()
    services: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    publishers: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    subscribers: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)

    def kinds(self, topic: str) -> tuple[str, ...]:
        """Message types published on a topic."""
        return tuple(sorted({e.kind for e in self.publishers.get(topic, ())}))

    def image_topics(self) -> list[str]:
        """Topics on which images are published."""
        return sorted(
            topic
            for topic, ends in self.publishers.items()
            if any(e.kind in IMAGE_TYPES for e in ends)
        )

    def running(self, node: str, namespace: str = "") -> int:
        """How many nodes have this name in a namespace."""
        return self.nodes.count(resolve(namespace, node))


def resolve(namespace: str, name: str) -> str:
    """Full name of a relative one, as ROS resolves it."""
    if name.startswith("/"):
        return name
    return "/".join(["", *(p for p in namespace.split("/") if p), name])


def take(node: Any) -> Graph:
    """The graph as an rclpy node sees it now."""

    def endpoints(infos: Sequence[Any]) -> tuple[Endpoint, ...]:
        found = (Endpoint(resolve(i.node_namespace, i.node_name), i.topic_type) for i in infos)
        own = resolve(node.get_namespace(), node.get_name())
        return tuple(e for e in found if e.node != own)

    topics = [name for name, _ in node.get_topic_names_and_types()]
    return Graph(
        nodes=tuple(resolve(ns, name) for name, ns in node.get_node_names_and_namespaces()),
        services={name: tuple(types) for name, types in node.get_service_names_and_types()},
        publishers={t: endpoints(node.get_publishers_info_by_topic(t)) for t in topics},
        subscribers={t: endpoints(node.get_subscriptions_info_by_topic(t)) for t in topics},
    )


def command_topics(robot: Robot) -> dict[str, str]:
    """Topics on which arm_node commands the arms' drivers -> message type."""
    topics: dict[str, str] = {}
    controllers = []
    for arm in robot.arms:
        d = arm.drivers
        if robot.backend == "interbotix" and d.interbotix is not None:
            base = f"{d.interbotix.namespace}/commands"
            topics[f"{base}/joint_group"] = "interbotix_xs_msgs/msg/JointGroupCommand"
            topics[f"{base}/joint_single"] = "interbotix_xs_msgs/msg/JointSingleCommand"
        elif robot.backend == "moveit_servo" and d.moveit_servo is not None:
            servo = d.moveit_servo
            pose = servo.command == "pose"
            topic = f"{servo.node}/{'pose_target_cmds' if pose else 'delta_twist_cmds'}"
            topics[topic] = f"geometry_msgs/msg/{'PoseStamped' if pose else 'TwistStamped'}"
            controllers.append(servo.gripper)
        else:
            controllers += [d.ros2_control.arm, d.ros2_control.gripper]
    for controller in controllers:
        topics[controller.topic] = (
            "std_msgs/msg/Float64MultiArray"
            if controller.kind == "forward"
            else "trajectory_msgs/msg/JointTrajectory"
        )
    return topics


def rivals(graph: Graph, robot: Robot, namespace: str) -> list[Finding]:
    """Anybody but one arm_node who commands the arm, and doubled sources of deltas."""
    arm_node = resolve(namespace, ARM_NODE)
    found = []
    for name in command_topics(robot):
        topic = resolve(namespace, name)
        others = [e.node for e in graph.publishers.get(topic, ()) if e.node != arm_node]
        found.append(
            judge(
                f"commands on {topic}",
                f"also from {', '.join(others)}" if others else "from arm_node alone, or nobody",
                "nobody but arm_node",
                fail=f"stop {', '.join(others)}: two programs commanding one arm make it jump "
                "(MoveIt, xs_ros_control and joystick demos publish here too)"
                if others
                else "",
            )
        )
    for name in DELTAS:
        topic = resolve(namespace, name)
        sources = [e.node for e in graph.publishers.get(topic, ())]
        found.append(
            judge(
                f"deltas on {topic}",
                f"{len(sources)} publishers{': ' if sources else ''}{', '.join(sources)}",
                "one at most",
                fail="stop all but one; a node that was killed counts for another 5 s "
                "(20 s without our DDS profile)"
                if len(sources) > 1
                else "",
            )
        )
    return found


def nodes(graph: Graph, namespace: str) -> list[Finding]:
    """Our own nodes: there once each."""
    found = []
    for name, start in (
        (ARM_NODE, "ros2 run lapa_ros arm_node --ros-args -p robot:=... -p speed_scale:=0.3"),
        (POLICY_NODE, "ros2 launch lapa_ros policy.launch.py checkpoint:=... instruction:=..."),
    ):
        count = graph.running(name, namespace)
        found.append(
            judge(
                f"node {name}",
                "running" if count == 1 else f"{count} running" if count else "not running",
                "one",
                fail=f"stop all but one {name}" if count > 1 else "",
                warn=f"when the checks above are fine: {start}" if count == 0 else "",
            )
        )
    return found


def authority(text: str, values: Mapping[str, str]) -> list[Finding]:
    """What arm_node says of itself: its state, and whether its loop keeps time.

    Args:
        text: the newest message on `authority`, "" where there was none.
        values: its newest diagnostics.
    """
    if not text:
        return []
    state, _, reason = text.partition(": ")
    fine = state in ("policy", "teleop") or "disabled" in reason or "call enable" in reason
    advice = {
        "estop": "when it is safe again: ros2 service call /reset std_srvs/srv/Trigger, then "
        "/enable",
    }.get(state, "mend what the reason says; the arm then goes on with the next good delta")
    found = [
        judge(
            "authority",
            text,
            "policy or teleop; hold while disabled",
            warn=advice if not fine else "",
        )
    ]
    try:
        rate, p99 = float(values["rate_hz"]), float(values["period_ms_p99"])
    except (KeyError, ValueError):
        return found
    slow = rate > 0 and p99 > 1.5e3 / rate
    found.append(
        judge(
            "arm_node's loop",
            f"{rate:.1f} Hz, 99th percentile of the period {p99:.1f} ms",
            "50 Hz unless rate_hz says otherwise, 99th percentile below one period and a half",
            warn="this computer is too busy: move policy_node or the cameras, lower their rates, "
            "or set the governor to performance"
            if slow
            else "",
        )
    )
    return found


def policy(text: str) -> list[Finding]:
    """What policy_node says it is doing or waiting for."""
    if not text:
        return []
    advice = "ros2 lifecycle set /policy_node configure, then activate"
    if text.startswith("waiting"):
        advice = "mend what it waits for"
    elif text.startswith("not configured"):
        advice = "give it a checkpoint made for this robot (`lapa info FOLDER`)"
    return [
        judge("policy/status", text, "deciding", warn="" if text == "deciding" else advice),
    ]
