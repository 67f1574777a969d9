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
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.duration import Infinite
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from lapa_core.errors import ConfigError, DataError, RecordingError
from lapa_core.recording.bag import Qos
from lapa_core.recording.definitions import definition_of
from lapa_core.recording.jpeg import IMAGE
from lapa_core.recording.take import Source
from lapa_ros.recording.plan import Wanted

# Messages that may wait for this process: 2 s of a 30 Hz camera, 2 s of 500 Hz joints. Only
# references wait, the bytes lie in the transport's shared memory.
CAMERA_DEPTH, DEPTH = 60, 1000
# A required stream is gone after so long, or so many of its periods.
SILENT_S, SILENT_PERIODS = 2.0, 5.0
BLOCKED_S = 1.0  # `look` comes four times a second; later, the disk has held up this thread
Deliver = Callable[["Channel", bytes, dict[str, Any]], None]


@dataclass
class Channel:
    """One recorded topic, once somebody publishes it.

    Attributes:
        wanted: what was asked for.
        source: the topic as offered.
        single: whether one publisher alone sends it, so that its numbers have no gaps.
        latched: whether late joiners are told, so that every episode must open with it.
        kept: the newest messages of a latched topic.
        received: messages so far.
        last_s: when the last one came, on the intake's clock.
        newest_ns: when the newest one was sent.
    """

    wanted: Wanted
    source: Source
    subscription: Subscription
    offered: tuple[Qos, ...]
    single: bool
    latched: bool
    kept: deque[bytes]
    received: int = 0
    last_s: float = 0.0
    newest_ns: int = 0


class Intake:
    """Subscriptions of everything wanted, as far as it is offered."""

    def __init__(
        self,
        node: Node,
        wanted: Sequence[Wanted],
        deliver: Deliver,
        now_s: Callable[[], float],
    ) -> None:
        """Subscribe to nothing yet; `look` does, a few times a second.

        Args:
            node: whose subscriptions they are.
            wanted: topics to record.
            deliver: told every message: channel, serialised bytes, rclpy's message info.
            now_s: a clock that never goes back.

        Raises:
            ConfigError: a topic's name is none.
        """
        self.channels: dict[str, Channel] = {}  # by full topic name
        self._node = node
        self._wanted = wanted
        self._deliver = deliver
        self._now_s = now_s
        self._looked_s = now_s()
        self._chosen: dict[str, str] = {}  # camera of the robot file -> full name recorded
        for w in wanted:
            self.name(w.topic)

    def name(self, topic: str) -> str:
        """Full name of a topic of the robot file, remapped as the node was told."""
        try:
            return str(self._node.resolve_topic_name(topic))
        except (InvalidTopicNameException, ValueError) as error:
            raise ConfigError(f"{topic!r} is no topic's name: {error}") from None

    def look(self, busy: bool) -> list[str]:
        """Follow the publishers; returns topics that cannot be recorded, with reasons.

        Args:
            busy: an episode runs: no stream is exchanged for another one of the same camera.
        """
        now_s = self._now_s()
        if now_s - self._looked_s > BLOCKED_S:  # nobody listened, so nobody was silent
            for channel in self.channels.values():
                channel.last_s += now_s - self._looked_s
        self._looked_s = now_s
        problems: list[str] = []
        for wanted in self._wanted:
            for topic in filter(None, (wanted.topic, wanted.instead)):
                self._look_at(wanted, self.name(topic), busy, problems)
            if not busy:
                self._choose(wanted)
        return problems

    def missing(self) -> list[str]:
        """Required topics of which nothing has come lately, with what stands for each."""
        found = []
        for wanted in (w for w in self._wanted if w.required):
            silent_s = max(
                SILENT_S, SILENT_PERIODS / wanted.expected_hz if wanted.expected_hz else 0
            )
            names = [self.name(t) for t in (wanted.topic, wanted.instead) if t]
            channels = [self.channels[n] for n in names if n in self.channels]
            if not any(c.received and self._now_s() - c.last_s < silent_s for c in channels):
                found.append(" or ".join(names))
        return found

    def active(self, channel: Channel) -> bool:
        """Whether this is the one to record, where two carry the same camera."""
        wanted = channel.wanted
        return self._chosen.get(wanted.topic, self.name(wanted.topic)) == channel.source.topic

    def recorded(self) -> list[Channel]:
        """The channels to record now."""
        return [c for c in self.channels.values() if self.active(c)]

    def _look_at(self, wanted: Wanted, name: str, busy: bool, problems: list[str]) -> None:
        infos = list(self._node.get_publishers_info_by_topic(name))
        if not infos:
            return
        if name not in self.channels:
            if busy and wanted.instead:
                return  # another form of a camera that is being recorded
            if name == self.name(wanted.topic) and wanted.topic in self._chosen:
                return  # the driver's JPEG is taken instead
        types = sorted({i.topic_type for i in infos})
        if len(types) > 1:
            problems.append(f"{name} is published with several types: {', '.join(types)}")
            return
        try:
            self._follow(wanted, name, types[0], infos)
            definition_of(types[0])
        except (DataError, RecordingError) as error:
            problems.append(f"{name}: {error}")

    def _choose(self, wanted: Wanted) -> None:
        """Drop the raw stream once the driver's own JPEG comes; go back when it has ended."""
        if not wanted.instead:
            return
        jpeg = self.channels.get(self.name(wanted.instead))
        if jpeg is None or not jpeg.received:
            return
        if self._now_s() - jpeg.last_s > SILENT_S:
            self._chosen.pop(wanted.topic, None)
            self._drop(jpeg.source.topic)
        else:
            self._chosen[wanted.topic] = jpeg.source.topic
            self._drop(self.name(wanted.topic))

    def _drop(self, name: str) -> None:
        if channel := self.channels.pop(name, None):
            self._node.destroy_subscription(channel.subscription)

    def _follow(
        self, wanted: Wanted, name: str, type_name: str, infos: list[TopicEndpointInfo]
    ) -> None:
        offered = tuple(dict.fromkeys(_offered(i.qos_profile) for i in infos))
        profile = _profile(offered, wanted)
        jpeg = wanted.jpeg and type_name == IMAGE
        source = Source(name, type_name, offered, _type_hash(infos[0]), jpeg)
        single = len(infos) == 1
        latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        channel = self.channels.get(name)
        if channel is not None and channel.source.type == type_name:
            channel.single = single
            if _profile(channel.offered, wanted) == profile:
                return
        subscription = self._node.create_subscription(
            message_type(type_name), name, partial(self._on_message, name), profile, raw=True
        )
        made = Channel(
            wanted, source, subscription, offered, single, latched, deque(maxlen=wanted.keep)
        )
        if channel is not None:
            self._node.destroy_subscription(channel.subscription)
            made.kept.extend(channel.kept)
            made.received, made.last_s = channel.received, channel.last_s
            made.newest_ns = channel.newest_ns
            made.latched |= channel.latched
        self.channels[name] = made

    def _on_message(self, name: str, data: bytes, info: dict[str, Any]) -> None:
        channel = self.channels.get(name)
        if channel is None:
            return
        sent_ns = int(info.get("source_timestamp") or 0)
        if channel.latched and channel.wanted.keep == 1 and sent_ns < channel.newest_ns:
            return  # a publisher tells a new subscriber what has been replaced long ago
        channel.newest_ns = max(channel.newest_ns, sent_ns)
        channel.received += 1
        channel.last_s = self._now_s()
        if channel.latched or channel.wanted.kind == "latched":
            if data in channel.kept:
                channel.kept.remove(data)
            channel.kept.append(data)
        if self.active(channel):
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
