# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Whether a stream's messages come as often as they should: rate, gaps, late start, early end.

Judged by arrival, because the policy, too, acts on what has arrived.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from lapa_core.audit.spans import Span, Spans, finding
from lapa_core.data.messages import NS_PER_S
from lapa_core.recording.episode import Finding

# A window this long, twice in a row, tells a slow stream from a hiccup.
WINDOW_NS = NS_PER_S
SLOW = 0.8  # of the target: a fifth of the pictures is lost. Dim light makes 15 Hz of 30.
SLOW_OVERALL = 0.9  # over the whole recording; usable, and worth knowing
FAST_OVERALL = 1.15
# A gap of three periods is two lost messages; 0.25 s is more than one step of a policy (0.2 s),
# and what a busy computer does without losing anything stays below it.
GAP_PERIODS, GAP_NS = 3, NS_PER_S // 4
# Beyond these a policy would have decided more than twice on the same picture.
SERIOUS_GAP_PERIODS, SERIOUS_GAP_NS = 5, NS_PER_S // 2
LATE_NS = NS_PER_S  # a stream may need this long to begin
LEARN = 10  # periods before a stream's own rate counts as known
_KEPT = 300  # periods that it is learned from
_RECENT = 512  # arrivals kept for the rate now: 5 s of 100 Hz
_RECENT_NS = 3 * NS_PER_S


class Cadence:
    """Arrivals of one stream.

    Attributes:
        count: messages so far.
        first_ns, last_ns: arrivals; 0 before the first.
        largest_gap_ns: longest time between two arrivals.
    """

    def __init__(self, expected_hz: float) -> None:
        self.count = 0
        self.first_ns = 0
        self.last_ns = 0
        self.largest_gap_ns = 0
        self._expected_ns = int(NS_PER_S / expected_hz) if expected_hz > 0 else 0
        self._learned_ns = 0
        self._periods: list[int] = []
        self._recent: deque[int] = deque(maxlen=_RECENT)
        self._gaps, self._slow = Spans(), Spans()
        self._in_gaps_ns = 0
        self._num_gaps = 0
        self._window_ns, self._window_count = 0, 0
        self._before: tuple[int, int, float] | None = None  # a slow window, the first in a row

    @property
    def period_ns(self) -> int:
        """Time between two messages as expected or learned; 0 while unknown."""
        return self._expected_ns or self._learned_ns

    @property
    def expected_hz(self) -> float:
        """Rate as expected or learned; 0 while unknown."""
        return NS_PER_S / self.period_ns if self.period_ns else 0.0

    @property
    def rate_hz(self) -> float:
        """Mean rate from the first to the last arrival; 0 before the second."""
        if self.count < 2 or self.last_ns <= self.first_ns:
            return 0.0
        return (self.count - 1) * NS_PER_S / (self.last_ns - self.first_ns)

    def rate_now_hz(self, now_ns: int) -> float:
        """Arrivals of the last three seconds, a second."""
        since = max(now_ns - _RECENT_NS, self.first_ns)
        recent = sum(1 for t in reversed(self._recent) if t > since)
        if len(self._recent) == _RECENT and recent == _RECENT:  # faster than is kept
            since = self._recent[0]
        return recent * NS_PER_S / max(now_ns - since, 1) if recent else 0.0

    def on(self, now_ns: int) -> None:
        """An arrival."""
        self._recent.append(now_ns)
        self.count += 1
        if self.count == 1:
            self.first_ns = self.last_ns = self._window_ns = now_ns
            return
        period = now_ns - self.last_ns
        self.largest_gap_ns = max(self.largest_gap_ns, period)
        if not self._expected_ns and len(self._periods) < _KEPT:
            self._learn(period)
        if period > self._gap_limit_ns():
            self._gaps.add(self.last_ns, now_ns, period * 1e-9)
            self._in_gaps_ns += period
            self._num_gaps += 1
            self._window_ns, self._window_count, self._before = now_ns, 0, None
        else:
            self._window_count += 1
            if now_ns - self._window_ns >= WINDOW_NS:
                self._close_window(now_ns)
        self.last_ns = now_ns

    def findings(self, topic: str, began_ns: int, now_ns: int, final: bool) -> list[Finding]:
        """Everything about a stream that has at least one message."""
        found = self._late(topic, began_ns) + self._found_gaps(topic, began_ns, now_ns)
        slow = self._slow.findings(
            "rate",
            topic,
            began_ns,
            lambda s: f"{-s.worst:.1f} Hz instead of {self.expected_hz:.4g} Hz",
        )
        if final and not slow:
            slow = self._overall(topic, began_ns)
        return found + slow

    def _learn(self, period: int) -> None:
        self._periods.append(period)
        n = len(self._periods)
        if n >= LEARN and (n % 50 == 0 or n in (LEARN, 2 * LEARN)):
            mean = sum(self._periods) / n
            middle = median(self._periods)
            # Messages that arrive in pairs have half of their periods near 0.
            self._learned_ns = int(middle if middle > 0.5 * mean else mean)

    def _gap_limit_ns(self) -> float:
        return max(GAP_PERIODS * self.period_ns, GAP_NS) if self.period_ns else float("inf")

    def _close_window(self, now_ns: int) -> None:
        rate = self._window_count * NS_PER_S / (now_ns - self._window_ns)
        if self.period_ns and rate < SLOW * self.expected_hz:
            window = (self._window_ns, now_ns, -rate)
            if self._before is not None:
                self._slow.add(*self._before)
                self._slow.add(*window)
            self._before = window
        else:
            self._before = None
        self._window_ns, self._window_count = now_ns, 0

    def _late(self, topic: str, began_ns: int) -> list[Finding]:
        late = self.first_ns - began_ns
        if late <= max(LATE_NS, GAP_PERIODS * self.period_ns):
            return []
        text = f"its first message came {late * 1e-9:.2f} s after the recording began"
        return [finding("late", topic, began_ns, began_ns, self.first_ns, text)]

    def _found_gaps(self, topic: str, began_ns: int, now_ns: int) -> list[Finding]:
        def text(span: Span) -> str:
            many = f"{span.events} gaps, the longest" if span.events > 1 else "a gap of"
            every = f"expected every {self.period_ns * 1e-9:.3g} s"
            return f"{many} {span.worst:.2f} s without a message ({every})"

        limit_s = max(SERIOUS_GAP_PERIODS * self.period_ns, SERIOUS_GAP_NS) * 1e-9
        found = self._gaps.findings("gap", topic, began_ns, text, lambda s: s.worst > limit_s)
        silent = now_ns - self.last_ns
        if silent > self._gap_limit_ns():
            words = f"no message for {silent * 1e-9:.2f} s, until the end"
            serious = silent * 1e-9 > limit_s
            found.append(finding("gap", topic, began_ns, self.last_ns, now_ns, words, serious))
        return found

    def _overall(self, topic: str, began_ns: int) -> list[Finding]:
        """The mean rate outside of gaps; short recordings have no other judge."""
        seconds = (self.last_ns - self.first_ns - self._in_gaps_ns) * 1e-9
        periods = self.count - 1 - self._num_gaps
        if not self._expected_ns or periods < LEARN or seconds <= 0:
            return []
        rate = periods / seconds
        ratio = rate / self.expected_hz
        if SLOW_OVERALL <= ratio <= FAST_OVERALL:
            return []
        text = f"{rate:.1f} Hz on average instead of {self.expected_hz:.4g} Hz"
        first, last = self.first_ns, self.last_ns
        return [finding("rate", topic, began_ns, first, last, text, serious=ratio < SLOW)]
