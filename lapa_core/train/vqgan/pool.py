# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Pictures of recorded episodes, held in memory: what an image tokenizer learns from.

They have been resized as a policy's are, and are kept as JPEGs of 256x256 (15 to 30 KB each).
Behind a camera that stands still there is a background, the median of its pictures; what differs
from it is foreground. Reading them is the work of `vqgan.reading`. Imports no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from lapa_core.data import images
from lapa_core.errors import ConfigError, unknown
from lapa_core.types import ImageArray

QUALITY = 95  # the error of a JPEG is a level or two, that of a tokenizer ten and more
LEVELS = 15  # a pixel is foreground where one of its colours differs by more, of 255
FOR_MEDIAN = 99  # pictures of a camera that its background is made from
MOVING = 0.4  # a camera whose pictures differ from their median by more, on average, moves

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Background:
    """What a camera sees behind everything that moves.

    Attributes:
        camera: its name.
        median: (256, 256, 3) RGB.
        foreground: mean share of a picture that differs from it.
        fixed: whether it means anything: the camera itself stands still.
    """

    camera: str
    median: ImageArray
    foreground: float
    fixed: bool

    def __str__(self) -> str:
        """For the log."""
        share = f"{100 * self.foreground:.0f} % of its pictures"
        if self.fixed:
            return f"camera {self.camera}: foreground is {share}"
        return (
            f"camera {self.camera}: moves ({share} differ from their median), so nothing in them "
            f"counts as foreground"
        )


@dataclass(frozen=True)
class PicturePool:
    """Pictures of one robot's cameras.

    Attributes:
        cameras: names.
        episodes: names of the episodes.
        jpegs: (n,) pictures.
        camera, episode: (n,) which one each is of.
        refused: name of an episode -> why it could not be used.
    """

    cameras: tuple[str, ...]
    episodes: tuple[str, ...]
    jpegs: tuple[bytes, ...]
    camera: IntArray
    episode: IntArray
    refused: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.jpegs)

    def picture(self, index: int) -> ImageArray:
        """(256, 256, 3) RGB."""
        return images.decode_compressed(self.jpegs[index], "jpeg")

    def take(self, indices: IntArray) -> PicturePool:
        """Some of the pictures."""
        return PicturePool(
            self.cameras, self.episodes, tuple(self.jpegs[i] for i in indices),
            self.camera[indices], self.episode[indices], self.refused,
        )  # fmt: skip

    def split(self, share: float) -> tuple[PicturePool, PicturePool]:
        """Pictures to learn from, and those held back: whole episodes where there are several.

        One picture at least is held back where there are two.
        """
        there = np.unique(self.episode)
        if len(there) > 1:
            some = spread(len(there), max(1, round(share * len(there))))
            held = np.isin(self.episode, there[some])
        else:
            held = np.zeros(len(self), dtype=np.bool_)
            held[spread(len(self), max(1, round(share * len(self))))] = True
        return self.take(np.flatnonzero(~held)), self.take(np.flatnonzero(held))

    def fingerprint(self) -> str:
        """Of all pictures and what they are of."""
        digest = hashlib.sha256(repr((self.cameras, self.camera.tolist())).encode())
        for jpeg in self.jpegs:
            digest.update(hashlib.sha256(jpeg).digest())
        return digest.hexdigest()[:16]

    def backgrounds(self, moving: Sequence[str] = ()) -> tuple[Background, ...]:
        """The background of every camera.

        Args:
            moving: cameras that are known to move.

        Raises:
            ConfigError: none of the cameras is called so.
        """
        for name in moving:
            if name not in self.cameras:
                raise ConfigError(unknown("camera", name, self.cameras, "the pictures"))
        return tuple(self._background(i, n in moving) for i, n in enumerate(self.cameras))

    def _background(self, camera: int, moving: bool) -> Background:
        own = np.flatnonzero(self.camera == camera)
        if not len(own):  # all of its pictures are of episodes held back
            return Background(self.cameras[camera], self.picture(0) * 0, 1.0, False)
        some = np.stack([self.picture(i) for i in own[spread(len(own), FOR_MEDIAN)]])
        median = np.median(some, axis=0).astype(np.uint8)
        share = float(np.mean([foreground(p, median).mean() for p in some]))
        return Background(self.cameras[camera], median, share, not moving and share <= MOVING)


def foreground(picture: ImageArray, behind: ImageArray) -> NDArray[np.bool_]:
    """(H, W) where a picture differs from what is behind it."""
    red, green, blue = cv2.split(cv2.absdiff(picture, behind))  # `max(axis=-1)` is slow
    return np.asarray(cv2.max(cv2.max(red, green), blue) > LEVELS)


def spread(count: int, wanted: int) -> IntArray:
    """At most `wanted` of the numbers below `count`, evenly spread."""
    wanted = min(wanted, count)
    return ((np.arange(wanted) + 0.5) * count / max(wanted, 1)).astype(np.int64)


def make(
    pictures: Sequence[tuple[str, str, ImageArray]], center_crop: bool = False
) -> PicturePool:
    """A pool of pictures in memory: (episode, camera, (H, W, 3) RGB) each."""
    cameras = tuple(dict.fromkeys(c for _, c, _ in pictures))
    names = tuple(dict.fromkeys(e for e, _, _ in pictures))
    return PicturePool(
        cameras,
        names,
        tuple(jpeg(images.resize_for_model(p, center_crop)) for _, _, p in pictures),
        np.array([cameras.index(c) for _, c, _ in pictures], dtype=np.int64),
        np.array([names.index(e) for e, _, _ in pictures], dtype=np.int64),
    )


def jpeg(picture: ImageArray) -> bytes:
    """(256, 256, 3) RGB as it is kept."""
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
