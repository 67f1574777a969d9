# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Index of a streaming msgpack file of tensors: where each one's bytes lie, nothing loaded.

The file (tux `StreamingCheckpointer`) is a row of `[key, value]`; a value is itself a msgpack
document, flax's encoding of one array, in chunks of 2**30 bytes where it is larger. A msgpack
library would build the whole value (2.9 GB in the 7B) before handing it over, so only the headers
are read here and the raw bytes are skipped.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lapa_core.errors import CheckpointError

# Name in the file -> (numpy type that carries the bits, safetensors' name).
# numpy has no bfloat16; its bits travel as uint16 and are never computed with.
DTYPES = {
    "bfloat16": (np.dtype("<u2"), "BF16"),
    "float16": (np.dtype("<f2"), "F16"),
    "float32": (np.dtype("<f4"), "F32"),
}
_CHUNKED = "__msgpack_chunked_array__"


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of the file.

    Attributes:
        name: the key's parts joined with "/".
        dtype: its name in `DTYPES`.
        pieces: (offset, number of bytes) in the file, in C order.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    pieces: tuple[tuple[int, int], ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole tensor."""
        return sum(size for _, size in self.pieces)

    def read(self, file: BinaryIO, index: int | None = None) -> NDArray[Any]:
        """The tensor, or row `index` of its first axis."""
        carrier = DTYPES[self.dtype][0]
        shape = self.shape if index is None else self.shape[1:]
        out = np.empty(shape, dtype=carrier)
        start = 0 if index is None else index * out.nbytes
        view = memoryview(out.reshape(-1).view(np.uint8))
        piece_start = 0
        for offset, size in self.pieces:
            # The part of [start, start + nbytes) that lies in this piece.
            low, high = max(start, piece_start), min(start + out.nbytes, piece_start + size)
            if low < high:
                file.seek(offset + low - piece_start)
                if file.readinto(view[low - start : high - start]) != high - low:
                    raise CheckpointError(f"the file ends inside {self.name}")
            piece_start += size
        return out


def index(path: str | Path) -> dict[str, StoredTensor]:
    """Find every tensor of the file.

    Raises:
        CheckpointError: the file is not of this format, is cut short, or names a tensor twice.
    """
    tensors: dict[str, StoredTensor] = {}
    try:
        with Path(path).open("rb") as file:
            reader = _Reader(file, str(path))
            while not reader.at_end():
                tensor = _record(reader)
                if tensor.name in tensors:
                    raise CheckpointError(f"{path}: {tensor.name} is stored twice")
                tensors[tensor.name] = tensor
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    if not tensors:
        raise CheckpointError(f"{path} holds no tensor")
    return tensors


# First byte -> (kind, struct format of the length or number that follows).
_FORMATS = {
    0xC2: ("false", ""), 0xC3: ("true", ""),
    0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"),
    0xC7: ("ext", ">B"), 0xC8: ("ext", ">H"), 0xC9: ("ext", ">I"),
    0xCC: ("int", ">B"), 0xCD: ("int", ">H"), 0xCE: ("int", ">I"), 0xCF: ("int", ">Q"),
    0xD0: ("int", ">b"), 0xD1: ("int", ">h"), 0xD2: ("int", ">i"), 0xD3: ("int", ">q"),
    0xD9: ("str", ">B"), 0xDA: ("str", ">H"), 0xDB: ("str", ">I"),
    0xDC: ("array", ">H"), 0xDD: ("array", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
}  # fmt: skip


class _Reader:
    """Reads msgpack headers; strings and small numbers become values, raw data a place."""

    def __init__(self, file: BinaryIO, source: str) -> None:
        self.file, self.source = file, source
        self.size = os.fstat(file.fileno()).st_size

    def at_end(self) -> bool:
        return self.file.tell() >= self.size

    def fail(self, wanted: str, got: object) -> CheckpointError:
        return CheckpointError(
            f"{self.source} is no streaming checkpoint: "
            f"expected {wanted} at byte {self.file.tell()}, got {got!r}"
        )

    def _bytes(self, count: int) -> bytes:
        found = self.file.read(count)
        if len(found) != count:
            raise CheckpointError(f"{self.source} is cut short at byte {self.size}")
        return found

    def head(self) -> tuple[str, int]:
        """Kind of the next object and its length, or value for a number."""
        first = self._bytes(1)[0]
        if first < 0x80:
            return "int", first
        for low, high, kind in ((0x80, 0x90, "map"), (0x90, 0xA0, "array"), (0xA0, 0xC0, "str")):
            if low <= first < high:
                return kind, first - low
        if 0xD4 <= first <= 0xD8:  # fixext 1, 2, 4, 8, 16
            return "ext", 1 << (first - 0xD4)
        if first not in _FORMATS:
            raise self.fail("a msgpack object", hex(first))
        kind, form = _FORMATS[first]
        return kind, struct.unpack(form, self._bytes(struct.calcsize(form)))[0] if form else 0

    def expect(self, kind: str, length: int | None = None) -> int:
        """Length of the next object, which must be of this kind (and length)."""
        got = self.head()
        if got[0] != kind or (length is not None and got[1] != length):
            raise self.fail(kind if length is None else f"{kind} of {length}", got)
        return got[1]

    def text(self) -> str:
        """The next object, a string (flax writes some as raw bytes)."""
        kind, length = self.head()
        if kind not in ("str", "bin") or length > 4096:
            raise self.fail("a short string", (kind, length))
        return self._bytes(length).decode("utf-8", "replace")

    def place(self) -> int:
        """The next object, a string with a number in it."""
        text = self.text()
        if not text.isdecimal():
            raise self.fail("a numbered entry", text)
        return int(text)

    def skip_raw(self) -> tuple[int, int]:
        """Place and size of the next object, raw bytes, which are not read."""
        size = self.expect("bin")
        start = self.file.tell()
        if start + size > self.size:
            raise CheckpointError(f"{self.source} is cut short at byte {self.size}")
        self.file.seek(size, os.SEEK_CUR)
        return start, size


def _record(reader: _Reader) -> StoredTensor:
    reader.expect("array", 2)
    name = "/".join(reader.text() for _ in range(reader.expect("array")))
    size = reader.expect("bin")
    end = reader.file.tell() + size
    kind, length = reader.head()
    if kind == "ext":
        shape, dtype, piece = _array(reader)
        pieces = [piece]
    elif kind == "map":
        shape, dtype, pieces = _chunks(reader, length)
    else:
        raise reader.fail(f"an array for {name}", kind)
    if reader.file.tell() != end:
        raise reader.fail(f"the end of {name} at byte {end}", reader.file.tell())
    if dtype not in DTYPES:
        raise CheckpointError(
            f"{reader.source}: {name} is {dtype}, valid: {', '.join(sorted(DTYPES))}"
        )
    tensor = StoredTensor(name, shape, dtype, tuple(pieces))
    wanted = math.prod(shape) * DTYPES[dtype][0].itemsize
    if tensor.nbytes != wanted:
        raise CheckpointError(
            f"{reader.source}: {name} of shape {shape} {dtype} needs {wanted} bytes, "
            f"has {tensor.nbytes}"
        )
    return tensor


def _array(reader: _Reader) -> tuple[tuple[int, ...], str, tuple[int, int]]:
    """The rest of an ext object after its length: shape, type, place of the data."""
    code = reader.file.read(1)
    if code != b"\x01":  # flax: 1 ndarray, 2 complex, 3 scalar
        raise reader.fail("an ndarray (ext code 1)", code)
    reader.expect("array", 3)
    shape = tuple(reader.expect("int") for _ in range(reader.expect("array")))
    return shape, reader.text(), reader.skip_raw()


def _chunks(reader: _Reader, num_keys: int) -> tuple[tuple[int, ...], str, list[tuple[int, int]]]:
    """A large array: its shape and its chunks, each a flat array, numbered "0", "1", ..."""
    shape: dict[int, int] = {}
    pieces: dict[int, tuple[int, int]] = {}
    dtypes: set[str] = set()
    for _ in range(num_keys):
        key = reader.text()
        if key == _CHUNKED:
            reader.expect("true")
        elif key == "shape":
            for _ in range(reader.expect("map")):
                place = reader.place()
                shape[place] = reader.expect("int")
        elif key == "chunks":
            for _ in range(reader.expect("map")):
                place = reader.place()
                reader.expect("ext")
                _, dtype, pieces[place] = _array(reader)
                dtypes.add(dtype)
        else:
            raise reader.fail("a chunked array", key)
    if len(dtypes) != 1:
        raise reader.fail("chunks of one type", sorted(dtypes))
    in_order = [pieces[i] for i in sorted(pieces)]
    return tuple(shape[i] for i in sorted(shape)), dtypes.pop(), in_order
