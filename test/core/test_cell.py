# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The closed loop without ROS: the demonstrator succeeds, and it all comes out the same again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import arms
import numpy as np
import pytest

from lapa_core.data.state import names as state_names
from lapa_core.errors import ConfigError
from lapa_core.sim.cell import Cell, ExpertPolicy
from lapa_core.sim.judge import Outcome
from lapa_core.sim.tasks import TASKS, Trial, make_trials
from lapa_core.types import ActionChunk, FloatArray

pytestmark = pytest.mark.sim
(PUT_TRIAL,) = make_trials("seen", "put", 1, 0)


@pytest.fixture(scope="module")
def cell() -> Iterator[Cell]:
    made = Cell(arms.wx250s())
    yield made
    made.close()


def demonstrate(cell: Cell, trial: Trial, seed: int | None = None) -> tuple[FloatArray, Outcome]:
    """The (n, 13) state after every step, and the outcome."""
    rng = None if seed is None else np.random.default_rng(seed)
    cell.reset(trial, rng)
    expert = ExpertPolicy(cell, rng)
    path = []
    while not cell.done and cell.steps < 100:
        cell.act(expert.decide(cell))
        path.append(list(cell.state().values()))
    return np.array(path), cell.outcome()


def test_a_step_that_is_no_whole_number_of_periods_does_not_run_away() -> None:
    """At 20 Hz each step took two periods of 20 ms, and four steps 0.16 s."""
    cell = Cell(replace(arms.wx250s(), step_time_s=0.05))
    cell.reset(PUT_TRIAL)
    began_s = cell.sim.time_s
    for _ in range(4):
        cell.act(cell.chunk(np.array([[0.0] * 6 + [1.0]])))
    assert cell.sim.time_s - began_s == pytest.approx(0.2) and cell.authority[0] == "policy"


@pytest.mark.parametrize("task", TASKS)
def test_the_demonstrator_succeeds(cell: Cell, task: str) -> None:
    for trial in make_trials("seen", task, 1, 1) + make_trials("unseen_object", task, 1, 1):
        _, outcome = demonstrate(cell, trial, seed=1)
        assert outcome.success and outcome.strict, f"{trial}: {outcome}"
        assert outcome.right_object and outcome.first_touched == trial.target
        assert outcome.steps == cell.steps < 60 and cell.holds == ""


def test_the_same_trial_comes_out_the_same_to_the_bit(cell: Cell) -> None:
    """Also in a cell that has done other things before, and as whoever it acts."""
    first, outcome = demonstrate(cell, PUT_TRIAL, seed=2)
    picture = cell.frame("front", (160, 120))
    fresh = Cell(cell.robot, source="teleop")
    second, again = demonstrate(fresh, PUT_TRIAL, seed=2)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(picture, fresh.frame("front", (160, 120)))
    assert outcome == again and cell.authority[0] == "policy" and fresh.authority[0] == "teleop"
    other, _ = demonstrate(fresh, PUT_TRIAL, seed=3)
    assert not np.array_equal(first[:5], other[:5]), "the start does not depend on the seed"
    fresh.close()


def test_an_observation_is_what_the_robot_file_says(cell: Cell) -> None:
    cell.reset(PUT_TRIAL)
    seen = cell.observe()
    assert seen.instruction == PUT_TRIAL.instruction and seen.stamp_ns == cell.stamp_ns > 0
    assert list(seen.images) == ["front"] and seen.images["front"].shape == (480, 640, 3)
    assert seen.images["front"].std() > 10
    assert tuple(seen.state) == state_names(cell.robot)
    tool = cell.sim.tool_pose("wx250s")
    np.testing.assert_allclose(list(seen.state.values())[:3], tool.xyz_m, atol=1e-3)
    assert seen.state["wx250s/gripper"] == pytest.approx(1.0, abs=0.02)
    assert seen.state["wx250s/pitch"] == pytest.approx(0.0, abs=0.05)


