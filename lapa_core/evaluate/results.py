# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A folder of results: what was run (`run.json`) and a line a trial (`trials.jsonl`).

A line counts once its newline is on the disk. What a kill has cut off is dropped when the folder
is opened again, and that trial is run again. Two processes never write into one folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lapa_core.errors import ConfigError, DataError
from lapa_core.evaluate.scores import Score
from lapa_core.recording import disk

RUN, TRIALS, LOCK, FILMS = "run.json", "trials.jsonl", ".lock", "films"
FORMAT = 1
# May differ when a run is continued: they change how it is run, not what it measures.
FREE = ("episodes", "workers", "device", "checkpoint")
_PROBE_BYTES = 1 << 20


class Results:
    """One open folder; a context manager that holds its lock.

    Attributes:
        folder: where it lies.
        scores: what is there, in the order it was written.
    """

    def __init__(self, folder: Path, run: dict[str, Any]) -> None:
        """Begin, or continue what stands there.

        Args:
            folder: made where it is missing.
            run: what is measured; the same as before, but for `FREE`.

        Raises:
            ConfigError: another process writes there, or something else was measured there.
            DataError: a line is damaged, or the folder cannot be written.
            RecordingError: the disk refuses.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / LOCK).open("w")
            try:
                self._open(run)
            except BaseException:
                self._lock.close()
                raise
        except OSError as error:
            raise DataError(f"cannot write into {folder}: {error.strerror}") from error

    def _open(self, run: dict[str, Any]) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another evaluation writes into {self.folder}") from None
        self._check(run)
        self.scores = _read(self.folder / TRIALS, mend=True)
        # No buffer: what a full disk has not taken must not be written later.
        self._file = (self.folder / TRIALS).open("ab", buffering=0)

    def _check(self, run: dict[str, Any]) -> None:
        run = {"format": FORMAT, **run}
        path = self.folder / RUN
        if path.exists():
            before = read_run(self.folder)
            differing = [
                f"{k}: {before.get(k)!r} then, {run.get(k)!r} now"
                for k in dict.fromkeys((*before, *run))
                # What did not exist then was not given: 0 is as good as none.
                if k not in FREE and (before.get(k) or None) != (run.get(k) or None)
            ]
            if differing:
                raise ConfigError(
                    f"{self.folder} holds another evaluation ({'; '.join(differing)}): give "
                    "another --out, or remove it"
                )
        elif (self.folder / TRIALS).exists():
            raise DataError(f"{self.folder} has {TRIALS} but no {RUN}")
        text = json.dumps(run, indent=2, ensure_ascii=False) + "\n"
        disk.write_durably(path, text.encode())  # the trials are worth nothing without it

    def __enter__(self) -> Results:
        """Nothing further."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let others write."""
        self.close()

    @property
    def done(self) -> set[tuple[str, str, int]]:
        """Keys of the trials that are there."""
        return {s.key for s in self.scores}

    def add(self, score: Score) -> None:
        """Write one trial; it is on the disk when this returns.

        Raises:
            DataError: the disk does not take it; nothing of it is left then.
        """
        if score.key in self.done:
            raise ValueError(f"trial {score.key} twice")
        line = (score.to_json() + "\n").encode()
        before = os.fstat(self._file.fileno()).st_size
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(before)
            raise DataError(f"cannot write {self.folder / TRIALS}: {error.strerror}") from error
        self.scores.append(score)

    def take_back(self) -> Score:
        """Remove the newest trial again, from the disk too.

        Raises:
            DataError: there is none, or the disk refuses.
        """
        path = self.folder / TRIALS
        if not self.scores:
            raise DataError(f"{path} has no trial to take back")
        try:
            self._file.truncate(path.read_bytes().rfind(b"\n", 0, -1) + 1)
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from error
        return self.scores.pop()

    def close(self) -> None:
        """Close the files and let others write."""
        self._file.close()
        self._lock.close()


def read(folder: Path) -> list[Score]:
    """The trials of a folder, to look at; a line that is being written is left out.

    Raises:
        DataError: no results, or damaged ones.
    """
    if not (folder / TRIALS).is_file():
        raise DataError(f"{folder} has no {TRIALS}: it is not the folder of an evaluation")
    return ordered(_read(folder / TRIALS, mend=False), read_run(folder))


def ordered(scores: Sequence[Score], run: dict[str, Any]) -> list[Score]:
    """By the suite's items, then by number: processes end their trials in any order."""
    places = {key: place for place, key in enumerate(run["episodes"])}
    return sorted(scores, key=lambda s: (places.get(f"{s.split}/{s.task}", len(places)), s.index))


def read_run(folder: Path) -> dict[str, Any]:
    """What was measured there."""
    path = folder / RUN
    if not path.is_file():
        raise DataError(f"{folder} has no {RUN}: it is not the folder of an evaluation")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{path} is of another format; valid: {FORMAT}")
    return content


def _read(path: Path, mend: bool) -> list[Score]:
    """Lines that end; with `mend` the file is cut after the last of them."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if mend and len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    try:  # not `splitlines`: words and notes may hold other ends of lines, such as U+2028
        lines = whole.decode("utf-8").split("\n")[:-1]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged: {error}") from None
    scores = [Score.from_json(line, f"{path}:{n}") for n, line in enumerate(lines, start=1)]
    if len({s.key for s in scores}) != len(scores):
        raise DataError(f"{path} has a trial twice")
    return scores


def fingerprint(folder: Path, names: Sequence[str] = ()) -> str:
    """A checkpoint told from another by its files: 16 hex digits.

    Of every file: its name, its size, and its first and last MiB, in which no two trainings
    agree; 14 GB are not read for it.

    Args:
        folder: of the checkpoint.
        names: files to look at; none: all of the folder's own, hidden ones left out.
    """
    digest = hashlib.sha256()
    files = [folder / n for n in names] or sorted(
        p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")
    )
    if not files:
        raise DataError(f"{folder} is empty or is no folder")
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder)}\0{size}\0".encode())
        with path.open("rb") as file:
            digest.update(file.read(_PROBE_BYTES))
            file.seek(max(0, size - _PROBE_BYTES))
            digest.update(file.read(_PROBE_BYTES))
    return digest.hexdigest()[:16]
