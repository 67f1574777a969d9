# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the joints did: values that are not finite, jumps no motor makes, and what never moved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lapa_core.audit.plan import is_gripper
from lapa_core.audit.spans import Spans, finding
from lapa_core.recording.episode import Finding
from lapa_core.types import FloatArray

# As `control.params` believes joint states: encoder noise and a late sample on top of the fastest
# that the joint can turn. A failed read of the Interbotix driver arrives as -pi.
JUMP_RAD, JUMP_FACTOR = 0.2, 1.5
ANY_JOINT_RAD_S = 10.0  # where the velocity is not known: no arm of this kind turns faster
WRAP_RAD = 0.1  # a continuous joint may step by a whole turn, give or take
DEADBAND_RAD = 0.02  # path is counted in steps of this, so that encoder noise adds up to nothing
STILL_RAD = 0.05  # an arm that moved less in a whole recording demonstrates nothing
GRIPPER_SHARE = 0.1  # of the way from closed to open
GRIPPER_LEAST = 0.002  # [m or rad] where that way is not known
JUDGED_NS = 3_000_000_000  # shorter recordings say nothing about what never moves
_LAYOUTS = 8  # different lists of names on one topic: two drivers, not more


class _Layout:
    """One list of joint names, and what it last held."""

    def __init__(self, names: tuple[str, ...], max_velocity: Mapping[str, float]) -> None:
        self.names = names
        # A gripper's motor behind a crank turns faster than its fingers ever slide.
        self.fastest = np.array(
            [math.inf if is_gripper(n) else max_velocity.get(n, ANY_JOINT_RAD_S) for n in names]
        )
        self.arm = np.array([i for i, n in enumerate(names) if not is_gripper(n)], dtype=int)
        self.last: FloatArray | None = None
        self.last_ns = 0
        self.mark: FloatArray = np.zeros(0)
        self.least: FloatArray = np.full(len(names), np.inf)
        self.most: FloatArray = np.full(len(names), -np.inf)


