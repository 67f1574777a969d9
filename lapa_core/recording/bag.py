# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Writes one rosbag2 folder: an MCAP file that a crash cuts by half a second, and metadata.yaml.

A message waits in memory until its chunk is full or `chunk_s` old. Then the operating system has
it, and a killed process loses it no more; `fdatasync` follows, and a power cut does not either.
Room for the end of the file is set aside at the beginning: when the disk is full, `close` still
makes a complete bag of everything that was taken. Knows nothing of episodes and of ROS.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from mcap.records import Channel, Schema

from lapa_core.errors import DiskFullError, RecordingError
from lapa_core.recording import metadata
from lapa_core.recording.disk import MIB, RESERVE, Reserve, make_folder, sync_folder, try_lock
from lapa_core.recording.mcap_writer import McapFile
from lapa_core.recording.metadata import FileInfo, Qos, Topic, TopicCount
from lapa_core.recording.syncer import Syncer

__all__ = ["PARTIAL", "BagSummary", "BagWriter", "Qos", "Topic"]

PARTIAL = ".partial"


@dataclass(frozen=True)
class BagSummary:
    """A bag that is complete.

    Attributes:
        path: the MCAP file.
        counts: messages of every topic, also of those without any.
        first_ns, last_ns: smallest and largest log time; both 0 without messages.
        bytes: length of the file.
        slowest_sync_s: the longest the disk took to take what it was given.
    """

    path: Path
    counts: dict[str, int] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0
    bytes: int = 0
    slowest_sync_s: float = 0.0

    @property
    def messages(self) -> int:
        """Of all topics."""
        return sum(self.counts.values())


