# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Bins from a training set: the reference's inside, bounded outside, and what they lose."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lapa_core import robot as robots
from lapa_core.data.demos import Demo, DemoSet
from lapa_core.data.statistics import fit
from lapa_core.errors import DataError
from lapa_core.model.action_tokenizer import ActionTokenizer

ARM = robots.load("wx250s")
DIMENSIONS = ARM.dimensions
AXES = len(DIMENSIONS)


def actions(n: int, seed: int = 0) -> np.ndarray:
    """Steps that gather near zero, as people's do; gripper open, then closed."""
    rng = np.random.default_rng(seed)
    made = np.clip(rng.laplace(0, 0.006, (n, AXES)), -0.04, 0.04)
    made[:, 6] = np.arange(n) < n // 2
    return made


def test_inner_edges_are_the_references() -> None:
    """256 equal-frequency bins; only the two outermost edges of a dimension differ."""
    samples = actions(20_000)
    tokenizer, found = fit(samples, DIMENSIONS)
    reference = ActionTokenizer.from_samples(DIMENSIONS, samples, 256)
    for mine, theirs in zip(tokenizer.edges, reference.edges, strict=True):
        inner = theirs[2:-2]
        np.testing.assert_allclose(mine[2 : 2 + len(inner)], inner, atol=1e-12)
    assert max(tokenizer.num_bins) == 256
    lost = np.abs(reference.decode(reference.encode(samples)) - samples)
    mine = np.abs(tokenizer.decode(tokenizer.encode(samples)) - samples)
    assert mine[:, :6].mean() < lost[:, :6].mean()
    assert not found.findings


def test_an_outlier_does_not_drag_the_outer_bin() -> None:
    """One glitch of 0.5 m: the reference's last bin would answer with 0.27 m."""
    samples = actions(5_000)
    samples[100, 0], samples[200, 4] = 0.5, -3.0
    reference = ActionTokenizer.from_samples(DIMENSIONS, samples, 256)
    assert reference.decode(reference.encode(samples))[:, 0].max() > 0.25
    for robot in (None, ARM):
        tokenizer, found = fit(samples, DIMENSIONS, 256, robot)
        answers = tokenizer.decode(tokenizer.encode(samples))
        assert answers[:, 0].max() < 0.045
        assert answers[:, 4].min() > -0.045
        assert found.dimensions[0].maximum == 0.5
        assert found.dimensions[0].worst_error > 0.4
        assert 0 < found.dimensions[0].cut < 0.01


def test_the_robots_largest_step_bounds_the_outer_bins() -> None:
    samples = actions(5_000)
    samples[:, 1] *= 5
    tokenizer, found = fit(samples, DIMENSIONS, 256, ARM)
    largest = ARM.arms[0].max_translation_m
    middles = (tokenizer.edges[1][:-1] + tokenizer.edges[1][1:]) / 2
    assert abs(middles[0] + largest) < 1e-9
    assert abs(middles[-1] - largest) < 1e-9
    assert found.dimensions[1].cut > 0


def test_steps_beyond_the_robots_are_bounded_on_both_sides_and_said() -> None:
    """Millimetres taken for metres: every step is beyond, either way."""
    samples = actions(2_000)
    samples[:, 0] = 3.0 + 0.1 * np.arange(2_000) / 2_000
    samples[:, 2] = -samples[:, 0]
    tokenizer, found = fit(samples, DIMENSIONS, 256, ARM)
    answers = tokenizer.decode(tokenizer.encode(samples))
    largest = ARM.arms[0].max_translation_m
    np.testing.assert_allclose(answers[:, [0, 2]], [[largest, -largest]] * 2_000)
    said = [f for f in found.findings if "go beyond what the outer bins answer" in f]
    assert [f.partition(":")[0] for f in said] == ["wx250s/x", "wx250s/z"]
    assert all("100 % of the steps" in f for f in said)


def test_few_samples_and_an_outlier() -> None:
    samples = actions(30)
    samples[3, 2] = 9.0
    tokenizer, _ = fit(samples, DIMENSIONS, 256)
    assert tokenizer.decode(tokenizer.encode(samples))[:, 2].max() < 0.05