def test_a_step_moves_the_target_by_its_delta_and_takes_a_step_time(cell: Cell) -> None:
    cell.reset(PUT_TRIAL)
    before, began_ns = cell.target, cell.stamp_ns
    delta = np.array([0.01, -0.02, 0.015, 0.0, 0.0, 0.1, 0.3])
    cell.act(cell.chunk(delta[None]))
    np.testing.assert_allclose(cell.target.xyz_m - before.xyz_m, delta[:3], atol=1e-9)
    assert cell.stamp_ns - began_ns == 200_000_000 and cell.steps == 1
    (told,) = cell.executed()
    np.testing.assert_allclose(told.deltas[0], delta, atol=1e-12)
    assert cell.executed() == [] and told.stamp_ns == began_ns


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda d: d * np.nan, "not finite"),
        (lambda d: d + 0.5, "beyond 0.1, 2 times the clamp"),
    ],
)
def test_a_bad_chunk_makes_the_arm_hold(cell: Cell, spoil, reason: str) -> None:  # type: ignore[no-untyped-def]
    cell.reset(PUT_TRIAL)
    good = np.array([[0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    cell.act(cell.chunk(good))
    assert cell.holds == "" and cell.authority == ("policy", "following policy")
    target = cell.target
    cell.act(cell.chunk(spoil(good)))
    assert reason in cell.holds and not cell.done
    np.testing.assert_array_equal(cell.target.xyz_m, target.xyz_m)
    cell.act(cell.chunk(good))
    assert cell.holds == "", "it goes on with the next good one"


def test_a_stale_chunk_makes_the_arm_hold(cell: Cell) -> None:
    cell.reset(PUT_TRIAL)
    chunk = cell.chunk(np.array([[0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]))
    cell.act(chunk)
    for _ in range(3):
        cell.act(ActionChunk(chunk.names, chunk.deltas, chunk.due_s, chunk.stamp_ns))
    assert "not newer than its last one" in cell.holds


def test_with_latency_the_arm_goes_on_with_the_step_before(cell: Cell) -> None:
    """Half a step late it is half a step behind, and nothing of the way is lost."""
    step, rest = np.array([[0.02, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]), np.zeros((1, 7))
    ways, told = [], []
    try:
        for cell.latency_s in (0.0, 0.1):
            cell.reset(PUT_TRIAL)
            begin = cell.measured.xyz_m
            way = []
            for delta in (step, step, rest, rest):
                cell.act(cell.chunk(delta))
                way.append(cell.measured.xyz_m[0] - begin[0])
            ways.append(way)
            told.append(np.concatenate([c.deltas for c in cell.executed()]))
    finally:
        cell.latency_s = 0.0
    np.testing.assert_allclose(told[0], np.concatenate([step, step, rest, rest]), atol=1e-9)
    np.testing.assert_allclose(told[1], told[0], atol=1e-9)
    assert ways[0][0] - ways[1][0] == pytest.approx(0.01, abs=0.003)
    assert ways[0][1] - ways[1][1] == pytest.approx(0.01, abs=0.003)
    assert ways[1][3] == pytest.approx(ways[0][3], abs=0.001) and ways[0][3] > 0.035


@pytest.mark.parametrize("latency_s", [-0.01, 0.2, float("nan")])
def test_a_latency_of_a_step_time_is_refused(latency_s: float) -> None:
    with pytest.raises(ConfigError, match=r"less than the step time of 0\.2 s"):
        Cell(arms.wx250s(), latency_s=latency_s)


def test_wrong_cells_and_trials_are_refused(cell: Cell) -> None:
    with pytest.raises(ConfigError, match="the tasks are for one arm, not 2"):
        Cell(arms.two_arms())
    with pytest.raises(ConfigError, match="unknown camera 'wrist'"):
        Cell(arms.wx250s(), cameras=["wrist"])
    with pytest.raises(ConfigError, match="no trial has begun"):
        _ = Cell(arms.wx250s()).trial
    with pytest.raises(ConfigError, match="unknown scene 'moon'"):
        cell.reset(replace(PUT_TRIAL, scene="moon"))
    with pytest.raises(ConfigError, match="unknown thing 'red_post'"):
        cell.reset(replace(PUT_TRIAL, target="red_post"))
