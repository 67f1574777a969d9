# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The demo's video: what the cameras see, with instruction, authority and delta drawn on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from lapa_core.types import NUM_AXES, ActionChunk, ImageArray

MAX_PICTURES = 4
ROWS = 480  # of one or two pictures
GRID_ROWS = 360  # of each picture where there are more


class Video:
    """H.264 of the policy's camera with instruction, authority and delta drawn on it.

    Beside it, where the robot has a second camera, what that one sees; three or four cameras
    are shown two a row.
    """

    def __init__(self, path: Path, instruction: str, rate_hz: float) -> None:
        self._instruction = instruction
        self._rate_hz = round(rate_hz)
        self._container = av.open(str(path), "w")
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()

    def add(
        self,
        pictures: Mapping[str, ImageArray],
        chunk: ActionChunk | None,
        authority: tuple[str, str],
    ) -> None:
        """Append one frame from (H, W, 3) uint8 RGB pictures by camera, the policy's first."""
        frame = draw(pictures, self._instruction, chunk, authority)
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate_hz)
            self._shape = frame.shape
            self._stream.height, self._stream.width = frame.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            # One encoder thread at the cheapest preset: the robot's processes need the cores.
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


def draw(
    pictures: Mapping[str, ImageArray],
    instruction: str,
    chunk: ActionChunk | None,
    authority: tuple[str, str],
) -> ImageArray:
    """One frame, 480 or 720 rows high, of one to four pictures with their text."""
    frame = arrange(pictures)
    lines = [f'"{instruction}"', f"{authority[0]}: {authority[1]}"[:80]]
    if chunk is not None:
        for first in range(0, len(chunk.names), NUM_AXES):
            values = chunk.deltas[-1, first : first + NUM_AXES]
            arm = chunk.names[first].partition("/")[0]
            xyz, rpy = 1e3 * values[:3], np.degrees(values[3:6])
            lines.append(
                f"{arm}  xyz {xyz[0]:+.1f} {xyz[1]:+.1f} {xyz[2]:+.1f} mm   rpy "
                f"{rpy[0]:+.1f} {rpy[1]:+.1f} {rpy[2]:+.1f} deg   gripper {values[6]:.2f}"
            )
    for row, text in enumerate(lines):
        _write(frame, text, (8, 20 + 20 * row))
    return frame


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
        _write(frame, name, (left + 8, top + GRID_ROWS - 10))
    return frame


def _write(frame: ImageArray, text: str, place: tuple[int, int]) -> None:
    """White on a black edge, at the text's lower left corner."""
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.48, colour, thickness)


def _to_rows(rgb: ImageArray, rows: int) -> ImageArray:
    """Scaled to a height; the width even, as yuv420p needs."""
    height, width = rgb.shape[:2]
    size = (2 * round(width * rows / height / 2), rows)
    return np.asarray(cv2.resize(rgb, size), dtype=np.uint8)
