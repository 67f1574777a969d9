# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A bag's streams as they arrived, for a clock that goes forward; and the frames of a camera.

A `RecordedStream` answers as a `timeline.Latest` would have at that time, so that what chooses
frames live chooses them here too. Memory stays bounded: frames that were passed are dropped,
only those a decision waits for are read ahead. Times are the bag's (arrival at the recorder).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from lapa_core.data import messages
from lapa_core.data.timeline import Sample
from lapa_core.errors import DataError, unknown
from lapa_core.robot import Camera
from lapa_core.types import ImageArray

COMPRESSED = "/compressed"  # image_transport's ending
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


class Reader(Protocol):
    """What is asked of a bag, see `bags.Bag`."""

    def messages(
        self,
        topics: Iterable[str] | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> Iterator[tuple[str, str, int, bytes]]:
        """Topic, type, arrival [ns] and bytes of every message, in the order of arrival."""

    def decode(self, type: str, raw: bytes) -> Any:
        """The message."""


@dataclass(frozen=True)
class Frame:
    """One picture of a camera.

    Attributes:
        stamp_ns: of its header.
        arrived_ns: when the recorder got it.
        image: (H, W, 3) RGB.
    """

    stamp_ns: int
    arrived_ns: int
    image: ImageArray


def absolute(topic: str, namespace: str) -> str:
    """A topic's name in the bag: relative ones stand below the robot's namespace."""
    return topic if topic.startswith("/") else f"{namespace.rstrip('/')}/{topic}"


def camera_topic(camera: Camera, topics: Iterable[str], namespace: str = "") -> str:
    """The camera's topic in a bag: as in the robot file, or as compressed by the recorder.

    Raises:
        DataError: neither is there.
    """
    present = set(topics)
    live = absolute(camera.topic, namespace)
    raw = live.removesuffix(COMPRESSED)
    for candidate in (live, raw + COMPRESSED, raw):
        if candidate in present:
            return candidate
    raise DataError(unknown(f"topic of camera {camera.name}", live, sorted(present), "the bag"))


def frames(
    bag: Reader,
    topic: str,
    start_ns: int | None = None,
    end_ns: int | None = None,
    wanted: Container[int] | None = None,
) -> Iterator[Frame]:
    """Every picture of one camera, in the order of arrival: video without actions.

    Args:
        wanted: numbers of the pictures to be decoded, counted from 0; the others are passed over.

    Raises:
        DataError: the topic is not in the bag, holds no pictures, or one does not decode.
    """
    for number, (_, type_, arrived_ns, raw) in enumerate(bag.messages((topic,), start_ns, end_ns)):
        if type_ not in IMAGE_TYPES:
            raise DataError(f"{topic} holds {type_}; valid: {', '.join(IMAGE_TYPES)}")
        if wanted is not None and number not in wanted:
            continue
        msg = bag.decode(type_, raw)
        yield Frame(messages.stamp_ns(msg.header.stamp), arrived_ns, messages.image(msg))


class Playback:
    """Reads a bag once, forward, up to where the clock stands.

    Attributes:
        now_ns: the clock.
    """

    def __init__(self, bag: Reader, topics: Collection[str], start_ns: int | None = None) -> None:
        """Play `topics`, from the messages at `start_ns` on."""
        self.now_ns = start_ns or 0
        self._zero_ns = start_ns or 0
        self._bag = bag
        self._streams = {topic: RecordedStream(self) for topic in topics}
        self._messages = bag.messages(topics, start_ns, None)
        self._next = next(self._messages, None)

    def stream(self, topic: str) -> RecordedStream:
        """The stream of one of the topics."""
        return self._streams[topic]

    def now_s(self) -> float:
        """The clock in seconds, as the samples' `arrived_s`."""
        return self.seconds(self.now_ns)

    def seconds(self, ns: int) -> float:
        """A time of the bag on the clock of `now_s`."""
        return (ns - self._zero_ns) * 1e-9

    def nanoseconds(self, seconds: float) -> int:
        """A time on the clock of `now_s`, as the bag has it."""
        return self._zero_ns + round(seconds * 1e9)

    def advance(self, now_ns: int) -> None:
        """Set the clock forward.

        Raises:
            DataError: it would go back.
        """
        if now_ns < self.now_ns:
            raise DataError(f"playback at {self.now_ns} ns cannot go back to {now_ns} ns")
        self.now_ns = now_ns
        self.read(now_ns)

    def read(self, until_ns: int, stop: RecordedStream | None = None) -> None:
        """Read the messages up to a time, or until `stop` has got one."""
        while self._next is not None and self._next[2] <= until_ns:
            topic, type_, arrived_ns, raw = self._next
            stream = self._streams[topic]
            stream.put(type_, arrived_ns, raw)
            self._next = next(self._messages, None)
            if stream is stop:
                return

    def decode(self, type_: str, raw: bytes) -> Any:
        """Decode a message of this bag."""
        return self._bag.decode(type_, raw)


@dataclass(frozen=True)
class _Raw:
    type: str
    arrived_ns: int
    raw: bytes
    sequence: int


class RecordedStream:
    """One topic of a playback; an `observe.Stream`."""

    def __init__(self, playback: Playback) -> None:
        self._playback = playback
        self._queue: deque[_Raw] = deque()  # the newest that has arrived, then those to come
        self._count = 0
        self._decoded: Sample[Any] | None = None

    def put(self, type_: str, arrived_ns: int, raw: bytes) -> None:
        """Append a message; all but the newest that has arrived are dropped."""
        self._count += 1
        self._queue.append(_Raw(type_, arrived_ns, raw, self._count))
        self._drop_passed()

    def get(self) -> Sample[Any] | None:
        """The newest message that has arrived, decoded."""
        self._playback.read(self._playback.now_ns)
        self._drop_passed()
        newest = self._queue[0] if self._queue else None
        if newest is None or newest.arrived_ns > self._playback.now_ns:
            return None
        if self._decoded is None or self._decoded.sequence != newest.sequence:
            msg = self._playback.decode(newest.type, newest.raw)
            stamp_ns = messages.stamp_ns(msg.header.stamp)
            arrived_s = self._playback.seconds(newest.arrived_ns)
            self._decoded = Sample(msg, stamp_ns, arrived_s, newest.sequence)
        return self._decoded

    def wait_newer(self, sequence: int, timeout_s: float) -> Sample[Any] | None:
        """Set the clock to when a message after `sequence` arrives, at most `timeout_s` on."""
        newest = self.get()
        if newest is not None and newest.sequence > sequence:
            return newest
        deadline_ns = self._playback.now_ns + round(timeout_s * 1e9)
        if not self._coming():
            self._playback.read(deadline_ns, stop=self)
        coming = self._coming()
        arrives_ns = coming[0].arrived_ns if coming else deadline_ns + 1
        self._playback.now_ns = min(arrives_ns, deadline_ns)
        return self.get()

    def _coming(self) -> list[_Raw]:
        return [m for m in self._queue if m.arrived_ns > self._playback.now_ns]

    def _drop_passed(self) -> None:
        queue, now_ns = self._queue, self._playback.now_ns
        while len(queue) > 1 and queue[1].arrived_ns <= now_ns:
            queue.popleft()
