# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Controller and simulated arm together, with physics between command and joint state."""

from __future__ import annotations

import dataclasses

import arms
import numpy as np
import pytest

from lapa_core.control import ControlParams

SIDE = [[0.02, 0, 0], [0, 0.02, 0], [-0.02, 0, 0], [0, -0.02, 0]]


@pytest.fixture
def rig() -> arms.Rig:
    rig = arms.Rig(arms.wx250s())
    rig.go_to_start()
    return rig


def test_a_square_of_deltas_closes_within_a_millimetre(rig: arms.Rig) -> None:
    """Four sides of 8 cm at 10 cm/s, 2 cm a step, then 0.4 s to settle."""
    start = rig.tool()
    corners = []
    for side in SIDE:
        rig.follow([side] * 4)
        corners.append(rig.tool() - start)
    # At a corner the arm is behind by its lag of about 0.1 s at 0.1 m/s.
    expected = np.cumsum(4 * np.array(SIDE), axis=0)
    assert np.max(np.linalg.norm(np.array(corners) - expected, axis=1)) < 0.015
    rig.run(0.4)
    np.testing.assert_allclose(rig.tool(), start, atol=1e-3)
    assert sum(rig.status.interventions.values()) == 0
    assert rig.status.steps_executed == 16


def test_a_chunk_of_eight_steps_goes_as_far_as_eight_chunks(rig: arms.Rig) -> None:
    start = rig.tool()
    rig.send([0.0, 0.01, 0.005], steps=8)
    rig.run(8 * 0.2 + 0.4)
    np.testing.assert_allclose(rig.tool() - start, [0, 0.08, 0.04], atol=1e-3)


def test_overlapping_chunks_go_at_the_policys_pace(rig: arms.Rig) -> None:
    """Chunks of four, a new one every step time and each 0.15 s late: 1 cm a step, not two."""
    start = rig.tool()
    for _ in range(8):
        rig.send([0.0, 0.01, 0.0], steps=4, age_s=0.15)
        rig.run(0.2)
    rig.run(1.2)  # the last chunk plays out: three more
    assert (rig.tool() - start)[1] == pytest.approx(0.11, abs=0.011)


def test_turns_leave_the_tool_point_where_it_is(rig: arms.Rig) -> None:
    start, before = rig.tool(), rig.sim.tool_pose("wx250s").rotation
    rig.follow([[0, 0, 0, 0, 0, 0.1]] * 5 + [[0, 0, 0, 0.05, -0.05, 0]] * 4)
    rig.run(0.4)
    np.testing.assert_allclose(rig.tool(), start, atol=1e-3)
    rig.follow([[0, 0, 0, -0.05, 0.05, 0]] * 4 + [[0, 0, 0, 0, 0, -0.1]] * 5)
    rig.run(0.4)
    np.testing.assert_allclose(rig.sim.tool_pose("wx250s").rotation, before, atol=0.02)


def test_the_table_is_never_touched_by_a_policy_that_wants_to(rig: arms.Rig) -> None:
    rig.follow([[0, 0.05, 0]] * 4)  # beside the blocks
    rig.follow([[0, 0, -0.05]] * 8)
    rig.run(0.4)
    assert rig.tool()[2] == pytest.approx(0.0075, abs=1.5e-3)  # the tips are 4 mm deeper
    assert not [p for p in rig.sim.contacts() if "table" in p and "finger" in "".join(p)]
    assert rig.status.interventions["collision"] >= 5


def test_an_unreachable_target_holds_and_recovers() -> None:
    robot = arms.wx250s()
    wide = dataclasses.replace(robot.arms[0], workspace_upper_m=np.array([0.9, 0.25, 0.25]))
    rig = arms.Rig(dataclasses.replace(robot, arms=(wide,)))
    rig.go_to_start()
    for _ in range(15):
        rig.follow([[0.04, 0, 0]])
        if rig.status.state == "hold":
            break
    assert rig.status.reason.startswith("unreachable: wx250s would miss")
    rig.run(0.5)
    held = rig.tool()
    rig.follow([[-0.03, 0, 0]] * 2)
    assert rig.status.state == "policy"
    rig.run(0.3)
    np.testing.assert_allclose(rig.tool() - held, [-0.06, 0, 0], atol=3e-3)