def test_a_value_that_many_steps_share_is_answered_exactly() -> None:
    """Keys move 0.02 m or not at all; the reference answers a rest with 1 cm."""
    rng = np.random.default_rng(0)
    samples = actions(3_000)
    samples[:, 0] = rng.choice([-0.02, 0.0, 0.02], 3_000, p=[0.1, 0.8, 0.1])
    reference = ActionTokenizer.from_samples(DIMENSIONS, samples, 256)
    assert np.abs(reference.decode(reference.encode(samples))[:, 0] - samples[:, 0]).max() > 0.009
    tokenizer, found = fit(samples, DIMENSIONS)
    np.testing.assert_allclose(
        tokenizer.decode(tokenizer.encode(samples))[:, 0], samples[:, 0], atol=1e-9
    )
    assert found.dimensions[0].frequent[0] == 0.0
    assert max(tokenizer.num_bins) <= 256


def test_many_rests_among_motion_are_answered_exactly() -> None:
    samples = actions(4_000)
    samples[::3, :6] = 0.0
    tokenizer, _ = fit(samples, DIMENSIONS, 64)
    answers = tokenizer.decode(tokenizer.encode(samples))
    assert np.abs(answers[::3, :6]).max() < 1e-12
    assert max(tokenizer.num_bins) <= 64


def test_a_constant_dimension_has_one_bin_around_its_value() -> None:
    samples = actions(500)
    samples[:, 3] = 0.25
    with pytest.raises(DataError, match="roll"):
        ActionTokenizer.from_samples(DIMENSIONS, samples, 256)
    tokenizer, found = fit(samples, DIMENSIONS)
    assert tokenizer.num_bins[3] == 1
    assert tokenizer.decode(tokenizer.encode(samples))[0, 3] == pytest.approx(0.25, abs=1e-12)
    assert found.dimensions[3].constant
    assert any("wx250s/roll" in f and "one bin" in f for f in found.findings)


def test_a_gripper_of_one_class_is_said_and_one_of_another_unit_refused() -> None:
    samples = actions(100)
    samples[:, 6] = 1.0
    _, found = fit(samples, DIMENSIONS)
    assert any("never closed" in f for f in found.findings)
    samples[:, 6] = np.linspace(-1, 1, 100)
    with pytest.raises(DataError, match=r"wx250s/gripper goes from -1 to 1; valid: 0 closed"):
        fit(samples, DIMENSIONS)
    samples[:, 6] = 0.5
    _, found = fit(samples, DIMENSIONS)
    assert any("half open in 100 %" in f for f in found.findings)


def with_state(exchanged: bool) -> DemoSet:
    """A gripper that opens and closes, and the finger two steps later."""
    n = 60
    told = (np.arange(n) // 10 % 2).astype(float)
    finger = np.roll(told, 2)
    made = actions(n)
    made[:, 6] = told
    demo = Demo(
        "a",
        np.zeros((1, n, 1, 4), np.uint32),
        made,
        (1 - finger if exchanged else finger)[:, None],
        np.arange(n),
        ("x",) * n,
        ("teleop",) * n,
    )
    state = ("wx250s/gripper",)
    return DemoSet("wx250s", DIMENSIONS, ("front",), state, 0.2, "open_is_one", (demo,))


def test_an_exchanged_gripper_is_said() -> None:
    assert not fit(with_state(False), DIMENSIONS)[1].findings
    _, found = fit(with_state(True), DIMENSIONS)
    assert any("opens where it is told to close" in f for f in found.findings)


def test_the_error_is_of_the_step_and_of_each_dimension() -> None:
    """Over a step as the length of a vector, computed here from tokens and back."""
    samples = actions(4_000)
    tokenizer, found = fit(samples, DIMENSIONS, 8)
    errors = tokenizer.decode(tokenizer.encode(samples)) - samples
    assert found.worst_error_mm == pytest.approx(1e3 * np.linalg.norm(errors[:, :3], axis=1).max())
    assert found.mean_error_deg == pytest.approx(
        np.degrees(np.linalg.norm(errors[:, 3:6], axis=1).mean())
    )
    assert found.dimensions[0].mean_error == pytest.approx(np.abs(errors[:, 0]).mean())


def test_statistics_are_json_and_a_table() -> None:
    _, found = fit(actions(300), DIMENSIONS, 32, ARM)
    plain = json.loads(json.dumps(found.to_json()))
    assert plain["num_samples"] == 300
    assert plain["dimensions"]["wx250s/x"]["num_bins"] == 32
    assert plain["grippers"]["wx250s/gripper"]["open"] == 0.5
    assert "wx250s/yaw" in str(found)
    assert "deg" in str(found)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((0, 7)), "give no bins"),
        (np.zeros((3, 6)), "7 dimensions"),
        (np.full((3, 7), np.inf), "not finite in wx250s/x"),
    ],
)
def test_what_gives_no_bins_is_refused(samples: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        fit(samples, DIMENSIONS)
