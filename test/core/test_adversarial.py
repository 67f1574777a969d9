# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Whatever a policy sends, the arms touch neither table, themselves nor each other.

Judged by MuJoCo's own contact list. The slow tests send 16 000 chunks and run a hundred
episodes of a demonstrator who does nothing wrong; the others are the same in small.
"""

from __future__ import annotations

import adversary
import numpy as np
import pytest
from adversary import Arena, Attack
from arms import Rig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lapa_core import robot as robots
from lapa_core.control import ControlParams
from lapa_core.sim.expert import Expert

CELLS = ("wx250s", "bimanual_wx250s")
MAX_STEPS = 120  # of an episode; the demonstrator needs 35 to 60

pytestmark = pytest.mark.sim


def _assert_unharmed(arena: Arena) -> None:
    assert not arena.harm, f"{dict(arena.harm)} after {arena.sent} chunks"


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("sequence", adversary.SEQUENCES, ids=lambda s: s.__name__)
def test_hand_made_attacks_do_no_harm(cell: str, sequence) -> None:
    arena = Arena(robots.load(cell))
    for attack in sequence(arena.robot, np.random.default_rng(1), 40):
        arena.attack(attack)
    _assert_unharmed(arena)


@pytest.mark.parametrize("sequence", [adversary.crossings, adversary.jumps])
def test_an_arm_that_holds_alone_is_not_run_into(sequence) -> None:
    """One arm's joint states stop half way; the other goes on under attack."""
    arena = Arena(robots.load("bimanual_wx250s"), ControlParams(arms_hold_together=False))
    for i, attack in enumerate(sequence(arena.robot, np.random.default_rng(2), 60)):
        if i == 10:
            arena.silent.add("right")
        arena.attack(attack)
    _assert_unharmed(arena)
    assert arena.status.interventions["held_right"] >= 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cell", CELLS)
def test_four_thousand_hand_made_attacks_do_no_harm(cell: str) -> None:
    sent = 0
    for seed in range(5):
        arena = Arena(robots.load(cell))
        for sequence in adversary.SEQUENCES:
            for attack in sequence(arena.robot, np.random.default_rng(100 + seed), 100):
                arena.attack(attack)
        _assert_unharmed(arena)
        sent += arena.sent
    assert sent == 4000


SCALE = np.array([0.05, 0.05, 0.05, 0.25, 0.25, 0.25, 1.0])  # the clamps of the robot file
ODD = (np.nan, np.inf, -np.inf, 0.11, -0.11, 0.51, 1.0, -1.0, 40.0)


@st.composite
def attacks(draw: st.DrawFn, num_arms: int) -> Attack:
    """Any chunk. One in four is wrong somewhere: a number, a due time, its stamp or frame."""
    steps = draw(st.integers(1, 4))
    unit = st.floats(-1.875, 1.875, width=16)
    count = steps * num_arms * 7
    numbers = draw(st.lists(unit, min_size=count, max_size=count))
    deltas = np.reshape(numbers, (steps, -1)) * np.tile(SCALE, num_arms)
    deltas[:, 6::7] = np.abs(deltas[:, 6::7]) / 2
    wait_s = draw(st.sampled_from([0.02, 0.1, 0.2, 0.2]))
    wrong = draw(st.sampled_from(["", "", "", "", "", "", "number", "due", "stamp", "frame"]))
    if wrong == "number":
        place = draw(st.integers(0, count - 1))
        deltas.flat[place] = draw(st.sampled_from(ODD))
    due = draw(st.sampled_from([None, 0.02, 0.1]))
    due_s = None if due is None else due * np.arange(steps)
    return Attack(
        deltas,
        np.zeros(steps) - 0.1 if wrong == "due" else due_s,
        age_s=draw(st.sampled_from([2.0, -0.3, 0.9])) if wrong == "stamp" else 0.02,
        replay=wrong == "" and draw(st.integers(0, 9)) == 0,
        frame_id="nowhere" if wrong == "frame" else draw(st.sampled_from(["", "world"])),
        wait_s=wait_s,
    )


def _series(cell: str, length: int) -> st.SearchStrategy[list[Attack]]:
    num_arms = len(robots.load(cell).arms)
    return st.lists(attacks(num_arms), min_size=length, max_size=length)


@pytest.mark.parametrize("cell", CELLS)
def test_any_chunks_do_no_harm(cell: str) -> None:
    arena = Arena(robots.load(cell))

    @settings(max_examples=15, deadline=None, derandomize=True, database=None)
    @given(_series(cell, 8))
    def any_series(series: list[Attack]) -> None:
        for attack in series:
            arena.attack(attack)
        _assert_unharmed(arena)

    any_series()
    assert arena.status.steps_executed > 20  # it was not refused whole


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cell", CELLS)
def test_four_hundred_series_of_any_chunks_do_no_harm(cell: str) -> None:
    arena = Arena(robots.load(cell))

    @settings(
        max_examples=400,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(_series(cell, 10))
    def any_series(series: list[Attack]) -> None:
        for attack in series:
            arena.attack(attack)
        _assert_unharmed(arena)

    any_series()
    assert arena.sent >= 4000


def _episode(cell: str, seed: int) -> tuple[bool, dict[str, int], list[str]]:
    """One demonstration: success, interventions, and reasons of holds on the way."""
    rig = Rig(robots.load(cell))
    rig.sim.reset(seed)
    arms = [a.name for a in rig.robot.arms]
    at = seed % len(arms)
    rig.go_to_start(arms[at])  # who demonstrates with one arm puts the other aside
    expert, stops = Expert(rig.sim, arms[at]), []
    for _ in range(MAX_STEPS):
        row = np.zeros((len(arms), 7))
        row[:, 6] = 1.0
        row[at] = expert.decide(rig.status.target[arms[at]])
        if expert.done:
            break
        rig.send(row.ravel())
        rig.run(rig.robot.step_time_s)
        if rig.status.state != "policy":
            stops.append(rig.status.reason)
    return expert.succeeded(), dict(rig.status.interventions), stops


def _run_episodes(cell: str, count: int) -> None:
    for seed in range(count):
        succeeded, interventions, stops = _episode(cell, seed)
        interventions.pop("collision_brake", None)  # slower past the other arm, not stopped
        assert (succeeded, interventions, stops) == (True, {}, []), f"episode {seed} of {cell}"


@pytest.mark.parametrize("cell", CELLS)
def test_the_demonstrator_is_never_stopped(cell: str) -> None:
    _run_episodes(cell, 4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cell", CELLS)
def test_fifty_episodes_of_the_demonstrator_are_never_stopped(cell: str) -> None:
    _run_episodes(cell, 50)
