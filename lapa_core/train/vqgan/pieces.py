# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How much each pixel of the foreground counts: by the piece it is of, not by its area.

A block is 1 % of a picture and an arm a tenth, and a policy must know to the centimetre where the
block is; of the arm it is told. Weighted by pixels, an arm is drawn finely and blocks are blurred.
A piece is what hangs together and is of one colour, so that a block under the gripper is a piece
of its own. Imports no torch.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lapa_core.train.vqgan.pool import foreground
from lapa_core.types import ImageArray

PIECE_PX = 500  # pixels that count in full, of 256x256; all those of a larger piece as so many
COLOURED = 60  # levels between a pixel's largest and smallest colour; below, it is grey
HUES = 6  # kinds of colour, beside grey
_NONE = 255
# Of each of OpenCV's 180 hues; red, yellow, green, ... each in the middle of its kind.
_KIND = ((np.arange(256) + 15) % 180 * HUES // 180).astype(np.uint8)


def piece_weights(picture: ImageArray, behind: ImageArray) -> NDArray[np.float32]:
    """(H, W) 0 .. 1, 0 where a picture does not differ from what is behind it."""
    weights = np.zeros(picture.shape[:2], dtype=np.float32)
    there = foreground(picture, behind)
    if not there.any():
        return weights
    kinds = np.where(there, _kinds(picture), _NONE)
    for kind in range(HUES + 1):
        own = cv2.compare(kinds, kind, cv2.CMP_EQ)
        if not cv2.hasNonZero(own):
            continue
        _, pieces, found, _ = cv2.connectedComponentsWithStats(own, connectivity=8)
        each = np.minimum(PIECE_PX / found[:, cv2.CC_STAT_AREA], 1.0).astype(np.float32)
        each[0] = 0.0  # all that is no piece of this kind
        weights += each[pieces]
    return weights


def _kinds(picture: ImageArray) -> NDArray[np.uint8]:
    """(H, W) the kind of each pixel's colour, 0 .. HUES - 1, or HUES for grey."""
    hue, saturation, value = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
    chroma = cv2.multiply(saturation, value, scale=1 / 255)  # largest less smallest colour
    return np.where(chroma < COLOURED, np.uint8(HUES), _KIND[hue])