def test_a_glitch_of_the_driver_stops_the_arm_for_one_chunk_only(rig: arms.Rig) -> None:
    rig.follow([[0, 0.01, 0]] * 3)
    names, position, _ = rig.sim.joint_state("wx250s")
    position[:6] = -np.pi
    rig.controller.on_joint_state("wx250s", names, position, rig.now_s)
    assert rig.status.reason.startswith("implausible joint state")
    rig.run(0.1)
    assert rig.status.state == "hold"
    before = rig.tool()
    rig.follow([[0, 0.01, 0]] * 3)
    assert rig.status.state == "policy"
    rig.run(0.4)
    np.testing.assert_allclose(rig.tool() - before, [0, 0.03, 0], atol=2e-3)


def test_estop_stops_the_tool_within_three_centimetres_at_full_speed(rig: arms.Rig) -> None:
    rig.follow([[0, 0.05, 0]] * 3)
    pressed = rig.tool()
    rig.controller.estop("red button", rig.now_s)
    rig.run(1.0)
    assert rig.commands[-1] is None
    assert np.linalg.norm(rig.tool() - pressed) < 0.03
    resting = rig.tool()
    rig.send([0, 0.05, 0])
    rig.run(0.4)
    np.testing.assert_allclose(rig.tool(), resting, atol=1e-3)
    assert rig.status.state == "estop"


def test_joint_states_that_stop_stop_the_arm(rig: arms.Rig) -> None:
    rig.follow([[0, 0.02, 0]] * 2)
    rig.states_flow = False
    rig.follow([[0, 0.02, 0]] * 3)
    assert "joint states of wx250s" in rig.status.reason
    assert rig.commands[-1] is None
    rig.states_flow = True
    rig.follow([[0, 0.01, 0]])
    assert rig.status.state == "policy"


def test_commands_stay_smooth_over_steps_and_chunks(rig: arms.Rig) -> None:
    """A random walk of a policy: no joint's commanded speed jumps more than its acceleration."""
    rng = np.random.default_rng(0)
    rig.commands.clear()
    for _ in range(30):
        rig.follow([[*rng.uniform(-0.02, 0.02, 3), *rng.uniform(-0.1, 0.1, 3)]])
    told = np.array([c["wx250s"].position_rad for c in rig.commands if c])
    assert len(told) == len(rig.commands)
    change = np.abs(np.diff(told, n=2, axis=0)) / arms.PERIOD_S**2
    assert change.max() <= rig.robot.arms[0].max_acceleration_rad_s2 * 1.001


def test_speed_scale_slows_a_first_run() -> None:
    rig = arms.Rig(arms.wx250s(), ControlParams(speed_scale=0.3))
    rig.run(0.1)
    rig.controller.enable(rig.now_s)
    start = rig.tool()
    rig.follow([[0.02, 0, 0.02]] * 5)
    rig.run(0.5)
    np.testing.assert_allclose(rig.tool() - start, [0.03, 0, 0.03], atol=2e-3)


def test_two_arms_draw_their_own_squares_together() -> None:
    robot = arms.two_arms()
    apart = [
        dataclasses.replace(a, base_xyz_m=a.base_xyz_m + np.array([0.0, y, 0.0]))
        for a, y in zip(robot.arms, (0.0, 0.5), strict=True)
    ]
    rig = arms.Rig(dataclasses.replace(robot, arms=tuple(apart)))
    rig.go_to_start()
    left, right = rig.tool("left"), rig.tool("right")
    for side, other in zip(SIDE, SIDE[1:] + SIDE[:1], strict=True):
        rig.follow([[*side, 0, 0, 0, 1, *other, 0, 0, 0, 0]] * 3)
    rig.run(0.4)
    np.testing.assert_allclose(rig.tool("left"), left, atol=1e-3)
    np.testing.assert_allclose(rig.tool("right"), right, atol=1e-3)
    assert rig.sim.joint_state("right")[1][7] == pytest.approx(0.015, abs=5e-4)
