# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Forward and inverse kinematics of all arms, against the published screw tables."""

from __future__ import annotations

import functools

import arms
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapa_core import description
from lapa_core import robot as robots
from lapa_core.control.compose import Pose, angle_between, compose
from lapa_core.control.kinematics import BOX_TOLERANCE_M, ArmKinematics

ROBOT_OF = {"wx250": "wx250", "wx250s": "wx250s", "vx300s": "vx300s", "aloha_vx300s": "aloha"}
MODELS = tuple(ROBOT_OF)
shares = st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6).map(np.array)
signs = st.lists(st.floats(-1.0, 1.0), min_size=6, max_size=6).map(np.array)


@functools.cache
def kinematics(model: str) -> ArmKinematics:
    robot = robots.load(ROBOT_OF[model])
    return ArmKinematics(robot.arms[0], description.for_arm(robot.arms[0]))


@settings(deadline=None)
@given(model=st.sampled_from(MODELS), share=shares)
def test_fk_is_the_product_of_exponentials(model: str, share: np.ndarray) -> None:
    k = kinematics(model)
    q = k.lower + share[: len(k.joints)] * (k.upper - k.lower)
    pose, expected = k.fk(q), arms.product_of_exponentials(model, q)
    np.testing.assert_allclose(pose.xyz_m, expected[:3, 3], atol=1e-6)
    np.testing.assert_allclose(pose.rotation, expected[:3, :3], atol=1e-6)


def test_start_pose_is_bridges() -> None:
    """Tool at (0.30, 0, 0.15), pointing straight down."""
    pose = kinematics("wx250s").fk(arms.wx250s().arms[0].start_rad)
    np.testing.assert_allclose(pose.xyz_m, [0.30, 0.0, 0.15], atol=5e-4)
    np.testing.assert_allclose(pose.rotation[:, 0], [0, 0, -1], atol=1e-3)


@settings(deadline=None)
@given(model=st.sampled_from(MODELS), share=shares, offset=signs)
def test_reach_finds_reachable_poses(model: str, share: np.ndarray, offset: np.ndarray) -> None:
    """From joints up to 0.3 rad away: as far as one policy step can lead."""
    k = kinematics(model)
    n = len(k.joints)
    goal = k.lower + share[:n] * (k.upper - k.lower)
    seed = np.clip(goal + 0.3 * offset[:n], k.lower, k.upper)
    target = k.fk(goal)
    found = k.reach(target, seed)
    reached = k.fk(found.position_rad)
    assert np.all(found.position_rad >= k.lower) and np.all(found.position_rad <= k.upper)
    assert np.linalg.norm(reached.xyz_m - target.xyz_m) == pytest.approx(found.error_m, abs=1e-9)
    if near_singular(k, goal):
        return  # the optimum may lie on another branch there; the report must still be true
    assert found.error_m < 1e-3
    assert found.error_rad < 5e-3


def near_singular(k: ArmKinematics, q: np.ndarray) -> bool:
    """Elbow stretched, wrist straight or tool over the waist axis, or a limit between."""
    pose = k.fk(q)
    wrist = pose.xyz_m - 0.16 * pose.rotation[:, 0]
    return bool(
        abs(q[-2]) < 0.35
        or np.linalg.norm(wrist[:2]) < 0.08
        or abs(q[2] + np.arctan2(0.05, 0.25) - np.pi / 2) < 0.35
        or abs(q[2] + np.arctan2(0.05, 0.25) + np.pi / 2) < 0.35
    )


def test_reach_reports_what_is_missing() -> None:
    k = kinematics("wx250s")
    seed = arms.wx250s().arms[0].start_rad
    far = Pose(np.array([0.9, 0.0, 0.15]), k.fk(seed).rotation)
    found = k.reach(far, seed)
    assert found.error_m > 0.1


@settings(max_examples=60, deadline=None)
@given(
    share=shares,
    velocity=signs,
    goal=signs,
    dt=st.sampled_from([0.0, 0.001, 0.02, 0.04]),
    scale=st.sampled_from([0.1, 1.0]),
)
def test_a_step_keeps_every_hard_limit(
    share: np.ndarray, velocity: np.ndarray, goal: np.ndarray, dt: float, scale: float
) -> None:
    """Whatever the target, the present speed and the place: limits, speed, no further out."""
    k, arm = kinematics("wx250s"), arms.wx250s().arms[0]
    q = k.lower + share * (k.upper - k.lower)
    target = compose(k.fk(q), np.concatenate([goal[:3], 3 * goal[3:]]))
    after = k.step(q, velocity * k.velocity, target, dt, scale)
    assert np.all(after >= k.lower) and np.all(after <= k.upper)
    assert np.all(np.abs(after - q) <= scale * k.velocity * dt + 1e-9)

    def outside(position: np.ndarray) -> np.ndarray:
        xyz = k.fk(position).xyz_m
        return np.maximum(0, np.maximum(arm.workspace_lower_m - xyz, xyz - arm.workspace_upper_m))

    assert np.all(outside(after) <= np.maximum(outside(q), BOX_TOLERANCE_M) + 1e-9)


def test_acceleration_is_kept_while_no_limit_is_near() -> None:
    k, arm = kinematics("wx250s"), arms.wx250s().arms[0]
    q, velocity, dt = np.array(arm.start_rad), np.zeros(6), 0.02
    target = compose(k.fk(q), np.array([0.05, 0.0, 0.0, 0.0, 0.0, 0.25]))
    for _ in range(100):
        after = k.step(q, velocity, target, dt)
        rate = (after - q) / dt
        assert np.all(np.abs(rate - velocity) <= arm.max_acceleration_rad_s2 * dt + 1e-9)
        q, velocity = after, rate
    reached = k.fk(q)
    assert np.linalg.norm(reached.xyz_m - target.xyz_m) < 1e-4
    assert angle_between(reached.rotation, target.rotation) < 1e-3


def test_a_straight_wrist_does_not_make_the_joints_race() -> None:
    """At wrist_angle 0 the axes of forearm and wrist coincide: a singularity inside the box."""
    k = kinematics("wx250s")
    q, velocity = np.array([0.0, 0.3, 0.3, 0.0, 0.0, 0.0]), np.zeros(6)
    target = compose(k.fk(q), np.array([0.0, 0.03, 0.0, 0.0, 0.0, 0.2]))
    for _ in range(100):
        after = k.step(q, velocity, target, 0.02)
        assert np.all(np.isfinite(after))
        q, velocity = after, (after - q) / 0.02
    assert np.max(np.abs(velocity)) < 0.05  # it comes to rest
