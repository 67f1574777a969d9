# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One demonstration in one `.npz` file: whole or not there, and readable without pickle.

Knows neither what it was made from nor under which name it is found; see `train.tokens`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from lapa_core.data.demos import Demo, Traits
from lapa_core.data.report import EpisodeReport, Removal
from lapa_core.errors import DataError, DiskFullError, RecordingError

FORMAT = 4  # 2: with the places of the tools; 3: and their headings; 4: as they were told
PARTIAL = ".partial"
_ARRAYS = ("codes", "actions", "state", "index", "tool", "heading")
_BROKEN = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)


def save(path: Path, demo: Demo, traits: Traits, report: EpisodeReport) -> None:
    """Write a demonstration; the file appears when all of it is on disk.

    Raises:
        RecordingError: the disk refuses, `DiskFullError` a full one; nothing is left of it.
    """
    text = {
        "format": FORMAT,
        "name": demo.name,
        "instructions": demo.instructions,
        "authority": demo.authority,
        "traits": asdict(traits),
        "report": asdict(report),
    }
    arrays: dict[str, Any] = {n: getattr(demo, n) for n in _ARRAYS}
    arrays["text"] = np.array(json.dumps(text))
    try:
        with _staged(path) as file:
            np.savez(file, **arrays)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        kind = DiskFullError if full else RecordingError
        raise kind(f"cannot write {path}: {error.strerror or error}") from None


def load(path: Path) -> tuple[Demo, Traits, EpisodeReport]:
    """Read a demonstration.

    Raises:
        DataError: no such file, a broken one, or one of another format.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {n: file[n] for n in _ARRAYS}
            text = json.loads(str(file["text"]))
        if text["format"] != FORMAT:
            raise DataError(f"{path}: format {text['format']}; valid: {FORMAT}")
        removed = tuple(
            Removal(r["reason"], tuple(r["steps"]), r["note"]) for r in text["report"]["removed"]
        )
        demo = Demo(
            name=text["name"],
            instructions=tuple(text["instructions"]),
            authority=tuple(text["authority"]),
            **arrays,
        )
        listed: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in text["traits"].items()
        }
        return demo, Traits(**listed), EpisodeReport(**{**text["report"], "removed": removed})
    except _BROKEN as error:
        raise DataError(f"{path} is no demonstration: {error}") from None


def clean(folder: Path) -> int:
    """Remove what processes that are gone left half written; returns how many things."""
    gone = [p for p in folder.glob(f".*{PARTIAL}") if not _alive(p)]
    for path in gone:
        remove(path)
    return len(gone)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def partial(path: Path) -> Path:
    """A name beside `path` that `clean` takes for this process's."""
    return path.with_name(f".{path.name}.{os.getpid()}@{socket.gethostname()}{PARTIAL}")


@contextlib.contextmanager
def _staged(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` that takes its name when the block ends well, and goes otherwise."""
    half = partial(path)
    try:
        with half.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def _alive(half: Path) -> bool:
    """Whether the process that writes the file may still run; of another machine, always."""
    name, _, host = half.name.removesuffix(PARTIAL).rpartition("@")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(name.rpartition(".")[2]), 0)
    except ValueError:
        return True  # no file of ours
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
