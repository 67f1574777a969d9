# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The collision shapes of the shipped arms leave air where the real arms have it."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from lapa_core import description, robot
from lapa_core.control.collision import CollisionGuard
from lapa_core.robot import Robot

OPEN = 1.0


@functools.cache
def guarded(name: str) -> tuple[Robot, CollisionGuard]:
    loaded = robot.load(name)
    return loaded, CollisionGuard(loaded, {a.name: description.for_arm(a) for a in loaded.arms})


def distance(name: str, share: float, opening: float, from_park_to_start: bool = True) -> float:
    """Least distance beyond what the robot file asks for [m], on the way between its poses."""
    loaded, guard = guarded(name)
    positions = {
        a.name: a.park_rad + share * (a.start_rad - a.park_rad)
        if from_park_to_start
        else np.zeros(len(a.joints))
        for a in loaded.arms
    }
    close = guard.near(positions, {a.name: opening for a in loaded.arms})
    return close[0].excess_m if close else np.inf


@pytest.mark.parametrize("name", robot.available())
def test_the_way_from_park_to_start_is_free(name: str) -> None:
    """Two millimetres to spare at both ends and between, the grippers open or closed."""
    for share in np.linspace(0.0, 1.0, 21):
        for opening in (0.0, OPEN):
            assert distance(name, float(share), opening) > 0.002


@pytest.mark.parametrize("name", ["wx250", "wx250s", "vx300s"])
def test_an_arm_stretched_out_is_free(name: str) -> None:
    assert distance(name, 0.0, OPEN, from_park_to_start=False) > 0.01


@pytest.mark.parametrize("name", ["wx250", "wx250s", "vx300s"])
def test_it_can_collide_with_itself_but_seldom_does(name: str) -> None:
    """Of positions drawn anywhere in the limits, a tenth or so folds the arm into itself."""
    loaded, guard = guarded(name)
    (arm,) = loaded.arms
    joints = description.for_arm(arm).joints
    lower, upper = ([getattr(joints[n], end) for n in arm.joints] for end in ("lower", "upper"))
    rng = np.random.default_rng(0)
    folded, links = 0, set()
    for _ in range(2000):
        close = guard.near({arm.name: rng.uniform(lower, upper)}, {arm.name: OPEN}, 0.0)
        of_self = [c.pair for c in close if "table" not in c.pair]
        folded += bool(of_self)
        links |= {link for pair in of_self for link in pair}
    assert 0.03 < folded / 2000 < 0.25
    assert f"{arm.name}/gripper_link" in links and f"{arm.name}/upper_arm_link" in links


@pytest.mark.parametrize("name", ["wx250", "wx250s", "vx300s", "bimanual_wx250s", "aloha"])
def test_a_tool_pointing_down_finds_the_workspace_free(name: str) -> None:
    """Upper-arm postures of daily work: no shape is wider than what the arm is used for."""
    loaded, guard = guarded(name)
    rng = np.random.default_rng(1)
    near = 0
    for _ in range(300):
        positions = {}
        for arm in loaded.arms:
            offset = rng.uniform(-0.35, 0.35, len(arm.joints))
            offset[0] = rng.uniform(-0.3, 0.3)
            positions[arm.name] = arm.start_rad + offset
        close = guard.near(positions, {a.name: OPEN for a in loaded.arms}, 0.0)
        near += any("table" not in c.pair for c in close)
    assert near == 0
