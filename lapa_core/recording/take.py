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

from lapa_core.errors import RecordingError
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
        refused: messages that found no room or no place in the bag, by topic.
        problems: why messages of a topic are not in the bag, or not as asked for, by topic.
        kept_raw: why images of a topic were not compressed, by topic.
        types: of the topics in the bag.
        written_bytes: of messages, as they are in the bag.
    """

    def __init__(
        self, bag: BagWriter, workers: Workers, max_waiting_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        self.refused: Counter[str] = Counter()
        self.problems: dict[str, str] = {}
        self.kept_raw: dict[str, str] = {}
        self.types: dict[str, str] = {}
        self.written_bytes = 0
        self._bag = bag
        self._workers = workers
        self._max_waiting_bytes = max_waiting_bytes
        self._queue: deque[_Entry] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._error = ""
        self._ids: dict[str, int] = {}
        self._done = threading.Event()
        self._summary: BagSummary | None = None
        threading.Thread(target=self._work, name="bag", daemon=True).start()

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
        self._done.wait()  # not `join`: interrupted once, that takes a living thread for ended
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
        except Exception as error:  # a bug of ours, too, must be said while somebody listens
            self._give_up(error)
        finally:
            self._done.set()

    def _give_up(self, error: Exception) -> None:
        """Take nothing more, and complete what was taken, as far as the disk lets us."""
        with self._changed:
            known = isinstance(error, RecordingError)
            self._error = str(error) if known else f"{type(error).__name__}: {error}"
            # The one that the error came with is not here: the bag has taken it.
            self.refused.update(e.source.topic for e in self._queue if e.sequence >= 0)
            self._queue.clear()
            self._waiting_bytes = 0
        try:
            self._summary = self._bag.close()
        except RecordingError as second:
            if str(second) not in self._error:
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
        if not self._add(source) or entry.sequence < 0:
            return
        # The file has 32 bits for the sequence, and no negative times.
        sequence = entry.sequence & 0xFFFFFFFF
        times = max(0, entry.log_ns), max(0, entry.publish_ns)
        self._bag.write(self._ids[source.topic], *times, data, sequence)
        self.written_bytes += len(data)

    def _add(self, source: Source) -> bool:
        """Have the topic in the bag; one that cannot be there costs its messages, not the bag."""
        name = source.topic
        if name in self._ids:
            if source.type == self.types[name]:
                return True
            self.refused[name] += 1
            self.problems[name] = f"is {self.types[name]} and then {source.type}: not recorded"
            return False
        try:
            definition = definition_of(source.type)
        except RecordingError as error:
            definition = ""  # as rosbag2 does: the bytes are kept, a reader must know the type
            self.problems[name] = f"recorded without its definition: {error}"
        topic = Topic(name, source.type, definition, source.qos, source.type_hash)
        self._ids[name] = self._bag.add_topic(topic)
        self.types[name] = source.type
        return True
