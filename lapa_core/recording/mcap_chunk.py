# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A chunk of an MCAP file while it is in memory: messages as they came, never copied when large.

Knows nothing of files.
"""

from __future__ import annotations

import struct
import zlib

from mcap.opcode import Opcode

from lapa_core.errors import RecordingError

COMPRESSIONS = ("none", "lz4", "zstd")
# opcode, length; then channel, sequence, log time, publish time of a message
MESSAGE_HEAD = struct.Struct("<BQHIQQ")
# opcode, length; then first time, last time, size, CRC of a chunk before its compression's name
CHUNK_HEAD = struct.Struct("<BQQQQI")
RECORD_HEAD_BYTES = 9  # opcode and length, which the length does not count
JOIN_BELOW = 64 * 1024  # a copy of less than this is cheaper than one more piece to hand over


class Chunk:
    """Messages that are not handed over yet.

    Attributes:
        size: bytes of the chunk's records.
        messages: how many.
        first_ns, last_ns: smallest and largest log time; 0 without messages.
        entries: channel -> (log time, offset in the chunk) of its messages.
    """

    def __init__(self) -> None:
        self.size = 0
        self.messages = 0
        self.first_ns = 0
        self.last_ns = 0
        self.entries: dict[int, list[tuple[int, int]]] = {}
        self._pieces: list[bytes] = []
        self._crc = 0

    def add(
        self, channel_id: int, sequence: int, log_ns: int, publish_ns: int, data: bytes
    ) -> None:
        """Add a message.

        Raises:
            RecordingError: a time that MCAP cannot hold.
        """
        try:
            head = MESSAGE_HEAD.pack(
                Opcode.MESSAGE,
                len(data) + MESSAGE_HEAD.size - RECORD_HEAD_BYTES,
                channel_id,
                sequence & 0xFFFFFFFF,
                log_ns,
                publish_ns,
            )
        except struct.error:
            raise RecordingError(
                f"message of channel {channel_id} has stamps {log_ns} and {publish_ns} ns; "
                "valid: 0 to 2^64 - 1"
            ) from None
        pieces = [head + data] if len(data) < JOIN_BELOW else [head, data]
        for piece in pieces:
            self._crc = zlib.crc32(piece, self._crc)
        self._pieces += pieces
        self.entries.setdefault(channel_id, []).append((log_ns, self.size))
        self.first_ns = min(self.first_ns, log_ns) if self.messages else log_ns
        self.last_ns = max(self.last_ns, log_ns)
        self.size += len(head) + len(data)
        self.messages += 1

    def packed(self, compression: str) -> tuple[bytes, list[bytes], int]:
        """Head of the chunk record, its data in pieces, and their length."""
        pieces, size = self._pieces, self.size
        if compression:
            pieces = [_compress(b"".join(pieces), compression)]
            size = len(pieces[0])
        name = compression.encode()
        fixed = CHUNK_HEAD.size - RECORD_HEAD_BYTES
        tail = struct.pack("<I", len(name)) + name + struct.pack("<Q", size)
        head = CHUNK_HEAD.pack(
            Opcode.CHUNK,
            fixed + len(tail) + size,
            self.first_ns,
            self.last_ns,
            self.size,
            self._crc,
        )
        return head + tail, pieces, size


def _compress(data: bytes, compression: str) -> bytes:
    if compression == "lz4":
        import lz4.frame

        return bytes(lz4.frame.compress(data))
    import zstandard

    return zstandard.ZstdCompressor(level=1).compress(data)
