# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where the tool acts next, where that is in a picture, and what is learnt from it."""

from dataclasses import replace

import numpy as np
import pytest

from lapa_core import robot as robots
from lapa_core.data import spoken
from lapa_core.data.aims import GAP_STEPS, aims, of_demo
from lapa_core.data.demos import Demo, DemoSet
from lapa_core.data.views import View, in_world
from lapa_core.errors import ConfigError, DataError
from lapa_core.train.presets import resolve
from lapa_core.types import AXES

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
    np.testing.assert_array_equal(found[:5], np.repeat(places[3:5].mean(0)[None], 5, axis=0))
    np.testing.assert_array_equal(found[6], places[8:10].mean(0))


def test_what_is_pushed_lies_in_the_middle_of_the_way():
    """However the heights on the way differ by millimetres, in its first half and its second."""
    z_m = np.array([0.14, 0.09, 0.056, 0.039, 0.041, 0.038, 0.04, 0.057, 0.1])
    found = aims(tool(z_m), np.zeros(9), np.arange(9))
    np.testing.assert_allclose(found[:6], np.repeat([[0.045, 0, 0.0565]], 6, axis=0), atol=1e-12)
    np.testing.assert_array_equal(found[8], tool(z_m)[8])


def test_a_thing_that_is_dragged_is_let_go_where_it_is_let_go():
    """Not half-way to where it was taken: another act has begun there."""
    z_m = np.array([0.1, 0.03, 0.03, 0.03, 0.03, 0.03, 0.1])
    openings = np.array([1, 1, 0, 0, 0, 1, 1.0])
    found = aims(tool(z_m), openings, np.arange(7))
    np.testing.assert_array_equal(found[:3], np.repeat(tool(z_m)[2:3], 3, axis=0))
    np.testing.assert_array_equal(found[5], tool(z_m)[5])


def test_rising_with_what_has_been_grasped_is_not_a_second_act():
    """The next act is where it is let go: who aims at it again holds nothing."""
    z_m = np.array([0.1, 0.06, 0.03, 0.03, 0.03, 0.08, 0.12, 0.12, 0.06, 0.06, 0.1])
    openings = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1.0])
    places = tool(z_m)
    places[2:6, 0], places[8:, 0] = 0.02, 0.09  # there it stands still
    found = aims(places, openings, np.arange(11))
    np.testing.assert_array_equal(found[:4], np.repeat(places[3:4], 4, axis=0))
    np.testing.assert_array_equal(found[4:10], np.repeat(places[9:10], 6, axis=0))


def moving_demo() -> Demo:
    """Two arms; the second one's tool is 1 cm higher in y."""
    places = tool(Z_M)
    both = np.concatenate([places, places + np.array([0.0, 0.01, 0.0])], axis=1)
    actions = np.zeros((11, 14))
    return Demo(
        name="e", codes=np.zeros((1, 11, 1, 1), dtype=np.uint32), actions=actions,
        state=np.zeros((11, 0)), index=np.arange(11), instructions=("",) * 11,
        authority=("teleop",) * 11, tool=both,
    )  # fmt: skip


def test_what_is_said_before_acting_has_names_and_offsets():
    dimensions = tuple(f"{arm}/{axis}" for arm in ("left", "right") for axis in AXES)
    assert spoken.names(dimensions)[:3] == ("left/aim_x", "left/aim_y", "right/aim_x")
    told = spoken.names(dimensions, spoken.also("offset"))
    assert told == tuple(
        f"{arm}/{what}_{axis}"
        for arm in ("left", "right") for what in ("aim", "off") for axis in "xy"
    )  # fmt: skip
    demo = moving_demo()
    found = spoken.of_demo(demo, told)
    where = of_demo(demo)
    np.testing.assert_array_equal(found[:, :2], where[:, 0, :2])
    np.testing.assert_array_equal(found[:, 4:6], where[:, 1, :2])
    for arm, column in ((0, 2), (1, 6)):
        tools = demo.places[:, 3 * arm : 3 * arm + 2]
        np.testing.assert_allclose(found[:, column : column + 2] + tools, where[:, arm, :2])
    assert np.abs(found[:, 2]).max() > 0.01  # it is on its way to somewhere
    with pytest.raises(ConfigError, match="did you mean 'offset'"):
        spoken.also("end, ofset")


# Down to a thing, which is taken, and to a place where it is let go; then up.
CARRIED_Z_M = np.array([0.12, 0.08, 0.02, 0.02, 0.08, 0.12, 0.08, 0.05, 0.05, 0.09, 0.12])
CARRIED_OPEN = np.array([1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1], dtype=np.float64)


