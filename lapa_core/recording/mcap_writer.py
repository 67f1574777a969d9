# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One MCAP file, written chunk by chunk so that a file cut anywhere keeps all chunks before.

`mcap.writer.Writer` closes a chunk by size alone in its older versions, copies every message
four times and knows nothing of disks that are full. This one builds on the same record types
(`mcap.records`), hands the messages to the system as they lie in memory, and takes a chunk back
that did not fit. Knows neither topics of ROS nor when a chunk is due: `bag` does.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    AttachmentIndex,
    Channel,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)

from lapa_core import __version__
from lapa_core.errors import ConfigError, unknown
from lapa_core.recording.disk import named
from lapa_core.recording.mcap_chunk import COMPRESSIONS, Chunk

MAGIC = b"\x89MCAP0\r\n"
LIBRARY = f"lapa_ros {__version__}"
MAX_PIECES = 1000  # IOV_MAX of Linux is 1024


class McapFile:
    """A new MCAP file; one thread writes it.

    Raises:
        RecordingError: the file is there already, or the disk refuses.
    """

    def __init__(
        self, path: Path, *, profile: str, library: str = LIBRARY, compression: str = "none"
    ) -> None:
        if compression not in COMPRESSIONS:
            raise ConfigError(unknown("compression", compression, COMPRESSIONS, "a bag"))
        self.path = path
        self.position = 0
        self.statistics = Statistics(0, 0, {}, 0, 0, 0, 0, 0, 0)
        self.chunk = Chunk()
        self._compression = "" if compression == "none" else compression
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._indexes: list[McapRecord] = []  # of chunks, attachments, metadata
        self._definitions: list[bytes] = []  # not handed over yet
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self.descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            raise named(error, f"{path} cannot be created") from error
        self._put([MAGIC, _packed(Header(profile, library))])

    @property
    def summary_bytes(self) -> int:
        """About how long the end of the file will be."""
        definitions = sum(len(s.data) + 512 for s in self._schemas.values())
        channels = sum(len(str(c.metadata)) + 512 for c in self._channels.values())
        return definitions + channels + len(self._indexes) * (80 + 10 * len(self._channels))

    def schema(self, schema: Schema) -> None:
        """Add a schema; one whose number is there already says nothing new."""
        if schema.id in self._schemas:
            return
        self._schemas[schema.id] = schema
        self._definitions.append(_packed(schema))

    def channel(self, channel: Channel) -> None:
        """Add a channel; one whose number is there already says nothing new."""
        if channel.id in self._channels:
            return
        self._channels[channel.id] = channel
        self._definitions.append(_packed(channel))

    def message(
        self, channel_id: int, sequence: int, log_ns: int, publish_ns: int, data: bytes
    ) -> None:
        """Add a message to the open chunk; nothing reaches the disk.

        Raises:
            RecordingError: a time that MCAP cannot hold.
        """
        self.chunk.add(channel_id, sequence, log_ns, publish_ns, data)

    def metadata(self, name: str, content: dict[str, str]) -> None:
        """Write a metadata record, behind what is pending."""
        self.flush()
        packed = _packed(Metadata(name, content))
        index = MetadataIndex(self.position, len(packed), name)
        self._put([packed])
        self.statistics.metadata_count += 1
        self._indexes.append(index)

    def attachment(self, attachment: Attachment) -> None:
        """Write an attachment, behind what is pending."""
        self.flush()
        packed = _packed(attachment)
        index = AttachmentIndex(
            offset=self.position,
            length=len(packed),
            log_time=attachment.log_time,
            create_time=attachment.create_time,
            data_size=len(attachment.data),
            name=attachment.name,
            media_type=attachment.media_type,
        )
        self._put([packed])
        self.statistics.attachment_count += 1
        self._indexes.append(index)

    def flush(self) -> None:
        """Hand definitions and the open chunk to the operating system.

        Raises:
            RecordingError: the disk refuses. The file then ends with the last whole record, and
                the chunk is still pending, so that another `flush` can succeed.
        """
        start = self.position + sum(map(len, self._definitions))
        chunk = self.chunk
        if not chunk.messages:
            if self._definitions:
                self._put(self._definitions)
                self._definitions = []
            return
        head, pieces, size = chunk.packed(self._compression)
        length = len(head) + size
        builder, offsets = RecordBuilder(), {}
        for channel_id, records in chunk.entries.items():
            offsets[channel_id] = start + length + builder.count
            MessageIndex(channel_id, records).write(builder)
        index = _taken(builder)
        self._put([*self._definitions, head, *pieces, index])
        self._indexes.append(
            ChunkIndex(
                chunk_length=length,
                chunk_start_offset=start,
                compression=self._compression,
                compressed_size=size,
                message_end_time=chunk.last_ns,
                message_index_length=len(index),
                message_index_offsets=offsets,
                message_start_time=chunk.first_ns,
                uncompressed_size=chunk.size,
            )
        )
        self._count(chunk)
        self._definitions, self.chunk = [], Chunk()

    def finish(self) -> None:
        """Write what is pending and the end of the file: summary, offsets, footer.

        Raises:
            RecordingError: the disk refuses; the file then ends with its last whole record.
        """
        self.flush()
        data_end = _packed(DataEnd(0))  # 0: no CRC over all data, as rosbag2 has it
        summary_start = self.position + len(data_end)
        self.statistics.schema_count = len(self._schemas)
        self.statistics.channel_count = len(self._channels)
        groups: list[tuple[Opcode, list[McapRecord]]] = [
            (Opcode.SCHEMA, list(self._schemas.values())),
            (Opcode.CHANNEL, list(self._channels.values())),
            (Opcode.STATISTICS, [self.statistics]),
        ]
        for opcode, kind in (
            (Opcode.CHUNK_INDEX, ChunkIndex),
            (Opcode.ATTACHMENT_INDEX, AttachmentIndex),
            (Opcode.METADATA_INDEX, MetadataIndex),
        ):
            groups.append((opcode, [i for i in self._indexes if isinstance(i, kind)]))
        summary, offsets = RecordBuilder(), RecordBuilder()
        for opcode, records in groups:
            start = summary.count
            for record in records:
                record.write(summary)
            if records:
                SummaryOffset(opcode, summary_start + start, summary.count - start).write(offsets)
        offset_start = summary_start + summary.count
        body = _taken(summary) + _taken(offsets)
        footer = _packed(Footer(summary_start, offset_start, 0))[:-4]
        crc = struct.pack("<I", zlib.crc32(footer, zlib.crc32(body)))
        self._put([data_end, body, footer, crc, MAGIC])

    def sync(self) -> None:
        """Wait until everything handed over is on disk.

        Raises:
            RecordingError: the disk refuses; what is lost is not known.
        """
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            raise named(error, f"{self.path} cannot be brought to disk") from error

    def close(self) -> None:
        """Close the file as it is."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)

    def _count(self, chunk: Chunk) -> None:
        total = self.statistics
        first = chunk.first_ns if not total.message_count else total.message_start_time
        total.message_start_time = min(first, chunk.first_ns)
        total.message_end_time = max(total.message_end_time, chunk.last_ns)
        total.message_count += chunk.messages
        total.chunk_count += 1
        counts = total.channel_message_counts
        for channel_id, records in chunk.entries.items():
            counts[channel_id] = counts.get(channel_id, 0) + len(records)

    def _put(self, pieces: Sequence[bytes]) -> None:
        """Write all pieces or none."""
        written = 0
        try:
            for first in range(0, len(pieces), MAX_PIECES):
                written += _write_all(self.descriptor, pieces[first : first + MAX_PIECES])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, self.position)
                os.lseek(self.descriptor, self.position, os.SEEK_SET)
            raise named(error, f"{self.path} cannot be written") from error
        self.position += written


def _packed(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return _taken(builder)


def _taken(builder: RecordBuilder) -> bytes:
    return bytes(builder.end())  # type: ignore[no-untyped-call]


def _write_all(descriptor: int, pieces: Sequence[bytes]) -> int:
    """Hand pieces over without joining them; a partial write goes on where it stopped."""
    total = sum(map(len, pieces))
    done = os.writev(descriptor, pieces)
    while done < total:
        rest, skip = [], done
        for piece in pieces:
            if skip < len(piece):
                rest.append(memoryview(piece)[skip:])
            skip = max(0, skip - len(piece))
        done += os.writev(descriptor, rest)
    return total
