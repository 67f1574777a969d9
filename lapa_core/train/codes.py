# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Pictures -> codes of the frozen VQGAN, a batch at a time, in as many looks as are wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lapa_core.data import images
from lapa_core.data.augment import Augment, generator
from lapa_core.errors import ConfigError
from lapa_core.model.vqgan import Vqgan
from lapa_core.policy.allocator import keep_freed_memory
from lapa_core.types import ImageArray

BATCH = 16  # pictures that go through the VQGAN at a time


class Looks(Protocol):
    """How pictures are shown to a model; see `encoding.TokenParams`."""

    @property
    def center_crop(self) -> bool:
        """Whether the upper and lower tenth are cut off."""

    @property
    def variants(self) -> int:
        """Looks of every picture."""

    @property
    def augment(self) -> Augment:
        """How much all but the first are changed."""

    @property
    def seed(self) -> int:
        """Of that chance."""


def frozen(vqgan: Vqgan) -> Vqgan:
    """The VQGAN, ready to encode on the device it is on.

    Raises:
        ConfigError: more codes than 32 bits tell apart.
    """
    if vqgan.num_codes > 2**32:
        raise ConfigError(f"a codebook of {vqgan.num_codes} does not fit 32 bits")
    module: Any = vqgan  # torch's own methods are untyped
    module.eval().to(memory_format=torch.channels_last)
    if vqgan.device.type == "cpu":
        keep_freed_memory()
    return vqgan


def looks(picture: ImageArray, how: Looks, *names: str | int) -> Iterator[ImageArray]:
    """The picture as a policy sees it, then the augmented ones; (256, 256, 3) each.

    Args:
        picture: (H, W, 3) RGB.
        how: crop, number of looks, chance.
        names: of the picture, such as episode, step and camera: the chance is drawn from them.
    """
    yield images.resize_for_model(picture, how.center_crop)
    if how.variants > 1:
        whole = images.resize_for_model(picture, center_crop=False)
        for variant in range(1, how.variants):
            yield how.augment(whole, generator(how.seed, *names, variant))


class Codes:
    """Pictures -> codes, a batch at a time."""

    def __init__(self, vqgan: Vqgan) -> None:
        """Encode with a VQGAN that is `frozen`."""
        self._vqgan = vqgan
        self._waiting: list[NDArray[np.float32]] = []
        self._done: list[NDArray[np.uint32]] = []

    def add(self, pictures: Iterable[ImageArray]) -> None:
        """Take (256, 256, 3) RGB pictures."""
        for picture in pictures:
            self._waiting.append(images.normalise(picture))
            if len(self._waiting) == BATCH:
                self._encode()

    def finish(self, steps: int, cameras: int, variants: int) -> NDArray[np.uint32]:
        """(variants, steps, cameras, N) of all pictures, which came in that order reversed."""
        if self._waiting:
            self._encode()
        if not self._done:
            return np.empty((variants, 0, cameras, 0), dtype=np.uint32)
        flat = np.concatenate(self._done)
        shaped = flat.reshape(steps, cameras, variants, -1)
        return np.ascontiguousarray(shaped.transpose(2, 0, 1, 3))

    @torch.inference_mode()
    def _encode(self) -> None:
        pixels = torch.from_numpy(np.stack(self._waiting)).to(self._vqgan.device)
        self._done.append(self._vqgan.encode(pixels).cpu().numpy().astype(np.uint32))
        self._waiting.clear()


def weights_hash(vqgan: Vqgan) -> str:
    """Of everything the codes depend on, and the decoder, which costs little."""
    digest = hashlib.sha256()
    for name, tensor in sorted(vqgan.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
