# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The demo's video: what the cameras see, with instruction, outcome, authority and delta on it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lapa_core.film import Film, arrange, write_lines
from lapa_core.types import NUM_AXES, ActionChunk, ImageArray

MAX_PICTURES = 4


class Video:
    """H.264 of the policy's camera with what is said, authority and delta drawn on it.

    Beside it, where the robot has a second camera, what that one sees; three or four cameras
    are shown two a row. Frames may come from another thread than the rest.
    """

    def __init__(self, path: Path, instruction: str, rate_hz: float) -> None:
        self._film = Film(path, rate_hz)
        self._lock = threading.Lock()
        self._closed = False
        self.say(instruction)

    def say(self, instruction: str, outcome: str = "") -> None:
        """Show this from the next frame on.

        Args:
            instruction: what the policy is told, or "".
            outcome: of the trial, a line of its own, or "".
        """
        self._said = tuple(t for t in (f'"{instruction}"' if instruction else "", outcome) if t)

    def add(
        self,
        pictures: Mapping[str, ImageArray],
        chunk: ActionChunk | None,
        authority: tuple[str, str],
    ) -> None:
        """Append one frame from (H, W, 3) uint8 RGB pictures by camera, the policy's first."""
        with self._lock:
            if not self._closed:
                self._film.add(draw(pictures, self._said, chunk, authority))

    def close(self) -> None:
        """Write what is pending and finish the file; frames that come later are left out."""
        with self._lock:
            self._closed = True
            self._film.close()


def draw(
    pictures: Mapping[str, ImageArray],
    said: tuple[str, ...],
    chunk: ActionChunk | None,
    authority: tuple[str, str],
) -> ImageArray:
    """One frame, 480 or 720 rows high, of one to four pictures with their text."""
    frame = arrange(pictures)
    lines = [*said, f"{authority[0]}: {authority[1]}"[:80]]
    if chunk is not None:
        for first in range(0, len(chunk.names), NUM_AXES):
            values = chunk.deltas[-1, first : first + NUM_AXES]
            arm = chunk.names[first].partition("/")[0]
            xyz, rpy = 1e3 * values[:3], np.degrees(values[3:6])
            lines.append(
                f"{arm}  xyz {xyz[0]:+.1f} {xyz[1]:+.1f} {xyz[2]:+.1f} mm   rpy "
                f"{rpy[0]:+.1f} {rpy[1]:+.1f} {rpy[2]:+.1f} deg   gripper {values[6]:.2f}"
            )
    write_lines(frame, lines)
    return frame
