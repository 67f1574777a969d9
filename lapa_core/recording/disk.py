# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What it takes that bytes are on the disk, and the names of what can go wrong there.

A file is safe when it is fsynced *and* the folder that names it is. Knows nothing of bags.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from lapa_core.errors import DiskFullError, RecordingError

FULL = (errno.ENOSPC, errno.EDQUOT)
MIB = 1 << 20
RESERVE = ".reserve"  # name of the file that holds room


def named(error: OSError, what: str) -> RecordingError:
    """The error of ours for one of the operating system."""
    kind = DiskFullError if error.errno in FULL else RecordingError
    return kind(f"{what}: {error.strerror or error}")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut.

    Raises:
        RecordingError: the disk refuses.
    """
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Make a file's content survive a power cut.

    Raises:
        RecordingError: the disk refuses.
    """
    _sync(path, os.O_RDONLY)


def make_folder(path: Path) -> None:
    """Create a folder and those above it; their names survive a power cut.

    Raises:
        RecordingError: the disk refuses.
    """
    new = []
    while not path.exists():
        new.append(path)
        path = path.parent
    for folder in reversed(new):
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise named(error, f"{folder} cannot be created") from error
        sync_folder(folder.parent)


def write_durably(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all: beside it first, then renamed, then on disk.

    Raises:
        RecordingError: the disk refuses; a file that was there is as it was.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise named(error, f"{path} cannot be written") from error
    sync_folder(path.parent)


def free_bytes(path: Path) -> int:
    """Room left for us on the disk of a path, which need not exist yet."""
    while not path.exists() and path != path.parent:
        path = path.parent
    info = os.statvfs(path)
    return info.f_bavail * info.f_frsize


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process; False when another has it.

    File systems without locks go without: there the answer is True.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


class Reserve:
    """A file that holds room on the disk, to be given back when the room is needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0

    def grow(self, size: int) -> None:
        """Hold at least `size` bytes.

        Raises:
            DiskFullError: there is not as much room.
        """
        if size <= self._size:
            return
        size = -(-size // MIB) * MIB
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.posix_fallocate(descriptor, 0, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise named(error, f"no room to complete {self._path.parent}") from error
        self._size = size

    def release(self) -> None:
        """Give the room back."""
        self._size = 0
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _sync(path: Path, flags: int) -> None:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise named(error, f"{path} cannot be brought to disk") from error
