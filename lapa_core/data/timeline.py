# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The newest sample of a stream, and what its arrivals say: age, rate, gaps.

Time is an argument: every method takes the arrival time in seconds of one monotonic clock.
Arrival decides about staleness, because camera stamps of some drivers are off by up to a
second (usb_cam issue 385); the stamp travels with the sample.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")
HISTORY = 256  # events kept for the statistics: about eight seconds of a 30 Hz camera


@dataclass(frozen=True)
class Sample(Generic[T]):
    """One sample: its content, its own stamp and when it arrived here."""

    value: T
    stamp_ns: int
    arrived_s: float
    sequence: int


class PeriodMeter:
    """Rate and jitter of an event, from the times it is told."""

    def __init__(self, history: int = HISTORY) -> None:
        self.count = 0
        self._times: deque[float] = deque(maxlen=history)

    def tick(self, now_s: float) -> None:
        """Count an event at `now_s`."""
        self.count += 1
        self._times.append(now_s)

    def rate_hz(self) -> float:
        """Events a second over the kept history; 0 before the second event."""
        if len(self._times) < 2 or self._times[-1] <= self._times[0]:
            return 0.0
        return (len(self._times) - 1) / (self._times[-1] - self._times[0])

    def period_percentile_s(self, percent: float) -> float:
        """Percentile of the periods in the kept history [s]; 0 before the second event."""
        if len(self._times) < 2:
            return 0.0
        return float(np.percentile(np.diff(np.array(self._times)), percent))


class Latest(Generic[T]):
    """Holds only the newest sample: one writer thread, any reader, no queue."""

    def __init__(self) -> None:
        self.meter = PeriodMeter()
        self._sample: Sample[T] | None = None
        self._changed = threading.Condition()

    def put(self, value: T, stamp_ns: int, now_s: float) -> None:
        """Replace the sample."""
        with self._changed:
            self.meter.tick(now_s)
            self._sample = Sample(value, stamp_ns, now_s, self.meter.count)
            self._changed.notify_all()

    def get(self) -> Sample[T] | None:
        """The newest sample, or None before the first."""
        with self._changed:
            return self._sample

    def wait_newer(self, sequence: int, timeout_s: float) -> Sample[T] | None:
        """Block until a sample after `sequence` is here, at most `timeout_s`; then the newest."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._sample is not None and self._sample.sequence > sequence, timeout_s
            )
            return self._sample

    def age_s(self, now_s: float) -> float:
        """Seconds since the newest sample arrived; infinite before the first."""
        sample = self.get()
        return float("inf") if sample is None else now_s - sample.arrived_s
