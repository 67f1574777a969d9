# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Intervals of rates, and what two policies over the same starts say of each other.

Knows numbers alone. Everything is exact or closed-form; nothing is drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054  # two-sided 95 % of the standard normal distribution


@dataclass(frozen=True)
class Rate:
    """A share of trials with its interval.

    Attributes:
        total: trials.
        sum: successes, or the sum of partial credits.
        low, high: 95 % interval; 0 and 1 where there is no trial.
    """

    total: int
    sum: float
    low: float
    high: float

    @property
    def mean(self) -> float:
        """The share; NaN where there is no trial."""
        return self.sum / self.total if self.total else math.nan


def wilson(total: float, trials: int, z: float = Z_95) -> Rate:
    """Wilson's score interval (1927) of a share.

    Of successes it is the usual interval. Of partial credits in 0 .. 1 it is at least as wide as
    needed: of all such numbers with a mean p, zeros and ones spread most, by p (1 - p).

    Args:
        total: successes, or the sum of credits each in 0 .. 1.
        trials: how many.
        z: quantile of the standard normal distribution.
    """
    if not 0 <= total <= trials:
        raise ValueError(f"a sum of {total} over {trials} trials")
    if trials == 0:
        return Rate(0, 0.0, 0.0, 1.0)
    p, square = total / trials, z * z
    middle = (p + square / (2 * trials)) / (1 + square / trials)
    half = z * math.sqrt(p * (1 - p) / trials + square / (4 * trials**2)) / (1 + square / trials)
    # The ends are exact where every trial ended alike; rounding must not say otherwise.
    low = 0.0 if total == 0 else max(0.0, min(p, middle - half))
    high = 1.0 if total == trials else min(1.0, max(p, middle + half))
    return Rate(trials, total, low, high)


def sign_test(better: int, worse: int) -> float:
    """Two-sided exact p-value that `better` and `worse` of the unequal pairs are a fair coin's.

    Over successes this is McNemar's exact test. Equal pairs say nothing and are left out.
    """
    pairs = better + worse
    if pairs == 0:
        return 1.0
    tail = ways = 1  # `ways` to choose k of the pairs
    for k in range(min(better, worse)):
        ways = ways * (pairs - k) // (k + 1)
        tail += ways
    return min(1.0, 2 * tail / 2**pairs)  # whole numbers: floats end at 1023 pairs


@dataclass(frozen=True)
class PairedDifference:
    """Rate of the first minus rate of the second, over the same starts.

    Attributes:
        both, first, second, neither: pairs by who succeeded.
        difference: of the rates.
        low, high: 95 % interval of it.
        p: of McNemar's exact test.
    """

    both: int
    first: int
    second: int
    neither: int
    difference: float
    low: float
    high: float
    p: float


def paired(both: int, first: int, second: int, neither: int) -> PairedDifference:
    """Compare two success rates pair by pair.

    The interval is Newcombe's (Statistics in Medicine 17, 1998, paired differences, method 10):
    from the Wilson intervals of both rates and the correlation of the pairs.
    """
    n = both + first + second + neither
    p = sign_test(first, second)
    if n == 0:
        return PairedDifference(0, 0, 0, 0, math.nan, -1.0, 1.0, p)
    one, two = wilson(both + first, n), wilson(both + second, n)
    phi = _correlation(both, first, second, neither)
    down, up = one.mean - one.low, two.high - two.mean
    lower = math.sqrt(max(0.0, down**2 - 2 * phi * down * up + up**2))
    up, down = one.high - one.mean, two.mean - two.low
    upper = math.sqrt(max(0.0, up**2 - 2 * phi * up * down + down**2))
    difference = (first - second) / n
    return PairedDifference(
        both, first, second, neither, difference, difference - lower, difference + upper, p
    )


def _correlation(both: int, first: int, second: int, neither: int) -> float:
    """Newcombe's phi with its continuity correction of positive correlations."""
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if margins == 0:
        return 0.0
    product = both * neither - first * second
    if product > 0:
        product = max(0.0, product - (both + first + second + neither) / 2)
    return product / math.sqrt(margins)
