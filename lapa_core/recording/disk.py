# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What it takes that bytes are on the disk, and the names of what can go wrong there.

A file is safe when it is fsynced *and* the folder that names it is. Knows nothing of bags.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from lapa_core.errors import DiskFullError, RecordingError

FULL = (errno.ENOSPC, errno.EDQUOT)


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


def _sync(path: Path, flags: int) -> None:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise named(error, f"{path} cannot be brought to disk") from error
