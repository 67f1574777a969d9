# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Intervals and paired tests: published values, exact coverage, symmetry."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lapa_core.evaluate.statistics import paired, sign_test, wilson

# Newcombe, Statistics in Medicine 17 (1998), p. 857 ff., table I, method 3.
WILSON = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
]


@pytest.mark.parametrize(("successes", "trials", "low", "high"), WILSON)
def test_wilson_gives_the_published_intervals(
    successes: int, trials: int, low: float, high: float
) -> None:
    rate = wilson(successes, trials)
    assert (rate.low, rate.high) == pytest.approx((low, high), abs=5e-5)
    assert rate.mean == successes / trials


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.floats(0, n))))
def test_an_interval_holds_its_rate_and_mirrors(drawn: tuple[int, float]) -> None:
    trials, total = drawn
    rate, mirrored = wilson(total, trials), wilson(trials - total, trials)
    assert 0.0 <= rate.low <= rate.mean <= rate.high <= 1.0
    assert (rate.low, rate.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-9)


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.83])
def test_wilson_covers_what_it_says(p: float) -> None:
    """The exact probability that the interval of 100 trials holds the true rate."""
    n = 100
    covered = sum(
        math.comb(n, k) * p**k * (1 - p) ** (n - k)
        for k in range(n + 1)
        if wilson(k, n).low <= p <= wilson(k, n).high
    )
    assert 0.93 <= covered <= 0.97


def test_no_trial_says_nothing() -> None:
    rate = wilson(0, 0)
    assert (rate.low, rate.high) == (0.0, 1.0) and math.isnan(rate.mean)
    with pytest.raises(ValueError, match="5 over 4"):
        wilson(5, 4)


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [
        (0, 0, 1.0),
        (3, 3, 1.0),
        (6, 0, 2 / 64),
        (0, 6, 2 / 64),
        (8, 1, 2 * 10 / 512),
        (5000, 5000, 1.0),
        (1100, 1000, 0.0307207),
    ],  # as a suite of three tasks may have
)
def test_the_sign_test_is_exact(better: int, worse: int, p: float) -> None:
    assert sign_test(better, worse) == pytest.approx(p, rel=1e-3)


def test_the_paired_interval_is_the_published_one() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), p. 2635 ff., method 10."""
    found = paired(36, 12, 2, 0)
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)


@given(st.tuples(*[st.integers(0, 60)] * 4).filter(any))
def test_exchanging_the_policies_turns_the_difference_round(cells: tuple[int, ...]) -> None:
    both, first, second, neither = cells
    one, other = paired(both, first, second, neither), paired(both, second, first, neither)
    assert -1.0 <= one.low <= one.difference + 1e-12 and one.difference - 1e-12 <= one.high <= 1.0
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)
    assert one.p == other.p
