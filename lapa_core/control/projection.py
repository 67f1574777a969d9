# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The nearest pose that an arm with fewer than six joints can take.

Such an arm cannot turn its tool freely: the waist of a five-joint WidowX fixes where the tool
heads, except straight down or up, where turning the wrist turns the heading too. A step that
asks for more is not refused. Its position is kept exactly, and of all orientations that the arm
has at that position it gets the one with the smallest turn from the orientation asked for:
pitch, and roll about the approach axis, come through, and of a heading what can be had.

The next step starts from the projected pose, so nothing adds up that the arm never did.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.types import FloatArray

if TYPE_CHECKING:  # only its type is needed, and kinematics may import this file one day
    from lapa_core.control.kinematics import ArmKinematics

FULL_DOF = 6
MAX_ITERATIONS = 8
MAX_STEP_RAD = 0.3  # bound on one iteration, so that linearisation holds
CONVERGED_M, CONVERGED_RAD = 1e-5, 1e-3
NUDGE_RAD = 1e-6  # for the differences that make the Jacobian
SINGULAR = 0.02  # directions this much weaker than the strongest are left alone


def project(kinematics: ArmKinematics, target: Pose, seed_rad: FloatArray) -> Pose:
    """The pose at the target's position whose orientation the arm can have there.

    Task priority: every iteration solves for the position first, and for the orientation in the
    joint displacements that leave the position alone, by least squares.

    Args:
        kinematics: of the arm; with six joints or more the target is returned as it is.
        target: pose of the tool asked for, in the arm's base frame.
        seed_rad: (n,) joint positions to start from; the arm's present branch is followed.

    Returns:
        A pose with the target's position. Where the arm cannot reach that position the pose is
        not reachable either, which `ArmKinematics.reach` then tells.
    """
    if len(kinematics.joints) >= FULL_DOF:
        return target
    q: FloatArray = np.clip(seed_rad, kinematics.lower, kinematics.upper)
    pose = kinematics.fk(q)
    for _ in range(MAX_ITERATIONS):
        missing_m = target.xyz_m - pose.xyz_m
        missing_rad = turn_between(pose.rotation, target.rotation)
        dq = _step(*_jacobians(kinematics, q, pose), missing_m, missing_rad)
        largest = float(np.max(np.abs(dq)))
        dq *= min(1.0, MAX_STEP_RAD / max(largest, 1e-12))
        q = np.clip(q + dq, kinematics.lower, kinematics.upper)
        pose = kinematics.fk(q)
        arrived = float(np.linalg.norm(target.xyz_m - pose.xyz_m)) < CONVERGED_M
        if largest < CONVERGED_RAD and arrived:
            break
    return Pose(target.xyz_m, pose.rotation)


def turn_between(start: FloatArray, end: FloatArray) -> FloatArray:
    """(3,) axis times angle [rad] of the turn from one (3, 3) rotation to the other.

    In the axes both are given in; the shorter way round, and zero for the half turn, whose axis
    the antisymmetric part does not tell.
    """
    turn = end @ start.T
    sine = 0.5 * np.array(
        [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]
    )
    size = math.sqrt(float(sine @ sine))
    if size < 1e-12:
        return sine
    angle = math.atan2(size, 0.5 * (float(np.trace(turn)) - 1.0))
    scaled: FloatArray = sine * (angle / size)
    return scaled


def _jacobians(
    kinematics: ArmKinematics, q: FloatArray, pose: Pose
) -> tuple[FloatArray, FloatArray]:
    """(3, n) of the position [m/rad] and of the rotation [rad/rad], in base axes."""
    linear, angular = np.empty((3, len(q))), np.empty((3, len(q)))
    for joint in range(len(q)):
        nudged = q.copy()
        nudged[joint] += NUDGE_RAD
        moved = kinematics.fk(nudged)
        linear[:, joint] = moved.xyz_m - pose.xyz_m
        turn = moved.rotation @ pose.rotation.T
        angular[:, joint] = turn[2, 1], turn[0, 2], turn[1, 0]  # to first order in the nudge
    return linear / NUDGE_RAD, angular / NUDGE_RAD


def _step(
    linear: FloatArray, angular: FloatArray, missing_m: FloatArray, missing_rad: FloatArray
) -> FloatArray:
    """(n,) joint displacements: the position exactly, within what that leaves the orientation."""
    left, strength, right = np.linalg.svd(linear)
    rank = int(np.sum(strength > SINGULAR * strength[0]))
    dq: FloatArray = right[:rank].T @ ((left[:, :rank].T @ missing_m) / strength[:rank])
    free = right[rank:].T
    if free.shape[1]:
        rest = missing_rad - angular @ dq
        dq = dq + free @ (np.linalg.pinv(angular @ free, rcond=SINGULAR) @ rest)
    return dq
