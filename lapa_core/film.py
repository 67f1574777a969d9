# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Videos of what a robot's cameras see, with text on them: the demo's and the evaluation's.

Knows pictures, places and colours; what is written on them is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from lapa_core.types import ImageArray

ROWS = 480  # of one or two pictures
GRID_ROWS = 360  # of each picture where there are more
LINE = 20  # rows of a line of text


class Film:
    """H.264 in an mp4 of frames of one size."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        self._rate_hz = max(1, round(rate_hz))
        self._container = av.open(str(path), "w")
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()

    def add(self, frame: ImageArray) -> None:
        """Append a (H, W, 3) uint8 RGB frame of even sides; one of another size is left out."""
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate_hz)
            self._shape = frame.shape
            self._stream.height, self._stream.width = frame.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            # One encoder thread at the cheapest preset: others need the cores.
            self._stream.options = {"preset": "ultrafast", "crf": "23", "threads": "1"}
        if frame.shape != self._shape:
            return  # a camera changed its size: a film has one
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Write what is pending and finish the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()


def arrange(pictures: Mapping[str, ImageArray]) -> ImageArray:
    """Up to two pictures side by side, more two a row with their names."""
    if len(pictures) <= 2:
        return np.concatenate([_to_rows(p, ROWS) for p in pictures.values()], axis=1)
    cells = {name: _to_rows(p, GRID_ROWS) for name, p in pictures.items()}
    width = max(c.shape[1] for c in cells.values())
    frame = np.zeros((GRID_ROWS * ((len(cells) + 1) // 2), 2 * width, 3), dtype=np.uint8)
    for index, (name, cell) in enumerate(cells.items()):
        top, left = GRID_ROWS * (index // 2), width * (index % 2)
        frame[top : top + GRID_ROWS, left : left + cell.shape[1]] = cell
        write(frame, name, (left + 8, top + GRID_ROWS - 10))
    return frame


def write_lines(frame: ImageArray, lines: Sequence[str]) -> None:
    """Lines of text from the upper left corner down."""
    for row, text in enumerate(lines):
        write(frame, text, (8, LINE + LINE * row))


def write(frame: ImageArray, text: str, place: tuple[int, int]) -> None:
    """White on a black edge, at the text's lower left corner."""
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.48, colour, thickness)


def _to_rows(rgb: ImageArray, rows: int) -> ImageArray:
    """Scaled to a height; the width even, as yuv420p needs."""
    height, width = rgb.shape[:2]
    size = (2 * round(width * rows / height / 2), rows)
    return np.asarray(cv2.resize(rgb, size), dtype=np.uint8)


def shrink(rgb: ImageArray, size: tuple[int, int]) -> ImageArray:
    """A (H, W, 3) picture in another size of (width, height)."""
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
