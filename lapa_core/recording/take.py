# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One running episode: messages from any thread, written in the order they came by one of its own.

The disk may stall and a picture may take long to encode; whoever delivers messages is never held
up by it. What is waiting is bounded in bytes: beyond that messages are refused and counted, so
that a disk that is too slow shows as drops of that episode and not as a machine without memory.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from concurrent.futures import Future
from dataclasses import dataclass, replace

from lapa_core.errors import DiskFullError, RecordingError
from lapa_core.recording import jpeg
from lapa_core.recording.bag import BagSummary, BagWriter, Qos, Topic
from lapa_core.recording.definitions import definition_of
from lapa_core.recording.jpeg import COMPRESSED, SUFFIX, Encoded, Workers

MAX_WAITING_BYTES = 1 << 30  # 12 s of three raw 640x480 cameras
TICK_S = 0.05


@dataclass(frozen=True)
class Source:
    """A topic as it is offered on the robot.

    Attributes:
        topic: its full name.
        type: such as `sensor_msgs/msg/Image`.
        qos: of its publishers, for the player of the bag.
        type_hash: of its publishers, where the ROS version tells one.
        jpeg: whether its images are to be compressed.
    """

    topic: str
    type: str
    qos: tuple[Qos, ...] = ()
    type_hash: str = ""
    jpeg: bool = False


@dataclass
class _Entry:
    source: Source
    data: bytes | Future[Encoded]
    size: int
    log_ns: int
    publish_ns: int
    sequence: int


class Take:
    """Writes one episode's bag.

    Attributes:
        refused: messages that found no room, by topic.
        kept_raw: why images of a topic were not compressed, by topic.
    """

    def __init__(
        self, bag: BagWriter, workers: Workers, max_waiting_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        self.refused: Counter[str] = Counter()
        self.kept_raw: dict[str, str] = {}
        self._bag = bag
        self._workers = workers
        self._max_waiting_bytes = max_waiting_bytes
        self._queue: deque[_Entry] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._error = ""
        self._ids: dict[tuple[str, str], int] = {}
        self._summary: BagSummary | None = None
        self._thread = threading.Thread(target=self._work, name="bag", daemon=True)
        self._thread.start()

    @property
    def error(self) -> str:
        """Why nothing is written any more, or ""."""
        return self._error

    @property
    def waiting_bytes(self) -> int:
        """Bytes taken and not yet written."""
        return self._waiting_bytes

    def expect(self, source: Source) -> None:
        """Let the bag list a topic, also when no message of it comes."""
        with self._changed:
            self._append(_Entry(source, b"", 0, 0, 0, -1))

    def put(
        self, source: Source, data: bytes, log_ns: int, publish_ns: int, sequence: int = 0
    ) -> bool:
        """Take a serialised message; False when there is no room for it.

        Args:
            source: where it comes from.
            data: the message as it arrived (CDR).
            log_ns: when it arrived, on the robot's clock.
            publish_ns: when it was sent.
            sequence: the publisher's number of it; 0 when unknown.
        """
        if self._closing:  # the episode is over: it is none of its messages
            return False
        full = self._waiting_bytes + len(data) > self._max_waiting_bytes
        content: bytes | Future[Encoded] = data
        if source.jpeg and not full and not self._error:
            content = self._workers.encode(data)
        with self._changed:
            if full or self._error:
                self.refused[source.topic] += 1
                return False
            self._append(_Entry(source, content, len(data), log_ns, publish_ns, sequence))
        return True

    def close(self) -> BagSummary:
        """Write what is waiting and complete the bag: on disk when this returns.

        Raises:
            RecordingError: it could not be written; `recover` gets back what is there.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        if self._summary is None:
            raise RecordingError(self._error or "the bag was not completed")
        return self._summary

    def _append(self, entry: _Entry) -> None:
        self._queue.append(entry)
        self._waiting_bytes += entry.size
        self._changed.notify()

    def _work(self) -> None:
        try:
            while self._write_waiting():
                self._bag.tick()
            self._summary = self._bag.close()
        except RecordingError as error:
            self._give_up(error)

    def _give_up(self, error: RecordingError) -> None:
        """Take nothing more; on a full disk there is still room to complete what was taken."""
        with self._changed:
            self._error = str(error)
            # The one that the error came with is not here: the bag has taken it.
            self.refused.update(e.source.topic for e in self._queue if e.sequence >= 0)
            self._queue.clear()
            self._waiting_bytes = 0
        try:
            if isinstance(error, DiskFullError):
                self._summary = self._bag.close()
        except RecordingError as second:
            self._error = f"{self._error}; {second}"
        if self._summary is None:
            self._bag.abort()

    def _write_waiting(self) -> bool:
        """Write what is there, or wait a tick for something; False when all is done."""
        with self._changed:
            if not self._queue and not self._closing:
                self._changed.wait(TICK_S)
            count = len(self._queue)
            ended = self._closing and not count
        for _ in range(count):
            with self._changed:
                entry = self._queue.popleft()
                self._waiting_bytes -= entry.size
            self._write(entry)
        return not ended

    def _write(self, entry: _Entry) -> None:
        source = entry.source
        if isinstance(entry.data, Future):
            encoded = entry.data.result()
            if encoded.type == COMPRESSED:
                topic, type_hash = source.topic + SUFFIX, jpeg.type_hash()
                source = replace(source, topic=topic, type=COMPRESSED, type_hash=type_hash)
            else:
                self.kept_raw[source.topic] = encoded.reason
            data = encoded.data
        else:
            data = entry.data
            if source.jpeg and entry.sequence < 0:  # announced: nothing is known of it yet
                return
        number = self._id(source)
        if entry.sequence >= 0:
            sequence = entry.sequence & 0xFFFFFFFF  # the file has 32 bits for it
            self._bag.write(number, entry.log_ns, entry.publish_ns, data, sequence)

    def _id(self, source: Source) -> int:
        key = (source.topic, source.type)
        if key not in self._ids:
            definition = definition_of(source.type)
            topic = Topic(source.topic, source.type, definition, source.qos, source.type_hash)
            self._ids[key] = self._bag.add_topic(topic)
        return self._ids[key]
