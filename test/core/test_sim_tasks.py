# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Trials of the simulated tasks: what was trained on is never what is tested as unseen."""

from __future__ import annotations

from itertools import combinations, product

import arms
import numpy as np
import pytest

from lapa_core.errors import ConfigError
from lapa_core.sim import placement, tasks
from lapa_core.sim.layout import BIN_HALF_M, layout
from lapa_core.sim.tasks import HELD_OUT, SPLITS, TASKS, Trial, make_trials, training_trials
from lapa_core.sim.things import COLOURS, CUP, POSTS, SCENES, TABLETOP, scene

NUM = 60


def split(name: str, seed: int = 3) -> list[Trial]:
    return [t for task in TASKS for t in make_trials(name, task, NUM, seed)]


def pair(trial: Trial) -> tuple[str, str]:
    return trial.task, trial.target.partition("_")[0]


@pytest.fixture(scope="module")
def trained() -> list[Trial]:
    return training_trials(3000, 3)


def test_held_out_pairs_are_in_one_split_alone(trained: list[Trial]) -> None:
    held_out = set(HELD_OUT.items())
    assert {pair(t) for t in split("unseen_combination")} == held_out
    others = set(product(TASKS, COLOURS)) - held_out
    assert {pair(t) for t in trained} == others
    for name in ("seen", "unseen_instruction", "unseen_object"):
        assert {pair(t) for t in split(name)} == others


def test_of_a_held_out_pair_both_halves_are_trained_on() -> None:
    assert sorted(HELD_OUT) == sorted(TASKS)
    assert len(set(HELD_OUT.values())) == len(TASKS), "one colour would be missing twice"


def test_words_of_training_are_not_those_of_the_split_with_unseen_ones(
    trained: list[Trial],
) -> None:
    known = {t.instruction for t in trained}
    assert not known & {t.instruction for t in split("unseen_instruction")}
    assert {t.instruction for t in split("seen")} <= known
    for task in TASKS:
        shapes = {t.instruction.replace(t.target.replace("_", " "), "{}") for t in trained
                  if t.task == task}  # fmt: skip
        assert shapes == set(tasks.TRAINED[task])
        assert not shapes & set(tasks.PARAPHRASED[task])


def test_unseen_objects_are_of_another_shape(trained: list[Trial]) -> None:
    assert {t.scene for t in split("unseen_object")} == {POSTS.name}
    assert all(t.target.endswith("_post") for t in split("unseen_object"))
    for name in ("seen", "unseen_combination", "unseen_instruction"):
        assert {t.scene for t in split(name)} == {TABLETOP.name} == {t.scene for t in trained}


def test_no_scene_is_both_trained_on_and_tested(trained: list[Trial]) -> None:
    assert all(t.seed % 2 == 1 for t in trained)
    assert all(t.seed % 2 == 0 for name in SPLITS for t in split(name))
    assert len({t.seed for name in SPLITS for t in split(name)}) > 0.99 * NUM * 3 * len(SPLITS)


@pytest.mark.parametrize("name", SPLITS)
def test_trials_follow_from_their_arguments(name: str) -> None:
    assert split(name) == split(name)
    assert {t.seed for t in split(name)}.isdisjoint(t.seed for t in split(name, seed=4))
    assert make_trials(name, "put", 7, 1) == make_trials(name, "put", 40, 1)[:7]
    assert all(t.split == name and t.instruction for t in split(name))


def test_wrong_names_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown split 'sen'.*did you mean 'seen'"):
        make_trials("sen", "put", 1, 0)
    with pytest.raises(ConfigError, match="unknown task 'put it'"):
        make_trials("seen", "put it", 1, 0)
    with pytest.raises(ConfigError, match="unknown task 'juggle'"):
        training_trials(1, 0, task_names=("juggle",))
    with pytest.raises(ConfigError, match="unknown scene 'table'"):
        training_trials(1, 0, scene_name="table")
    with pytest.raises(ConfigError, match="no cup and nothing to knock over"):
        training_trials(1, 0, scene_name="blocks")
    with pytest.raises(ConfigError, match="no pair of task and colour is left"):
        training_trials(1, 0, task_names=("put",), colours=(HELD_OUT["put"],))
    with pytest.raises(ConfigError, match="unknown thing 'red_post'"):
        TABLETOP.thing("red_post")


def test_a_suite_may_say_what_stands_on_the_table() -> None:
    usual = make_trials("seen", "put", 5, 3)
    other = make_trials("seen", "put", 5, 3, "blocks")
    assert {t.scene for t in usual} == {"tabletop"} and {t.scene for t in other} == {"blocks"}
    assert [(t.target, t.seed) for t in usual] == [(t.target, t.seed) for t in other]
    with pytest.raises(ConfigError, match="no cup and nothing to knock over"):
        make_trials("seen", "cover", 5, 3, "blocks")
    with pytest.raises(ConfigError, match="did you mean 'blocks'"):
        make_trials("seen", "put", 5, 3, "block")


def test_training_can_be_narrowed() -> None:
    found = training_trials(50, 0, task_names=("put",), colours=("red", "green"))
    assert {pair(t) for t in found} == {("put", "red")}
    alone = training_trials(9, 0, task_names=("put",), scene_name="blocks", held_out={})
    assert {t.scene for t in alone} == {"blocks"}


@pytest.mark.parametrize("name", sorted(SCENES))
def test_things_stand_apart_and_beside_the_bin(name: str) -> None:
    stands, place = scene(name), layout(arms.wx250s())
    for seed in range(100):
        found = placement.draw(stands, place, np.random.default_rng(seed))
        again = placement.draw(stands, place, np.random.default_rng(seed))
        assert all(np.array_equal(found[n], again[n]) for n in found)
        assert tuple(found) == placement.names(stands)
        things = [t.name for t in stands.things]
        for one, other in combinations(things, 2):
            assert np.linalg.norm(found[one][:2] - found[other][:2]) >= stands.gap_m
        for thing in stands.things:
            x, y, z = found[thing.name][:3]
            assert z == pytest.approx(thing.height_m / 2)
            corner = thing.edge_m / np.sqrt(2)
            apart = np.abs([x, y] - place.bin_xy) - BIN_HALF_M
            assert apart.max() > corner, f"{thing.name} stands in the bin"
            if stands.cup is not None:
                width = (stands.cup.inner_m / 2 + stands.cup.wall_m) * np.sqrt(2)
                between = np.linalg.norm(found[CUP][:2] - [x, y])
                assert between > corner + width or abs(found[CUP][1] - y) > 0.045
