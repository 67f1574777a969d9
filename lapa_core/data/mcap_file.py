# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One MCAP file: what it holds, and its messages in log order; also of a file that was cut.

Knows nothing of folders and metadata.yaml; see `bags`.
"""

from __future__ import annotations

import heapq
import inspect
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mcap.exceptions import McapError
from mcap.reader import McapReader, make_reader
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import CRCValidationError

from lapa_core.errors import RecordingError
from lapa_core.recording.scan import Scan

MAGIC = b"\x89MCAP0\r\n"
# A file without an index is written as messages arrive; threads may swap neighbours.
REORDER_NS = 1_000_000_000
_ERRORS = (McapError, CRCValidationError, struct.error, UnicodeDecodeError, ValueError, KeyError)
_KNOWN = inspect.signature(McapReader.iter_messages).parameters
_BOUNDS = (
    ("starting_at", "ending_before") if "starting_at" in _KNOWN else ("start_time", "end_time")
)


class Broken(Exception):  # noqa: N818 - says what is wrong with a file; `bags` says what to do
    """The file is cut or garbled."""


class Topic(NamedTuple):
    """One topic of a bag; `qos` is rosbag2's YAML text of the profiles offered, or ""."""

    name: str
    type: str
    messages: int
    qos: str = ""


class Record(NamedTuple):
    """One message as it stands in the file; `sequence` is 0 where the file has none."""

    topic: str
    type: str
    log_ns: int
    raw: bytes
    sequence: int = 0
    publish_ns: int = 0


@dataclass(frozen=True)
class FileInfo:
    """What a file says of itself.

    Attributes:
        storage: `mcap` or `sqlite3`.
        definitions: type -> (encoding, text).
        counts: whether the topics' numbers of messages, and the times, are of this file.
        compressed: rosbag2 compressed the file or its messages as a whole.
        files: the files with the messages, where this describes a folder.
        damage: what is wrong with it, or "".
    """

    storage: str
    topics: tuple[Topic, ...]
    definitions: Mapping[str, tuple[str, str]]
    begins_ns: int
    ends_ns: int
    counts: bool = True
    compressed: bool = False
    files: tuple[Path, ...] = field(default=())
    damage: str = ""


def look(path: Path) -> FileInfo:
    """What a whole file holds: from its summary, or by reading it where it has none.

    Raises:
        Broken: it has no end, or is garbled.
    """
    with path.open("rb") as file:
        _check_ends(file)
        try:
            summary = make_reader(file).get_summary()
        except _ERRORS as error:
            raise Broken(f"{path.name} is garbled: {error}") from None
    if summary is None or summary.statistics is None:
        info = scan(path)
        if info.damage:
            raise Broken(f"{path.name}: {info.damage}")
        return info
    counts = summary.statistics.channel_message_counts
    empty = not summary.statistics.message_count
    return _info(
        summary.schemas,
        summary.channels,
        Counter(counts),
        0 if empty else summary.statistics.message_start_time,
        0 if empty else summary.statistics.message_end_time,
        "",
    )


def scan(path: Path) -> FileInfo:
    """What a file holds as far as it can be read, by reading it; `damage` says what stopped it."""
    scanner = _Scanner(path)
    counts: Counter[int] = Counter()
    begins, ends = 2**63 - 1, 0
    for _, _, message in scanner.messages():
        counts[message.channel_id] += 1
        begins, ends = min(begins, message.log_time), max(ends, message.log_time)
    first = begins if counts else 0
    return _info(scanner.schemas, scanner.channels, counts, first, ends, scanner.damage)


def read(
    path: Path, damaged: bool, topics: frozenset[str] | None, start: int, end: int
) -> Iterator[Record]:
    """Messages of these topics (None: all) logged in [start, end), in log order.

    Raises:
        Broken: the file turns out to be garbled, and `damaged` does not allow for it.
    """
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        try:
            summary = None if damaged else reader.get_summary()
            if summary is not None and summary.chunk_indexes:
                found = reader.iter_messages(topics, log_time_order=True, **_range(start, end))
                for schema, channel, message in found:
                    yield _record(schema, channel, message)
                return
        except _ERRORS as error:
            raise Broken(f"{path.name} is garbled: {error}") from None
    scanner = _Scanner(path)
    for record in _ordered(_record(*found) for found in scanner.messages()):
        if start <= record.log_ns < end and (topics is None or record.topic in topics):
            yield record
    if scanner.damage:
        raise Broken(f"{path.name}: {scanner.damage}")


def _range(start: int, end: int) -> dict[str, Any]:
    """The library renamed its bounds, and warns of the old names."""
    return {_BOUNDS[0]: start, _BOUNDS[1]: end}


class _Scanner:
    """Reads a file from its beginning; what the crash has left of it is found by `Scan`."""

    def __init__(self, path: Path) -> None:
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self.damage = ""
        self._path = path

    def messages(self) -> Iterator[tuple[Schema | None, Channel, Message]]:
        scan = Scan(self._path)
        try:
            for record in scan.records():
                if isinstance(record, Schema):
                    self.schemas[record.id] = record
                elif isinstance(record, Channel):
                    self.channels[record.id] = record
                elif isinstance(record, Message):
                    channel = self.channels[record.channel_id]  # `Scan` has looked
                    yield self.schemas.get(channel.schema_id), channel, record
        except RecordingError as error:
            self.damage = str(error)
            return
        self.damage = "; ".join(scan.problems)


def _ordered(records: Iterator[Record]) -> Iterator[Record]:
    """Sort by log time within `REORDER_NS`; a message later than that comes when it is read."""
    waiting: list[tuple[int, int, Record]] = []
    newest = 0
    for i, record in enumerate(records):
        newest = max(newest, record.log_ns)
        heapq.heappush(waiting, (record.log_ns, i, record))
        while waiting and waiting[0][0] <= newest - REORDER_NS:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def _check_ends(file: BinaryIO) -> None:
    if file.read(len(MAGIC)) != MAGIC:
        raise Broken("it does not begin as an MCAP file does")
    file.seek(0, 2)
    if file.tell() < 2 * len(MAGIC):
        raise Broken("it was cut: it holds no more than the beginning of a file")
    file.seek(-len(MAGIC), 2)
    if file.read() != MAGIC:
        raise Broken("it was cut: it does not end as an MCAP file does")
    file.seek(0)


def _record(schema: Schema | None, channel: Channel, message: Message) -> Record:
    type = schema.name if schema else ""
    return Record(
        channel.topic,
        type,
        message.log_time,
        message.data,
        message.sequence,
        message.publish_time,
    )


def _info(
    schemas: Mapping[int, Schema],
    channels: Mapping[int, Channel],
    counts: Counter[int],
    begins_ns: int,
    ends_ns: int,
    damage: str,
) -> FileInfo:
    topics: dict[str, Topic] = {}
    for channel in channels.values():
        schema = schemas.get(channel.schema_id)
        qos = channel.metadata.get("offered_qos_profiles", "")
        known = topics.get(
            channel.topic, Topic(channel.topic, schema.name if schema else "", 0, qos)
        )
        topics[channel.topic] = known._replace(messages=known.messages + counts[channel.id])
    definitions = {
        s.name: (s.encoding, s.data.decode("utf-8", "replace")) for s in schemas.values()
    }
    return FileInfo("mcap", tuple(topics.values()), definitions, begins_ns, ends_ns, damage=damage)
