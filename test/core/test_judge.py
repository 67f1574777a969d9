# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The judge of the simulated tasks, shown scenes that are set by hand."""

from __future__ import annotations

from collections.abc import Iterator

import arms
import mujoco
import numpy as np
import pytest

from lapa_core.errors import ConfigError
from lapa_core.sim import Simulation, world
from lapa_core.sim.judge import SETTLED_S, Judge
from lapa_core.sim.tasks import COVER, KNOCK, PUT, Trial, sentence
from lapa_core.sim.things import CUP, TABLETOP
from lapa_core.types import FloatArray

UPRIGHT = (1.0, 0.0, 0.0, 0.0)
FALLEN = (np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0)
RED, BLUE = "red_block", "blue_block"
UP = np.array([0.0, 0.0, 0.1])
LYING_M = 0.014  # height of the middle of a block that lies on its side


class Stage:
    """A simulation whose things are moved by hand, and its judge."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.judge: Judge

    def begin(self, task: str, target: str = RED) -> None:
        """Everything stands where it is put by the seed; the arm is in its start pose."""
        arm = self.sim.robot.arms[0]
        self.sim.reset(4, {arm.name: arm.start_rad})
        self.judge = Judge(self.sim, Trial("seen", task, target, sentence(task, target), 4))
        self.look()

    def at(self, name: str) -> FloatArray:
        return self.sim.object_poses()[name].xyz_m

    def move(self, name: str, xyz: FloatArray, wxyz: tuple[float, ...] = UPRIGHT) -> None:
        self.sim.data.joint(name).qpos[:] = [*xyz, *wxyz]
        self.look()

    def look(self, seconds: float = 0.0) -> None:
        """The judge sees this, for a while in which nothing moves."""
        self.sim.data.time += seconds
        mujoco.mj_forward(self.sim.model, self.sim.data)
        self.judge.update()

    def touch(self, name: str) -> None:
        """Have the thing at the fingers for a moment."""
        pose = self.sim.object_poses()[name]
        before = pose.xyz_m, self.sim.data.joint(name).qpos[3:].copy()
        self.move(name, self.fingers)
        self.move(name, *before)

    @property
    def fingers(self) -> FloatArray:
        """Where one of them is, 17 cm above the table."""
        model, data = self.sim.model, self.sim.data
        geom = int(model.body("wx250s/left_finger_link").geomadr[0])
        return np.array(data.geom_xpos[geom])

    @property
    def bin(self) -> FloatArray:
        return self.at(world.BIN) + np.array([0.0, 0.0, 0.02])

    def push_over(self, name: str) -> None:
        x, y, _ = self.at(name)
        self.move(name, np.array([x, y, LYING_M]), FALLEN)


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    sim = Simulation(arms.wx250s(), scene=TABLETOP)
    yield sim
    sim.close()


@pytest.fixture
def stage(simulation: Simulation) -> Stage:
    return Stage(simulation)


@pytest.mark.parametrize("task", [PUT, KNOCK, COVER])
def test_nothing_done_is_no_success(stage: Stage, task: str) -> None:
    stage.begin(task)
    stage.look(10.0)
    outcome = stage.judge.outcome(7)
    assert (outcome.success, outcome.strict, outcome.credit) == (False, False, 0.0)
    assert (outcome.right_object, outcome.first_touched) == (None, "")
    assert (outcome.steps, outcome.note) == (7, "touched nothing")


def test_a_success_counts_once_it_has_lasted(stage: Stage) -> None:
    stage.begin(PUT)
    stage.touch(RED)
    stage.move(RED, stage.bin)
    stage.look(0.9 * SETTLED_S)
    assert not stage.judge.outcome().success
    stage.look(0.2 * SETTLED_S)
    outcome = stage.judge.outcome()
    assert outcome.success and outcome.strict and outcome.right_object is True
    assert (outcome.credit, outcome.first_touched, outcome.note) == (1.0, RED, "")


def test_what_bounces_out_again_was_none(stage: Stage) -> None:
    stage.begin(PUT)
    home = stage.at(RED)
    stage.move(RED, stage.bin)
    stage.look(0.9 * SETTLED_S)
    stage.move(RED, home)
    stage.look(SETTLED_S)
    assert not stage.judge.outcome().success
    stage.move(RED, stage.bin)
    stage.look(0.9 * SETTLED_S)
    assert not stage.judge.outcome().success, "the time of the first visit counted"


def test_above_the_bin_or_in_the_fingers_is_not_in_it(stage: Stage) -> None:
    stage.begin(PUT)
    stage.move(RED, stage.bin + UP)
    stage.look(1.0)
    assert not stage.judge.outcome().success and stage.judge.outcome().credit == 0.75
    stage.move(RED, stage.bin + np.array([0.06, 0.0, 0.0]))
    stage.look(1.0)
    assert not stage.judge.outcome().success


def test_the_wrong_thing_in_the_bin_is_no_success(stage: Stage) -> None:
    stage.begin(PUT)
    stage.touch(BLUE)
    stage.move(BLUE, stage.bin)
    stage.look(1.0)
    outcome = stage.judge.outcome()
    assert not outcome.success and outcome.right_object is False
    assert outcome.note == "went to blue_block" and outcome.credit == 0.0


def test_who_touches_two_at_once_touched_the_wrong_one(stage: Stage) -> None:
    stage.begin(PUT)
    fingers = stage.fingers
    stage.sim.data.joint(RED).qpos[:3] = fingers
    stage.move(BLUE, fingers)
    assert stage.judge.outcome().first_touched == BLUE


def test_the_first_thing_that_was_touched_stays_it(stage: Stage) -> None:
    stage.begin(PUT)
    stage.touch(BLUE)
    stage.touch(RED)
    stage.move(RED, stage.bin)
    stage.look(1.0)
    outcome = stage.judge.outcome()
    assert outcome.success and outcome.right_object is False and outcome.first_touched == BLUE


def test_credit_grows_with_the_way_and_stays(stage: Stage) -> None:
    stage.begin(PUT)
    home = stage.at(RED)
    stage.touch(RED)
    assert stage.judge.outcome().credit >= 0.25
    stage.move(RED, stage.fingers)  # held and lifted
    assert stage.judge.outcome().credit == 0.5
    stage.move(RED, home)
    assert stage.judge.outcome().credit == 0.5


@pytest.mark.parametrize("moved_m", [0.015, 0.03])
def test_strict_wants_the_others_left_alone(stage: Stage, moved_m: float) -> None:
    stage.begin(PUT)
    stage.move(BLUE, stage.at(BLUE) + np.array([moved_m, 0.0, 0.0]))
    stage.move(RED, stage.bin)
    stage.look(1.0)
    outcome = stage.judge.outcome()
    assert outcome.success and outcome.strict == (moved_m < 0.02)
    assert outcome.note == ("" if outcome.strict else "disturbed blue_block")


def test_strict_wants_the_others_upright(stage: Stage) -> None:
    stage.begin(PUT)
    stage.push_over(BLUE)
    stage.move(RED, stage.bin)
    stage.look(1.0)
    outcome = stage.judge.outcome()
    assert outcome.success and not outcome.strict


def test_knocked_over_is_by_the_arm_and_the_right_one_first(stage: Stage) -> None:
    stage.begin(KNOCK)
    stage.push_over(RED)
    stage.look(1.0)
    assert not stage.judge.outcome().success, "nobody touched it"
    stage.begin(KNOCK)
    stage.touch(BLUE)
    stage.touch(RED)
    stage.push_over(RED)
    stage.look(1.0)
    assert not stage.judge.outcome().success, "another was touched first"
    stage.begin(KNOCK)
    stage.touch(RED)
    assert stage.judge.outcome().credit == 0.5
    stage.look(1.0)
    assert not stage.judge.outcome().success, "it stands"
    stage.push_over(RED)
    stage.look(1.0)
    outcome = stage.judge.outcome()
    assert outcome.success and outcome.strict and outcome.right_object is True


def test_covered_is_under_an_upright_cup_that_nobody_holds(stage: Stage) -> None:
    stage.begin(COVER)
    over = np.array([*stage.at(RED)[:2], stage.at(CUP)[2]])
    stage.move(CUP, over, (np.cos(0.2), np.sin(0.2), 0.0, 0.0))
    stage.look(1.0)
    assert not stage.judge.outcome().success, "it is tilted"
    stage.move(CUP, over + 0.3 * UP)
    stage.look(1.0)
    assert not stage.judge.outcome().success, "it hangs in the air"
    stage.move(CUP, over)
    stage.look(1.0)
    outcome = stage.judge.outcome()
    assert outcome.success and outcome.strict
    assert (outcome.right_object, outcome.first_touched) == (True, RED)


def test_the_cup_over_another_thing_went_to_the_wrong_one(stage: Stage) -> None:
    stage.begin(COVER)
    home = stage.at(CUP)
    stage.move(CUP, np.array([*stage.at(BLUE)[:2], home[2]]))
    stage.look(1.0)
    outcome = stage.judge.outcome()
    assert not outcome.success and outcome.right_object is False
    assert outcome.note == "went to blue_block"


def test_a_cup_that_passes_high_above_a_thing_does_not_go_to_it(stage: Stage) -> None:
    stage.begin(COVER)
    stage.move(CUP, np.array([*stage.at(BLUE)[:2], stage.at(CUP)[2] + 0.1]))
    assert stage.judge.outcome().first_touched == ""
    stage.touch(BLUE)  # nor does a finger's touch count here
    assert stage.judge.outcome().first_touched == ""


def test_a_thing_that_is_not_there_is_refused(simulation: Simulation) -> None:
    with pytest.raises(ConfigError, match="unknown thing 'red_post'"):
        Judge(simulation, Trial("seen", PUT, "red_post", "put", 0))
