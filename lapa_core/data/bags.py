# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Reads any rosbag2 recording: a folder (MCAP or SQLite, all versions), or a lone file.

Messages come in log order, as raw bytes, one at a time: memory does not grow with the bag. What
the messages mean is told by `messages` and `images`; a bag cut by a crash is read with
`damaged=True`, as far as it goes, and rebuilt by `lapa_core.recording.recover`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lapa_core.data import mcap_file, metadata_file
from lapa_core.data.cdr import Types
from lapa_core.data.mcap_file import FileInfo, Record, Topic
from lapa_core.errors import DataError, unknown

__all__ = ["Bag", "Record", "Topic"]
SUFFIXES = (".mcap", ".db3")
METADATA = "metadata.yaml"


@dataclass(frozen=True)
class Bag:
    """One recording, opened.

    Attributes:
        path: the folder or file it was opened from.
        files: the files that hold its messages, in order.
        storage: `mcap` or `sqlite3`.
        topics: every topic it names, also those without messages.
        begins_ns, ends_ns: log time of the first and last message; 0 without messages.
        types: decodes its messages.
        damage: what is wrong with it, where it was opened as damaged; "" for a whole one.
    """

    path: Path
    files: tuple[Path, ...]
    storage: str
    topics: tuple[Topic, ...]
    begins_ns: int
    ends_ns: int
    types: Types
    damage: str = ""

    @classmethod
    def open(cls, path: str | Path, damaged: bool = False) -> Bag:
        """Open a bag.

        Args:
            path: a rosbag2 folder, or a `.mcap` or `.db3` file.
            damaged: read what is there of a recording that a crash has cut, and say in `damage`
                what is wrong, instead of refusing it.

        Raises:
            DataError: not a bag, or a damaged one.
        """
        path = Path(path)
        if not path.exists():
            raise DataError(f"no bag at {path}")
        try:
            return _open_folder(path) if path.is_dir() else _open_file(path)
        except _Broken as broken:
            if damaged:
                return _open_damaged(path, str(broken))
            raise DataError(f"{path}: {broken}; `lapa recover {path}` rebuilds it") from None

    @property
    def num_messages(self) -> int:
        """Messages of all topics."""
        return sum(t.messages for t in self.topics)

    @property
    def duration_s(self) -> float:
        """From the first to the last message."""
        return (self.ends_ns - self.begins_ns) * 1e-9

    def topic(self, name: str) -> Topic:
        """The topic of that name.

        Raises:
            DataError: the bag has none; lists those it has.
        """
        for topic in self.topics:
            if topic.name == name:
                return topic
        raise DataError(unknown("topic", name, [t.name for t in self.topics], str(self.path)))

    def messages(
        self,
        topics: Iterable[str] | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> Iterator[tuple[str, str, int, bytes]]:
        """Yield (topic, type, log time [ns], serialised message) in log order."""
        for record in self.records(topics, start_ns, end_ns):
            yield record.topic, record.type, record.log_ns, record.raw

    def records(
        self,
        topics: Iterable[str] | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> Iterator[Record]:
        """The same with the publication's sequence number, where the file has one.

        Args:
            topics: only these; None: all.
            start_ns, end_ns: only messages logged at or after the one, and before the other.

        Raises:
            DataError: the bag has no such topic, or turns out to be damaged on the way.
        """
        wanted = None if topics is None else frozenset(topics)
        for name in wanted or ():
            self.topic(name)
        start = 0 if start_ns is None else start_ns
        end = 2**63 - 1 if end_ns is None else end_ns
        try:
            for file in self.files:
                yield from _read(file, self.path, bool(self.damage), wanted, start, end)
        except _Broken as broken:
            if not self.damage:
                hint = f"; `lapa recover {self.path}` rebuilds it"
                raise DataError(f"{self.path}: {broken}{hint}") from None

    def decode(self, type: str, raw: bytes) -> Any:
        """The message as an object with the fields of its type; see `cdr.Types.decode`."""
        return self.types.decode(type, raw)

    def header_stamp_ns(self, type: str, raw: bytes) -> int | None:
        """Stamp of the message's header, without decoding it; None where the type has none."""
        return self.types.header_stamp_ns(type, raw)


_Broken = mcap_file.Broken


def _open_folder(path: Path) -> Bag:
    if not (path / METADATA).is_file():
        if not _files_in(path):
            raise DataError(f"{path} is no bag: it has no {METADATA} and no {_either()} file")
        raise _Broken(f"it has no {METADATA}, so that its recording never ended")
    info = metadata_file.look(path / METADATA)
    if info is None:
        from lapa_core.data import rosbags_file

        info = rosbags_file.look(path)
    plain = info.storage == "mcap" and not info.compressed
    infos = [mcap_file.look(file) for file in info.files] if plain else [info]
    # metadata.yaml names topics without messages and QoS; the files may know neither.
    return _bag(path, info.files if plain else (path,), [info, *infos] if plain else infos)


def _open_file(path: Path) -> Bag:
    if path.suffix not in SUFFIXES:
        raise DataError(
            f"{path} is no bag; valid: a folder with {METADATA}, or a {_either()} file"
        )
    if path.suffix == ".mcap":
        return _bag(path, (path,), [mcap_file.look(path)])
    from lapa_core.data import rosbags_file

    return _bag(path, (path,), [rosbags_file.look(path)])


def _open_damaged(path: Path, damage: str) -> Bag:
    """Count what there is by reading all of it once."""
    files = tuple(_files_in(path)) if path.is_dir() else (path,)
    if not files:
        raise DataError(f"{path}: nothing of the recording is there: no {_either()} file")
    infos, faults = [], [damage]
    for file in files:
        info = _look_damaged(file)
        infos.append(info)
        faults += [f"{file.name}: {info.damage}"] if info.damage else []
    bag = _bag(path, files, infos, "; ".join(dict.fromkeys(faults)))
    if not bag.num_messages:
        raise DataError(f"{path}: {bag.damage}; not one message of it can be read")
    return bag


def _look_damaged(file: Path) -> FileInfo:
    if file.suffix == ".mcap":
        return mcap_file.scan(file)
    from lapa_core.data import rosbags_file

    return rosbags_file.scan(file)


def _read(
    file: Path, path: Path, damaged: bool, topics: frozenset[str] | None, start: int, end: int
) -> Iterator[Record]:
    if file.suffix == ".mcap" and file.is_file():  # a folder may be called so too
        yield from mcap_file.read(file, damaged, topics, start, end)
        return
    from lapa_core.data import rosbags_file

    yield from rosbags_file.read(file, topics, start, end)


def _bag(path: Path, files: tuple[Path, ...], infos: list[FileInfo], damage: str = "") -> Bag:
    """Join what the files of one bag know."""
    types = Types()
    counts: Counter[str] = Counter()
    topics: dict[str, Topic] = {}
    for info in infos:
        for type, (encoding, text) in info.definitions.items():
            types.define(type, encoding, text)
        for topic in info.topics:
            known = topics.setdefault(topic.name, topic)
            topics[topic.name] = known._replace(qos=known.qos or topic.qos)
            if info.counts:
                counts[topic.name] += topic.messages
    held = [i for i in infos if i.counts and i.ends_ns]
    return Bag(
        path=path,
        files=files,
        storage=infos[0].storage,
        topics=tuple(t._replace(messages=counts[t.name]) for t in topics.values()),
        begins_ns=min((i.begins_ns for i in held), default=0),
        ends_ns=max((i.ends_ns for i in held), default=0),
        types=types,
        damage=damage,
    )


def _files_in(folder: Path) -> list[Path]:
    """The files of a folder that hold messages, in the order rosbag2 numbers them."""
    found = [f for f in folder.iterdir() if f.suffix in SUFFIXES and f.is_file()]

    def number(file: Path) -> tuple[int, str]:
        last = file.stem.rpartition("_")[2]
        return (int(last) if last.isdecimal() else 0, file.name)

    return sorted(found, key=number)


def _either() -> str:
    return " or ".join(SUFFIXES)
