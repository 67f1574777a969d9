# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The minimum-jerk move keeps its speed and acceleration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapa_core.control.motion import JointMove, duration_s

joints = st.lists(st.floats(-3.0, 3.0), min_size=6, max_size=6).map(np.array)


@settings(deadline=None)
@given(start=joints, goal=joints, speed=st.floats(0.05, 1.0), acceleration=st.floats(1.0, 15.0))
def test_speed_and_acceleration_are_bounds(
    start: np.ndarray, goal: np.ndarray, speed: float, acceleration: float
) -> None:
    time_s = duration_s(start, goal, speed, acceleration)
    move = JointMove(start, goal, time_s)
    np.testing.assert_allclose(move.at(0.0), start)
    np.testing.assert_allclose(move.at(time_s), goal, atol=1e-12)
    np.testing.assert_allclose(move.at(time_s + 1.0), goal, atol=1e-12)
    if time_s < 1e-3:
        return
    step = time_s / 500
    path = np.array([move.at(i * step) for i in range(501)])
    rate = np.diff(path, axis=0) / step
    assert np.max(np.abs(rate)) <= speed * 1.001
    assert np.max(np.abs(np.diff(rate, axis=0))) / step <= acceleration * 1.01


def test_the_longest_way_decides() -> None:
    """Peak speed of the profile is 15/8 of the mean."""
    start, goal = np.zeros(6), np.array([0.0, 1.0, 0.2, 0.0, 0.0, 0.0])
    assert duration_s(start, goal, 0.5, 15.0) == pytest.approx(15 / 8 / 0.5)
    assert JointMove(start, start, 0.0).at(0.0) == pytest.approx(start)
