# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Makes bags whole that a crash has cut: index, metadata.yaml, episode.yaml and the final name.

The cut file stays until a complete one lies beside it on disk; then one rename puts that in its
place. So being killed here harms nothing, and running it again goes on. What a living recorder
writes is left alone, and so is a bag that is whole. Works on anybody's MCAP files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mcap.exceptions import McapError
from mcap.reader import make_reader

from lapa_core.errors import DiskFullError, LapaError, RecordingError
from lapa_core.recording import episode, folders, metadata
from lapa_core.recording.bag import PARTIAL
from lapa_core.recording.disk import RESERVE, free_bytes, sync_folder, try_lock
from lapa_core.recording.folders import FolderLock, InUseError
from lapa_core.recording.metadata import TopicCount
from lapa_core.recording.recovered import describe, is_discarded
from lapa_core.recording.survey import Survey, rewrite, survey

SUFFIX = ".recovering"
SPARE_BYTES = 4 << 20  # room for index and metadata.yaml beside the copy
# whole: nothing to do; saved: made whole; empty: no message in it; busy: somebody writes it;
# failed: could not be made whole.
State = Literal["whole", "saved", "empty", "busy", "failed"]


@dataclass(frozen=True)
class Report:
    """What became of one bag.

    Attributes:
        path: where it was.
        now: where it is.
        text: one line for a person.
        counts: messages by topic.
        lost: what could not be read, in words.
    """

    path: Path
    now: Path
    state: State
    text: str
    counts: tuple[tuple[str, int], ...] = ()
    lost: tuple[str, ...] = ()


def recover(path: Path, *, dry_run: bool = False) -> Iterator[Report]:
    """Make every bag at or below `path` whole; one report a bag, as it is done.

    Args:
        path: a data set, an episode, any rosbag2 folder, or an MCAP file.
        dry_run: only say what would be done.

    Raises:
        RecordingError: no such place.
    """
    if not path.exists():
        raise RecordingError(f"{path} does not exist")
    locks: dict[Path, FolderLock | RecordingError] = {}
    try:
        for bag in _bags(path):
            try:
                if bag.name.endswith(PARTIAL):
                    _take(bag.parent, locks, dry_run)
                yield _recover_one(bag, dry_run)
            except InUseError as error:
                yield Report(bag, bag, "busy", f"left alone: {error}")
            except (LapaError, OSError) as error:
                yield Report(bag, bag, "failed", str(error))
    finally:
        for held in locks.values():
            if isinstance(held, FolderLock):
                held.release()


def _bags(path: Path) -> list[Path]:
    """Folders that are bags, and MCAP files that lie in no such folder.

    What somebody has discarded is looked at only when asked for by its path.
    """
    if path.is_file():
        return [path]
    found: list[Path] = []
    below = (p for p in path.rglob("*") if p.is_dir())
    wanted = (p for p in below if folders.DISCARDED not in p.relative_to(path).parts)
    for folder in [path, *sorted(wanted)]:
        files = _files(folder)
        if _is_bag(folder, files):
            found.append(folder)
        else:
            found += files
    return found


def _files(folder: Path) -> list[Path]:
    """MCAP files of a folder; those of a split bag in their order."""
    return sorted(folder.glob("*.mcap"), key=lambda p: (len(p.name), p.name))


def _is_bag(folder: Path, files: list[Path]) -> bool:
    if folder.name.endswith(PARTIAL):
        return True
    if not files:
        return False
    if any((folder / name).exists() for name in (metadata.FILE, episode.FILE)):
        return True
    # as rosbag2 names them: after the folder, with a number where there are several
    return all(folder.name in (f.stem, f.stem.rpartition("_")[0]) for f in files)


def _take(root: Path, locks: dict[Path, FolderLock | RecordingError], dry_run: bool) -> None:
    """Keep recorders out of a data set while its episodes get their names."""
    if root not in locks and not (dry_run and not (root / folders.LOCK).exists()):
        try:
            locks[root] = folders.lock(root)
        except RecordingError as error:
            locks[root] = error
    held = locks.get(root)
    if isinstance(held, RecordingError):
        raise held


