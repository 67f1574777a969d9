# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Messages by their shape alone: plain objects stand for rclpy's and for those of bag readers."""

from __future__ import annotations

from types import SimpleNamespace as Object
from typing import Any

import numpy as np
import pytest

from lapa_core.data import messages
from lapa_core.errors import DataError


def stamp(ns: int) -> Object:
    return Object(sec=ns // 10**9, nanosec=ns % 10**9)


def chunk(points: list[tuple[float, list[float]]], names: list[str]) -> Any:
    return Object(
        header=Object(stamp=stamp(5_000_000_001), frame_id="base"),
        joint_names=names,
        points=[Object(positions=p, time_from_start=stamp(round(due * 1e9))) for due, p in points],
    )


def test_stamps_are_integer_nanoseconds() -> None:
    assert messages.stamp_ns(stamp(1_700_000_000_123_456_789)) == 1_700_000_000_123_456_789


def test_joint_state_by_name_with_empty_velocity() -> None:
    names, position = messages.joint_state(Object(name=["a", "b"], position=[1, 2], velocity=[]))
    assert names == ("a", "b")
    np.testing.assert_array_equal(position, [1.0, 2.0])


@pytest.mark.parametrize(
    ("names", "position", "text"),
    [(["a", "b"], [1.0], "2 names but 1 positions"), (["a", "a"], [1.0, 2.0], "twice: a, a")],
)
def test_malformed_joint_states_are_named(names: Any, position: Any, text: str) -> None:
    with pytest.raises(DataError, match=text):
        messages.joint_state(Object(name=names, position=position))


def test_a_chunk_keeps_names_order_and_due_times() -> None:
    read = messages.action_chunk(chunk([(0.0, [1, 2]), (0.2, [3, 4])], ["arm/x", "arm/y"]))
    assert read.names == ("arm/x", "arm/y")
    assert read.stamp_ns == 5_000_000_001
    assert read.frame_id == "base"
    np.testing.assert_array_equal(read.deltas, [[1, 2], [3, 4]])
    np.testing.assert_allclose(read.due_s, [0.0, 0.2])


def test_not_a_number_passes_the_decoder_because_safety_judges_it() -> None:
    read = messages.action_chunk(chunk([(0.0, [float("nan")])], ["arm/x"]))
    assert np.isnan(read.deltas).all()


def test_a_message_without_points_is_a_chunk_without_steps() -> None:
    read = messages.action_chunk(chunk([], ["arm/x", "arm/y"]))
    assert read.deltas.shape == (0, 2)
    assert len(read) == 0


@pytest.mark.parametrize(
    ("points", "text"),
    [
        ([(0.0, [1.0])], "2 names but points of"),
        ([(0.0, [1.0, 2.0]), (0.2, [1.0])], "2 names but points of"),
        ([(0.2, [1.0, 2.0]), (0.2, [1.0, 2.0])], "must increase"),
    ],
)
def test_malformed_chunks_are_named(points: Any, text: str) -> None:
    with pytest.raises(DataError, match=text):
        messages.action_chunk(chunk(points, ["arm/x", "arm/y"]))
