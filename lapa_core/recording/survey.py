# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What an MCAP file holds, counted message by message; and the same file written anew, complete.

Serves `recover`; it decides nothing about folders.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from mcap.records import Attachment, Channel, Header, McapRecord, Message, Metadata, Schema

from lapa_core.data.cdr import Types
from lapa_core.errors import ConfigError, LapaError
from lapa_core.recording import metadata
from lapa_core.recording.mcap_writer import McapFile
from lapa_core.recording.metadata import FileInfo, Qos, TopicCount
from lapa_core.recording.scan import Scan

NS = 1e9
CHUNK_BYTES = 4 << 20


@dataclass
class Tally:
    """One channel, counted.

    Attributes:
        largest_gap_ns: longest time between two messages, by arrival.
        header_first_ns, header_last_ns: stamps in the messages; None where the type has none.
    """

    topic: str
    type: str
    encoding: str
    qos: tuple[Qos, ...]
    type_hash: str
    messages: int = 0
    first_ns: int = 0
    last_ns: int = 0
    largest_gap_ns: int = 0
    header_first_ns: int | None = None
    header_last_ns: int | None = None

    def add(self, log_ns: int, header_ns: int | None) -> None:
        """Count a message."""
        if self.messages:
            self.largest_gap_ns = max(self.largest_gap_ns, log_ns - self.last_ns)
        else:
            self.first_ns, self.header_first_ns = log_ns, header_ns
        self.last_ns = max(self.last_ns, log_ns)
        self.first_ns = min(self.first_ns, log_ns)
        self.header_last_ns = header_ns
        self.messages += 1


@dataclass
class Survey:
    """What is in one file.

    Attributes:
        scan: how the reading went.
        tallies: by channel.
        custom_data, ros_distro: of rosbag2's own record in the file, where there is one.
    """

    scan: Scan
    tallies: dict[int, Tally] = field(default_factory=dict)
    custom_data: dict[str, str] = field(default_factory=dict)
    ros_distro: str = ""

    @property
    def messages(self) -> int:
        """Of all channels."""
        return sum(t.messages for t in self.tallies.values())

    @property
    def info(self) -> FileInfo:
        """The file as `metadata.yaml` lists it."""
        full = [t for t in self.tallies.values() if t.messages]
        first = min((t.first_ns for t in full), default=0)
        last = max((t.last_ns for t in full), default=0)
        return FileInfo(self.scan.path.name, self.messages, first, last)

    @property
    def topics(self) -> list[TopicCount]:
        """The channels as `metadata.yaml` lists them."""
        return [
            TopicCount(t.topic, t.type, t.messages, t.qos, t.type_hash, t.encoding)
            for t in self.tallies.values()
        ]


class Surveyor:
    """Counts a file's records as they pass by."""

    def __init__(self, path: Path) -> None:
        self.survey = Survey(Scan(path))
        self._schemas: dict[int, Schema] = {}
        self._types = Types()

    def records(self) -> Iterator[McapRecord]:
        """Every record of the file, each counted when the next is asked for.

        Raises:
            RecordingError: not an MCAP file.
        """
        for record in self.survey.scan.records():
            self._count(record)
            yield record

    def _count(self, record: McapRecord) -> None:
        tallies = self.survey.tallies
        if isinstance(record, Message):
            tally = tallies[record.channel_id]
            stamp = self._types.header_stamp_ns(tally.type, record.data)
            tally.add(record.log_time, stamp)
        elif isinstance(record, Schema):
            self._schemas[record.id] = record
            text = record.data.decode(errors="replace")
            self._types.define(record.name, record.encoding, text)
        elif isinstance(record, Channel) and record.id not in tallies:
            schema = self._schemas.get(record.schema_id)
            profiles: tuple[Qos, ...] = ()
            with contextlib.suppress(ConfigError):
                profiles = metadata.qos_from_text(record.metadata.get("offered_qos_profiles", ""))
            tallies[record.id] = Tally(
                record.topic,
                schema.name if schema else "",
                record.message_encoding,
                profiles,
                record.metadata.get("topic_type_hash", ""),
            )
        elif isinstance(record, Metadata) and record.name == "rosbag2":
            self._take_rosbag2(record)

    def _take_rosbag2(self, record: Metadata) -> None:
        with contextlib.suppress(yaml.YAMLError, AttributeError):
            content = yaml.safe_load(record.metadata.get("serialized_metadata", "")) or {}
            self.survey.custom_data |= content.get("custom_data") or {}
            self.survey.ros_distro = str(content.get("ros_distro") or self.survey.ros_distro)


def survey(path: Path) -> Survey:
    """Read a file through.

    Raises:
        RecordingError: not an MCAP file, or it cannot be read.
    """
    surveyor = Surveyor(path)
    for _ in surveyor.records():
        pass
    return surveyor.survey


def rewrite(path: Path, target: Path) -> Survey:
    """Write all that can be read of a file into a new, complete one; on disk when this returns.

    Channels, schemas, attachments and metadata stay what they were, as do the messages' bytes.

    Raises:
        RecordingError: the file cannot be read, or the new one not written; it is then removed.
    """
    surveyor = Surveyor(path)
    found = surveyor.survey
    out: McapFile | None = None
    try:
        for record in surveyor.records():
            if out is None:
                header = record if isinstance(record, Header) else Header("", "")
                library = {"library": header.library} if header.library else {}
                compression = _compression_of(path)
                out = McapFile(target, profile=header.profile, compression=compression, **library)
            _copy(record, out)
        if out is None:
            out = McapFile(target, profile="ros2")
        if found.ros_distro or found.custom_data:
            document = metadata.document(
                [found.info], found.topics, found.ros_distro, found.custom_data
            )
            out.metadata("rosbag2", {"serialized_metadata": metadata.text(document)})
        out.finish()
        out.sync()
    except LapaError:
        target.unlink(missing_ok=True)
        raise
    finally:
        if out is not None:
            out.close()
    return found


def _copy(record: McapRecord, out: McapFile) -> None:
    if isinstance(record, Message):
        out.message(
            record.channel_id, record.sequence, record.log_time, record.publish_time, record.data
        )
        if out.chunk.size >= CHUNK_BYTES:
            out.flush()
    elif isinstance(record, Schema):
        out.schema(record)
    elif isinstance(record, Channel):
        out.channel(record)
    elif isinstance(record, Attachment):
        out.attachment(record)
    elif isinstance(record, Metadata) and record.name != "rosbag2":
        out.metadata(record.name, record.metadata)


def _compression_of(path: Path) -> str:
    """Of the first chunk."""
    scan = Scan(path)
    for record in scan.records():
        if isinstance(record, Message):
            break
    return scan.compression or "none"
