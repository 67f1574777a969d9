# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The whole audit of one recording: told of every message, asked for what is wrong.

Constant memory, microseconds a message. One thread at a time: who calls from several holds a lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from lapa_core.audit.cadence import Cadence
from lapa_core.audit.motion import Motion, never_moved
from lapa_core.audit.pictures import Frozen, Pictures
from lapa_core.audit.plan import Plan, StreamPlan
from lapa_core.audit.spans import finding
from lapa_core.audit.stamps import Clocks, Drops, StampOrder
from lapa_core.data.messages import NS_PER_S
from lapa_core.recording.episode import Finding, Stream
from lapa_core.recording.status import StreamHealth
from lapa_core.types import FloatArray, ImageArray

MISSING_NS = 2 * NS_PER_S  # while recording; afterwards a stream is missing at once
SHORT_NS = NS_PER_S  # five steps of a policy; no demonstration is shorter
RECENT_S = 3.0  # a fault this long past no longer makes a light red
# Rates of one rig's cameras that a person has set on purpose, as shares of the fastest one's.
SHARES = (1.0, 2 / 3, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6)
SHARE_TOLERANCE = 0.1


class _Watched:
    """Everything about one topic."""

    def __init__(self, plan: StreamPlan, whole: Plan) -> None:
        self.plan = plan
        self.cadence = Cadence(plan.expected_hz)
        self.drops = Drops()
        self.first_stamp_ns = self.last_stamp_ns = 0
        self.order = StampOrder(plan.kind == "camera") if plan.kind != "other" else None
        self.pictures = Pictures() if plan.kind == "camera" else None
        self.frozen = Frozen() if plan.kind == "camera" else None
        names = [name for name, _, _ in whole.gripper_joints]
        self.motion = Motion(whole.max_velocity, names) if plan.kind == "joints" else None

    @property
    def judged(self) -> bool:
        """Whether its cadence is of interest: always of sensors, of others if a rate is given."""
        return self.plan.kind != "other" or self.plan.expected_hz > 0