def carrying_demo(words=("put it away",) * 11, index=None) -> Demo:
    """One arm carries something 0.05 m a step along x, turned by 0.1 rad a step."""
    place = np.column_stack([0.05 * np.arange(11), np.zeros(11), CARRIED_Z_M])
    actions = np.zeros((11, 7))
    actions[:, 6] = CARRIED_OPEN
    return Demo(
        name="e", codes=np.zeros((1, 11, 1, 1), dtype=np.uint32), actions=actions,
        state=np.zeros((11, 0)), index=np.arange(11) if index is None else index,
        instructions=words, authority=("teleop",) * 11, tool=place,
        heading=3.0 + 0.1 * np.arange(11)[:, None],
    )  # fmt: skip


def test_a_policy_may_say_what_comes_last_how_often_it_acts_and_how_the_tool_is_turned():
    dimensions = tuple(f"arm/{axis}" for axis in AXES)
    told = spoken.names(dimensions, spoken.also("end,turn,left,offset,height"))
    assert [n.removeprefix("arm/") for n in told] == [
        "end_x", "end_y", "aim_x", "aim_y", "aim_yaw", "left", "off_x", "off_y", "off_yaw",
        "off_z",
    ]  # fmt: skip
    assert [spoken.unit(n) for n in told] == [
        "m", "m", "m", "m", "rad", "", "m", "m", "rad", "m"
    ]  # fmt: skip
    found = dict(zip(told, spoken.of_demo(carrying_demo(), told).T, strict=True))
    np.testing.assert_allclose(found["arm/aim_x"], [0.15] * 4 + [0.4] * 5 + [0.5] * 2)
    np.testing.assert_allclose(found["arm/end_x"], [0.4] * 9 + [0.5] * 2)
    np.testing.assert_array_equal(found["arm/left"], [2] * 4 + [1] * 5 + [0] * 2)
    np.testing.assert_allclose(found["arm/aim_yaw"], [3.3] * 4 + [3.8] * 5 + [4.0] * 2)
    np.testing.assert_allclose(found["arm/off_yaw"][:4], [0.3, 0.2, 0.1, 0.0], atol=1e-12)
    np.testing.assert_allclose(found["arm/off_z"][:4], [-0.1, -0.06, 0.0, 0.0], atol=1e-12)
    far = replace(carrying_demo(), heading=np.array([[3.1]] * 3 + [[-3.1]] * 8))
    assert spoken.of_demo(far, told)[0, -2] == pytest.approx(2 * np.pi - 6.2)  # the short way
    with pytest.raises(DataError, match="how its tools were turned"):
        spoken.of_demo(replace(carrying_demo(), heading=None), told)
    with pytest.raises(DataError, match="1 headings of 2 tools"):
        of_demo(replace(moving_demo(), heading=np.zeros((11, 1))))


def test_what_comes_last_is_of_the_same_words_and_not_lost_in_a_gap():
    told = ("arm/end_x", "arm/left")
    words = ("take it",) * 5 + ("put it away",) * 6
    found = spoken.of_demo(carrying_demo(words), told)
    np.testing.assert_allclose(found[:5, 0], [0.15] * 4 + [0.4])  # then on to what comes
    np.testing.assert_array_equal(found[:, 1], [1] * 4 + [0] + [1] * 4 + [0] * 2)
    pushed = np.array([0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13])  # as it was carried
    found = spoken.of_demo(carrying_demo(index=pushed), told)
    np.testing.assert_allclose(found[:9, 0], 0.4)
    np.testing.assert_array_equal(found[:, 1], [2] * 4 + [1] * 5 + [0] * 2)
    unseen = np.array([0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12])  # as it was let go
    found = spoken.of_demo(carrying_demo(index=unseen), told)
    assert np.isnan(found[:8]).all()
    np.testing.assert_array_equal(found[8:, 1], 0)
    later = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 + GAP_STEPS])  # who knows what then
    assert np.isnan(spoken.of_demo(carrying_demo(index=later), told)[:10]).all()


def test_a_push_is_one_act_however_many_low_points_it_has():
    z_m = np.array([0.12, 0.08, 0.038, 0.039, 0.038, 0.039, 0.038, 0.06, 0.1, 0.12, 0.12])
    place = np.column_stack([0.05 * np.arange(11), np.zeros(11), z_m])
    demo = replace(carrying_demo(), actions=np.zeros((11, 7)), tool=place)
    found = spoken.of_demo(demo, ("arm/left", "arm/aim_x"))
    assert len(set(found[:5, 1])) == 1
    np.testing.assert_array_equal(found[:, 0], [1] * 7 + [0] * 4)


