# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A scripted demonstrator: does one task with one thing, one end-effector delta a step.

It sees what the simulation knows, and speaks as a policy does: deltas in the arm's base axes,
each added to the commanded target, an absolute gripper opening.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.sim import recovery, tasks
from lapa_core.sim.look import Look
from lapa_core.sim.simulation import Simulation
from lapa_core.sim.ways import DOWN, GO, GRASP, LOWER, RELEASE, TRAVEL_M, Waypoint, Ways
from lapa_core.types import FloatArray

STEP_SHARE = 0.8  # of the robot file's largest step
# With a generator, a demonstrator is not exact on its way, as a person is not:
STRAY_SHARE = 0.3  # of the demonstrations pass a point beside the first waypoint
STRAY_M = (0.04, 0.04, 0.03)
HEIGHT_M = 0.01  # spread of the height it travels at


class Expert:
    """Demonstrates with one arm; asked once a step.

    Attributes:
        done: whether the last waypoint has been reached.
    """

    def __init__(
        self,
        sim: Simulation,
        arm: str,
        thing: str = "red_block",
        task: str = tasks.PUT,
        rng: np.random.Generator | None = None,
        strays: bool = True,
    ) -> None:
        """Plan for the thing where it stands now.

        Args:
            sim: what stands where.
            arm: which one moves.
            thing: that is put into the bin, knocked over or covered.
            task: one of `tasks.TASKS`.
            rng: of the ways that differ from one demonstration to the next; None: always the same.
            strays: whether some of those begin with a point beside the way.

        Raises:
            ConfigError: the simulation has no such thing, arm or cup, or there is no such task.
        """
        self.done = False
        self._arm = sim.robot.arm(arm)
        travel_m = TRAVEL_M + (rng.uniform(-HEIGHT_M, HEIGHT_M) if rng else 0.0)
        self._task, self._moved = task, False
        self._ways = Ways(sim, arm, thing, task, travel_m)
        self._look = Look(sim, arm, thing, task)
        self._plan = self._ways.plan()
        self._astray = self._beside(rng if strays else None)
        self._at = -1 if self._astray else 0  # place in the plan
        self._begin()

    def _begin(self) -> None:
        """Make for the waypoint at the place in the plan, or the one before it."""
        before = self._astray if self._at < 0 else None
        self._goal = before or self._plan[self._at]
        self._wait = self._goal.wait

    @property
    def opening(self) -> float:
        """What the gripper is told now, 0 .. 1."""
        return self._goal.opening

    @property
    def carries(self) -> bool:
        """Whether it should hold something that must not fall."""
        return self._task != tasks.KNOCK and GRASP <= self._at < RELEASE

    def disturbed(self) -> None:
        """Say that somebody else has moved the arm; the next decision makes up for it."""
        self._moved = True

    def decide(self, target: Pose) -> FloatArray:
        """(7,) the next delta [m, rad, 0..1] after a pose commanded so far, in the base frame."""
        if self._moved:
            self._resume(target)
            self._moved = self._at < DOWN  # what is done until then follows from where it is
        while not self.done and self._arrived(target) and self._wait <= 0:
            if self._at + 1 == len(self._plan):
                self.done = True
            elif self._at + 1 == GO and self.carries and not self._look.holds():
                self._resume(target)  # lifted, and nothing there: again
            else:
                self._at += 1
                self._begin()
        delta = self._goal.towards(target)
        self._wait -= self._goal.reached_from(target)
        bound = np.repeat([self._arm.max_translation_m, self._arm.max_rotation_rad], 3)
        ratio = float(np.max(np.abs(delta) / (STEP_SHARE * bound)))
        return np.concatenate([delta / max(1.0, ratio), [self.opening]])

    def _arrived(self, target: Pose) -> bool:
        """Whether the next waypoint may be made for."""
        if self._at == 0:
            return self._plan[DOWN].below(target)
        if self._at == GO and self._task == tasks.COVER:
            return self._plan[LOWER].below(target)
        return self._goal.reached_from(target)

    def _resume(self, target: Pose) -> None:
        """Go on from where the world is now.

        Whoever learns from it sees what to do beside the way, which a faultless way never shows.
        """
        place = recovery.resume(self._ways, self._look, self._task, target)
        self._plan, self._at, self._astray = place.plan, place.at, place.first
        self._begin()

    def succeeded(self) -> bool:
        """Whether the thing lies in the bin and no finger holds it."""
        return self._look.in_bin() and not self._look.touched()

    def hopeless(self) -> bool:
        """Whether no way leads to the end any more."""
        return self._look.hopeless()

    def _beside(self, rng: np.random.Generator | None) -> Waypoint | None:
        """Now and then, a point beside the first waypoint to pass before it."""
        if rng is None or rng.random() >= STRAY_SHARE:
            return None
        goal = self._plan[0].goal
        beside = Pose(goal.xyz_m + rng.uniform(-1, 1, size=3) * STRAY_M, goal.rotation)
        return replace(self._plan[0], goal=beside)
