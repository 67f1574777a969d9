# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Deadzone, expo, saturation and the hand's filter: exact where it matters, no lag in motion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lapa_core.control.compose import Pose
from lapa_core.teleop.shaping import PoseFilter, Smoothing, limited, shaped, step, turned

unit = st.floats(-1.0, 1.0)
share = st.floats(0.0, 0.9)
vectors = st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3).map(np.array)


@given(unit, unit, share, st.floats(0.0, 1.0))
def test_an_axis_rises_without_a_step_and_ends_at_one(
    a: float, b: float, deadzone: float, expo: float
) -> None:
    low, high = sorted((a, b))
    assert shaped(low, deadzone, expo) <= shaped(high, deadzone, expo)
    assert shaped(-a, deadzone, expo) == -shaped(a, deadzone, expo)
    assert abs(shaped(a, deadzone, expo)) <= abs(a)
    assert shaped(1.0, deadzone, expo) == pytest.approx(1.0)
    assert shaped(deadzone, deadzone, expo) == 0.0
    assert shaped(deadzone + 1e-6, deadzone, expo) < 1e-4


@given(vectors, vectors, st.floats(1e-3, 1.5))
def test_what_is_saturated_as_a_turn_is_so_in_every_angle(
    way: np.ndarray, turn: np.ndarray, most: float
) -> None:
    delta = step(limited(way, 0.01), limited(turn, most))
    assert np.linalg.norm(delta[:3]) <= 0.01 + 1e-12
    assert np.max(np.abs(delta[3:])) <= most + 1e-9


def test_saturation_keeps_the_direction() -> None:
    np.testing.assert_allclose(limited(np.array([3.0, 0.0, 4.0]), 1.0), [0.6, 0.0, 0.8])


@pytest.mark.parametrize("speed_m_s", [0.05, 0.25])
def test_the_filter_lags_a_moving_hand_by_milliseconds(speed_m_s: float) -> None:
    """At 72 Hz and 5 cm/s by less than 30 ms, at 25 cm/s by less than 8 ms; at rest it is calm."""
    rng, smooth = np.random.default_rng(3), PoseFilter(Smoothing())
    noise_m, period = 0.0005, 1.0 / 72.0
    for i in range(144):
        now = i * period
        pose = Pose(
            np.array([speed_m_s * now, 0.0, 0.0]), turned(np.array([0, 0, speed_m_s * now]))
        )
        out = smooth.update(pose, now)
    lag_s = (pose.xyz_m[0] - out.xyz_m[0]) / speed_m_s
    assert 0.0 <= lag_s < (0.030 if speed_m_s < 0.1 else 0.008)
    smooth.reset()
    still = [
        smooth.update(Pose(rng.normal(0, noise_m, 3), np.eye(3)), i * period).xyz_m
        for i in range(300)
    ]
    assert np.std(still[50:]) < 0.5 * noise_m


def test_after_a_gap_the_filter_begins_anew() -> None:
    smooth = PoseFilter(Smoothing())
    smooth.update(Pose(np.zeros(3), np.eye(3)), 0.0)
    far = Pose(np.ones(3), np.eye(3))
    assert smooth.update(far, 2.0) is far
