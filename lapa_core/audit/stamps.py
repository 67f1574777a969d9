# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Lost messages by sequence number; the order of stamps; one clock against another.

A stamp can only be judged beside its arrival. What all streams share (a simulation that runs at
another pace, a bag recorded without simulated time) is no fault, so streams are compared.
"""

from __future__ import annotations

from lapa_core.audit.spans import Spans, finding
from lapa_core.data.messages import NS_PER_S
from lapa_core.recording.episode import Finding

UNSUPPORTED = 2**63  # rmw says 2**64 - 1 where it does not know the sequence number
# LeRobot calls 2 % of lost frames expected; above that the recording is not what was meant.
SERIOUS_LOSS, SERIOUS_LOST = 0.02, 3
MAX_BACKWARDS_NS = NS_PER_S // 20  # two drivers on one topic stamp a little out of order
BLOCK_NS = NS_PER_S
# The quickest message of a second is hardly delayed; between two seconds that moves by less.
MAX_DRIFT_S = 0.1


class Drops:
    """Messages lost before they arrived, by the publisher's sequence numbers.

    Attributes:
        lost: how many; 0 where the numbers cannot be trusted.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._last: int | None = None
        self._restarts = 0
        self._spans = Spans()

    def on(self, now_ns: int, before_ns: int, sequence: int | None) -> None:
        """A message; `before_ns` is the arrival of the one before."""
        if sequence is None or sequence >= UNSUPPORTED or self._restarts > 1:
            return
        last, self._last = self._last, sequence
        if last is None or sequence == last + 1:
            return
        if sequence > last:
            self.lost += sequence - last - 1
            self._spans.add(before_ns, now_ns)
            return
        # One restart of the publisher is possible. Numbers that fall back again and again are of
        # several publishers, or mean nothing: then nothing is said.
        self._restarts += 1
        if self._restarts > 1:
            self.lost = 0

    def findings(self, topic: str, began_ns: int, count: int) -> list[Finding]:
        """At most one: how many were lost, and when."""
        if not self.lost:
            return []
        share = self.lost / (count + self.lost)
        text = f"{self.lost} messages lost before they arrived ({100 * share:.1f} %)"
        serious = share > SERIOUS_LOSS and self.lost > SERIOUS_LOST
        first, last = self._spans.items[0], self._spans.items[-1]
        return [finding("dropped", topic, began_ns, first.begins_ns, last.ends_ns, text, serious)]


class StampOrder:
    """Whether the stamps of one stream are there and increase."""

    def __init__(self, camera: bool) -> None:
        self._camera = camera
        self._last = 0
        self._zero, self._backwards = Spans(), Spans()

    def on(self, now_ns: int, stamp_ns: int) -> None:
        """A message."""
        if stamp_ns == 0:
            self._zero.add(now_ns, now_ns)
            return
        back = self._last - stamp_ns
        # A camera never has two pictures at one time; joint drivers may share a stamp.
        if self._last and (back >= 0 if self._camera else back > MAX_BACKWARDS_NS):
            self._backwards.add(now_ns, now_ns, back * 1e-9)
        self._last = stamp_ns

    def findings(self, topic: str, began_ns: int) -> list[Finding]:
        """Stamps of 0, and stamps that do not increase."""
        zero = self._zero.findings(
            "stamp_zero", topic, began_ns, lambda s: f"{s.events} messages without a stamp (0)"
        )
        return zero + self._backwards.findings(
            "stamp_order",
            topic,
            began_ns,
            lambda s: f"{s.events} stamps not after the one before, by up to {s.worst:.3f} s",
        )


class Clocks:
    """Stamps of the cameras and joints against each other, once a second.

    Of every second and stream, the message with the least delay (arrival minus stamp) counts.
    The stream that agrees best with the others is the reference.
    """

    def __init__(self, began_ns: int, max_skew_s: float) -> None:
        self._began_ns = began_ns
        self._max_s = max_skew_s
        self._block = 0
        self._least: dict[str, int] = {}
        self._first: dict[str, float] = {}  # a stream's delay when it was first compared
        self._skew: dict[str, _Run] = {}
        self._drift: dict[str, _Run] = {}

    def on(self, topic: str, now_ns: int, stamp_ns: int) -> None:
        """A message of a camera or of joints."""
        block = (now_ns - self._began_ns) // BLOCK_NS
        if block > self._block:
            self._compare(self._began_ns + (self._block + 1) * BLOCK_NS)
            self._block = block
            self._least = {}
        delay = now_ns - stamp_ns
        if delay < self._least.get(topic, 2**63):
            self._least[topic] = delay

    def findings(self, now_ns: int, final: bool) -> list[Finding]:
        """Streams whose stamps are off, and streams whose clock runs at another pace."""
        if final:
            self._compare(now_ns)
            self._least = {}
        found = []
        for topic, run in self._skew.items():
            # A recording of one second has no second second to confirm the first.
            found += run.findings("skew", topic, self._began_ns, final and self._block == 0)
        for topic, run in self._drift.items():
            found += run.findings("drift", topic, self._began_ns, False)
        return found

    def _compare(self, until_ns: int) -> None:
        if len(self._least) < 2:
            return
        delays = {t: d * 1e-9 for t, d in self._least.items()}
        reference = min(
            delays,
            key=lambda t: (
                round(sum(abs(delays[t] - d) for d in delays.values()), 3),
                abs(delays[t]),
            ),
        )
        begins_ns = self._began_ns + self._block * BLOCK_NS
        for topic, delay in delays.items():
            offset = delay - delays[reference]
            drifted = offset - self._first.setdefault(topic, offset)
            late = "later" if offset > 0 else "earlier"
            skew = (
                f"its messages arrive {abs(offset):.2f} s {late} after their stamps than those "
                f"of {reference} (at most {self._max_s:g} s)"
            )
            drift = (
                f"its clock has moved by {abs(drifted):.2f} s against that of {reference} "
                f"since the beginning (at most {MAX_DRIFT_S:g} s)"
            )
            for runs, value, limit, text in (
                (self._skew, offset, self._max_s, skew),
                (self._drift, drifted, MAX_DRIFT_S, drift),
            ):
                run = runs.setdefault(topic, _Run())
                run.on(abs(value) > limit, begins_ns, until_ns, abs(value), text)


class _Run:
    """Blocks in a row that are off: one alone is a busy moment, two are a fault."""

    def __init__(self) -> None:
        self._before: tuple[int, int, float, str] | None = None
        self._spans = Spans()

    def on(self, off: bool, begins_ns: int, ends_ns: int, value: float, text: str) -> None:
        block = (begins_ns, ends_ns, value, text)
        if off and self._before is not None:
            self._spans.add(*self._before)
            self._spans.add(*block)
        self._before = block if off else None

    def findings(self, check: str, topic: str, began_ns: int, one_suffices: bool) -> list[Finding]:
        if one_suffices and self._before is not None and not self._spans.items:
            self._spans.add(*self._before)
        return self._spans.findings(check, topic, began_ns, lambda s: s.note)
