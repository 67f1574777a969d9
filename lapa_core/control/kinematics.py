# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Kinematics of one arm: where the tool is, and the next joint command towards a pose.

All poses are of the tool link in the arm's base frame. The model is the arm's URDF with the
gripper's joints and all shapes taken out. Inverse kinematics is differential: `step` solves one
quadratic program a control tick, over the joint displacements that every limit allows.
"""

from __future__ import annotations

from dataclasses import dataclass

import mink
import mujoco
import numpy as np

from lapa_core import description as descriptions
from lapa_core.control.compose import Pose, angle_between
from lapa_core.description import Description
from lapa_core.errors import UnsafeAction
from lapa_core.robot import Arm
from lapa_core.types import FloatArray

SOLVER = "daqp"
# One metre of position error weighs as much as this many radians: a wrist of 0.2 m length.
ORIENTATION_COST = 0.2
# Bounds the joint speed near a singularity; errors of 0.1 mm still converge in a few ticks.
DAMPING = 1e-6
# Share of the error removed a tick. Below 1 the command brakes within the acceleration limit
# when the setpoint stops, where a dead-beat one overshoots it; the lag is 1/gain - 1 ticks.
TRACKING_GAIN = 0.35
CONVERGED_M, CONVERGED_RAD = 2e-4, 1e-3
MAX_ITERATIONS = 40
MAX_STEP_RAD = 0.3  # bound on one iteration of `reach`, so that linearisation holds
BOX_TOLERANCE_M = 5e-4  # the command may overshoot the workspace by this much


@dataclass(frozen=True)
class Reach:
    """How well a pose can be reached.

    Attributes:
        position_rad: (n,) joint positions.
        error_m, error_rad: what is missing to the pose.
    """

    position_rad: FloatArray
    error_m: float
    error_rad: float


class DisplacementBox(mink.Limit):  # type: ignore[misc]  # mink is untyped to our mypy
    """Bounds on the joint displacement of one solve: lower <= dq <= upper."""

    def __init__(self, num_joints: int) -> None:
        self._G = np.vstack([np.eye(num_joints), -np.eye(num_joints)])
        self.lower: FloatArray = np.zeros(num_joints)
        self.upper: FloatArray = np.zeros(num_joints)

    def compute_qp_inequalities(
        self, configuration: mink.Configuration, dt: float
    ) -> mink.Constraint:
        """`G dq <= h`, as mink asks for it."""
        del configuration, dt
        return mink.Constraint(G=self._G, h=np.concatenate([self.upper, -self.lower]))


class ArmKinematics:
    """Forward and inverse kinematics of one arm. Not for use from two threads.

    Attributes:
        joints: names, in the order of all arrays.
        lower, upper: (n,) position limits [rad], from the URDF.
        velocity: (n,) speed limits [rad/s], from the URDF.
        acceleration: bound on every joint [rad/s^2], from the robot file.
    """

    def __init__(self, arm: Arm, description: Description) -> None:
        self.joints = arm.joints
        limits = [description.joints[n] for n in arm.joints]
        self.lower = np.array([j.lower for j in limits])
        self.upper = np.array([j.upper for j in limits])
        self.velocity = np.array([j.velocity for j in limits])
        self.acceleration = arm.max_acceleration_rad_s2
        self._box_lower, self._box_upper = arm.workspace_lower_m, arm.workspace_upper_m
        self._configuration = mink.Configuration(_model(arm, description))
        self._order = np.array([self._configuration.model.joint(n).qposadr[0] for n in arm.joints])
        self._inverse = np.argsort(self._order)
        self._tool = self._configuration.model.body(arm.tool_link).id
        self._task = mink.FrameTask(arm.tool_link, "body", 1.0, ORIENTATION_COST)
        self._limit = DisplacementBox(len(arm.joints))

    def fk(self, position_rad: FloatArray) -> Pose:
        """Pose of the tool at (n,) joint positions [rad]."""
        q = np.empty(len(self.joints))
        q[self._order] = position_rad
        self._configuration.update(q)
        data = self._configuration.data
        return Pose(data.xpos[self._tool].copy(), data.xmat[self._tool].reshape(3, 3).copy())

    def reach(self, target: Pose, seed_rad: FloatArray) -> Reach:
        """The joint positions nearest to `target`, found from `seed_rad` under position limits.

        Local: it follows the arm's present branch and does not flip an elbow.
        """
        q: FloatArray = np.clip(seed_rad, self.lower, self.upper)
        best: Reach | None = None
        self._task.gain = 1.0
        self._aim(target)
        for _ in range(MAX_ITERATIONS):
            pose = self.fk(q)
            error_m = float(np.linalg.norm(pose.xyz_m - target.xyz_m))
            error_rad = angle_between(pose.rotation, target.rotation)
            found = Reach(q, error_m, error_rad)
            if error_m < CONVERGED_M and error_rad < CONVERGED_RAD:
                return found
            if best is None or _cost(found) < _cost(best):
                best = found
            dq = self._solve(
                np.maximum(self.lower - q, -MAX_STEP_RAD), np.minimum(self.upper - q, MAX_STEP_RAD)
            )
            if float(np.max(np.abs(dq))) < 1e-5:
                break
            q = np.clip(q + dq, self.lower, self.upper)
        assert best is not None
        return best

    def step(
        self,
        position_rad: FloatArray,
        velocity_rad_s: FloatArray,
        target: Pose,
        dt_s: float,
        speed_scale: float = 1.0,
    ) -> FloatArray:
        """The next joint command towards `target`.

        Joint position, joint velocity and the workspace box are never exceeded (a start
        outside the box may move in it or inwards only); acceleration gives way to them.

        Args:
            position_rad: (n,) the present command.
            velocity_rad_s: (n,) rate of the present command.
            target: pose to approach.
            dt_s: seconds since the present command.
            speed_scale: share of the velocity limits to use, 0 .. 1.

        Raises:
            UnsafeAction: the solver fails.
        """
        q = np.clip(position_rad, self.lower, self.upper)
        if dt_s <= 0.0:
            return q
        lower, upper = self._bounds(q, velocity_rad_s, dt_s, speed_scale)
        self.fk(q)  # the program is linear about where the arm is
        self._task.gain = TRACKING_GAIN
        self._aim(target)
        dq = np.clip(self._solve(lower, upper), lower, upper)
        for share in (1.0, 0.5, 0.25):
            candidate: FloatArray = np.clip(q + share * dq, self.lower, self.upper)
            if self.stays_in_box(q, candidate):
                return candidate
        return q

    def stays_in_box(self, before_rad: FloatArray, after_rad: FloatArray) -> bool:
        """Whether the tool stays in the workspace box, or gets no further out of it.

        Checked on positions: a program in joint displacements knows the box only to first
        order, and a command that stands still is always inside.
        """
        allowed = np.maximum(self.outside_m(self.fk(before_rad)), BOX_TOLERANCE_M)
        return bool(np.all(self.outside_m(self.fk(after_rad)) <= allowed))

    def outside_m(self, pose: Pose) -> FloatArray:
        """(3,) how far the tool is outside the workspace box on each axis [m]."""
        beyond: FloatArray = np.maximum(pose.xyz_m - self._box_upper, self._box_lower - pose.xyz_m)
        return np.maximum(beyond, 0.0)

    def _bounds(
        self, q: FloatArray, velocity: FloatArray, dt: float, scale: float
    ) -> tuple[FloatArray, FloatArray]:
        """Displacements allowed now: position and velocity first, acceleration within them."""
        top = scale * self.velocity
        # From speed v a joint needs v^2 / 2a to stop, so it may approach its limit with
        # sqrt(2 a distance) at most.
        up = np.minimum(top, np.sqrt(2 * self.acceleration * (self.upper - q)))
        down = np.minimum(top, np.sqrt(2 * self.acceleration * (q - self.lower)))
        change = self.acceleration * dt
        slowest = np.clip(velocity - change, -down, up) * dt
        fastest = np.clip(velocity + change, -down, up) * dt
        # Within one tick the approach above may still pass the limit; both bounds keep it.
        room_down, room_up = self.lower - q, self.upper - q
        return np.clip(slowest, room_down, room_up), np.clip(fastest, room_down, room_up)

    def _aim(self, target: Pose) -> None:
        self._task.set_target(
            mink.SE3.from_rotation_and_translation(
                mink.SO3.from_matrix(target.rotation), target.xyz_m
            )
        )

    def _solve(self, lower: FloatArray, upper: FloatArray) -> FloatArray:
        """Displacement (n,) between the bounds that comes nearest to the target."""
        self._limit.lower, self._limit.upper = lower[self._inverse], upper[self._inverse]
        try:
            # A time step of one makes the velocity that mink returns the displacement itself.
            solution: FloatArray = mink.solve_ik(
                self._configuration, [self._task], 1.0, SOLVER, DAMPING, limits=[self._limit]
            )[self._order]
        except mink.NoSolutionFound:
            raise UnsafeAction("inverse kinematics: the solver found no solution") from None
        return solution


def _cost(found: Reach) -> float:
    return found.error_m + ORIENTATION_COST * found.error_rad


def _model(arm: Arm, description: Description) -> mujoco.MjModel:
    """The arm's joints and links alone: no fingers, no shapes."""
    spec = descriptions.to_spec(description)
    for equality in list(spec.equalities):
        spec.delete(equality)
    for geom in list(spec.geoms):
        spec.delete(geom)
    for joint in list(spec.joints):
        if joint.name not in arm.joints:
            spec.delete(joint)
    return spec.compile()
