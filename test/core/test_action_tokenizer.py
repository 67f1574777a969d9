# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Action bins: the reference's edges, tokens and values; what it answers 1 to is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lapa_core.errors import CheckpointError, DataError, DecodeError
from lapa_core.model.action_tokenizer import GRIPPER_EDGES, ActionTokenizer
from lapa_core.types import AXES


def bins_of(golden, name: str) -> ActionTokenizer:
    return ActionTokenizer.from_csv(golden / f"bins/{name}.csv", AXES)


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_edges_and_tokens_equal_the_references(golden, name):
    case = json.loads((golden / f"bins/{name}.json").read_text())
    actions = np.array(case["raw_actions"])
    made = ActionTokenizer.from_samples(AXES, actions, case["num_bins"])
    for mine, theirs in zip(made.edges, bins_of(golden, name).edges, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(made.encode(actions), case["tokens"])


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_csv_is_written_as_the_reference_writes_it(golden, name):
    assert bins_of(golden, name).to_csv() == (golden / f"bins/{name}.csv").read_text()


@pytest.mark.parametrize("name", ["a", "c"])
def test_values_equal_deploy_and_its_ones_are_refused(golden, name):
    """deploy.py answers 1 (metre, radian) for an index without a bin, or an 8th token."""
    case = json.loads((golden / "bins/deploy.json").read_text())["detokenise"][name]
    bins = bins_of(golden, name)
    num_refused = 0
    for tokens, values in zip(case["indices"], case["values"], strict=True):
        outside = [
            i for i, t in enumerate(tokens) if i >= len(AXES) or t + 1 >= case["row_lengths"][i]
        ]
        if outside or len(tokens) != len(AXES):
            num_refused += 1
            with pytest.raises(DecodeError):
                bins.decode(np.array(tokens))
            for i in outside:
                assert values[i] == 1
        inside = [i for i in range(min(len(tokens), len(AXES))) if i not in outside]
        legal = np.zeros(len(AXES), dtype=np.int64)
        legal[inside] = np.array(tokens)[inside]
        np.testing.assert_array_equal(bins.decode(legal)[inside], np.array(values)[inside])
    assert num_refused > 0


def test_a_token_without_a_bin_names_dimension_and_range(golden):
    with pytest.raises(DecodeError, match=r"token 2 of gripper has no bin; valid: 0 to 1"):
        bins_of(golden, "a").decode(np.array([0, 0, 0, 0, 0, 0, 2]))
    with pytest.raises(DecodeError, match=r"token -1 of x"):
        bins_of(golden, "a").decode(np.array([-1, 0, 0, 0, 0, 0, 0]))


def test_the_gripper_is_binary(golden):
    bins = bins_of(golden, "a")
    np.testing.assert_array_equal(bins.edges[-1], GRIPPER_EDGES)
    tokens = np.zeros((2, 7), dtype=np.int64)
    tokens[1, 6] = 1
    np.testing.assert_array_equal(bins.decode(tokens)[:, 6], [0.0, 1.0])


@given(st.lists(st.floats(-1, 1), min_size=14, max_size=14), st.integers(2, 300))
def test_round_trip_stays_within_the_bin(values, num_bins):
    """Two arms, any number of bins: decode(encode(x)) lies in x's bin, and is stable."""
    names = tuple(f"{arm}/{axis}" for arm in ("left", "right") for axis in AXES)
    edges = np.linspace(-1, 1, num_bins + 1)
    bins = ActionTokenizer(names, (edges,) * 14)
    action = np.array(values)
    tokens = bins.encode(action)
    decoded = bins.decode(tokens)
    assert np.all(np.abs(decoded - action) <= 1 / num_bins + 1e-12)
    np.testing.assert_array_equal(bins.encode(decoded), tokens)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(golden, bad):
    with pytest.raises(DataError, match="not finite"):
        bins_of(golden, "a").encode(np.array([0, 0, bad, 0, 0, 0, 1.0]))


def test_a_dimension_that_never_moves_is_refused():
    """The reference assigns token -1 to it."""
    with pytest.raises(DataError, match=r"roll has the same value 0\.5"):
        samples = np.random.default_rng(0).normal(size=(50, 7))
        samples[:, 3] = 0.5
        ActionTokenizer.from_samples(AXES, samples, 16)


@pytest.mark.parametrize(
    "content", ["0,1\n0,1\n", "0,1,2\n" + "0,2,1\n" * 7, "0,1\n" + "0,x\n" * 7]
)
def test_csv_files_that_are_no_bins_are_refused(tmp_path, content):
    (tmp_path / "bins.csv").write_text(content)
    with pytest.raises(CheckpointError):
        ActionTokenizer.from_csv(tmp_path / "bins.csv", AXES)
    with pytest.raises(CheckpointError, match="cannot read"):
        ActionTokenizer.from_csv(tmp_path / "none.csv", AXES)
