# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Videos of trials that failed: kept in memory while a trial runs, written when it has failed.

A trial that succeeds leaves nothing. What it keeps is small pictures, some 20 MB a trial.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from lapa_core.errors import DataError
from lapa_core.evaluate.results import FILMS
from lapa_core.evaluate.scores import Score
from lapa_core.film import Film, arrange, write_lines
from lapa_core.types import ImageArray

WIDTH, HEIGHT = 320, 240  # of each camera's picture
END_S = 1.5  # the last picture stays, with the outcome on it
_OTHER = re.compile(r"[^\w-]+")


class Reel:
    """The pictures of one trial."""

    def __init__(self, instruction: str, rate_hz: float) -> None:
        self._instruction = instruction
        self._rate_hz = rate_hz
        self._frames: list[Mapping[str, ImageArray]] = []

    def add(self, pictures: Mapping[str, ImageArray]) -> None:
        """One step's pictures by camera, each (HEIGHT, WIDTH, 3) uint8 RGB."""
        self._frames.append(pictures)

    def write(self, folder: Path, score: Score) -> str:
        """Write the film; returns its path relative to `folder`, "" where nothing was seen.

        Raises:
            DataError: the disk refuses.
        """
        if not self._frames:
            return ""
        relative = f"{FILMS}/{name(score)}.mp4"
        path = folder / relative
        partial = path.with_name(f".{path.name}.partial.mp4")  # av goes by the ending
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._film(partial, score)
            partial.replace(path)
        except OSError as error:
            raise DataError(f"cannot write the film {path}: {error.strerror}") from error
        return relative

    def _film(self, path: Path, score: Score) -> None:
        film = Film(path, self._rate_hz)
        for step, pictures in enumerate(self._frames):
            film.add(self._draw(pictures, f"step {step}", ""))
        last = self._draw(self._frames[-1], verdict(score), score.note)
        for _ in range(max(1, round(END_S * self._rate_hz))):
            film.add(last)
        film.close()

    def _draw(self, pictures: Mapping[str, ImageArray], text: str, note: str) -> ImageArray:
        frame = arrange(pictures)
        write_lines(frame, [t for t in (f'"{self._instruction}"', text, note[:90]) if t])
        return frame


def verdict(score: Score) -> str:
    """How a trial ended, in words."""
    done = "success" if score.strict else "done, not strictly" if score.success else "failure"
    touched = f", touched {score.first_touched} first" if score.first_touched else ""
    return f"{done} ({score.ended}), credit {score.credit:g}{touched}"


def name(score: Score) -> str:
    """A file name for a trial."""
    return _OTHER.sub("_", f"{score.split}-{score.task}-{score.index:04d}")
