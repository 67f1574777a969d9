# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the `rosbags` library reads for us: metadata.yaml, SQLite, and compressed bags.

Plain MCAP files are read by `mcap_file`, which also knows the messages' sequence numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError

from lapa_core.data import metadata_file
from lapa_core.data.mcap_file import Broken, FileInfo, Record, Topic
from lapa_core.errors import DataError

_ENCODINGS = {MessageDefinitionFormat.MSG: "ros2msg", MessageDefinitionFormat.IDL: "ros2idl"}


def look(path: Path) -> FileInfo:
    """What a folder with metadata.yaml, or a SQLite file, holds.

    Raises:
        Broken: it is cut or garbled.
        DataError: a version, storage or compression that nobody reads.
    """
    reader = _opened(path)
    try:
        return _info(reader, path)
    finally:
        reader.close()


def scan(path: Path) -> FileInfo:
    """What a SQLite file holds; one that does not open is told as empty, with the damage."""
    try:
        return look(path)
    except Broken as broken:
        return FileInfo("sqlite3", (), {}, 0, 0, damage=str(broken))


def read(path: Path, topics: frozenset[str] | None, start: int, end: int) -> Iterator[Record]:
    """Messages of these topics (None: all) logged in [start, end), in log order.

    Raises:
        Broken: it turns out to be garbled.
    """
    reader = _opened(path)
    try:
        wanted = [c for c in reader.connections if topics is None or c.topic in topics]
        if not wanted:
            return
        for connection, log_ns, raw in reader.messages(wanted, start, end):
            yield Record(connection.topic, connection.msgtype, log_ns, bytes(raw))
    except GeneratorExit:
        raise
    except Exception as error:  # apsw and zstd raise their own kinds
        raise Broken(f"it is garbled: {error}") from None
    finally:
        reader.close()


def _opened(path: Path) -> Reader:
    try:
        reader = Reader(path)
        reader.open()
        return reader
    except ReaderError as error:
        text = str(error)
        if "not supported" in text:
            raise DataError(f"{path}: {text}") from None
        raise Broken(text) from None
    except Exception as error:  # apsw, struct, ordinal of nothing: all mean a cut file
        raise Broken(f"it is cut or garbled: {error}") from None


def _info(reader: Reader, path: Path) -> FileInfo:
    topics: dict[str, Topic] = {}
    definitions: dict[str, tuple[str, str]] = {}
    for connection in reader.connections:
        new = Topic(connection.topic, connection.msgtype, 0, _qos(connection))
        known = topics.setdefault(connection.topic, new)
        topics[connection.topic] = known._replace(
            messages=known.messages + connection.msgcount, qos=known.qos or new.qos
        )
        definition = connection.msgdef
        if definition.format in _ENCODINGS:
            encoding = _ENCODINGS[definition.format]
            definitions.setdefault(connection.msgtype, (encoding, definition.data))
    folder = path.is_dir()
    storages = getattr(reader.storage, "storages", [])
    mcap = folder and bool(storages) and storages[0].path.suffix == ".mcap"
    compressed = bool(reader.compression_mode)
    return FileInfo(
        storage="mcap" if mcap else "sqlite3",
        topics=tuple(topics.values()),
        definitions=definitions,
        begins_ns=reader.start_time if reader.message_count else 0,
        ends_ns=reader.end_time - 1 if reader.message_count else 0,
        counts=not mcap or compressed,
        compressed=compressed,
        files=tuple(s.path for s in storages),
    )


def _qos(connection: Any) -> str:
    """The profiles offered, as rosbag2 version 9 writes them."""
    offered = connection.ext.offered_qos_profiles
    return metadata_file.qos(
        tuple((q.history.name, q.depth, q.reliability.name, q.durability.name) for q in offered)
    )
