# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The statistics of a LeRobot dataset: exact, of whole episodes and of all of them together.

Per feature: min, max, mean, std, count and the quantiles q01 q10 q50 q90 q99. LeRobot itself
estimates the quantiles from histograms and averages them over episodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lapa_core.types import FloatArray, ImageArray

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
Stats = Mapping[str, Any]  # name of the statistic -> nested list
_LEVELS = np.arange(256) / 255.0


def of_vectors(values: FloatArray | NDArray[np.int64]) -> Stats:
    """Statistics of (n, d) numbers, each (d,); of (n,) numbers, each (1,)."""
    rows = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    found: dict[str, Any] = {
        "min": rows.min(axis=0),
        "max": rows.max(axis=0),
        "mean": rows.mean(axis=0),
        "std": rows.std(axis=0),
        **{name: np.quantile(rows, q, axis=0) for name, q in QUANTILES.items()},
    }
    return {name: v.tolist() for name, v in found.items()} | {"count": [len(rows)]}


def histogram(image: ImageArray) -> NDArray[np.int64]:
    """(3, 256) how often each level occurs in a (H, W, 3) picture, by channel."""
    counts = [cv2.calcHist([image], [c], None, [256], [0.0, 256.0]) for c in range(3)]
    return np.array(counts).reshape(3, 256).astype(np.int64)


def of_pictures(counts: NDArray[np.int64], num_pictures: int) -> Stats:
    """Statistics of all pixels of pictures, levels as 0 .. 1, each (3, 1, 1).

    Args:
        counts: (3, 256) sum of their histograms.
        num_pictures: how many they are.
    """
    total = counts.sum(axis=1)
    mean = counts @ _LEVELS / total
    variance = np.sum(counts * (_LEVELS - mean[:, np.newaxis]) ** 2, axis=1) / total
    below = counts.cumsum(axis=1)
    found = {
        "min": _LEVELS[(counts > 0).argmax(axis=1)],
        "max": _LEVELS[255 - (counts[:, ::-1] > 0).argmax(axis=1)],
        "mean": mean,
        "std": np.sqrt(variance),
    }
    for name, q in QUANTILES.items():
        found[name] = _LEVELS[(below >= q * total[:, np.newaxis]).argmax(axis=1)]
    shaped: dict[str, Any] = {n: v.reshape(3, 1, 1).tolist() for n, v in found.items()}
    return shaped | {"count": [num_pictures]}
