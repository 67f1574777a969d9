# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The demonstrator goes on from where the world is, as a plain demonstration does from there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lapa_core import robot as robots
from lapa_core.control.compose import Pose
from lapa_core.sim.cell import Cell
from lapa_core.sim.expert import Expert
from lapa_core.sim.tasks import COVER, KNOCK, PUT, TASKS, training_trials
from lapa_core.sim.ways import DOWN

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def cell() -> Iterator[Cell]:
    made = Cell(robots.load("wx250s"), source="teleop")
    yield made
    made.close()


def begin(cell: Cell, task: str, number: int = 0) -> Expert:
    trial = training_trials(number + 1, 11, task_names=(task,))[number]
    cell.reset(trial)
    return anew(cell)


def anew(cell: Cell) -> Expert:
    """A demonstrator who knows nothing of what was done so far."""
    return Expert(cell.sim, "wx250s", cell.trial.target, cell.trial.task)


def finish(cell: Cell, expert: Expert, most: int = 80) -> None:
    for _ in range(most):
        if expert.done:
            break
        cell.act(cell.chunk(expert.decide(cell.target)[None]))
    assert expert.done
    for _ in range(3):
        cell.act(cell.chunk(np.array([[0.0] * 6 + [expert.opening]])))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("number", [0, 1])
def test_wherever_a_demonstration_is_somebody_new_would_do_the_same(
    cell: Cell, task: str, number: int
) -> None:
    """Else what is learnt of corrections contradicts what is learnt of demonstrations."""
    expert = begin(cell, task, number)
    differ = []
    while not expert.done:
        other = anew(cell)
        up = cell.sim.object_poses()[cell.trial.target].rotation[2, 2]
        if task == KNOCK and up < 0.99:
            cell.act(cell.chunk(expert.decide(cell.target)[None]))
            continue  # while it falls, pushing on is as good as leaving
        other.disturbed()
        plain, resumed = expert.decide(cell.target), other.decide(cell.target)
        if not np.allclose(plain, resumed, atol=1e-6):
            differ.append((cell.steps, plain.round(3).tolist(), resumed.round(3).tolist()))
        cell.act(cell.chunk(plain[None]))
    assert not differ


@pytest.mark.parametrize("aside_m", [0.008, 0.02])
@pytest.mark.parametrize("task", [PUT, COVER])
def test_fingers_that_closed_beside_it_rise_and_come_again(
    cell: Cell, task: str, aside_m: float
) -> None:
    expert = begin(cell, task)
    for _ in range(30):
        if expert.decide(cell.target)[-1] < 0.5:
            break
        cell.act(cell.chunk(expert.decide(cell.target)[None]))
    away = np.array([[aside_m, aside_m, 0.0, 0, 0, 0, 1.0]])
    for push in (away, away * 0.0):
        cell.act(cell.chunk(push), source="policy")
    expert.disturbed()
    finish(cell, expert)
    assert cell.outcome().success, cell.outcome().note


@pytest.mark.parametrize("task", TASKS)
def test_what_is_done_is_left_alone(cell: Cell, task: str) -> None:
    finish(cell, begin(cell, task))
    assert cell.outcome().success
    expert = anew(cell)
    expert.disturbed()
    delta = expert.decide(cell.target)
    assert np.abs(delta[:2]).max() < 1e-9 and delta[2] >= -1e-9
    finish(cell, expert)
    assert cell.outcome().success


def test_a_thing_that_slips_out_is_fetched_again(cell: Cell) -> None:
    expert = begin(cell, PUT)
    while not (expert.carries and cell.target.xyz_m[2] > 0.1):
        cell.act(cell.chunk(expert.decide(cell.target)[None]))
    cell.act(cell.chunk(np.array([[0.0] * 6 + [1.0]])), source="policy")
    expert.disturbed()
    finish(cell, expert)
    assert cell.outcome().success, cell.outcome().note


def test_past_help_is_known(cell: Cell) -> None:
    expert = begin(cell, COVER)
    assert not expert.hopeless()
    joint = cell.sim.model.joint(cell.trial.target).qposadr[0]
    cell.sim.data.qpos[joint + 3 : joint + 7] = [np.sqrt(0.5), np.sqrt(0.5), 0, 0]
    cell.act(cell.chunk(np.array([[0.0] * 6 + [1.0]])))
    assert expert.hopeless()
    expert = begin(cell, KNOCK)
    cell.sim.data.qpos[cell.sim.model.joint(cell.trial.target).qposadr[0]] += 0.3
    cell.act(cell.chunk(np.array([[0.0] * 7])))
    assert expert.hopeless()


def asked_at(cell: Cell, beside_m: float, above_m: float) -> np.ndarray:
    """What somebody new does beside and above where the thing is grasped."""
    expert = anew(cell)
    grasp = expert._plan[DOWN].goal
    expert.disturbed()
    aside = np.array([0.0, beside_m, above_m])
    return expert.decide(Pose(grasp.xyz_m + aside, grasp.rotation))


def test_what_is_done_in_the_air_follows_from_where_the_tool_is(cell: Cell) -> None:
    """A way that also depends on what was done before looks, to a policy, like a coin toss."""
    begin(cell, PUT)
    rise = asked_at(cell, 0.02, 0.01)
    assert rise[2] > 0.01 and abs(rise[1]) < 1e-9  # between the things: straight up
    back = asked_at(cell, 0.03, 0.06)
    assert back[1] < -0.01 and abs(back[2]) < 1e-9  # above them: over, and neither up nor down
    far = asked_at(cell, 0.09, 0.06)
    assert far[1] < -0.01 and far[2] > 0.005
    for beside_m, above_m in ((0.015, 0.06), (0.02, 0.08), (0.01, 0.03), (0.0, 0.06)):
        down = asked_at(cell, beside_m, above_m)
        assert down[2] < -0.005
        assert down[1] / down[2] == pytest.approx(beside_m / above_m)


def test_the_way_down_is_seldom_straight(cell: Cell) -> None:
    """Or a policy takes the place below the tool for that of the thing."""
    aside = []
    for number, trial in enumerate(training_trials(20, 12, task_names=(PUT,))):
        cell.reset(trial, np.random.default_rng(number))
        expert = Expert(cell.sim, "wx250s", trial.target, PUT, np.random.default_rng(number))
        while expert.opening == 1.0 and not expert.done:
            delta = expert.decide(cell.target)
            if expert._at == DOWN:
                goal = expert._plan[DOWN].goal
                aside.append(np.linalg.norm((goal.xyz_m - cell.target.xyz_m)[:2]))
                break
            cell.act(cell.chunk(delta[None]))
    assert len(aside) == 20
    assert max(aside) < 0.04
    assert np.quantile(aside, 0.4) > 0.005
