# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Other looks of a picture for training: a crop on both axes, and light and colours changed.

Sizes of the changes are the reference's (`latent_pretraining/data.py`, albumentations 1.3). What
a policy itself sees is `images.resize_for_model`, and is not changed here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from lapa_core.data.images import resize
from lapa_core.errors import ConfigError
from lapa_core.types import FloatArray, ImageArray


@dataclass(frozen=True)
class Augment:
    """How much a picture is changed.

    Attributes:
        crop_area: least and largest share of the picture's area that is kept, at a place and of
            a size drawn anew for each picture. The reference keeps 0.9 always; up to 1 the whole
            picture, which a policy without a crop sees, is among them.
        brightness: shares of full scale added, up to this, either way.
        contrast: share by which levels are stretched, likewise.
        hue: of OpenCV's 180 steps of hue, likewise.
        saturation, value: of 255, likewise.
        probability: of light (brightness and contrast), and of colour (the other three).
    """

    crop_area: tuple[float, float] = (0.9, 1.0)
    brightness: float = 0.2
    contrast: float = 0.2
    hue: float = 5.0
    saturation: float = 20.0
    value: float = 20.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        """Refuse sizes that are none."""
        low, high = self.crop_area
        if not 0.1 <= low <= high <= 1.0 or not 0.0 <= self.probability <= 1.0:
            raise ConfigError(
                f"crop_area must be 0.1 .. 1, the least first, and probability 0 .. 1; got "
                f"{list(self.crop_area)} and {self.probability}"
            )
        sizes = (self.brightness, self.contrast, self.hue, self.saturation, self.value)
        if min(sizes) < 0.0 or self.contrast >= 1.0:
            raise ConfigError(f"augmentation must be 0 or more, and contrast below 1: {self}")

    def __call__(self, picture: ImageArray, random: Generator) -> ImageArray:
        """Another look of a picture.

        Args:
            picture: (S, S, 3) RGB, resized but not cropped; of a policy 256 pixels a side.
            random: drawn from the same number of times whatever comes out.

        Returns:
            (S, S, 3) uint8.
        """
        draws = random.random(10)
        resized = self._crop(picture, draws[:3])
        if draws[3] < self.probability:
            resized = self._light(resized, *(2.0 * draws[4:6] - 1.0))
        if draws[6] < self.probability:
            resized = self._colour(resized, *(2.0 * draws[7:10] - 1.0))
        return np.ascontiguousarray(resized)

    def _crop(self, picture: ImageArray, draws: FloatArray) -> ImageArray:
        (low, high), size = self.crop_area, len(picture)
        side = round(size * float(np.sqrt(low + (high - low) * draws[0])))
        if side == size:
            return picture
        top, left = (int(d * (size - side + 1)) for d in draws[1:])
        cut = np.ascontiguousarray(picture[top : top + side, left : left + side])
        return resize(cut, (size, size))

    def _light(self, picture: ImageArray, brightness: float, contrast: float) -> ImageArray:
        """Levels through one table: a stretch about black, then a shift, as the reference."""
        levels = np.arange(256) * (1.0 + contrast * self.contrast)
        levels += 255.0 * brightness * self.brightness
        return np.asarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8)[picture])

    def _colour(
        self, picture: ImageArray, hue: float, saturation: float, value: float
    ) -> ImageArray:
        hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
        levels = np.arange(256)
        tables = np.stack(
            [
                (levels + round(hue * self.hue)) % 180,
                np.clip(levels + round(saturation * self.saturation), 0, 255),
                np.clip(levels + round(value * self.value), 0, 255),
            ],
            axis=-1,
        ).astype(np.uint8)
        changed = cv2.LUT(hsv, tables[None])
        return np.asarray(cv2.cvtColor(changed, cv2.COLOR_HSV2RGB), dtype=np.uint8)


def generator(seed: int, *place: str | int) -> Generator:
    """Chance for one picture: the same for the same seed and place, whatever else is made."""
    text = "/".join(map(str, (seed, *place)))
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