@pytest.mark.torch
def test_offsets_have_finer_bins_the_nearer_the_place():
    from lapa_core.train.start import Start, _aims

    dimensions = tuple(f"{arm}/{axis}" for arm in ("left", "right") for axis in AXES)
    demos = DemoSet(
        robot="bimanual_wx250s", dimensions=dimensions, cameras=("c",), state_names=(),
        step_time_s=0.2, gripper="open_is_one", demos=(moving_demo(),),
    )  # fmt: skip
    options = resolve("debug", aim_bins=16, aim_also="offset")
    made = _aims(Start.scratch("debug"), demos, options, keep=False)
    assert made is not None and made.dimensions == spoken.names(dimensions, ("offset",))
    place, offset = np.diff(made.edges[0]), np.diff(made.edges[2])
    assert np.ptp(place) < 1e-12
    assert offset.min() == offset[7] and offset[7] < offset[-1] / 10
    assert made.edges[2][8] == 0.0
    true = spoken.of_demo(moving_demo(), made.dimensions)
    off = np.abs(made.decode(made.encode(true)) - true)
    assert off[:, 2].max() < 0.02 and off[np.abs(true[:, 2]) < 0.005, 2].max() < 0.001
    without = _aims(Start.scratch("debug"), demos, resolve("debug", aim_bins=16), keep=False)
    assert without is not None and without.dimensions == spoken.names(dimensions)


def test_nothing_is_foreseen_across_a_long_gap():
    places, index = tool(Z_M), np.array([0, 1, 2, 17, 18, 19, 20, 21, 22, 23, 24])
    found = aims(places, np.zeros(11), index)
    assert np.isnan(found[:3]).all()
    np.testing.assert_array_equal(found[3:5], places[3:5].mean(0)[None].repeat(2, 0))


def test_after_a_short_gap_the_same_is_meant_and_nothing_was_done_in_it():
    """A push against the arm: lowered, opened and let go again, the steps of it left out."""
    places, index = tool(Z_M), np.array([0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13])
    np.testing.assert_array_equal(aims(places, np.zeros(11), index)[0], places[8:10].mean(0))
    level = tool(np.full(11, 0.1))  # nothing is done afterwards: a thing may have been pushed over
    found = aims(level, np.zeros(11), index)
    assert np.isnan(found[:4]).all()
    np.testing.assert_array_equal(found[4:], np.repeat(level[10:], 7, axis=0))


def test_a_tool_that_is_higher_after_a_gap_was_not_at_a_low_point_before_it():
    """Somebody has pushed it up on a level way."""
    places = tool(np.array([0.15, 0.12, 0.12, 0.12, 0.12, 0.15, 0.12, 0.06, 0.06, 0.1, 0.12]))
    index = np.array([0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12])
    np.testing.assert_array_equal(
        aims(places, np.zeros(11), index)[:8], np.repeat(places[7:9].mean(0)[None], 8, axis=0)
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
    from lapa_core.train.pointing import FINE, NOWHERE, Pointing

    torch.manual_seed(0)
    model = LapaModel(preset("debug").lapa_config(vision_positions=18))
    pointing = Pointing(model, 1, arms=1)
    learner = torch.optim.Adam([*model.parameters(), *pointing.parameters()], lr=3e-3)
    chance = np.random.default_rng(0)
    for _ in range(200):
        cells = chance.integers(9, size=(16, 2, 1))
        within = chance.integers(4, size=(16, 2, 1, 2))  # told by the code; the rest is luck
        rows, columns = (
            cells // 3 * FINE + 4 * within[..., 0],
            cells % 3 * FINE + 4 * within[..., 1],
        )
        points = rows * 3 * FINE + columns
        points[:, 1] = np.where(chance.random((16, 1)) < 0.5, points[:, 1], NOWHERE)
        turns = 8 * within[..., 0] - 1  # by the code too: one round, three before it
        turns = np.where(np.arange(16)[:, None, None] < 8, turns % 32, NOWHERE)
        codes = np.full((16, 2, 10), 7)
        codes[:, :, 9] = 513
        for row, picture in np.argwhere(points[..., 0] >= 0):
            code = 20 + within[row, picture, 0] @ [4, 1]
            codes[row, picture, cells[row, picture, 0]] = code
        ids = torch.from_numpy(np.concatenate([np.full((16, 3), 5), codes.reshape(16, 20)], 1))
        tables = torch.full_like(ids, Table.VISION)
        tables[:, :3] = Table.TEXT
        none = torch.zeros(16, dtype=torch.long)
        both = torch.from_numpy(np.stack([points, turns], -1))
        batch = Batch(ids, tables, ids, tables, ids.float(), none, None, both)
        model(ids, tables)
        loss = pointing(batch)
        learner.zero_grad()
        loss.backward()
        learner.step()
    # Spread by one of its kind a place or heading has an entropy of 1.42 nats; half of the
    # headings are known.
    assert 1.9 < float(loss.detach()) < 1.5 * 1.42 + 0.3 < 1.5 * 1.42 + 0.5 * np.log(4)


def test_headings_count_round_half_a_turn():
    from lapa_core.train.feed import _turns
    from lapa_core.train.pointing import NOWHERE, TURNS

    step = np.pi / TURNS
    heading = np.array([0.5 * step, 1.5 * step, -0.5 * step, 0.5 * step + np.pi, np.nan])
    assert _turns(heading).tolist() == [0, 1, TURNS - 1, 0, NOWHERE]
