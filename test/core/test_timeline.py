# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Newest sample of a stream: no queue, honest ages and rates, time as an argument."""

from __future__ import annotations

import threading

import pytest

from lapa_core.data.timeline import Latest, PeriodMeter


def test_only_the_newest_sample_is_kept() -> None:
    latest: Latest[str] = Latest()
    assert latest.get() is None
    assert latest.age_s(5.0) == float("inf")
    latest.put("old", 1, 10.0)
    latest.put("new", 2, 10.5)
    sample = latest.get()
    assert sample is not None
    assert (sample.value, sample.stamp_ns, sample.sequence) == ("new", 2, 2)
    assert latest.age_s(11.0) == pytest.approx(0.5)


def test_waiting_for_a_newer_sample_ends_with_it_or_with_the_time() -> None:
    latest: Latest[int] = Latest()
    latest.put(1, 1, 0.0)
    stale = latest.wait_newer(1, timeout_s=0.01)
    assert stale is not None
    assert stale.sequence == 1
    writer = threading.Timer(0.05, latest.put, (2, 2, 0.1))
    writer.start()
    newer = latest.wait_newer(1, timeout_s=10.0)
    writer.join()
    assert newer is not None
    assert newer.sequence == 2


def test_rate_and_jitter_come_from_the_given_times() -> None:
    meter = PeriodMeter()
    assert meter.rate_hz() == 0.0
    for i in range(51):
        meter.tick(i * 0.02)
    assert meter.rate_hz() == pytest.approx(50.0)
    meter.tick(51 * 0.02 + 0.1)
    assert meter.period_percentile_s(100) == pytest.approx(0.12)
    assert meter.count == 52


def test_history_is_bounded_and_the_count_is_not() -> None:
    meter = PeriodMeter(history=10)
    for i in range(100):
        meter.tick(float(i))
    assert meter.count == 100
    assert meter.rate_hz() == pytest.approx(1.0)
