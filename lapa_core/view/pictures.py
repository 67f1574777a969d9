# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Camera pictures small enough for a page: one element a camera, filled when there is a frame."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import viser

from lapa_core.types import ImageArray

JPEG_QUALITY = 70


def shrink(image: ImageArray, width: int) -> ImageArray:
    """(H, W, 3) at most `width` pixels wide; by areas, so that fine texture does not flicker."""
    height, old = image.shape[:2]
    if old <= width:
        return image
    size = (width, max(1, round(height * width / old)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


class CameraPanel:
    """The pictures of all cameras, below each other. For use inside a viser container."""

    def __init__(self, gui: viser.GuiApi, cameras: Iterable[str], width: int) -> None:
        self._width = width
        empty = np.full((3 * width // 4, width, 3), 40, dtype=np.uint8)
        self._elements = {
            name: gui.add_image(empty, label=name, format="jpeg", jpeg_quality=JPEG_QUALITY)
            for name in cameras
        }

    def show(self, camera: str, image: ImageArray) -> None:
        """Show a new (H, W, 3) RGB frame."""
        self._elements[camera].image = shrink(image, self._width)
