# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The errors of one number that a policy gives, in people's units, and their line of a table."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lapa_core.types import FloatArray


@dataclass(frozen=True)
class Dimension:
    """The errors of one dimension, in mm, degrees, or share of the opening.

    Attributes:
        name, unit: such as "wx250s/x" in "mm".
        mean, median, p95: of the absolute error.
        bias: mean of predicted minus recorded.
        constant: mean absolute error of the best constant, the recorded median.
        wrong: of a gripper: share of the steps on the wrong side of half open; else NaN.
    """

    name: str
    unit: str
    mean: float
    median: float
    p95: float
    bias: float
    constant: float
    wrong: float


def dimension(
    name: str,
    unit: str,
    scale: float,
    recorded: FloatArray,
    predicted: FloatArray,
    wrong: float = math.nan,
) -> Dimension:
    """The errors of (n,) numbers, times `scale` in this unit."""
    off = scale * (predicted - recorded)
    size = np.abs(off)
    return Dimension(
        name=name,
        unit=unit,
        mean=float(size.mean()),
        median=float(np.median(size)),
        p95=float(np.percentile(size, 95)),
        bias=float(off.mean()),
        constant=float(scale * np.mean(np.abs(recorded - np.median(recorded)))),
        wrong=wrong,
    )


HEADER = ("dimension", "unit", "mean error", "median", "95 %", "bias", "constant", "wrong side")


def cells(dimension: Dimension) -> tuple[str, ...]:
    """A line under `HEADER`."""
    d = dimension
    numbers = (f"{v:.2f}" for v in (d.mean, d.median, d.p95))
    wrong = f"{100 * d.wrong:.0f} %" if math.isfinite(d.wrong) else "-"
    return d.name, d.unit, *numbers, f"{d.bias:+.2f}", f"{d.constant:.2f}", wrong
