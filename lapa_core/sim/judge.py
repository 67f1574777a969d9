# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Whether a trial was a success: watches the simulation, knows nothing of who moves the arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lapa_core.sim import world
from lapa_core.sim.layout import BIN_HALF_M
from lapa_core.sim.simulation import Simulation
from lapa_core.sim.tasks import COVER, KNOCK, Trial
from lapa_core.sim.things import CUP
from lapa_core.types import FloatArray

TOPPLED_COS = 0.5  # of the angle between a thing's axis and up: beyond 60 degrees it has fallen
LIFTED_M = 0.02
MOVED_M = 0.02  # another thing that was moved further was disturbed
OVER_M = 0.03  # the cup is "over" a thing that is nearer than this, sideways
SETTLED_S = 0.4  # a success counts when it has lasted this long


@dataclass(frozen=True)
class Outcome:
    """How a trial went, so far.

    Attributes:
        success: what was asked for is so, and has been for `SETTLED_S`.
        strict: and no other thing was toppled or moved by more than 2 cm.
        credit: 0, 0.25, 0.5, 0.75 or 1: how far it got, with the right thing.
        right_object: whether the first thing that was dealt with is the one spoken of; None where
            none was. Dealt with: touched by the arm, or, where it is to be covered, under the cup.
        first_touched: name of that thing, or "".
        steps: decisions so far; filled in by whoever counts them.
        note: what went wrong, in words, or "".
    """

    success: bool
    strict: bool
    credit: float
    right_object: bool | None
    first_touched: str
    steps: int = 0
    note: str = ""


class Judge:
    """Watches one trial; `update` after every control tick."""

    def __init__(self, sim: Simulation, trial: Trial) -> None:
        """Remember where everything stands now.

        Raises:
            ConfigError: the scene has no such thing.
        """
        self._sim, self._trial = sim, trial
        sim.scene.thing(trial.target)
        model = sim.model
        self._things = [t.name for t in sim.scene.things]
        self._owner = {model.body(n).id: n for n in (*self._things, *self._cup())}
        arms = {model.body(i).id for i in range(model.nbody) if "/" in model.body(i).name}
        self._is_toucher = np.isin(model.geom_bodyid, list(arms))
        self._is_finger = np.array(
            ["finger" in model.body(int(b)).name for b in model.geom_bodyid], dtype=bool
        )
        self._body = np.array(model.geom_bodyid)
        self._start = sim.object_poses()
        self._first = ""
        self._credit = 0.0
        self._since_s: float | None = None

    def _cup(self) -> tuple[str, ...]:
        return (CUP,) if self._sim.scene.cup else ()

    def update(self) -> None:
        """Look at the simulation now."""
        touched, held = self._contacts()
        poses = self._sim.object_poses()
        if self._trial.task == COVER:
            touched = self._under_cup({n: p.xyz_m for n, p in poses.items()})
        if not self._first and touched:
            # Two at once: the one that is spoken of does not get the benefit of the doubt.
            wrong = [n for n in touched if n != self._trial.target]
            self._first = wrong[0] if wrong else touched[0]
        at = {n: p.xyz_m for n, p in poses.items()}
        credit, done = self._progress(at, {n: float(p.rotation[2, 2]) for n, p in poses.items()},
                                      touched, held)  # fmt: skip
        self._credit = max(self._credit, credit)
        if not done:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = self._sim.time_s

    def outcome(self, steps: int = 0) -> Outcome:
        """How it stands."""
        settled = self._since_s is not None and self._sim.time_s - self._since_s >= SETTLED_S
        disturbed = self._disturbed()
        right = None if not self._first else self._first == self._trial.target
        note = "" if settled else ("touched nothing" if right is None else "")
        if right is False:
            note = f"went to {self._first}"
        elif disturbed:
            note = f"disturbed {', '.join(disturbed)}"
        return Outcome(
            success=settled,
            strict=settled and not disturbed,
            credit=1.0 if settled else self._credit,
            right_object=right,
            first_touched=self._first,
            steps=steps,
            note=note,
        )

    def _progress(
        self, at: dict[str, FloatArray], up: dict[str, float], touched: list[str], held: list[str]
    ) -> tuple[float, bool]:
        """Credit earned now, and whether what was asked for is so."""
        target, start = self._trial.target, self._start
        if self._trial.task == KNOCK:
            fallen = up[target] < TOPPLED_COS
            return (0.5 if target in touched else 0.0), fallen and self._first == target
        if self._trial.task == COVER:
            return self._cover(at, up, held)
        lifted = at[target][2] > start[target].xyz_m[2] + LIFTED_M
        above = bool(np.all(np.abs(at[target][:2] - at[world.BIN][:2]) < BIN_HALF_M))
        inside = above and at[target][2] < at[world.BIN][2] + world.BIN_HEIGHT_M
        credit = 0.25 * (target in touched) + 0.25 * (lifted and target in held)
        return (0.75 if lifted and above else credit), inside and target not in held

    def _cover(
        self, at: dict[str, FloatArray], up: dict[str, float], held: list[str]
    ) -> tuple[float, bool]:
        target = self._trial.target
        lifted = at[CUP][2] > self._start[CUP].xyz_m[2] + LIFTED_M and CUP in held
        aside = float(np.linalg.norm(at[CUP][:2] - at[target][:2]))
        cup = self._sim.scene.cup
        inner = cup.inner_m / 2 if cup else 0.0
        down = at[CUP][2] < self._start[CUP].xyz_m[2] + 0.01 and up[CUP] > 0.95
        over = aside < inner and down and up[target] > 0.95
        credit = 0.25 * (CUP in held) + 0.25 * lifted
        return (0.75 if lifted and aside < OVER_M else credit), over and CUP not in held

    def _under_cup(self, at: dict[str, FloatArray]) -> list[str]:
        """The things that the cup is being put over: it is off its place, beside and below."""
        gone = float(np.linalg.norm(at[CUP][:2] - self._start[CUP].xyz_m[:2])) > OVER_M
        low = at[CUP][2] - self._start[CUP].xyz_m[2] < self._sim.scene.things[0].height_m
        if not (gone and low):
            return []
        near = {n: float(np.linalg.norm(at[CUP][:2] - at[n][:2])) for n in self._things}
        return [n for n, apart in near.items() if apart < OVER_M]

    def _contacts(self) -> tuple[list[str], list[str]]:
        """Things that the arm touches, and what the fingers touch."""
        data = self._sim.data
        contacts = data.contact
        geoms = np.array(contacts.geom[: data.ncon], dtype=int).reshape(-1, 2)
        one, other = geoms[:, 0], geoms[:, 1]
        touched = self._others(one, other, self._is_toucher)
        held = self._others(one, other, self._is_finger)
        return [n for n in touched if n != CUP], held

    def _others(self, one: np.ndarray, other: np.ndarray, mine: np.ndarray) -> list[str]:
        bodies = {*self._body[other[mine[one]]].tolist(), *self._body[one[mine[other]]].tolist()}
        return sorted(self._owner[b] for b in bodies if b in self._owner)

    def _disturbed(self) -> list[str]:
        """The other things that fell or were moved."""
        found = []
        for name, pose in self._sim.object_poses().items():
            if name in (self._trial.target, CUP, world.BIN):
                continue
            before = self._start[name]
            moved = float(np.linalg.norm(pose.xyz_m - before.xyz_m)) > MOVED_M
            if moved or (before.rotation[2, 2] > 0.9 and pose.rotation[2, 2] < TOPPLED_COS):
                found.append(name)
        return found
