# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Scripted demonstrations by the thousand, without ROS, as a data set of the recorder's format.

A folder is one request: its demonstrations are numbered, each follows from its number, and a run
that was ended goes on where it stopped. Episodes appear whole, by the recorder's own rename. A
book beside them says what was tried, so that failures are not tried again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lapa_core import __version__, crew
from lapa_core.errors import ConfigError, DataError, LapaError
from lapa_core.recording import disk, episode, folders
from lapa_core.sim.demonstrate import Attempt, Request, demonstrator, in_use, make_rig

BOOK = "collected.jsonl"
GIVE_UP = 25  # failures in a row: not one in a hundred fails where all is well
FORMAT = 1


@dataclass
class Book:
    """What was tried so far, in a folder.

    Attributes:
        attempts: by number.
    """

    folder: Path
    request: Request
    attempts: dict[int, Attempt] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, request: Request) -> Book:
        """Read or begin the book of a folder, whose lock is held.

        Raises:
            ConfigError: the folder holds something else, or another request.
            DataError: the book cannot be read.
        """
        book = cls(folder, request)
        path = folder / BOOK
        if path.exists():
            book._read(path)
        elif folders.episodes(folder) or folders.partials(folder):
            raise ConfigError(
                f"{folder} holds episodes and no {BOOK}: they were not collected here; choose "
                "another folder"
            )
        for left in folders.partials(folder):  # of a run that was ended
            shutil.rmtree(left)
        book._adopt()
        lines = [book._header(), *(asdict(a) for _, a in sorted(book.attempts.items()))]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        disk.write_durably(path, text.encode())
        return book

    @property
    def successes(self) -> int:
        """Demonstrations that succeeded."""
        return sum(a.success for a in self.attempts.values())

    def add(self, attempt: Attempt) -> None:
        """Note what came of one.

        Raises:
            RecordingError: the disk refuses.
        """
        self.attempts[attempt.number] = attempt
        path = self.folder / BOOK
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(attempt)) + "\n")
        except OSError as error:
            raise disk.named(error, f"{path} cannot be written") from error

    def _header(self) -> dict[str, Any]:
        """What makes it this set: of a policy what it is, not where it lies."""
        of = asdict(self.request)
        of.pop("policy")
        return {"format": FORMAT, "software": f"lapa_ros {__version__}", **of}

    def _read(self, path: Path) -> None:
        header, *lines = path.read_text(encoding="utf-8").split("\n")
        wanted = json.loads(json.dumps(self._header()))  # tuples become lists
        try:
            found = json.loads(header)
            # An option that did not exist then was not given: "" and 0 are as good as none.
            differ = [k for k in {**wanted, **found}
                      if (wanted.get(k) or None) != (found.get(k) or None)]  # fmt: skip
            if not differ:
                for line in lines[:-1]:  # a line that was cut has no end
                    values = json.loads(line)
                    values["findings"] = tuple(values["findings"])
                    self.attempts[values["number"]] = Attempt(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} cannot be read: {error}; choose another folder") from None
        if differ:
            each = ", ".join(f"{k} {found.get(k)!r}, not {wanted.get(k)!r}" for k in differ)
            raise ConfigError(f"{path.parent} was collected with {each}; choose another folder")

    def _adopt(self) -> None:
        """Episodes that were complete when a run was killed, just before their line."""
        for folder in folders.episodes(self.folder):
            number = folders.number(folder)
            if number not in self.attempts:
                success = episode.read(folder).outcome == "success"
                trial = self.request.trial(number)
                self.attempts[number] = Attempt(
                    number, trial.task, trial.target, trial.instruction, success, True, 0
                )


def collect(
    request: Request,
    out: Path,
    episodes: int,
    *,
    workers: int = 1,
    tell: Callable[[Book], None] = lambda _: None,
) -> Book:
    """Demonstrate until as many have succeeded as are wanted.

    Numbers are tried in order, and none that might not be needed is begun: which episodes there
    are in the end depends on neither the workers nor on how often the run was ended.

    Args:
        request: what is collected.
        out: folder of the data set; one that was begun with the same request is gone on with.
        episodes: successes that are wanted in all.
        workers: processes; 1 is this one.
        tell: told after every demonstration.

    Raises:
        ConfigError: the request cannot be simulated, or the folder holds something else.
        RecordingError: the disk refuses, or another process collects there.
        LapaError: a worker was killed, or the demonstrator fails again and again.
    """
    if episodes < 1 or workers < 1:
        raise ConfigError(f"episodes and workers must be 1 or more, got {episodes} and {workers}")
    make_rig(request)  # what is wrong is said before a folder is made
    with folders.lock(out):
        with in_use(out, alone=True):
            book = Book.open(out, request)
        begun = set(book.attempts)
        pending: set[int] = set()
        lowest = failures = 0

        def following() -> int | None:
            nonlocal lowest
            if book.successes + len(pending) >= episodes:
                return None
            while lowest in begun:
                lowest += 1
            begun.add(lowest)
            pending.add(lowest)
            return lowest

        def take(attempt: Attempt) -> None:
            nonlocal failures
            pending.discard(attempt.number)
            book.add(attempt)
            failures = 0 if attempt.success else failures + 1
            if failures >= GIVE_UP:
                raise LapaError(f"{failures} demonstrations in a row failed, the last to "
                                f"{attempt.instruction!r}: {attempt.note}")  # fmt: skip
            tell(book)

        crew.run(partial(demonstrator, request, out), following, take, workers)
        return book
