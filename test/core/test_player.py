# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which step is due, and the pose between two steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapa_core.control.compose import Pose
from lapa_core.control.player import ChunkPlayer, Segment
from lapa_core.rotation import rotation_from_rpy
from lapa_core.types import ActionChunk, dimension_names

NAMES = dimension_names(("arm",))
STEP_S = 0.2


def chunk(steps: int, first: float = 0.0) -> ActionChunk:
    """Steps numbered in their x, from `first` on."""
    deltas = np.zeros((steps, 7))
    deltas[:, 0] = first + np.arange(steps)
    return ActionChunk(NAMES, deltas, STEP_S * np.arange(steps), 5)


def played(player: ChunkPlayer, times: list[float]) -> list[tuple[float, float]]:
    """(time, x of the step) of every step that became due."""
    found = [(t, player.due(t)) for t in times]
    return [(t, float(s.delta[0])) for t, s in found if s is not None]


def test_each_step_is_due_once_at_its_time() -> None:
    player = ChunkPlayer(STEP_S)
    player.load("policy", chunk(3), now_s=10.0, age_s=0.0)
    times = [10.0, 10.1, 10.19, 10.21, 10.3, 10.41, 10.5, 11.0]
    assert played(player, times) == [(10.0, 0.0), (10.21, 1.0), (10.41, 2.0)]
    assert player.dropped == 0
    assert player.end_s == pytest.approx(10.61)


def test_late_steps_are_dropped_not_caught_up_with() -> None:
    player = ChunkPlayer(STEP_S)
    player.load("policy", chunk(4), now_s=10.0, age_s=0.45)
    assert played(player, [10.0, 10.02]) == [(10.0, 2.0)]
    assert player.dropped == 2


def test_a_chunk_of_one_survives_its_own_latency() -> None:
    """A plain LAPA step is due when its picture was taken; it is played when it arrives."""
    player = ChunkPlayer(STEP_S)
    player.load("policy", chunk(1), now_s=10.0, age_s=0.6)
    assert played(player, [10.0, 10.02]) == [(10.0, 0.0)]
    assert player.end_s == pytest.approx(10.2)


def test_a_new_chunk_replaces_what_is_left() -> None:
    player = ChunkPlayer(STEP_S)
    player.load("policy", chunk(5), now_s=10.0, age_s=0.0)
    assert played(player, [10.0]) == [(10.0, 0.0)]
    player.load("teleop", chunk(2, first=50.0), now_s=10.1, age_s=0.0)
    assert played(player, [10.1, 10.25, 10.31, 10.5]) == [(10.1, 50.0), (10.31, 51.0)]


def test_overlapping_chunks_do_not_play_the_same_time_twice() -> None:
    """A chunk of four every 0.2 s, 0.15 s late: one step per 0.2 s comes out, not two."""
    player = ChunkPlayer(STEP_S)
    times = []
    for tick in range(100):
        now = 10.0 + 0.02 * tick
        if tick % 10 == 0:
            player.load("policy", chunk(4), now, age_s=0.15)
        times += [t for t, _ in played(player, [now])]
    assert len(times) == 11  # 2 s, and the first chunk's first step is played though late
    assert np.min(np.diff(times[1:])) > 0.19


def test_chunks_of_one_are_each_a_step_however_fast_they_come() -> None:
    """Teleop sends at 20 Hz, faster than the robot's step time."""
    player = ChunkPlayer(STEP_S)
    for tick in range(5):
        now = 10.0 + 0.05 * tick
        player.load("teleop", chunk(1), now, age_s=0.01)
        assert player.due(now) is not None


def test_a_step_tells_its_source_and_times() -> None:
    player = ChunkPlayer(STEP_S)
    due = np.array([0.1, 0.15])
    player.load("teleop", ActionChunk(NAMES, np.zeros((2, 7)), due, 77), now_s=1.0, age_s=0.0)
    assert player.due(1.0) is None
    step = player.due(1.1)
    assert step is not None
    assert (step.source, step.stamp_ns, step.due_s) == ("teleop", 77, 0.1)
    assert step.duration_s == pytest.approx(0.05)  # until the next step


def test_exhausted_and_cleared_give_nothing() -> None:
    player = ChunkPlayer(STEP_S)
    assert player.due(0.0) is None
    player.load("policy", chunk(1), now_s=1.0, age_s=0.0)
    assert player.due(1.0) is not None
    assert player.due(1.5) is None
    player.load("policy", chunk(1), now_s=2.0, age_s=0.0)
    player.clear()
    assert player.due(2.0) is None


@settings(deadline=None)
@given(
    age=st.floats(0.0, 1.0),
    times=st.lists(st.floats(0.0, 2.0), max_size=30).map(sorted),
    steps=st.integers(1, 8),
)
def test_steps_come_in_order_and_none_twice(age: float, times: list[float], steps: int) -> None:
    player = ChunkPlayer(STEP_S)
    player.load("policy", chunk(steps), now_s=0.0, age_s=age)
    order = [x for _, x in played(player, times)]
    assert order == sorted(set(order))
    assert len(order) + player.dropped <= steps


def test_a_segment_is_straight_and_stays_at_its_ends() -> None:
    start = Pose(np.zeros(3), np.eye(3))
    end = Pose(np.array([0.1, 0.0, 0.0]), rotation_from_rpy(0.0, 0.0, 0.2))
    segment = Segment(start, end, begin_s=1.0, duration_s=0.2)
    np.testing.assert_allclose(segment.at(0.0).xyz_m, start.xyz_m)
    np.testing.assert_allclose(segment.at(1.05).xyz_m, [0.025, 0, 0])
    np.testing.assert_allclose(
        segment.at(1.1).rotation, rotation_from_rpy(0.0, 0.0, 0.1), atol=1e-9
    )
    np.testing.assert_allclose(segment.at(9.0).xyz_m, end.xyz_m)
    assert Segment(start, end, 1.0, 0.0).at(1.0) is end
