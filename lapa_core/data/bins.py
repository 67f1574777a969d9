# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where the edges of one dimension's bins lie.

The inner edges are the reference's: equal-frequency quantiles. Two things are mended, for both
can move an arm by centimetres (docs/decisions/0050):

- a value that many steps share, such as 0, gets a bin of its own, where the reference merges
  edges and answers with the middle of what is left. A dimension that never changes is one such
  value and nothing else.
- the outer bins answer with a typical value of the steps in them, where the reference answers
  with the middle between an inner edge and the largest outlier.
"""

from __future__ import annotations

import numpy as np

from lapa_core.types import FloatArray

OUTERMOST = 3  # at least so many steps decide what an outer bin answers with


def edges(
    samples: FloatArray, num_bins: int, half: float, bound: float
) -> tuple[FloatArray, tuple[float, ...]]:
    """Choose the edges of one dimension.

    Args:
        samples: (n,).
        num_bins: at most so many.
        half: half the width of a bin for one value, at most; less where edges are near.
        bound: no outer bin answers with more than this, either way.

    Returns:
        (m,) increasing edges, m 2 to `num_bins` + 1; and the values with bins of their own, most
        frequent first.
    """
    lower, upper = typical_ends(samples, num_bins)
    held = np.clip(np.clip(samples, lower, upper), -bound, bound)
    quantiles = np.percentile(held, np.linspace(0, 1, num_bins + 1) * 100)
    values, counts = np.unique(quantiles, return_counts=True)
    # A value between two edges that are equal is shared by more than a bin's worth of steps.
    shared = values[counts > 1]
    row = list(values[counts == 1])
    if not len(shared):
        return _around_ends(np.array(row)), ()
    for value in shared:
        others = values[values != value]
        gap = float(np.min(np.abs(others - value))) if len(others) else 4 * half
        width = min(half, gap / 4)
        row += [value - width, value + width]
    found = np.unique(row)
    if values[0] not in shared or values[-1] not in shared:
        found = _around_ends(found, values[0] in shared, values[-1] in shared)
    by_count = sorted(shared, key=lambda v: -int(np.sum(held == v)))
    return found, tuple(float(v) for v in by_count)


def typical_ends(samples: FloatArray, num_bins: int) -> tuple[float, float]:
    """The medians of the outermost bin's worth of steps, at least `OUTERMOST`, at both ends."""
    count = min(len(samples), max(OUTERMOST, -(-len(samples) // num_bins)))
    ordered = np.sort(samples)
    return float(np.median(ordered[:count])), float(np.median(ordered[-count:]))


def _around_ends(row: FloatArray, keep_first: bool = False, keep_last: bool = False) -> FloatArray:
    """Edges whose first and last bin have the present outer edges in their middle."""
    moved = row.copy()
    if not keep_first:
        moved[0] = 2 * row[0] - row[1]
    if not keep_last:
        moved[-1] = 2 * row[-1] - row[-2]
    return moved