class Motion:
    """The joints of one topic.

    Attributes:
        travel_rad: path of the arm so far: of its fastest joint, without noise and grippers.
    """

    def __init__(self, max_velocity: Mapping[str, float], grippers: Sequence[str] = ()) -> None:
        self.travel_rad = 0.0
        self._max_velocity = max_velocity
        self._grippers = frozenset(grippers)
        self._layouts: dict[tuple[str, ...], _Layout] = {}
        self._jumps, self._not_finite, self._malformed = Spans(), Spans(), Spans()

    def on(self, now_ns: int, time_ns: int, names: Sequence[str], positions: FloatArray) -> None:
        """A joint state.

        Args:
            time_ns: its stamp where that is usable, else its arrival: between two of them the
                joints have moved.
            positions: (n,) in the order of the names [rad or m].
        """
        key = tuple(names)
        if len(key) != len(positions):
            self.on_broken(now_ns, f"{len(key)} names but {len(positions)} positions")
            return
        layout = self._layouts.get(key)
        if layout is None:
            if len(self._layouts) >= _LAYOUTS or not key:
                return
            layout = self._layouts[key] = self._new(key)
        if not np.isfinite(positions).all():
            bad = key[int(np.argmin(np.isfinite(positions)))]
            self._not_finite.add(now_ns, now_ns, 0.0, bad)
            return
        if layout.last is None:
            layout.mark = positions
        else:
            self._check_jump(layout, now_ns, time_ns, positions)
        layout.last, layout.last_ns = positions, time_ns
        np.minimum(layout.least, positions, out=layout.least)
        np.maximum(layout.most, positions, out=layout.most)
        self._walk(layout, positions)

    def on_broken(self, now_ns: int, why: str) -> None:
        """A joint state that does not decode or fit together."""
        self._malformed.add(now_ns, now_ns, 0.0, why)

    def findings(self, topic: str, began_ns: int) -> list[Finding]:
        """Faults of single messages."""
        return [
            *self._jumps.findings("jump", topic, began_ns, lambda s: s.note),
            *self._not_finite.findings(
                "not_finite",
                topic,
                began_ns,
                lambda s: f"{s.events} joint states with a position that is no number: {s.note}",
            ),
            *self._malformed.findings(
                "malformed",
                topic,
                began_ns,
                lambda s: f"{s.events} joint states that cannot be read: {s.note}",
            ),
        ]

    def grippers_moved(
        self, grippers: Sequence[tuple[str, float, float]]
    ) -> dict[str, tuple[float, float]]:
        """Joint -> (how far it moved, how far it must), for every gripper joint here."""
        found = {}
        known = {name: abs(opened - closed) for name, closed, opened in grippers}
        for layout in self._layouts.values():
            for i, name in enumerate(layout.names):
                if name in known if known else is_gripper(name):
                    least = GRIPPER_SHARE * known.get(name, 0.0) or GRIPPER_LEAST
                    moved = float(layout.most[i] - layout.least[i])
                    found[name] = (moved if math.isfinite(moved) else 0.0, least)
        return found

    def _new(self, names: tuple[str, ...]) -> _Layout:
        layout = _Layout(names, self._max_velocity)
        keep = [i for i in layout.arm if names[i] not in self._grippers]
        layout.arm = np.array(keep, dtype=int)
        return layout

    def _check_jump(
        self, layout: _Layout, now_ns: int, time_ns: int, positions: FloatArray
    ) -> None:
        assert layout.last is not None
        jump = np.abs(positions - layout.last)
        seconds = max(time_ns - layout.last_ns, 0) * 1e-9
        allowed = JUMP_RAD + JUMP_FACTOR * layout.fastest * max(seconds, 1e-6)
        if (jump <= allowed).all():
            return
        excess = np.where(np.abs(jump - 2 * math.pi) < WRAP_RAD, 0.0, jump - allowed)
        worst = int(np.argmax(excess))
        if excess[worst] > 0:
            note = (
                f"{layout.names[worst]} jumped from {layout.last[worst]:.2f} to "
                f"{positions[worst]:.2f} within {seconds:.3f} s (at most {allowed[worst]:.2f})"
            )
            self._jumps.add(now_ns, now_ns, float(jump[worst]), note)

    def _walk(self, layout: _Layout, positions: FloatArray) -> None:
        if layout.arm.size == 0:
            return
        step = float(np.abs(positions[layout.arm] - layout.mark[layout.arm]).max())
        if step > DEADBAND_RAD:
            # A glitch is no motion that a camera could see.
            self.travel_rad += step if step < JUMP_RAD else 0.0
            layout.mark = positions


def never_moved(
    motions: Mapping[str, Motion],
    grippers: Sequence[tuple[str, float, float]],
    began_ns: int,
    now_ns: int,
) -> list[Finding]:
    """Whole-recording checks: no arm moved; no gripper moved.

    One of two arms may rest; so may one of two grippers.
    """
    if now_ns - began_ns < JUDGED_NS or not motions:
        return []
    found = []
    moved = [
        (topic, joint, *range_)
        for topic, motion in motions.items()
        for joint, range_ in motion.grippers_moved(grippers).items()
    ]
    gripped = any(way >= least for _, _, way, least in moved)
    topic, furthest = max(((t, m.travel_rad) for t, m in motions.items()), key=lambda x: x[1])
    if furthest < STILL_RAD:
        text = f"no arm ever moved: {furthest:.3f} rad (at least {STILL_RAD:g})"
        # A task for the gripper alone is one, too.
        serious = not gripped
        found.append(finding("still", topic, began_ns, began_ns, now_ns, text, serious))
    if moved and not gripped:
        topic, joint, way, least = moved[0]
        text = f"the gripper never moved: {joint} by {way:.4f} (at least {least:.4f})"
        found.append(finding("gripper", topic, began_ns, began_ns, now_ns, text, serious=False))
    return found