class CaptureAudit:
    """The audit of one recording."""

    def __init__(self, plan: Plan, began_ns: int, types: Mapping[str, str] | None = None) -> None:
        """Begin.

        Args:
            plan: what is expected; topics outside it are counted.
            began_ns: when the recording began, in the clock of the arrivals.
            types: topic -> type, for `summary`.
        """
        self._plan = plan
        self._began_ns = began_ns
        self._types = dict(types or {})
        self._watched = {s.topic: _Watched(s, plan) for s in plan.streams}
        self._clocks = Clocks(began_ns, plan.max_skew_s)
        self._motions = {t: w.motion for t, w in self._watched.items() if w.motion is not None}

    @property
    def began_ns(self) -> int:
        """When the recording began."""
        return self._began_ns

    def kind(self, topic: str) -> str:
        """`camera`, `joints` or `other`."""
        watched = self._watched.get(topic)
        return watched.plan.kind if watched is not None else "other"

    def on_message(
        self,
        topic: str,
        arrival_ns: int,
        stamp_ns: int | None,
        publication_sequence: int | None = None,
        content: int | None = None,
    ) -> None:
        """Any message, before the other calls about it.

        Args:
            arrival_ns: when it arrived, as in the bag.
            stamp_ns: of its header, None without one.
            publication_sequence: counted by its publisher, where the middleware tells it.
            content: of a camera, a checksum of the picture's bytes without the header.
        """
        watched = self._watched.get(topic)
        if watched is None:
            watched = self._watched[topic] = _Watched(StreamPlan(topic, "other"), self._plan)
        watched.drops.on(arrival_ns, watched.cadence.last_ns, publication_sequence)
        watched.cadence.on(arrival_ns)
        stamp = arrival_ns if stamp_ns is None else stamp_ns
        if watched.cadence.count == 1:
            watched.first_stamp_ns = stamp
        watched.last_stamp_ns = stamp
        if watched.order is None:
            return
        if stamp_ns is not None:
            watched.order.on(arrival_ns, stamp_ns)
            if stamp_ns > 0:
                self._clocks.on(topic, arrival_ns, stamp_ns)
        if content is not None and watched.frozen is not None:
            watched.frozen.on(arrival_ns, content, self._travel_rad(watched.plan.sees))

    def on_image(
        self, topic: str, arrival_ns: int, picture: ImageArray, encoding: str = ""
    ) -> None:
        """A small picture of a camera, a few times a second; see `pictures.thumbnail`."""
        watched = self._watched.get(topic)
        if watched is not None and watched.pictures is not None:
            watched.pictures.on(arrival_ns, picture, encoding)

    def on_broken(self, topic: str, arrival_ns: int, why: str) -> None:
        """A picture or joint state that does not decode, after `on_message`."""
        watched = self._watched.get(topic)
        if watched is not None and watched.pictures is not None:
            watched.pictures.on_broken(arrival_ns, why)
        elif watched is not None and watched.motion is not None:
            watched.motion.on_broken(arrival_ns, why)

    def on_joints(
        self, topic: str, arrival_ns: int, names: Sequence[str], positions: FloatArray
    ) -> None:
        """Joint positions [rad or m], after `on_message` of the same message."""
        watched = self._watched.get(topic)
        if watched is not None and watched.motion is not None:
            # Arrivals come in bursts; stamps tell when the joints were there.
            stamp_ns = watched.last_stamp_ns
            watched.motion.on(arrival_ns, stamp_ns or arrival_ns, names, positions)

    def streams(self, now_ns: int) -> tuple[StreamHealth, ...]:
        """Every stream now, for people to look at."""
        by_topic: dict[str, list[Finding]] = {}
        for found in self.findings(now_ns):
            by_topic.setdefault(found.stream, []).append(found)
        return tuple(
            self._health(topic, watched, by_topic.get(topic, []), now_ns)
            for topic, watched in self._watched.items()
        )

    def findings(self, now_ns: int, final: bool = False) -> tuple[Finding, ...]:
        """What is wrong so far, by time.

        Args:
            now_ns: the present, or the end of the recording.
            final: the recording is over; what shows only in the whole of it is judged too.
        """
        found: list[Finding] = []
        for topic, watched in self._watched.items():
            found += self._of_stream(topic, watched, now_ns, final)
        found += self._clocks.findings(now_ns, final)
        if final:
            found += self._of_whole(now_ns)
        return tuple(sorted(found, key=lambda f: (f.begins_s, f.stream, f.check)))

    def summary(self) -> tuple[Stream, ...]:
        """Every stream, counted."""
        return tuple(
            Stream(
                topic=topic,
                type=self._types.get(topic, ""),
                messages=w.cadence.count,
                rate_hz=round(w.cadence.rate_hz, 3),
                expected_hz=w.plan.expected_hz,
                largest_gap_s=round(w.cadence.largest_gap_ns * 1e-9, 4),
                dropped=w.drops.lost,
                first_ns=w.first_stamp_ns,
                last_ns=w.last_stamp_ns,
            )
            for topic, w in self._watched.items()
        )

    def _travel_rad(self, sees: tuple[str, ...]) -> float:
        return sum(m.travel_rad for t, m in self._motions.items() if not sees or t in sees)

    def _of_stream(self, topic: str, watched: _Watched, now_ns: int, final: bool) -> list[Finding]:
        began = self._began_ns
        if not watched.cadence.count:
            waited = now_ns - began > MISSING_NS
            if not watched.plan.required or not (final or waited):
                return []
            rate = watched.plan.expected_hz
            should = f", which should have {rate:g} a second" if rate else ""
            text = f"not one message{should}"
            return [finding("missing", topic, began, began, now_ns, text)]
        found: list[Finding] = []
        if watched.judged:
            found += watched.cadence.findings(topic, began, now_ns, final)
        found += watched.drops.findings(topic, began, watched.cadence.count)
        if watched.order is not None:
            found += watched.order.findings(topic, began)
        if watched.pictures is not None and watched.frozen is not None:
            found += (looks := watched.pictures.findings(topic, began))
            frozen = watched.frozen.findings(topic, began)
            found += [f for f in frozen if not _explained(f, looks)]
        if watched.motion is not None:
            found += watched.motion.findings(topic, began)
        return found

    def _of_whole(self, now_ns: int) -> list[Finding]:
        began = self._began_ns
        heard = {t: m for t, m in self._motions.items() if self._watched[t].cadence.count}
        found = never_moved(heard, self._plan.gripper_joints, began, now_ns)
        if now_ns - began < SHORT_NS:
            text = f"only {(now_ns - began) * 1e-9:.2f} s long (at least {SHORT_NS * 1e-9:g} s)"
            found.append(finding("short", "", began, began, now_ns, text))
        return found + (self._compared(now_ns) if self._plan.compare_cameras else [])

    def _compared(self, now_ns: int) -> list[Finding]:
        """Cameras whose rate is none that would be set beside the fastest camera's."""
        rates = {
            t: w.cadence.expected_hz
            for t, w in self._watched.items()
            if w.plan.kind == "camera" and w.cadence.period_ns and not w.plan.expected_hz
        }
        found = []
        fastest = max(rates, key=lambda t: rates[t], default="")
        for topic, rate in rates.items():
            share = rate / rates[fastest]
            if all(abs(share / s - 1.0) > SHARE_TOLERANCE for s in SHARES):
                text = (
                    f"{rate:.1f} Hz beside {rates[fastest]:.1f} Hz of {fastest}: no share of it "
                    "that one would set"
                )
                began = self._began_ns
                found.append(finding("rate", topic, began, began, now_ns, text, serious=False))
        return found

    def _health(
        self, topic: str, watched: _Watched, found: list[Finding], now_ns: int
    ) -> StreamHealth:
        now_s = (now_ns - self._began_ns) * 1e-9
        present = [f for f in found if f.serious and f.ends_s > now_s - RECENT_S]
        expected = watched.judged or watched.plan.required
        light: Literal["green", "yellow", "red", "grey"]
        light = "red" if present else "yellow" if found else "green" if expected else "grey"
        if light == "green" and not watched.cadence.count:
            light = "yellow"  # nothing yet, and not yet long enough to call it missing
        newest = max(present or found, key=lambda f: f.ends_s, default=None)
        return StreamHealth(
            topic=topic,
            rate_hz=round(watched.cadence.rate_now_hz(now_ns), 2),
            expected_hz=watched.plan.expected_hz,
            messages=watched.cadence.count,
            dropped=watched.drops.lost,
            light=light,
            text=newest.text if newest is not None else "",
        )


def _explained(frozen: Finding, looks: list[Finding]) -> bool:
    """Whether a picture is the same for ever because there is nothing in it."""
    return any(
        f.check in ("black", "overexposed", "flat")
        and f.begins_s < frozen.ends_s
        and frozen.begins_s < f.ends_s
        for f in looks
    )
