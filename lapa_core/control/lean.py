# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Notices arms that lean on something nobody told of, by where that bends them.

A servo lags along its way, not beside it. An arm that leans on a thing does leave its way: towards
the table, or out of its workspace.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

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
        self._check_shapes(held, openings)
        if moving:
            return
        for name in self._tracks:
            stray_m = 0.0 if name in held else self._stray_m(name)
            if stray_m > self._params.pushed_out_m:
                raise Pushed(
                    "pushed_out",
                    f"{name}'s tool is {stray_m * 1e3:.0f} mm further outside its workspace than "
                    "commanded: take away what it leans on, or move the arms to start",
                    [name],
                )

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
        measured, arm = track.measured(), track.arm
        if had or measured is None:
            return False
        inside = np.clip(measured.xyz_m, arm.workspace_lower_m, arm.workspace_upper_m)
        track.rest_at(Pose(inside, measured.rotation))
        return True

    def _stray_m(self, name: str) -> float:
        """How much further outside the workspace the tool is than command and sag have it [m]."""
        track = self._tracks[name]
        measured, k = track.measured(), track.kinematics
        if measured is None or track.command_rad is None:
            return 0.0
        outside = k.outside_m(measured)
        if not np.any(outside):
            return 0.0
        explained = [k.outside_m(k.fk(track.command_rad + sag)) for sag in (0.0, track.sag.rad)]
        return max(float(np.max(outside - np.max(explained, axis=0))), 0.0)

    def _check_shapes(self, held: Collection[str], openings: Mapping[str, float]) -> None:
        """Refuse shapes that are nearer than any command, sag included, brought them."""
        tracks = self._tracks
        measured = {n: t.monitor.position_rad for n, t in tracks.items()}
        known = {n: q for n, q in measured.items() if q is not None}
        if len(known) < len(measured):
            return
        found = self._guard.near(known, openings, 0.0)
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
                raise Pushed("pushed", f"an arm is pushed out of its way: {close.now}", arms)


def yielding(track: ArmTrack, dt_s: float) -> FloatArray:
    """(n,) the next command [rad] towards where the tool is, kept within the workspace.

    As far as the joints go in a tick. What the arm sags is kept: it would climb down by it.
    """
    k, now, measured = track.kinematics, track.present(), track.monitor.position_rad
    if measured is None:
        return now
    there = measured - track.sag.rad
    pose = k.fk(there)
    inside = np.clip(pose.xyz_m, track.arm.workspace_lower_m, track.arm.workspace_upper_m)
    way = k.reach(Pose(inside, pose.rotation), there).position_rad - now
    return np.asarray(now + np.clip(way, -k.velocity * dt_s, k.velocity * dt_s))
