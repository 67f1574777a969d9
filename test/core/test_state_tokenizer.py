# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Proprioception as tokens: bins, their ends, their file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lapa_core import robot as robots
from lapa_core.data import state
from lapa_core.errors import CheckpointError, DataError, StaleInput
from lapa_core.model import fresh
from lapa_core.model.state_tokenizer import StateTokenizer

TWO = StateTokenizer(("arm/x", "arm/gripper"), (0.0, -1.0), (1.0, 1.0), 4)


def test_each_value_has_ids_of_its_own() -> None:
    ids = TWO.encode(np.array([[0.0, -1.0], [0.24, -0.51], [0.26, 0.0], [0.99, 0.99]]))
    assert ids.tolist() == [[0, 4], [0, 4], [1, 6], [3, 7]]
    assert ids.dtype == np.int64 and TWO.num_ids == 8
    assert TWO.encode(np.zeros((2, 3, 2))).shape == (2, 3, 2)


def test_what_is_beyond_the_ends_falls_into_the_last_bins() -> None:
    assert TWO.encode(np.array([-5.0, -1.0001])).tolist() == [0, 4]
    assert TWO.encode(np.array([1.0, 9.0])).tolist() == [3, 7]


def test_a_state_is_read_by_name() -> None:
    state = {"arm/gripper": 0.6, "arm/y": 7.0, "arm/x": 0.3}
    assert TWO.tokens(state).tolist() == [1, 7]
    with pytest.raises(StaleInput, match=r"unknown state 'arm/x'.*valid: 'arm/gripper'"):
        TWO.tokens({"arm/gripper": 0.6})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([0.1]), "a state of 1 values; valid: arm/x, arm/gripper"),
        (np.array([0.1, np.nan]), "not finite"),
        (np.array([np.inf, 0.0]), "not finite"),
    ],
)
def test_values_without_meaning_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        TWO.encode(values)


@pytest.mark.parametrize(
    ("lower", "upper", "bins", "message"),
    [
        ((0.0,), (1.0, 1.0), 4, "a range for each of 2 names"),
        ((0.0, 1.0), (1.0, 1.0), 4, "state bins of arm/gripper: no range"),
        ((0.0, np.nan), (1.0, 1.0), 4, "no range"),
        ((0.0, 0.0), (1.0, np.inf), 4, "no range"),
        ((0.0, 0.0), (1.0, 1.0), 1, "2 or more bins"),
    ],
)
def test_ranges_that_are_none_are_refused(
    lower: tuple[float, ...], upper: tuple[float, ...], bins: int, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        StateTokenizer(TWO.names, lower, upper, bins)


def test_bins_of_samples_cover_them_and_a_little_more() -> None:
    rng = np.random.default_rng(0)
    samples = np.column_stack([rng.uniform(0.1, 0.4, 200), np.full(200, 0.7)])
    made = StateTokenizer.from_samples(TWO.names, samples, 16)
    ids = made.encode(samples)
    assert np.all(made.lower < samples.min(axis=0)) and np.all(made.upper > samples.max(axis=0))
    assert set(ids[:, 0]) == set(range(16)), "a bin is wasted, or two ends share one"
    assert made.upper[1] - made.lower[1] == pytest.approx(2e-3), "a value that never changed"


def test_the_file_reads_back_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    made = StateTokenizer.from_samples(TWO.names, rng.normal(size=(50, 2)), 7)
    (tmp_path / "bins.csv").write_text(made.to_csv())
    assert StateTokenizer.from_csv(tmp_path / "bins.csv") == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs the same number of bins"),
        ("name,lower,upper\na,0,1\n", "no table of state bins"),
        ("name,lower,upper,bins\na,0,x,4\n", "no table of state bins"),
        ("name,lower,upper,bins\na,0,1,4\nb,0,1,5\n", "needs the same number of bins"),
        ("name,lower,upper,bins\na,1,0,4\n", "no range"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bins.csv").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        StateTokenizer.from_csv(tmp_path / "bins.csv")
    with pytest.raises(CheckpointError, match="cannot read state bins"):
        StateTokenizer.from_csv(tmp_path / "none.csv")


@pytest.mark.parametrize("name", ["wx250s", "bimanual_wx250s"])
def test_a_fresh_model_may_read_all_of_a_robots_state(name: str) -> None:
    robot = robots.load(name)
    names = state.names(robot)
    assert len(names) == 13 * len(robot.arms)
    assert fresh.state_bins(robot, names).names == names
