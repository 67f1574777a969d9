# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Are latent actions any good? How the codes are used, and whether they tell what comes.

n pairs, N codes of a pair, K codes to choose from.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lapa_core.types import FloatArray

HEALTHY, COLLAPSING, COPYING, WORSE, WEAK = (
    "healthy", "collapsing", "copying the present frame",
    "worse than repeating the present frame", "weak",
)  # fmt: skip
USED = 0.005  # share of the pairs above which a place uses a code
FULL = 0.75  # of the codes told apart by their use (perplexity) at every place
FEW = 0.375
LEAST = 64  # pairs a probe needs
RIDGE = 1.0
NEARER = 0.9  # of the pairs drawn nearer what came than what was
COPIED = 0.75  # of repeating's error and more, and most drawn nearer what was: hardly changed


def of_codes(codes: NDArray[np.int64], size: int, own: bool = False) -> dict[str, float]:
    """How (n, N) codes of `size` kinds are used; `own`: each place has its own.

    Returns:
        `used`: codes used at the place that uses fewest; `perplexity`: there, of 1 .. size;
        `dead`: entries that are never used, of all codebooks; `joint`: different actions seen.
    """
    counts = np.stack([np.bincount(codes[:, i], minlength=size) for i in range(codes.shape[1])])
    share = counts / max(len(codes), 1)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    perplexity = np.exp(-(share * logs).sum(axis=1))
    return {
        "used": float((share > USED).sum(axis=1).min()),
        "perplexity": float(perplexity.min()),
        "dead": float(((counts if own else counts.sum(axis=0)) == 0).sum()),
        "joint": float(len(np.unique(codes, axis=0))),
    }


def of_drawings(drawn: FloatArray, present: FloatArray, future: FloatArray) -> dict[str, float]:
    """What (n, ...) drawings are worth.

    Returns:
        `relative`: their squared error over that of repeating the present frame; `nearer`: share
        of the pairs that are drawn nearer the future frame than the present one.
    """
    off = _squared(drawn, future)
    return {
        "mse": float(off.mean()),
        "relative": float(off.mean() / max(float(_squared(present, future).mean()), 1e-12)),
        "nearer": float((off < _squared(drawn, present)).mean()),
    }


def probe(codes: NDArray[np.int64], size: int, moves_m: FloatArray) -> float:
    """How much of the true motion a linear map of the codes tells: R2 on the other half.

    Args:
        codes: (n, N) of pairs.
        size: different codes.
        moves_m: (n, m) what moved; rows with NaN are left out.

    Returns:
        1: all of it; 0: no more than the mean; NaN: known of fewer than `LEAST` pairs.
    """
    known = np.isfinite(moves_m).all(axis=1) & (moves_m.shape[1] > 0)
    if known.sum() < LEAST:
        return float("nan")
    told = np.eye(size)[codes[known]].reshape(int(known.sum()), -1)
    told = np.concatenate([told, np.ones((len(told), 1))], axis=1)
    moves = moves_m[known]
    left = total = 0.0
    for half in (0, 1):
        fit, test = np.arange(len(told)) % 2 == half, np.arange(len(told)) % 2 != half
        square = told[fit].T @ told[fit] + RIDGE * np.eye(told.shape[1])
        weights = np.linalg.solve(square, told[fit].T @ moves[fit])
        left += float(((moves[test] - told[test] @ weights) ** 2).sum())
        total += float(((moves[test] - moves[fit].mean(axis=0)) ** 2).sum())
    return 1.0 - left / max(total, 1e-12)


def _squared(one: FloatArray, other: FloatArray) -> FloatArray:
    """(n,) mean squared difference."""
    apart: FloatArray = ((one - other) ** 2).reshape(len(one), -1).mean(axis=1)
    return apart


def verdict(found: Mapping[str, float], size: int) -> str:
    """In a word or two."""
    if found["perplexity"] < FEW * size:
        return COLLAPSING
    if found["relative"] >= 1.0:
        return WORSE
    if found["nearer"] < 0.5 and found["relative"] >= COPIED:
        return COPYING
    full = found["used"] == size and found["perplexity"] >= FULL * size
    return HEALTHY if full and found["nearer"] >= NEARER else WEAK


def said(found: Mapping[str, float], size: int) -> str:
    """One line for a person."""
    motion = ""
    if np.isfinite(found.get("probe", np.nan)):
        motion = f", {100 * found['probe']:.0f} % of the true motion told"
    return (
        f"error {found['relative']:.2f} of repeating the present frame's, "
        f"{100 * found['nearer']:.0f} % nearer the future, codes {found['used']:.0f} of {size} "
        f"used and worth {found['perplexity']:.1f} where fewest, {found['dead']:.0f} dead, "
        f"{found['joint']:.0f} different actions{motion}: {verdict(found, size)}"
    )