class BagWriter:
    """One bag being written, by one thread.

    The file is locked while it is open, so that `recover` leaves it alone.

    Raises:
        RecordingError: the folder holds this bag already, or the disk refuses.
        DiskFullError: there is not even room to complete an empty bag.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        *,
        chunk_s: float = 0.2,
        chunk_bytes: int = 4 * MIB,
        sync_s: float = 0.25,
        compression: str = "none",
        ros_distro: str = "",
    ) -> None:
        """Create the folder and the file.

        Args:
            path: folder of the bag; `.partial` at its end is not part of the file's name.
            clock: seconds, never going back.
            chunk_s: age at which a chunk goes to the operating system.
            chunk_bytes: size at which it goes.
            sync_s: what the disk holds is at most this much older than what the system holds,
                beside the time that a sync itself takes.
            compression: of chunks: `none`, `lz4` or `zstd`.
            ros_distro: for `metadata.yaml`; empty takes `$ROS_DISTRO`, or jazzy without one.
        """
        self.folder = path
        self._clock = clock
        self._chunk_s, self._chunk_bytes = chunk_s, chunk_bytes
        self._ros_distro = ros_distro or os.environ.get("ROS_DISTRO", "jazzy")
        self._topics: list[Topic] = []
        self._schemas: dict[tuple[str, str], int] = {}
        self._opened_s: float | None = None  # when the open chunk got its first message
        self._error: RecordingError | None = None
        self._closed = False
        name = path.name.removesuffix(PARTIAL)
        make_folder(path)
        self._file = McapFile(path / f"{name}_0.mcap", profile="ros2", compression=compression)
        self._reserve = Reserve(path / RESERVE)
        self._begin()
        # Twice as often as promised: what waits for the next tick and for a sync counts too.
        self._syncer = Syncer(self._file.descriptor, clock, every_s=sync_s / 2)

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; after an exception the file stays as a crash would leave it."""
        if kind is not None:
            self.abort()
        elif not self._closed:
            self.close()

    def add_topic(self, topic: Topic) -> int:
        """Add a topic, at any time; returns the number that `write` wants.

        Raises:
            RecordingError: the bag has it already.
        """
        self._check()
        if any(t.name == topic.name for t in self._topics):
            raise RecordingError(f"{self._file.path}: topic {topic.name} is there already")
        key = (topic.type, topic.definition)
        if key not in self._schemas:
            self._schemas[key] = len(self._schemas) + 1
            text = topic.definition.encode()
            self._file.schema(
                Schema(id=self._schemas[key], data=text, encoding="ros2msg", name=topic.type)
            )
        self._topics.append(topic)
        number = len(self._topics)
        about = {
            "offered_qos_profiles": metadata.qos_text(topic.qos),
            "topic_type_hash": topic.type_hash,
        }
        self._file.channel(Channel(number, topic.name, "cdr", about, self._schemas[key]))
        return number

    def write(
        self,
        topic_id: int,
        log_ns: int,
        publish_ns: int,
        data: bytes | memoryview,
        sequence: int = 0,
    ) -> None:
        """Take a message.

        Args:
            topic_id: what `add_topic` gave.
            log_ns: when it arrived. Need not increase.
            publish_ns: when it was sent.
            data: serialised (CDR). `bytes` are kept as they are, anything else is copied.
            sequence: the publisher's number of it.

        Raises:
            DiskFullError: no room; this message and all before it wait for `close`.
            RecordingError: the disk refuses for another reason; only `abort` remains.
        """
        self._check()
        if not 1 <= topic_id <= len(self._topics):
            raise RecordingError(f"topic {topic_id} was not added to {self._file.path}")
        content = data if isinstance(data, bytes) else bytes(data)
        self._file.message(topic_id, sequence, log_ns, publish_ns, content)
        now = self._clock()
        if self._opened_s is None:
            self._opened_s = now
        if self._file.chunk.size >= self._chunk_bytes or now - self._opened_s >= self._chunk_s:
            self.flush()

    def flush(self) -> None:
        """Hand the open chunk to the operating system now.

        Raises:
            RecordingError: as `write`.
        """
        self._check()
        with self._remembered():
            self._make_room()
            self._file.flush()
        self._opened_s = None
        self._syncer.reached(self._file.position)

    def tick(self) -> None:
        """Flush and sync what is due; to be called every 50 ms, also when nothing comes.

        Raises:
            RecordingError: as `write`.
        """
        self._check()
        if self._opened_s is not None and self._clock() - self._opened_s >= self._chunk_s:
            self.flush()
        self._syncer.reached(self._file.position)

    def close(self) -> BagSummary:
        """Complete the bag; all of it is on disk when this returns.

        Also after a `DiskFullError`, with everything that was taken before it.

        Raises:
            RecordingError: the disk refuses. Call `abort`, and `recover` later.
        """
        if self._closed:
            raise RecordingError(f"{self._file.path} is closed")
        if self._error is not None and not isinstance(self._error, DiskFullError):
            raise self._error
        self._reserve.release()
        self._file.flush()
        self._write_metadata_record()
        self._file.finish()
        self._syncer.stop()
        self._check_sync()
        self._file.sync()
        self._closed = True
        self._file.close()
        metadata.write(self.folder, self._document())
        return self._summary()

    def abort(self) -> None:
        """Stop at once: the file stays as a crash would leave it, without its end."""
        if not self._closed:
            self._closed = True
            self._reserve.release()
            self._syncer.abandon(self._file.close)

    def _begin(self) -> None:
        """What a file has before its first message, and room for its end."""
        try:
            try_lock(self._file.descriptor)
            self._make_room()
            self._write_metadata_record()
            sync_folder(self.folder)
        except RecordingError:
            self._reserve.release()
            self._file.close()
            raise

    def _check(self) -> None:
        if self._closed:
            raise RecordingError(f"{self._file.path} is closed")
        self._check_sync()
        if self._error is not None:
            raise self._error

    def _check_sync(self) -> None:
        if self._syncer.error is not None:
            where = f"{self._file.path} cannot be brought to disk"
            self._error = RecordingError(f"{where}: {self._syncer.error.strerror}")
            raise self._error

    @contextlib.contextmanager
    def _remembered(self):  # type: ignore[no-untyped-def]
        """An error of the disk stays: nothing is written behind a gap."""
        try:
            yield
        except RecordingError as error:
            self._error = error
            raise

    def _make_room(self) -> None:
        """Set aside what the end of the file and two chunks will need."""
        chunk = max(self._chunk_bytes, self._file.chunk.size)
        self._reserve.grow(2 * chunk + 2 * self._file.summary_bytes + MIB)

    def _write_metadata_record(self) -> None:
        """As rosbag2's storage does: once at the beginning, once at the end."""
        content = metadata.text(self._document())
        self._file.metadata("rosbag2", {"serialized_metadata": content})

    def _document(self) -> dict[str, object]:
        counts = self._summary().counts
        topics = [
            TopicCount(t.name, t.type, counts[t.name], t.qos, t.type_hash) for t in self._topics
        ]
        total = self._file.statistics
        info = FileInfo(
            self._file.path.name,
            total.message_count,
            total.message_start_time,
            total.message_end_time,
        )
        return metadata.document([info], topics, self._ros_distro)

    def _summary(self) -> BagSummary:
        total = self._file.statistics
        counts = total.channel_message_counts
        return BagSummary(
            path=self._file.path,
            counts={t.name: counts.get(i, 0) for i, t in enumerate(self._topics, 1)},
            first_ns=total.message_start_time,
            last_ns=total.message_end_time,
            bytes=self._file.position,
            slowest_sync_s=self._syncer.slowest_s if self._closed else 0.0,
        )
