# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Latent actions seen: what follows one, and what each code does. No robot, no weights changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lapa_core.data import images
from lapa_core.errors import ConfigError
from lapa_core.model.laq.laq import Laq
from lapa_core.types import FloatArray, ImageArray

ARROWS = 12
Chooses = Callable[[ImageArray], NDArray[np.int64]]  # (S, S, 3) -> (N,) a latent action


def pixels(model: Laq, pictures: Sequence[ImageArray]) -> torch.Tensor:
    """(n, 3, S, S) in 0 .. 1, resized as the model sees."""
    side = model.config.image_size
    small = np.stack([images.resize_for_laq(p, side) for p in pictures])
    return torch.from_numpy(small).permute(0, 3, 1, 2).to(model.device).float() / 255.0


def picture(frame: torch.Tensor) -> ImageArray:
    """(3, S, S) -> (S, S, 3) uint8."""
    levels = (255.0 * frame.clamp(0, 1)).round().byte()
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())


def dream(
    model: Laq, first: ImageArray, steps: int, choose: Chooses
) -> tuple[list[ImageArray], list[NDArray[np.int64]]]:
    """Frames that a chain of latent actions leads to, each drawn from the one before.

    Args:
        model: draws.
        first: (H, W, 3) RGB.
        steps: latent actions.
        choose: the latent action for a frame.

    Returns:
        steps + 1 frames of (S, S, 3), the first one resized, and the actions between them.

    Raises:
        ConfigError: fewer than 1 step.
    """
    if steps < 1:
        raise ConfigError(f"a dream needs 1 step or more, got {steps}")
    frame = pixels(model, [first])
    frames, actions = [picture(frame[0])], []
    for _ in range(steps):
        actions.append(choose(frames[-1]))
        codes = torch.from_numpy(actions[-1])[None].to(model.device)
        frame = model.draw(frame, codes).clamp(0, 1)
        frames.append(picture(frame[0]))
    return frames, actions


def effects(
    model: Laq, pictures: Sequence[ImageArray], usual: NDArray[np.int64]
) -> tuple[FloatArray, ImageArray]:
    """What each code at each place does to some frames, the others being as usual.

    Args:
        model: draws.
        pictures: (H, W, 3) RGB, at least one.
        usual: (N,) the latent action from which one code is changed at a time.

    Returns:
        (N, K, S, S) change of grey level, in the mean over the pictures, against what the usual
        action draws; and (N, K, S, S, 3) the first picture as drawn with that code.
    """
    frames = pixels(model, pictures)
    count, size = model.config.code_seq_len, model.config.codebook_size
    base = torch.from_numpy(usual).to(model.device)
    normal = model.draw(frames, base.expand(len(frames), -1))
    side = model.config.image_size
    change = np.zeros((count, size, side, side))
    drawn = np.zeros((count, size, side, side, 3), dtype=np.uint8)
    for place in range(count):
        for code in range(size):
            codes = base.clone()
            codes[place] = code
            found = model.draw(frames, codes.expand(len(frames), -1))
            change[place, code] = 255.0 * (found - normal).mean(dim=(0, 1)).cpu().numpy()
            drawn[place, code] = picture(found[0])
    return change, drawn


def arrows(before: ImageArray, after: ImageArray) -> FloatArray:
    """Where what is seen goes: optical flow on a grid of `ARROWS` a side (Farneback 2003).

    Args:
        before, after: (S, S, 3) RGB.

    Returns:
        (m, 4) x, y, dx, dy [px] of those that go a pixel and more.
    """
    grey = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (before, after)]
    window = max(len(before) // 8, 5)
    flow = cv2.calcOpticalFlowFarneback(
        grey[0], grey[1], None, 0.5, 3, window, 3, 5, 1.2, cv2.OPTFLOW_FARNEBACK_GAUSSIAN
    )
    places = ((np.arange(ARROWS) + 0.5) * len(before) / ARROWS).astype(int)
    rows, columns = np.meshgrid(places, places, indexing="ij")
    moved = flow[rows, columns].reshape(-1, 2)
    found = np.column_stack([columns.ravel(), rows.ravel(), moved])
    return np.asarray(found[np.hypot(*moved.T) >= 1.0], dtype=np.float64)
