# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Every whole record of an MCAP file that may be cut or damaged, anybody's.

A record whose end is not in the file is cut; of a cut chunk the whole messages are read. A chunk
whose CRC is wrong is left out, for nobody knows which of its bytes are. Knows nothing of folders.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    Channel,
    Footer,
    Header,
    McapRecord,
    Message,
    Metadata,
    Schema,
)

from lapa_core.errors import RecordingError
from lapa_core.recording.mcap_chunk import CHUNK_HEAD, RECORD_HEAD_BYTES
from lapa_core.recording.mcap_writer import MAGIC

RECORD_HEAD = struct.Struct("<BQ")
_READERS: dict[int, Callable[[ReadDataStream], McapRecord]] = {
    Opcode.HEADER: Header.read,
    Opcode.SCHEMA: Schema.read,
    Opcode.CHANNEL: Channel.read,
    Opcode.ATTACHMENT: Attachment.read,
    Opcode.METADATA: Metadata.read,
}
# What the record types raise on bytes that are none of theirs.
_UNREADABLE = (McapError, struct.error, UnicodeDecodeError, ValueError, MemoryError)


@dataclass
class Scan:
    """One reading of a file; the attributes are right once it has been read through.

    Attributes:
        complete: whether the file has its end and nothing in it is damaged.
        problems: what is wrong, in words, with the byte where it is.
        compression: of the first chunk; "" when it has none.
    """

    path: Path
    complete: bool = False
    problems: list[str] = field(default_factory=list)
    compression: str = ""
    _channels: set[int] = field(default_factory=set)
    _strangers: int = 0  # messages of channels that are not there
    _salvaged: int = 0  # messages of a cut chunk

    def records(self) -> Iterator[McapRecord]:
        """Header, schemas, channels, messages, attachments and metadata, in the file's order.

        Raises:
            RecordingError: not an MCAP file, or it cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                yield from self._read(file, self.path.stat().st_size)
            if self._strangers:
                self.complete = False
                self.problems.append(f"{self._strangers} messages of channels that are lost")
        except OSError as error:
            raise RecordingError(f"{self.path} cannot be read: {error}") from error

    def _read(self, file: BinaryIO, size: int) -> Iterator[McapRecord]:
        magic = file.read(len(MAGIC))
        if magic != MAGIC[: len(magic)]:
            raise RecordingError(f"{self.path} is no MCAP file")
        at, ended = len(magic), False
        while at + RECORD_HEAD_BYTES <= size:
            opcode, length = RECORD_HEAD.unpack(file.read(RECORD_HEAD_BYTES))
            whole = at + RECORD_HEAD_BYTES + length <= size
            if opcode == 0:
                break  # a file system may leave zeros behind a power cut
            if opcode == Opcode.CHUNK:
                yield from self._chunk(file.read(min(length, size)), length, at)
            elif whole and opcode in (Opcode.MESSAGE, *_READERS) and not ended:
                yield from self._parsed(opcode, file.read(length), at)
            elif whole and opcode == Opcode.FOOTER:
                self._end(file, at, ended)
                return
            if not whole:
                break
            ended = ended or opcode == Opcode.DATA_END
            at += RECORD_HEAD_BYTES + length
            file.seek(at)
        if size > at:
            whole_ones = f"{self._salvaged} messages in it are whole"
            self.problems.append(f"the last record is cut after {size - at} bytes; {whole_ones}")
        else:
            self.problems.append("the file ends without index and footer")

    def _end(self, file: BinaryIO, at: int, ended: bool) -> None:
        """Whether footer and magic stand where they should."""
        rest = file.read()
        readable = len(rest) == 20 + len(MAGIC) and rest.endswith(MAGIC)
        if readable and ended:
            footer = Footer.read(ReadDataStream(BytesIO(rest)))
            if footer.summary_crc and not self._summary_is_right(file, footer, at):
                self.problems.append(f"index at byte {footer.summary_start} is damaged")
            self.complete = not self.problems
        else:
            self.problems.append(f"footer at byte {at} is damaged")

    def _summary_is_right(self, file: BinaryIO, footer: Footer, at: int) -> bool:
        if footer.summary_start == 0:
            return True  # written without an index, as by rosbag2's preset `fastwrite`
        if footer.summary_start > at:
            return False
        file.seek(footer.summary_start)
        # all up to the CRC itself: the last 4 of the footer's 20 bytes
        covered = file.read(at + RECORD_HEAD_BYTES + 16 - footer.summary_start)
        return zlib.crc32(covered) == footer.summary_crc

    def _chunk(self, body: bytes, length: int, at: int) -> Iterator[McapRecord]:
        fixed = CHUNK_HEAD.size - RECORD_HEAD_BYTES
        try:
            _, _, size, crc = struct.unpack_from("<QQQI", body)
            (name_length,) = struct.unpack_from("<I", body, fixed)
            data_at = fixed + 4 + name_length + 8
            name = body[fixed + 4 : data_at - 8].decode()
            data = decompressed(body[data_at:], name, cut=len(body) < length)
        except _UNREADABLE as error:
            if len(body) == length:  # else the cut is told of, and nothing of it is there
                self.problems.append(f"chunk at byte {at} does not decompress: {error}")
            return
        self.compression = self.compression or name
        whole = len(body) == length
        if whole and (len(data) != size or (crc and zlib.crc32(data) != crc)):
            self.problems.append(f"chunk at byte {at} is damaged ({size} bytes lost)")
            return
        position = 0
        while position + RECORD_HEAD_BYTES <= len(data):
            opcode, inner = RECORD_HEAD.unpack_from(data, position)
            start = position + RECORD_HEAD_BYTES
            if opcode == 0 or start + inner > len(data):
                break
            self._salvaged += not whole and opcode == Opcode.MESSAGE
            yield from self._parsed(opcode, data[start : start + inner], at)
            position = start + inner

    def _parsed(self, opcode: int, body: bytes, at: int) -> Iterator[McapRecord]:
        stream = ReadDataStream(BytesIO(body))
        try:
            if opcode == Opcode.MESSAGE:
                message = Message.read(stream, len(body))
                if message.channel_id in self._channels:
                    yield message
                else:
                    self._strangers += 1
            elif opcode in _READERS:
                record = _READERS[opcode](stream)
                if isinstance(record, Channel):
                    self._channels.add(record.id)
                yield record
        except _UNREADABLE as error:
            self.problems.append(f"record {opcode} at byte {at} does not parse: {error!r}")


def decompressed(data: bytes, compression: str, *, cut: bool) -> bytes:
    """Content of a chunk; of a cut one as much as comes out.

    Raises:
        ValueError: not of this compression, or one that is not known.
    """
    if compression == "":
        return data
    if compression not in ("lz4", "zstd"):
        raise ValueError(f"compression {compression!r}; valid: '', 'lz4', 'zstd'")
    try:
        return bytes(_decompressor(compression).decompress(data))
    except Exception as error:  # both libraries have kinds of their own
        if cut:
            return b""
        raise ValueError(str(error)) from None


def _decompressor(compression: str) -> Any:
    if compression == "lz4":
        import lz4.frame

        return lz4.frame.LZ4FrameDecompressor()
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()