def _recover_one(bag: Path, dry_run: bool) -> Report:
    files = [bag] if bag.is_file() else _files(bag)
    for file in files:
        _refuse_locked(file)
    partial = bag.name.endswith(PARTIAL)
    if not partial and _is_whole(bag, files):
        return Report(bag, bag, "whole", "whole")
    found = [survey(file) for file in files]
    if not any(s.messages for s in found):
        return _empty(bag, found, dry_run)
    counts = tuple((t.name, t.messages) for t in _merged(found))
    problems = tuple(p for s in found for p in s.scan.problems)
    name = "would be saved" if dry_run else "saved"
    spans = [s.info for s in found if s.messages]
    seconds = (max(i.last_ns for i in spans) - min(i.first_ns for i in spans)) / 1e9
    text = f"{name}: {sum(n for _, n in counts)} messages, {seconds:.2f} s"
    now = bag if dry_run else _save(bag, found)
    return Report(bag, now, "saved", text, counts, problems)


def _refuse_locked(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not try_lock(descriptor):
            raise InUseError(f"{file.name} is being written")
    finally:
        os.close(descriptor)


def _is_whole(bag: Path, files: list[Path]) -> bool:
    """Whether every file has its end and metadata.yaml tells their number of messages."""
    counts = [_stated_messages(file) for file in files]
    if any(count is None for count in counts):
        return False
    if bag.is_file():
        return True
    try:
        content = metadata.read(bag)
    except RecordingError:
        return False
    names = [Path(name).name for name in content["relative_file_paths"]]
    # -1: a file without statistics, which is allowed
    agree = -1 in counts or content["message_count"] == sum(c or 0 for c in counts)
    return sorted(names) == sorted(f.name for f in files) and agree


def _stated_messages(file: Path) -> int | None:
    """Number of messages by the file's own statistics; None without a readable end."""
    try:
        with file.open("rb") as stream:
            summary = make_reader(stream).get_summary()
    except (McapError, ValueError, OSError):
        return None
    except Exception as error:  # the library's parser on bytes that are none of its own
        if isinstance(error, (MemoryError, RecursionError)):
            raise
        return None
    if summary is None or summary.statistics is None:
        return -1 if summary is not None or survey(file).scan.complete else None
    return summary.statistics.message_count


def _empty(bag: Path, found: list[Survey], dry_run: bool) -> Report:
    lost = tuple(p for s in found for p in s.scan.problems)
    if not bag.name.endswith(PARTIAL):
        return Report(bag, bag, "empty", "holds no readable message; left as it is", (), lost)
    if dry_run:
        return Report(bag, bag, "empty", "holds no message; would go to discarded", (), lost)
    now = folders.discard(bag)
    return Report(bag, now, "empty", "holds no message; it is in discarded now", (), lost)


def _save(bag: Path, found: list[Survey]) -> Path:
    """Make a bag whole; returns where it is then."""
    if bag.is_dir():
        (bag / RESERVE).unlink(missing_ok=True)
    for part in found:
        if not part.scan.complete:
            _replace(part.scan.path)
    if bag.is_file():
        return bag
    custom = {k: v for s in found for k, v in s.custom_data.items()}
    distro = next((s.ros_distro for s in found if s.ros_distro), "")
    metadata.write(bag, metadata.document([s.info for s in found], _merged(found), distro, custom))
    if not bag.name.endswith(PARTIAL):
        if (bag / episode.FILE).exists():
            describe(bag, found)
        return bag
    describe(bag, found)
    return folders.discard(bag) if is_discarded(bag) else folders.complete(bag)


def _replace(file: Path) -> None:
    """Put a complete file in the place of a cut one."""
    beside = file.with_name(file.name + SUFFIX)
    beside.unlink(missing_ok=True)  # of a run that was killed
    needed, free = file.stat().st_size + SPARE_BYTES, free_bytes(file.parent)
    if free < needed:
        raise DiskFullError(
            f"{file} needs {needed / 1e6:.0f} MB beside it to be made whole; {free / 1e6:.0f} MB "
            "are free. Nothing was changed"
        )
    rewrite(file, beside)
    beside.replace(file)
    sync_folder(file.parent)


def _merged(found: list[Survey]) -> list[TopicCount]:
    """Topics of all files of a bag, each once."""
    merged: dict[tuple[str, str], TopicCount] = {}
    for topic in (t for s in found for t in s.topics):
        key = (topic.name, topic.type)
        before = merged[key].messages if key in merged else 0
        merged[key] = TopicCount(
            topic.name,
            topic.type,
            before + topic.messages,
            topic.qos,
            topic.type_hash,
            topic.serialization_format,
        )
    return list(merged.values())
