# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Deltas: Bridge's convention, and inverses that really undo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from lapa_core.control.compose import (
    Pose,
    angle_between,
    between,
    compose,
    difference,
    inverse,
    rotation_from_rpy,
    rpy_from_rotation,
)

angles = st.floats(-3.1, 3.1)
pitches = st.floats(-1.5, 1.5)
lengths = st.floats(-0.5, 0.5)
deltas = st.tuples(lengths, lengths, lengths, angles, pitches, angles).map(np.array)
poses = deltas.map(lambda d: Pose(d[:3], rotation_from_rpy(*d[3:])))


def assert_same(a: Pose, b: Pose) -> None:
    np.testing.assert_allclose(a.xyz_m, b.xyz_m, atol=1e-9)
    np.testing.assert_allclose(a.rotation, b.rotation, atol=1e-8)


def test_axes_are_the_bases_and_the_turn_is_about_the_tool_point() -> None:
    """Bridge: R' = Rz(yaw) Ry(pitch) Rx(roll) R, and a turn alone does not move the tool point."""
    down = Pose(np.array([0.3, 0.0, 0.15]), rotation_from_rpy(0.0, np.pi / 2, 0.0))
    after = compose(down, np.array([0.01, 0.02, -0.03, 0.0, 0.0, np.pi / 2, 1.0]))
    np.testing.assert_allclose(after.xyz_m, [0.31, 0.02, 0.12])
    # The tool's x axis points down before and after a yaw about the base's z; its y axis turns.
    np.testing.assert_allclose(after.rotation[:, 0], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(after.rotation[:, 1], [-1, 0, 0], atol=1e-12)


def test_bridges_own_formula_agrees_where_the_arm_does_not_lag() -> None:
    """p' = R_d (p - p_c) + p_c + d with the measured point p_c equal to the target p."""
    pose = Pose(np.array([0.25, -0.1, 0.2]), rotation_from_rpy(0.1, 1.2, -0.4))
    delta = np.array([0.02, -0.01, 0.03, 0.1, -0.2, 0.25])
    turn = Rotation.from_euler("xyz", delta[3:]).as_matrix()  # static axes, as ROS has them
    expected = turn @ (pose.xyz_m - pose.xyz_m) + pose.xyz_m + delta[:3]
    after = compose(pose, delta)
    np.testing.assert_allclose(after.xyz_m, expected)
    np.testing.assert_allclose(after.rotation, turn @ pose.rotation, atol=1e-12)


@settings(deadline=None)
@given(pose=poses, delta=deltas)
def test_a_delta_and_its_inverse_return(pose: Pose, delta: np.ndarray) -> None:
    assert_same(compose(compose(pose, delta), inverse(delta)), pose)


@settings(deadline=None)
@given(before=poses, after=poses)
def test_difference_is_the_delta_between_two_poses(before: Pose, after: Pose) -> None:
    assert_same(compose(before, difference(before, after)), after)


@settings(deadline=None)
@given(roll=angles, pitch=pitches, yaw=angles)
def test_rpy_round_trip(roll: float, pitch: float, yaw: float) -> None:
    rotation = rotation_from_rpy(roll, pitch, yaw)
    np.testing.assert_allclose(rpy_from_rotation(rotation), (roll, pitch, yaw), atol=1e-7)


@settings(deadline=None)
@given(roll=angles, yaw=angles, sign=st.sampled_from([1, -1]))
def test_gimbal_lock_still_gives_the_same_rotation(roll: float, yaw: float, sign: int) -> None:
    rotation = rotation_from_rpy(roll, sign * np.pi / 2, yaw)
    again = rotation_from_rpy(*rpy_from_rotation(rotation))
    np.testing.assert_allclose(again, rotation, atol=1e-7)


@settings(deadline=None)
@given(start=poses, end=poses, fraction=st.floats(0.0, 1.0))
def test_between_divides_way_and_turn_in_the_same_ratio(
    start: Pose, end: Pose, fraction: float
) -> None:
    middle = between(start, end, fraction)
    np.testing.assert_allclose(
        middle.xyz_m, (1 - fraction) * start.xyz_m + fraction * end.xyz_m, atol=1e-9
    )
    whole = angle_between(start.rotation, end.rotation)
    assert angle_between(start.rotation, middle.rotation) == pytest.approx(
        fraction * whole, abs=1e-5
    )
    assert_same(between(start, end, -1.0), start)
    assert_same(between(start, end, 2.0), end)


def test_quaternion_is_w_first() -> None:
    pose = Pose(np.zeros(3), rotation_from_rpy(0.0, 0.0, np.pi / 2))
    np.testing.assert_allclose(pose.quaternion_wxyz, [np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
