# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Raw subscriptions that follow their publishers: nobody says in advance how a driver sends.

As `ros2 bag record` does, a topic is subscribed when a publisher of it shows up, with the
reliability and durability that its publishers offer, and anew when one shows up that would not
match. Messages stay serialised.
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lapa_core.recording.bag import Qos
from rclpy.duration import Infinite
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from lapa_core.errors import DataError
from lapa_core.recording.jpeg import COMPRESSED, IMAGE
from lapa_core.recording.take import Source
from lapa_ros.recording.plan import Wanted

# Messages that may wait for this process: 2 s of a 30 Hz camera, 2 s of 500 Hz joints. Only
# references wait, the bytes lie in the transport's shared memory.
CAMERA_DEPTH, DEPTH = 60, 1000
Deliver = Callable[["Channel", bytes, dict[str, Any]], None]


@dataclass
class Channel:
    """One recorded topic, once somebody publishes it.

    Attributes:
        wanted: what was asked for.
        source: the topic as offered.
        kept: the newest messages of a latched topic, which open every episode.
        received: messages so far.
    """

    wanted: Wanted
    source: Source
    subscription: Subscription
    offered: tuple[Qos, ...]
    kept: deque[bytes]
    received: int = 0


class Intake:
    """Subscriptions of everything wanted, as far as it is offered."""

    def __init__(self, node: Node, wanted: Sequence[Wanted], deliver: Deliver) -> None:
        """Subscribe to nothing yet; `look` does, a few times a second.

        Args:
            node: whose subscriptions they are.
            wanted: topics to record.
            deliver: told every message: channel, serialised bytes, rclpy's message info.
        """
        self.channels: dict[str, Channel] = {}  # by full topic name
        self._node = node
        self._wanted = wanted
        self._deliver = deliver

    def name(self, topic: str) -> str:
        """Full name of a topic of the robot file, remapped as the node was told."""
        return str(self._node.resolve_topic_name(topic))

    def look(self) -> list[str]:
        """Follow the publishers; returns topics whose types cannot be recorded, with reasons."""
        problems = []
        for wanted in self._wanted:
            preferred = self.name(wanted.instead) if wanted.instead else ""
            names = [preferred] if preferred and self._offers(preferred) else []
            name = (names or [self.name(wanted.topic)])[0]
            infos = self._offers(name)
            if not infos:
                continue
            types = sorted({i.topic_type for i in infos})
            if len(types) > 1:
                problems.append(f"{name} is published with several types: {', '.join(types)}")
                continue
            try:
                self._follow(wanted, name, types[0], infos)
            except DataError as error:
                problems.append(f"{name}: {error}")
        return problems

    def missing(self) -> list[str]:
        """Required topics that nobody publishes."""
        there = {c.wanted.topic for c in self.channels.values() if c.received}
        return [self.name(w.topic) for w in self._wanted if w.required and w.topic not in there]

    def _offers(self, name: str) -> list[TopicEndpointInfo]:
        return list(self._node.get_publishers_info_by_topic(name))

    def _follow(
        self, wanted: Wanted, name: str, type_name: str, infos: list[TopicEndpointInfo]
    ) -> None:
        offered = tuple(dict.fromkeys(_offered(i.qos_profile) for i in infos))
        channel = self.channels.get(name)
        if (
            channel is not None
            and channel.source.type == type_name
            and _profile(offered, wanted) == _profile(channel.offered, wanted)
        ):
            return
        if channel is not None:
            self._node.destroy_subscription(channel.subscription)
        for other in [n for n, c in self.channels.items() if c.wanted == wanted and n != name]:
            self._node.destroy_subscription(self.channels.pop(other).subscription)
        jpeg = wanted.jpeg and type_name == IMAGE
        source = Source(name, type_name, offered, _type_hash(infos[0]), jpeg)
        if type_name == COMPRESSED:
            source = replace(source, jpeg=False)
        subscription = self._node.create_subscription(
            message_type(type_name),
            name,
            partial(self._on_message, name),
            _profile(offered, wanted),
            raw=True,
        )
        self.channels[name] = Channel(
            wanted, source, subscription, offered, deque(maxlen=wanted.keep)
        )

    def _on_message(self, name: str, data: bytes, info: dict[str, Any]) -> None:
        channel = self.channels[name]
        channel.received += 1
        if channel.wanted.kind == "latched":
            channel.kept.append(data)
        self._deliver(channel, data, info)


def message_type(name: str) -> Any:
    """Class of a message type such as `sensor_msgs/msg/Image`.

    Raises:
        DataError: its package is not installed, or has no such message.
    """
    package, _, kind = name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(f"{name} cannot be recorded, it is not installed: {error}") from None


def _profile(offered: Sequence[Qos], wanted: Wanted) -> QoSProfile:
    """The strongest profile that matches every publisher."""
    reliable = all(q.reliability == "reliable" for q in offered)
    latched = all(q.durability == "transient_local" for q in offered)
    return QoSProfile(
        depth=CAMERA_DEPTH if wanted.kind == "camera" else DEPTH,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=(DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE),
    )


def _offered(profile: QoSProfile) -> Qos:
    """A publisher's profile in rosbag2's words; discovery does not tell history and depth."""

    def ns(duration: Any) -> int:
        return int((duration or Infinite).nanoseconds)

    return Qos(
        history="unknown" if profile.history == HistoryPolicy.UNKNOWN else _word(profile.history),
        depth=int(profile.depth),
        reliability=_word(profile.reliability),
        durability=_word(profile.durability),
        deadline_ns=ns(profile.deadline),
        lifespan_ns=ns(profile.lifespan),
        liveliness=_word(profile.liveliness),
        liveliness_lease_duration_ns=ns(profile.liveliness_lease_duration),
        avoid_ros_namespace_conventions=bool(profile.avoid_ros_namespace_conventions),
    )


def _word(policy: Any) -> str:
    return str(policy.name).lower()


def _type_hash(info: TopicEndpointInfo) -> str:
    """RIHS01 hash of the type; Humble's discovery does not carry one."""
    return str(getattr(info, "topic_type_hash", "") or "")
