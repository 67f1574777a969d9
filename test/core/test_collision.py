# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The collision guard: what it keeps apart, what it lets pass, and what it costs."""

from __future__ import annotations

import dataclasses
import time

import mujoco
import numpy as np
import pytest

from lapa_core import description as descriptions
from lapa_core import robot as robots
from lapa_core.control.collision import CollisionGuard
from lapa_core.control.collision_model import DETECTION_M
from lapa_core.errors import ConfigError
from lapa_core.robot import Robot

DT_S = 0.02
OPEN = {"wx250s": 1.0}
TWO_OPEN = {"left": 1.0, "right": 1.0}


def guard_of(robot: Robot) -> CollisionGuard:
    return CollisionGuard(robot, {a.name: descriptions.for_arm(a) for a in robot.arms})


@pytest.fixture(scope="module")
def one() -> CollisionGuard:
    return guard_of(robots.load("wx250s"))


@pytest.fixture(scope="module")
def two() -> CollisionGuard:
    return guard_of(robots.load("bimanual_wx250s"))


def walk(guard: CollisionGuard, q: dict, goal: dict, openings: dict, ticks: int = 400) -> dict:
    """Follow the straight line in joint space tick by tick, as far as the guard lets."""
    q = {n: v.copy() for n, v in q.items()}
    for _ in range(ticks):
        wanted = {n: q[n] + np.clip(goal[n] - q[n], -0.02, 0.02) for n in q}
        q = guard.restrain(q, wanted, openings, DT_S)[0]
        assert not guard.near(q, openings, -1e-4), "nearer than allowed"
    return q


START = np.array([0, 0.022, 0.183, 0, 1.366, 0])
WAIST, SHOULDER = np.eye(6)[:2]


def test_a_free_command_passes_unchanged(one: CollisionGuard) -> None:
    wanted = {"wx250s": START + 0.03}
    found = one.restrain({"wx250s": START}, wanted, OPEN, DT_S)[0]
    np.testing.assert_array_equal(found["wx250s"], wanted["wx250s"])
    assert one.blocked is None


def test_an_arm_stops_above_the_table_and_says_why(one: CollisionGuard) -> None:
    down = START + 0.9 * SHOULDER  # the shoulder leans forward
    q = walk(one, {"wx250s": START}, {"wx250s": down}, OPEN)
    nearest = one.near(q, OPEN)[0]
    assert "table" in nearest.pair
    assert nearest.distance_m == pytest.approx(0.003, abs=1e-3)
    one.restrain(q, {"wx250s": q["wx250s"] + 0.01 * SHOULDER}, OPEN, DT_S)
    assert one.blocked is not None
    assert "at least 3 mm are asked for" in str(one.blocked)


def test_it_slides_along_the_table_instead_of_sticking(one: CollisionGuard) -> None:
    down = START + 0.9 * SHOULDER
    low = walk(one, {"wx250s": START}, {"wx250s": down}, OPEN)
    aside = {"wx250s": down + 0.5 * WAIST}
    q = walk(one, low, aside, OPEN)
    assert q["wx250s"][0] == pytest.approx(0.5, abs=0.01)


def test_an_arm_does_not_fold_into_itself(one: CollisionGuard) -> None:
    folded = np.array([0, -1.88, 1.6, 0, 2.1, 0])  # elbow and wrist to their ends
    q = walk(one, {"wx250s": START}, {"wx250s": folded}, OPEN)
    assert np.max(np.abs(q["wx250s"] - folded)) > 0.05
    assert one.near(q, OPEN)[0].least_m == 0.01


def test_two_arms_do_not_meet(two: CollisionGuard) -> None:
    towards = {"left": START - 0.9 * WAIST, "right": START + 0.9 * WAIST}
    q = walk(two, {"left": START, "right": START}, towards, TWO_OPEN)
    nearest = two.near(q, TWO_OPEN)[0]
    assert {p.partition("/")[0] for p in nearest.pair} == {"left", "right"}
    assert nearest.distance_m == pytest.approx(0.03, abs=3e-3)


def test_an_arm_that_nobody_commands_does_not_give_way_on_paper(two: CollisionGuard) -> None:
    goal = np.array([-1.3, 0.2, -0.3, 0, 0.9, 0])  # across the right arm's forearm
    q = {"left": goal + WAIST, "right": START.copy()}
    met = False
    for _ in range(300):
        wanted = {**q, "left": q["left"] + np.clip(goal - q["left"], -0.02, 0.02)}
        found = two.restrain(q, wanted, TWO_OPEN, DT_S, fixed=["right"])[0]
        np.testing.assert_array_equal(found["right"], q["right"])
        q = found
        assert not two.near(q, TWO_OPEN, -1e-4), "nearer than allowed"
        met = met or two.blocked is not None
    assert met, "they never met: this proves nothing"


