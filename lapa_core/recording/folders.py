# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where episodes lie, and what their names promise.

    episode_0037            complete and on disk
    episode_0037.partial    being recorded, or left by a crash: see `recover`
    discarded/episode_0037  not wanted; a second one of that number is episode_0037-1, and so on

A name without `.partial` appears by one rename, after everything in the folder is on disk.
Nothing is ever deleted: whoever needs the room empties `discarded` by hand. Knows nothing of
what is inside the folders but `episode.yaml`'s outcome.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
from pathlib import Path
from types import TracebackType

from lapa_core.errors import DataError, RecordingError
from lapa_core.recording import episode
from lapa_core.recording.bag import PARTIAL
from lapa_core.recording.disk import (
    RESERVE,
    free_bytes,
    make_folder,
    named,
    sync_file,
    sync_folder,
)

__all__ = [
    "DISCARDED",
    "FolderLock",
    "InUseError",
    "complete",
    "discard",
    "episodes",
    "free_bytes",
    "lock",
    "next_number",
    "number",
    "partial",
    "partials",
    "undo_last",
]

DISCARDED = "discarded"
LOCK = ".recorder.lock"
_NAME = re.compile(r"episode_(\d{4,})(\.partial)?")


class InUseError(RecordingError):
    """Another process records there."""


def number(folder: Path) -> int:
    """Number of an episode's folder, partial or not.

    Raises:
        RecordingError: the name is not an episode's.
    """
    match = _NAME.fullmatch(folder.name)
    if match is None:
        raise RecordingError(f"{folder} is no episode; valid: such as 'episode_0037'")
    return int(match[1])


def episodes(root: Path) -> list[Path]:
    """The complete episodes, by number."""
    return _listed(root, partial=False)


def partials(root: Path) -> list[Path]:
    """The episodes that are not complete, by number."""
    return _listed(root, partial=True)


def next_number(root: Path) -> int:
    """One above every episode there, complete or not; 0 in an empty folder."""
    return max((number(f) + 1 for f in episodes(root) + partials(root)), default=0)


def partial(root: Path, n: int) -> Path:
    """Where episode `n` is recorded; nothing is created."""
    return root / f"episode_{n:04d}{PARTIAL}"


def complete(folder: Path) -> Path:
    """Give a partial episode its name; its content and the name are on disk when this returns.

    Raises:
        RecordingError: not a partial episode, the name is taken, or the disk refuses.
    """
    n = number(folder)
    final = folder.with_name(f"episode_{n:04d}")
    if folder == final:
        raise RecordingError(f"{folder} is complete already")
    if final.exists():
        raise RecordingError(f"{final} is there already: {folder} keeps its name")
    (folder / RESERVE).unlink(missing_ok=True)
    _sync_content(folder)
    return _rename(folder, final)


def discard(folder: Path) -> Path:
    """Move an episode, complete or not, into `discarded`; returns where it is now.

    Raises:
        RecordingError: not an episode, or the disk refuses.
    """
    bin_folder = folder.parent / DISCARDED
    stem = f"episode_{number(folder):04d}"
    (folder / RESERVE).unlink(missing_ok=True)
    with contextlib.suppress(DataError):  # without a readable episode.yaml its place says it
        episode.write(dataclasses.replace(episode.read(folder), outcome="discarded"), folder)
    make_folder(bin_folder)
    target, k = bin_folder / stem, 0
    while target.exists():
        k += 1
        target = bin_folder / f"{stem}-{k}"
    moved = _rename(folder, target)
    sync_folder(folder.parent)
    return moved


def undo_last(root: Path) -> Path:
    """Discard the newest complete episode; returns where it is now.

    Raises:
        RecordingError: there is none.
    """
    there = episodes(root)
    if not there:
        raise RecordingError(f"{root} holds no episode to take back")
    return discard(there[-1])


class FolderLock:
    """Says that somebody records into a folder; freed by `release`, or when the process dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let others record there."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def lock(root: Path) -> FolderLock:
    """Take a data set's folder for one recorder, creating it.

    Raises:
        InUseError: another process has it.
        RecordingError: it cannot be written.
    """
    path = root / LOCK
    make_folder(root)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise named(error, f"{root} cannot be recorded into") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise InUseError(f"process {holder} records into {root}; one at a time") from None
    except OSError as error:
        os.close(descriptor)
        raise named(error, f"{path} cannot be locked") from error
    with contextlib.suppress(OSError):  # a courtesy, which a full disk has no room for
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return FolderLock(descriptor)


def _listed(root: Path, *, partial: bool) -> list[Path]:
    if not root.is_dir():
        return []
    matches = [(f, _NAME.fullmatch(f.name)) for f in root.iterdir()]
    found = [f for f, m in matches if m and (m[2] is not None) == partial and f.is_dir()]
    return sorted(found, key=number)


def _sync_content(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        elif path.is_file():
            sync_file(path)
    sync_folder(folder)


def _rename(source: Path, target: Path) -> Path:
    try:
        source.rename(target)
    except OSError as error:
        raise named(error, f"{source} cannot become {target}") from error
    sync_folder(target.parent)
    return target
