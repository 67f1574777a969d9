# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Keeps the arms off themselves, each other and the table.

One model of all arms at their bases, with the URDFs' collision shapes. A command that would bring
two shapes nearer than the robot file allows is replaced by the nearest one that does not, found
by a quadratic program under mink's collision avoidance limits, and checked again on the result.
Shapes that already are too near, as in some rest poses, may only part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import mink
import mujoco
import numpy as np

from lapa_core.control import collision_model
from lapa_core.control.collision_model import DETECTION_M, Close
from lapa_core.control.kinematics import SOLVER, DisplacementBox
from lapa_core.description import Description
from lapa_core.errors import ConfigError
from lapa_core.robot import Robot
from lapa_core.types import FloatArray

Positions = Mapping[str, FloatArray]  # arm -> (n,) joint positions [rad]
Configuration = tuple[Positions, Mapping[str, float]]  # and the openings of the grippers
TOLERANCE_M = 1e-5  # of the distance of two boxes; MuJoCo's is found by iteration
DAMPING = 1e-9  # the program has a single best answer without it


class CollisionGuard:
    """Distances between the shapes of one robot. Not for use from two threads.

    Attributes:
        blocked: the pair that the last `restrain` kept apart, or None.
    """

    def __init__(self, robot: Robot, arm_descriptions: Mapping[str, Description]) -> None:
        """Build the model.

        Raises:
            ConfigError: `ignore` names an unknown link, or start or park pose is in collision.
        """
        self.blocked: Close | None = None
        self._robot = robot
        self._model = collision_model.build(robot, arm_descriptions)
        self._configuration = mink.Configuration(self._model)
        address = {
            a.name: np.array([self._model.joint(f"{a.name}/{j}").qposadr[0] for j in a.joints])
            for a in robot.arms
        }
        self._arm_dofs = address  # sliding and turning joints alone: dof and qpos agree
        self._fingers = {
            a.name: collision_model.fingers(self._model, a, arm_descriptions[a.name])
            for a in robot.arms
        }
        self._kinds = collision_model.kinds(robot, arm_descriptions, self._model)
        self._box = DisplacementBox(self._model.nv)
        self._task = mink.PostureTask(self._model, cost=1.0)
        limits = {
            a.name: [arm_descriptions[a.name].joints[j] for j in a.joints] for a in robot.arms
        }
        self._velocity = {n: np.array([j.velocity for j in js]) for n, js in limits.items()}
        self._lower = {n: np.array([j.lower for j in js]) for n, js in limits.items()}
        self._upper = {n: np.array([j.upper for j in js]) for n, js in limits.items()}
        self._check_poses()

    def near(
        self, positions: Positions, openings: Mapping[str, float], within_m: float = DETECTION_M
    ) -> list[Close]:
        """Pairs of shapes nearer than their least distance plus `within_m`, nearest first.

        Args:
            positions: of every arm.
            openings: of every gripper, 0 .. 1.
            within_m: at most the detection distance.
        """
        self._set(positions, openings)
        return self._measure(within_m)

    def worsened(self, before: Configuration, after: Configuration) -> Close | None:
        """The pair that is too near at `after` and nearer than at `before`, or None.

        What already is too near may stay so: an arm must be able to leave its rest pose.
        """
        found = self.near(*after, 0.0)
        if not found:
            return None
        allowed = {c.pair: c.excess_m for c in reversed(self.near(*before, 0.0))}
        for close in found:
            if not _all_free([close], allowed):
                return close
        return None

    def restrain(
        self,
        present: Positions,
        wanted: Positions,
        openings: Mapping[str, float],
        dt_s: float,
        fixed: Collection[str] = (),
    ) -> list[dict[str, FloatArray]]:
        """Commands to try, best first, all of which keep every shape its distance.

        The first is `wanted` where nothing is in its way, the last is always `present`.
        `blocked` tells afterwards whether and by what they differ. Joint limits and joint speed
        hold; acceleration gives way.

        Args:
            present: commands now in force.
            wanted: commands of this tick.
            openings: of every gripper, 0 .. 1.
            dt_s: seconds between the two.
            fixed: arms that are not commanded: they stay where `present` has them.
        """
        self.blocked = None
        after = self.near(wanted, openings)
        if not after:
            return [dict(wanted), dict(present)]
        before = self.near(present, openings)
        allowed = {c.pair: min(c.excess_m, 0.0) for c in reversed(before)}  # nearest last
        move = {n: wanted[n] - present[n] for n in wanted}
        if self._obeys(move) and _all_free(after, allowed):
            return [dict(wanted), dict(present)]
        self.blocked = before[0] if before else after[0]
        move = self._nearest_move(present, move, openings, dt_s, fixed)
        tries = [{n: present[n] + share * move[n] for n in present} for share in (1.0, 0.5, 0.25)]
        free = [q for q in tries if _all_free(self.near(q, openings, 0.0), allowed)]
        return [*free, dict(present)]

    def _obeys(self, move: Positions) -> bool:
        """Whether the move approaches nothing too fast; the model stands where it begins."""
        displacement = self._spread(move)
        for kind in self._kinds:
            rows = kind.limit.compute_qp_inequalities(self._configuration, 1.0)
            bounded = np.isfinite(rows.h)
            if np.any(rows.G[bounded] @ displacement > rows.h[bounded] + 1e-9):
                return False
        return True

    def _nearest_move(
        self,
        present: Positions,
        move: Positions,
        openings: Mapping[str, float],
        dt_s: float,
        fixed: Collection[str],
    ) -> dict[str, FloatArray]:
        """The displacement nearest to `move` that the linear limits allow."""
        self._set(present, openings)
        self._task.set_target(self._configuration.integrate(self._spread(move), 1.0))
        # An arm that nobody commands must not give way on paper.
        fast = {n: (n not in fixed) * self._velocity[n] * dt_s for n in present}
        room = {n: (self._lower[n] - q, self._upper[n] - q) for n, q in present.items()}
        bottom = self._spread({n: np.clip(-fast[n], *room[n]) for n in present})
        top = self._spread({n: np.clip(fast[n], *room[n]) for n in present})
        self._box.lower, self._box.upper = bottom, top
        limits = [self._box, *(k.limit for k in self._kinds)]
        try:
            # A time step of one makes the velocity that mink returns the displacement itself.
            found = mink.solve_ik(
                self._configuration, [self._task], 1.0, SOLVER, DAMPING, limits=limits
            )
        except mink.NoSolutionFound:
            return {n: np.zeros_like(m) for n, m in move.items()}
        return {n: np.clip(found[i], bottom[i], top[i]) for n, i in self._arm_dofs.items()}

    def _spread(self, values: Positions) -> FloatArray:
        """(nv,) with each arm's values in their place and zeros for the fingers."""
        spread = np.zeros(self._model.nv)
        for name, value in values.items():
            spread[self._arm_dofs[name]] = value
        return spread

    def _set(self, positions: Positions, openings: Mapping[str, float]) -> None:
        q = np.zeros(self._model.nq)
        for name, value in positions.items():
            q[self._arm_dofs[name]] = value
            gripper = self._robot.arm(name).gripper
            finger = gripper.joint_position(openings[name])
            for address, multiplier, offset in self._fingers[name]:
                q[address] = multiplier * finger + offset
        self._configuration.update(q)

    def _measure(self, within_m: float) -> list[Close]:
        model, data = self._model, self._configuration.data
        close = []
        for kind in self._kinds:
            reach = kind.least_m + within_m
            for a, b in kind.survivors(data, reach):
                distance = mujoco.mj_geomDistance(model, data, a, b, reach, None)
                if distance < reach:
                    close.append(Close(kind.names[a, b], distance, kind.least_m))
        return sorted(close, key=lambda c: c.excess_m)

    def _check_poses(self) -> None:
        """Both named poses of the robot file must be free."""
        openings = {a.name: 1.0 for a in self._robot.arms}
        for pose in ("start_rad", "park_rad"):
            close = self.near({a.name: getattr(a, pose) for a in self._robot.arms}, openings, 0.0)
            if close:
                raise ConfigError(
                    f"{self._robot.source}: at {pose}, {close[0]}; change the pose or the "
                    "distances, or list the two links under collision: ignore"
                )


def _all_free(close: list[Close], before: Mapping[tuple[str, str], float]) -> bool:
    """Whether every pair keeps its distance, or at least what it had of it before.

    What lacks more than the tolerance may not lack a hair more: ticks would add hairs up.
    """
    return all(c.excess_m >= min(before.get(c.pair, 0.0), -TOLERANCE_M) for c in close)