def test_what_is_too_near_already_may_part_but_not_approach(one: CollisionGuard) -> None:
    low = START
    while one.near({"wx250s": low}, OPEN, 0.0) == []:
        low = low + 0.005 * SHOULDER
    low = low + 0.004 * SHOULDER  # someone pushed it there
    before = one.near({"wx250s": low}, OPEN, 0.0)[0].distance_m
    deeper = one.restrain({"wx250s": low}, {"wx250s": low + 0.01 * SHOULDER}, OPEN, DT_S)[0]
    assert one.near(deeper, OPEN, 0.0)[0].distance_m >= before - 1e-4
    up = {"wx250s": low - 0.01 * SHOULDER}
    np.testing.assert_array_equal(
        one.restrain({"wx250s": low}, up, OPEN, DT_S)[0]["wx250s"], up["wx250s"]
    )


def test_open_fingers_are_wider(one: CollisionGuard) -> None:
    # A quarter turn of the wrist puts one finger under the other.
    turned = np.array([0, 0.1, 0.5, 0, 0.4, 0.5 * np.pi])
    heights = {}
    for opening in (0.0, 1.0):
        q = turned.copy()
        while not (close := one.near({"wx250s": q}, {"wx250s": opening}, 0.0)):
            q = q + 0.002 * SHOULDER
        assert "finger" in "".join(close[0].pair)
        heights[opening] = q[1]
    assert heights[1.0] < heights[0.0] - 0.01


def test_start_or_park_in_collision_is_refused_with_the_pair() -> None:
    robot = robots.load("wx250s")
    low = dataclasses.replace(robot.arms[0], start_rad=np.array([0, 1.2, 0.4, 0, 0.6, 0]))
    with pytest.raises(ConfigError, match=r"at start_rad, .*table.*change the pose"):
        guard_of(dataclasses.replace(robot, arms=(low,)))


def test_ignore_takes_links_and_refuses_unknown_ones() -> None:
    robot = robots.load("wx250s")
    ignoring = dataclasses.replace(robot.collision, ignore=(("base_link", "gripper_linc"),))
    with pytest.raises(ConfigError, match=r"unknown link 'gripper_linc'.*gripper_link"):
        guard_of(dataclasses.replace(robot, collision=ignoring))
    folded = {"wx250s": np.array([0, -1.88, 1.6, 0, 1.2, 0])}
    close = guard_of(robot).near(folded, OPEN)
    pair = tuple(sorted(link.partition("/")[2] for link in close[0].pair))
    ignoring = dataclasses.replace(robot.collision, ignore=(pair,))
    left = guard_of(dataclasses.replace(robot, collision=ignoring)).near(folded, OPEN)
    assert close[0].pair not in [c.pair for c in left]


def test_ignoring_a_link_and_the_base_still_keeps_that_link_off_the_table() -> None:
    robot = robots.load("wx250s")
    ignoring = dataclasses.replace(robot.collision, ignore=(("base_link", "gripper_link"),))
    guard = guard_of(dataclasses.replace(robot, collision=ignoring))
    down = START + 0.9 * SHOULDER
    q = walk(guard, {"wx250s": START}, {"wx250s": down}, OPEN)
    low = guard_of(robot).near(q, OPEN)[0]
    assert "table" in low.pair
    assert low.distance_m > 0.0029


@pytest.mark.parametrize("name", ["wx250s", "bimanual_wx250s"])
def test_bounding_spheres_hide_no_pair(name: str) -> None:
    robot = robots.load(name)
    guard = guard_of(robot)
    rng = np.random.default_rng(0)
    openings = {a.name: 0.5 for a in robot.arms}
    for _ in range(30):
        q = {a.name: a.start_rad + rng.normal(0, 0.7, len(a.start_rad)) for a in robot.arms}
        near = guard.near(q, openings)
        every = [
            mujoco.mj_geomDistance(guard._model, guard._configuration.data, a, b, 1.0, None)
            - kind.least_m
            for kind in guard._kinds
            for a, b in kind.limit.geom_id_pairs
        ]
        wanted = sorted(e for e in every if e < DETECTION_M)
        assert [c.excess_m for c in near] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", ["wx250s", "bimanual_wx250s", "aloha"])
def test_it_costs_less_than_a_millisecond(name: str) -> None:
    robot = robots.load(name)
    guard = guard_of(robot)
    rng = np.random.default_rng(0)
    openings = {a.name: 1.0 for a in robot.arms}
    took = []
    q = {a.name: a.start_rad for a in robot.arms}
    for _ in range(300):
        wanted = {n: v + rng.normal(0, 0.01, len(v)) for n, v in q.items()}
        begin = time.perf_counter()
        q = guard.restrain(q, wanted, openings, DT_S)[0]
        took.append(time.perf_counter() - begin)
    assert np.median(took) < 1e-3
