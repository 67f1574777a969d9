# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Notices arms that lean on something nobody told of, by where that bends them.

A servo lags along its way, not beside it. An arm that leans on a thing does leave its way: towards
the table, or out of its workspace.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from lapa_core.control.collision import CollisionGuard
from lapa_core.control.compose import Pose
from lapa_core.control.limits import Refusal
from lapa_core.control.params import ControlParams
from lapa_core.control.track import ArmTrack
from lapa_core.types import FloatArray

# An arm nearer to something than commanded, by this share of the least distance, was pushed there.
PUSHED = 0.3


class Pushed(Refusal):
    """Something bends arms out of their way.

    Attributes:
        arms: which may lean on it.
    """

    def __init__(self, kind: str, text: str, arms: Collection[str]) -> None:
        super().__init__(kind, text)
        self.arms = arms


class Leaning:
    """Watches all arms of one robot.

    Args:
        guard: that knows their shapes.
        tracks: arm -> what it is told and where it is.
        params: of the controller.
    """

    def __init__(
        self, guard: CollisionGuard, tracks: Mapping[str, ArmTrack], params: ControlParams
    ) -> None:
        self._guard = guard
        self._tracks = tracks
        self._params = params
        self._strayed: set[str] = set()
        self._let_go: dict[str, FloatArray] = {}  # how far outside, on each axis [m]

    def check(
        self, held: Collection[str], openings: Mapping[str, float], moving: bool = False
    ) -> None:
        """Refuse to go on where something bends an arm towards a shape, or out of its workspace.

        Args:
            held: arms that hold alone; they are where they are measured.
            openings: of every gripper, 0 .. 1.
            moving: whether a joint move is under way. It may be the way back into the workspace.

        Raises:
            Pushed: naming the arm or the shapes, and how far.
        """
        for found in self._found(held, openings, moving):
            raise found

    def arms(self, held: Collection[str], openings: Mapping[str, float]) -> list[str]:
        """Which arms lean on something now.

        Args:
            held, openings: as of `check`.
        """
        leaning = {arm for found in self._found(held, openings, False) for arm in found.arms}
        return [name for name in self._tracks if name in leaning and name not in held]

    def limit_stray(self, name: str) -> bool:
        """Stop leaning on what bends a tool out of its workspace; whether it did so now.

        The target is brought back once to where the tool is, kept within the workspace; after
        that steps may lead it away again.
        """
        had = name in self._strayed
        if self._stray_m(name) <= self._params.stray_m * (0.5 if had else 1.0):
            self._strayed.discard(name)
            return False
        self._strayed.add(name)
        track = self._tracks[name]
        measured = track.measured()
        if had or measured is None:
            return False
        track.rest_at(track.kept_in(measured))
        return True

    def _found(
        self, held: Collection[str], openings: Mapping[str, float], moving: bool
    ) -> Iterator[Pushed]:
        """All that is wrong."""
        yield from self._shapes(held, openings)
        for name in self._tracks:
            stray_m = 0.0 if name in held else self._stray_m(name)
            if stray_m > self._params.pushed_out_m and not moving:
                yield Pushed(
                    "pushed_out",
                    f"{name}'s tool is {stray_m * 1e3:.0f} mm further outside its workspace than "
                    "commanded: take away what it leans on, or move the arms to start",
                    [name],
                )

    def _stray_m(self, name: str) -> float:
        """How much further outside the workspace the tool is than it was let go there [m].

        That is where command and sag have it, and where it was on a way in: it lags behind.
        """
        track = self._tracks[name]
        measured, k = track.measured(), track.kinematics
        if measured is None or track.command_rad is None:
            return 0.0
        outside = k.outside_m(measured)
        if not np.any(outside):
            self._let_go.pop(name, None)
            return 0.0
        explained = [k.outside_m(k.fk(track.command_rad + sag)) for sag in (0.0, track.sag.rad)]
        before = np.minimum(self._let_go.get(name, np.zeros(len(outside))), outside)
        self._let_go[name] = np.maximum(np.max(explained, axis=0), before)
        return max(float(np.max(outside - self._let_go[name])), 0.0)

    def _shapes(self, held: Collection[str], openings: Mapping[str, float]) -> Iterator[Pushed]:
        """Shapes that are nearer than any command, sag included, brought them."""
        tracks = self._tracks
        measured = {n: t.monitor.position_rad for n, t in tracks.items()}
        known = {n: q for n, q in measured.items() if q is not None}
        if len(known) < len(measured):
            return
        # Where they will be at the next look: who is bent quickly would touch before it.
        ahead_s = self._params.period_s
        soon = {n: q + ahead_s * tracks[n].monitor.speed_rad_s for n, q in known.items()}
        found = self._guard.near(soon, openings, 0.0)
        if not found:
            return
        expected: dict[tuple[str, str], float] = {}
        commanded = {n: known[n] if n in held else t.present() for n, t in tracks.items()}
        sagging = {n: q + tracks[n].sag.rad for n, q in commanded.items()}
        for positions in (commanded, sagging):
            for close in self._guard.near(positions, openings, 0.0):
                expected[close.pair] = min(expected.get(close.pair, 0.0), close.excess_m)
        for close in found:
            if close.excess_m < expected.get(close.pair, 0.0) - PUSHED * close.least_m:
                arms = [n for n in tracks if any(p.startswith(f"{n}/") for p in close.pair)]
                yield Pushed("pushed", f"an arm is pushed out of its way: {close.now}", arms)


def yielding(track: ArmTrack, dt_s: float, speed_scale: float) -> FloatArray:
    """(n,) the next command [rad] towards where the tool is, kept within the workspace.

    As far as the joints go in a tick, all by one share. Not lower than commanded: what the arm
    sags and nobody has seen yet it would climb down by.
    """
    k, now = track.kinematics, track.present()
    measured = track.monitor.position_rad
    if measured is None:
        return now
    there = measured - track.sag.rad
    pose = track.kept_in(k.fk(there))
    height = max(float(pose.xyz_m[2]), float(k.fk(now).xyz_m[2]))
    place = np.array([*pose.xyz_m[:2], height])
    way = k.reach(Pose(place, pose.rotation), there).position_rad - now
    most = speed_scale * dt_s * k.velocity
    share = 1.0 / max(float(np.max(np.abs(way) / most)), 1.0)
    return np.asarray(now + share * way)
