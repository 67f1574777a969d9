# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The folder of an export: it gets its name when it is whole, and is never a stranger's.

Until then it is called `<name>.partial` and can be taken up again: what is done there stays done.
A file of ours says what the folder is. Knows no formats.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lapa_core.errors import DataError
from lapa_core.recording import disk

PARTIAL = ".partial"
MARKER = "lapa_export.json"
_LOCK = ".lock"
_NEWBORN = {_LOCK, MARKER + ".tmp"}  # what a crash right after the folder's birth leaves


@contextmanager
def lasting(what: Path) -> Iterator[None]:
    """Within: what the operating system refuses is a named error."""
    try:
        yield
    except OSError as error:
        raise disk.named(error, f"{what} cannot be written") from error


class Output:
    """A folder to be written.

    Attributes:
        path: its name at the end.
        work: where it is written.
    """

    def __init__(self, path: Path, kind: str) -> None:
        """Look, and touch nothing.

        Args:
            path: where it shall be; nothing may be there, but for an empty folder or the same
                kind of export.
            kind: of export, such as `lerobot`.

        Raises:
            DataError: there is something else.
        """
        self.path, self.kind = path, kind
        self.work = path.with_name(path.name + PARTIAL)
        self._lock: int | None = None
        for place in (path, self.work):
            found = self._kind(place)
            if found is not None and found != kind:
                what = f"an export to {found}" if found else "not an export of ours"
                raise DataError(f"{place} is there already and is {what}; choose another folder")

    def is_whole(self, content: Mapping[str, Any]) -> bool:
        """Whether exactly this was exported there before.

        Raises:
            DataError: an export is there, but of other data or choices.
        """
        if self._kind(self.path) is None:
            return False
        if _read(self.path).get("content") == json.loads(json.dumps(content)):
            return True
        raise DataError(
            f"{self.path} holds an export of other episodes or with other choices; move it away "
            "or choose another folder"
        )

    def begin(self) -> None:
        """Create or take up the working folder.

        Raises:
            DataError: another process is writing it.
            RecordingError: the disk refuses.
        """
        disk.make_folder(self.work)
        with lasting(self.work):
            self._lock = os.open(self.work / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not disk.try_lock(self._lock):
            raise DataError(f"{self.work} is being written by another process")
        self._mark({})

    def finish(self, content: Mapping[str, Any]) -> None:
        """Everything is written: give it its name.

        Args:
            content: what was exported, see `is_whole`.
        """
        self._mark(content)
        with lasting(self.path):
            (self.work / _LOCK).unlink()
            for top, _, files in os.walk(self.work):
                for file in files:
                    disk.sync_file(Path(top) / file)
                disk.sync_folder(Path(top))
            self.work.replace(self.path)
        disk.sync_folder(self.path.absolute().parent)

    def close(self) -> None:
        """Let others write there."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _mark(self, content: Mapping[str, Any]) -> None:
        text = json.dumps({"kind": self.kind, "content": content}, indent=2)
        disk.write_durably(self.work / MARKER, text.encode())

    @staticmethod
    def _kind(folder: Path) -> str | None:
        """Kind of the export there, "" if it is none of ours, None if nothing is there."""
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return None
        if not folder.is_dir():
            return ""
        if {f.name for f in folder.iterdir()} <= _NEWBORN:
            return None
        return str(_read(folder).get("kind", ""))


def _read(folder: Path) -> dict[str, Any]:
    with suppress(OSError, json.JSONDecodeError, UnicodeDecodeError):
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}
