# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The nearest pose of a five-joint arm, against the orientations it has by its geometry."""

from __future__ import annotations

import functools
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from lapa_core import description, robot
from lapa_core.control.compose import Pose, angle_between, compose
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.control.projection import project, turn_between
from lapa_core.rotation import rotation_from_rpy

START = np.array([0.0, 0.022, 0.183, 1.366, 0.0])
# Away from the ends of the limits, the stretched elbow and the waist's axis.
LOWER = np.array([-1.5, -0.3, -0.6, 0.2, -1.5])
UPPER = np.array([1.5, 0.5, 0.6, 1.4, 1.5])
shares = st.lists(st.floats(0.0, 1.0), min_size=5, max_size=5).map(np.array)
signs = st.lists(st.floats(-1.0, 1.0), min_size=6, max_size=6).map(np.array)


@functools.cache
def wx250() -> ArmKinematics:
    arm = robot.load("wx250").arms[0]
    return ArmKinematics(arm, description.for_arm(arm))


def wrist_is_near(target: Pose) -> bool:
    """The wrist's axis within what upper arm and forearm span, 0.255 m and 0.25 m."""
    wrist = target.xyz_m - 0.158575 * target.rotation[:, 0]
    return float(np.hypot(np.hypot(*wrist[:2]), wrist[2] - 0.11065)) < 0.48


def nearest_by_geometry(target: Pose, begin: np.ndarray) -> float:
    """Smallest turn [rad] to any Rz(heading) Ry(pitch) Rx(roll), the heading fixed by x and y."""
    heading = np.arctan2(target.xyz_m[1], target.xyz_m[0])

    def alike(angles: np.ndarray) -> float:  # smooth, where the angle has a kink at its minimum
        turned = rotation_from_rpy(angles[1], angles[0], heading)
        return -float(np.sum(turned * target.rotation))

    other_way_round = np.array([np.pi - begin[0], begin[1] + np.pi])
    found = [minimize(alike, start, method="BFGS").x for start in (begin, other_way_round)]
    return min(
        angle_between(rotation_from_rpy(roll, pitch, heading), target.rotation)
        for pitch, roll in found
    )


@settings(max_examples=60, deadline=None)
@given(share=shares, step=signs)
def test_it_is_the_nearest_orientation_that_the_geometry_allows(
    share: np.ndarray, step: np.ndarray
) -> None:
    k = wx250()
    q = LOWER + share * (UPPER - LOWER)
    delta = step * [0.03, 0.03, 0.03, 0.25, 0.25, 0.25]
    target = compose(k.fk(q), delta)
    assume(wrist_is_near(target))
    projected = project(k, target, q)
    np.testing.assert_array_equal(projected.xyz_m, target.xyz_m)
    pitch = q[1] + q[2] + q[3]
    best = nearest_by_geometry(target, np.array([pitch, q[4]]))
    assert angle_between(projected.rotation, target.rotation) == pytest.approx(best, abs=2e-3)
    found = k.reach(projected, q)
    assert found.error_m < 1e-3 and found.error_rad < 5e-3


@settings(max_examples=40, deadline=None)
@given(share=shares, offset=shares)
def test_a_pose_that_it_has_stays_as_it_is(share: np.ndarray, offset: np.ndarray) -> None:
    k = wx250()
    goal = LOWER + share * (UPPER - LOWER)
    seed = goal + 0.2 * (offset - 0.5)
    target = k.fk(goal)
    assert angle_between(project(k, target, seed).rotation, target.rotation) < 1e-3


def test_straight_down_the_wrist_turns_the_heading() -> None:
    k = wx250()
    target = compose(k.fk(START), np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.25]))
    assert angle_between(project(k, target, START).rotation, target.rotation) < 2e-3


def test_level_the_heading_stays_with_the_waist() -> None:
    k = wx250()
    level = np.array([0.4, -0.3, 0.6, -0.3, 0.0])
    pose = k.fk(level)
    target = compose(pose, np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.2]))
    projected = project(k, target, level)
    np.testing.assert_allclose(projected.rotation, pose.rotation, atol=1e-3)


def test_a_position_out_of_reach_is_still_told() -> None:
    k = wx250()
    target = Pose(np.array([0.9, 0.0, 0.15]), k.fk(START).rotation)
    projected = project(k, target, START)
    np.testing.assert_array_equal(projected.xyz_m, target.xyz_m)
    assert k.reach(projected, START).error_m > 0.1


def test_an_arm_of_six_joints_gets_its_target_back() -> None:
    arm = robot.load("wx250s").arms[0]
    k = ArmKinematics(arm, description.for_arm(arm))
    target = compose(k.fk(arm.start_rad), np.array([0.01, 0.0, 0.0, 0.1, 0.1, 0.2]))
    assert project(k, target, arm.start_rad) is target


def test_turn_between_is_the_logarithm() -> None:
    start = rotation_from_rpy(0.3, -0.8, 1.1)
    for axis in np.eye(3):
        for angle in (0.0, 1e-7, 0.4, 3.0):
            c, s = np.cos(angle), np.sin(angle)
            skew = np.cross(np.eye(3), axis)
            turn = c * np.eye(3) + s * skew + (1 - c) * np.outer(axis, axis)
            np.testing.assert_allclose(turn_between(start, turn @ start), angle * axis, atol=1e-9)


@pytest.mark.slow
def test_it_is_quick() -> None:
    """0.3 ms of a policy step, in the middle of everything else that it costs."""
    k, rng = wx250(), np.random.default_rng(0)
    seconds = []
    for _ in range(300):
        q = LOWER + rng.uniform(size=5) * (UPPER - LOWER)
        delta = rng.uniform(-1, 1, 6) * [0.03, 0.03, 0.03, 0.2, 0.2, 0.2]
        target = compose(k.fk(q), delta)
        begin = time.perf_counter()
        project(k, target, q)
        seconds.append(time.perf_counter() - begin)
    assert np.median(seconds) < 1e-3  # ten times as quick on a quiet machine
