# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Joint targets reached over a time, as a joint trajectory controller reaches a point.

A new target starts from where the old one had got to, so that streamed targets join without
a step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from lapa_core.errors import DataError

MAX_REACH_S = 60.0


class Commandable(Protocol):
    """The part of a simulation the ramps drive."""

    timestep: float

    @property
    def time_s(self) -> float:
        """Simulated seconds."""

    def command(self, arm: str) -> Mapping[str, float]:
        """Present target of every commanded joint of the arm."""

    def set_command(self, arm: str, targets: Mapping[str, float]) -> None:
        """Set targets; refuses unknown joints and non-finite numbers."""

    def step(self, n: int = 1) -> None:
        """Advance by n timesteps."""


@dataclass(frozen=True)
class _Ramp:
    begin_s: float
    duration_s: float
    start: float
    end: float

    def at(self, now_s: float) -> float:
        if now_s >= self.begin_s + self.duration_s:
            return self.end
        fraction = max(0.0, (now_s - self.begin_s) / self.duration_s)
        return self.start + fraction * (self.end - self.start)


class TargetRamps:
    """Moves a simulation's joint targets along straight lines in time."""

    def __init__(self, sim: Commandable) -> None:
        self._sim = sim
        self._ramps: dict[str, dict[str, _Ramp]] = {}

    def set(self, arm: str, targets: Mapping[str, float], reach_in_s: float) -> None:
        """Reach `targets` (joint -> [rad] or [m]) `reach_in_s` from now.

        Raises:
            DataError: an unknown joint or arm, a non-finite target, a time outside 0 .. 60 s.
        """
        if not 0.0 <= reach_in_s <= MAX_REACH_S:
            raise DataError(f"time to reach must be 0 to {MAX_REACH_S:g} s, got {reach_in_s:g}")
        present = self._sim.command(arm)
        for joint, target in targets.items():
            if joint not in present:
                raise DataError(f"{arm} has no joint {joint!r}; valid: {', '.join(present)}")
            if not math.isfinite(target):
                raise DataError(f"target of {arm}/{joint} is {target}")
        ramps = self._ramps.setdefault(arm, {})
        for joint, target in targets.items():
            ramps[joint] = _Ramp(self._sim.time_s, reach_in_s, present[joint], target)

    def advance(self, seconds: float) -> None:
        """Step the simulation, moving the targets at every timestep."""
        for _ in range(max(1, round(seconds / self._sim.timestep))):
            now = self._sim.time_s + self._sim.timestep
            for arm, ramps in self._ramps.items():
                if ramps:
                    self._sim.set_command(arm, {j: r.at(now) for j, r in ramps.items()})
                    self._ramps[arm] = {
                        j: r for j, r in ramps.items() if now < r.begin_s + r.duration_s
                    }
            self._sim.step(1)
