# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where the tool acts next, where that is in a picture, and what is learnt from it."""

import numpy as np
import pytest

from lapa_core import robot as robots
from lapa_core.data.aims import aims
from lapa_core.data.views import View, in_world

Z_M = np.array([0.15, 0.12, 0.06, 0.03, 0.03, 0.08, 0.12, 0.12, 0.09, 0.09, 0.12])


def tool(z_m: np.ndarray) -> np.ndarray:
    """A tool that moves on sideways while it goes up and down."""
    return np.column_stack([np.arange(len(z_m)) * 0.01, np.zeros(len(z_m)), z_m])


def test_every_step_knows_where_the_gripper_acts_next():
    openings = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1.0])
    level = np.full(11, 0.1)
    found = aims(tool(level), openings, np.arange(11))
    np.testing.assert_array_equal(found[:5], np.repeat(tool(level)[4:5], 5, axis=0))
    np.testing.assert_array_equal(found[5:10], np.repeat(tool(level)[9:10], 5, axis=0))
    np.testing.assert_array_equal(found[10], tool(level)[10])


def test_a_low_point_counts_without_a_gripper():
    places = tool(Z_M)
    found = aims(places, np.zeros(11), np.arange(11))
    np.testing.assert_array_equal(found[0], places[3])
    np.testing.assert_array_equal(found[6], places[8])


def test_nothing_is_foreseen_across_a_long_gap():
    places, index = tool(Z_M), np.array([0, 1, 2, 17, 18, 19, 20, 21, 22, 23, 24])
    found = aims(places, np.zeros(11), index)
    assert np.isnan(found[:3]).all()
    np.testing.assert_array_equal(found[3:5], places[[4, 4]])


def test_after_a_short_gap_the_same_is_meant_and_nothing_was_done_in_it():
    """A push against the arm: lowered, opened and let go again, the steps of it left out."""
    places, index = tool(Z_M), np.array([0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13])
    np.testing.assert_array_equal(aims(places, np.zeros(11), index)[0], places[8])
    level = tool(np.full(11, 0.1))  # nothing is done afterwards: a thing may have been pushed over
    found = aims(level, np.zeros(11), index)
    assert np.isnan(found[:4]).all()
    np.testing.assert_array_equal(found[4:], np.repeat(level[10:], 7, axis=0))


def test_a_tool_that_is_higher_after_a_gap_was_not_at_a_low_point_before_it():
    """Somebody has pushed it up on a level way."""
    places = tool(np.array([0.15, 0.12, 0.12, 0.12, 0.12, 0.15, 0.12, 0.06, 0.06, 0.1, 0.12]))
    index = np.array([0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12])
    np.testing.assert_array_equal(
        aims(places, np.zeros(11), index)[:8], np.repeat(places[7:8], 8, axis=0)
    )


def test_what_was_grasped_in_a_gap_was_grasped_nobody_knows_where():
    """A policy's turn, left out: before it, the bin is not what was meant."""
    index = np.array([0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13])
    openings = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1.0])
    level = tool(np.full(11, 0.1))
    found = aims(level, openings, index)
    assert np.isnan(found[:4]).all()
    np.testing.assert_array_equal(found[4:10], np.repeat(level[9:10], 6, axis=0))


@pytest.mark.sim
@pytest.mark.parametrize("crop", [False, True])
def test_a_view_is_where_the_simulation_draws(crop):
    from lapa_core.data.images import resize_for_model
    from lapa_core.sim import Simulation

    robot = robots.load("wx250s")
    sim = Simulation(robot, seed=3)
    picture = resize_for_model(sim.render("front"), crop).astype(int)
    red = np.argwhere(
        (picture[..., 0] > 110) & (picture[..., 1] < 40) & (picture[..., 2] < 40)
    ).mean(axis=0)
    column, row = View(robot.camera("front"), crop).project(sim.object_poses()["red_block"].xyz_m)
    assert np.hypot(*(red - [row * 256, column * 256])) < 4
    sim.close()


def test_what_is_out_of_view_or_behind_has_no_cell():
    robot = robots.load("wx250s")
    view = View(robot.camera("front"))
    arm = robot.arms[0]
    points = in_world(arm, np.array([[0.3, 0.05, 0.02], [5.0, -9.0, 0.0], [-3.0, 0.0, 0.3]]))
    cells = view.cells(points, 16)
    assert cells[0] >= 0
    assert cells[1] == cells[2] == -1
    assert view.cells(np.full((1, 3), np.nan), 16).tolist() == [-1]


@pytest.mark.torch
def test_the_tokens_of_a_picture_learn_to_point():
    import torch

    from lapa_core.model.configuration import preset
    from lapa_core.model.lapa import LapaModel
    from lapa_core.model.vocabulary import Table
    from lapa_core.train.examples import Batch
    from lapa_core.train.pointing import NOWHERE, Pointing

    torch.manual_seed(0)
    model = LapaModel(preset("debug").lapa_config(vision_positions=18))
    pointing = Pointing(model, 1, arms=1)
    learner = torch.optim.Adam([*model.parameters(), *pointing.parameters()], lr=3e-3)
    chance = np.random.default_rng(0)
    for _ in range(60):
        cells = chance.integers(9, size=(16, 2, 1))
        cells[:, 1] = np.where(chance.random((16, 1)) < 0.5, cells[:, 1], NOWHERE)
        codes = np.full((16, 2, 10), 7)
        codes[:, :, 9] = 513
        for row, picture in np.argwhere(cells[..., 0] >= 0):
            codes[row, picture, cells[row, picture, 0]] = 3
        ids = torch.from_numpy(np.concatenate([np.full((16, 3), 5), codes.reshape(16, 20)], 1))
        tables = torch.full_like(ids, Table.VISION)
        tables[:, :3] = Table.TEXT
        none = torch.zeros(16, dtype=torch.long)
        batch = Batch(ids, tables, ids, tables, ids.float(), none, None, torch.from_numpy(cells))
        model(ids, tables)
        loss = pointing(batch)
        learner.zero_grad()
        loss.backward()
        learner.step()
    assert float(loss.detach()) < 0.1 < np.log(9)
