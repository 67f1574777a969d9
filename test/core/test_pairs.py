# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Two sentences for one scene: nothing but the words differs, and they mean two things."""

from __future__ import annotations

import pytest

from lapa_core.errors import ConfigError
from lapa_core.sim.pairs import make_pairs
from lapa_core.sim.tasks import HELD_OUT, SPLITS, TASKS


@pytest.mark.parametrize("split", SPLITS)
def test_a_pair_shares_its_scene_and_speaks_of_two_things(split: str) -> None:
    pairs = make_pairs(split, 12, 3)
    for one, other in pairs:
        assert (one.seed, one.scene, one.split) == (other.seed, other.scene, other.split)
        assert one.target != other.target
        for trial in (one, other):
            assert trial.target.replace("_", " ") in trial.instruction
            held_out = trial.target.startswith(HELD_OUT[trial.task])
            assert held_out == (split == "unseen_combination")
    assert [one.task for one, _ in pairs[:4]] == [*TASKS, TASKS[0]]
    same_task = [one.task == other.task for one, other in pairs]
    assert same_task == [split != "unseen_combination" and i % 2 == 0 for i in range(12)]
    assert len({one.seed for one, _ in pairs}) == 12


def test_pairs_follow_from_the_seed_alone_and_more_keep_the_first() -> None:
    assert make_pairs("seen", 9, 1)[:4] == make_pairs("seen", 4, 1)
    assert make_pairs("seen", 4, 1) != make_pairs("seen", 4, 2)
    with pytest.raises(ConfigError, match="unseen_objekt"):
        make_pairs("unseen_objekt", 1, 0)
