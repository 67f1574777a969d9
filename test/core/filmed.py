# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Small real video files: a bright square that moves over grey."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def picture(place: float, size: tuple[int, int] = (64, 48), grey: int = 40) -> np.ndarray:
    """A bright square at a share of the width, over a grey with a coarse pattern."""
    width, height = size
    coarse = np.random.default_rng(0).integers(-25, 25, size=(6, 8, 1))
    fine = np.kron(coarse, np.ones((-(-height // 6), -(-width // 8), 1)))[:height, :width]
    image = np.repeat(grey + fine, 3, axis=2).astype(np.uint8)
    left = int(place * (width - 16))
    image[height // 3 : height // 3 + 16, left : left + 16] = (220, 60, 30)
    return image


def moving(n: int, rate: int = 5, begin: float = 0.0) -> list[np.ndarray]:
    """There and back in four seconds."""
    return [picture(abs((i / rate / 2 + 2 * begin) % 2 - 1)) for i in range(n)]


def write(path: Path, shown: list[np.ndarray], rate: int = 5, codec: str = "libx264") -> Path:
    """Encode the pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = shown[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
