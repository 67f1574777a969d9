# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Every shipped robot does what it is told, with all its arms at once, in the simulation."""

from __future__ import annotations

import arms
import numpy as np
import pytest

from lapa_core import description
from lapa_core import robot as robots
from lapa_core.control.compose import angle_between, compose
from lapa_core.control.gripper import finger_from_angle
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.types import NUM_AXES

TWO_ARMS = ("bimanual_wx250s", "aloha")


@pytest.mark.parametrize("name", robots.available())
def test_its_file_and_its_urdf_fit(name: str) -> None:
    """Poses lie in the limits (checked on loading), and the tool starts inside its workspace."""
    for arm in robots.load(name).arms:
        kinematics = ArmKinematics(arm, description.for_arm(arm))
        start = kinematics.fk(arm.start_rad).xyz_m
        assert np.all(arm.workspace_lower_m < start) and np.all(start < arm.workspace_upper_m)
        assert arm.drivers.interbotix is not None
        assert arm.joint_states == f"{arm.drivers.interbotix.namespace}/joint_states"


@pytest.mark.parametrize("name", robots.available())
def test_every_arm_follows_its_part_of_a_chunk(name: str) -> None:
    """The arms move differently at the same time, each along the axes of its own base."""
    rig = arms.Rig(robots.load(name))
    rig.go_to_start()
    begin = {a.name: rig.sim.tool_pose(a.name) for a in rig.robot.arms}
    told = dict(begin)
    steps = [
        np.array([(-1) ** k * 0.015, 0.01, -0.01, 0.0, 0.05, 0.0, 1.0])
        for k in range(len(rig.robot.arms))
    ]
    for _ in range(5):
        rig.follow([np.concatenate(steps).tolist()])
        for arm, step in zip(rig.robot.arms, steps, strict=True):
            told[arm.name] = compose(told[arm.name], step)
    rig.run(0.8)
    for arm in rig.robot.arms:
        reached = rig.sim.tool_pose(arm.name)
        np.testing.assert_allclose(reached.xyz_m, told[arm.name].xyz_m, atol=2e-3)
        if len(arm.joints) >= 6:
            assert angle_between(reached.rotation, told[arm.name].rotation) < 0.03
    assert rig.status.steps_executed == 5
    assert rig.sim.violations() == []


def test_five_joints_take_a_turn_they_cannot_make_as_far_as_they_can() -> None:
    """Level, the waist fixes the heading: the turn is not refused, and the tool stays in place."""
    rig = arms.Rig(robots.load("wx250"))
    rig.go_to_start()
    rig.follow([[0.0, 0.0, 0.02, 0.0, -0.2, 0.0, 1.0]] * 4)  # the gripper rises from the vertical
    rig.run(0.5)
    before = rig.sim.tool_pose("wx250")
    rig.follow([[0.0, 0.0, 0.0, 0.0, 0.0, 0.15, 1.0]] * 3)
    rig.run(0.5)
    after = rig.sim.tool_pose("wx250")
    np.testing.assert_allclose(after.xyz_m, before.xyz_m, atol=2e-3)
    turned = angle_between(before.rotation, after.rotation)
    assert 0.02 < turned < 0.44  # of 0.45 rad asked for
    assert rig.status.steps_executed == 7


@pytest.mark.parametrize("name", TWO_ARMS)
def test_two_arms_share_an_area_and_have_one_of_their_own(name: str) -> None:
    """What stands in the middle is in both workspaces; each has room where the other has none."""
    robot = robots.load(name)
    assert [a.name for a in robot.arms] == ["left", "right"]
    assert len(robot.dimensions) == 2 * NUM_AXES
    assert [c.name for c in robot.cameras[:3]] == ["cam_high", "cam_left_wrist", "cam_right_wrist"]

    def holds(index: int, xyz: np.ndarray) -> bool:
        arm = robot.arms[index]
        own = arm.base_rotation.T @ (xyz - arm.base_xyz_m)
        return bool(np.all(arm.workspace_lower_m < own) and np.all(own < arm.workspace_upper_m))

    middle = np.mean([a.base_xyz_m for a in robot.arms], axis=0)
    forward = np.mean([a.base_rotation[:, 0] for a in robot.arms], axis=0)
    common = middle + 0.3 * forward + [0, 0, 0.05]
    assert holds(0, common) and holds(1, common)
    for index, arm in enumerate(robot.arms):
        own = arm.base_xyz_m + arm.base_rotation @ np.array([0.3, 0.0, 0.05])
        assert holds(index, own) and not holds(1 - index, own)


def test_alohas_gripper_is_where_its_linkage_brings_it() -> None:
    for arm in robots.load("aloha").arms:
        linkage, driver = description.for_arm(arm).linkage, arm.drivers.interbotix
        assert linkage is not None and driver is not None
        ends = [finger_from_angle(linkage, a) for a in (0.6197, 1.6214)]
        assert (driver.gripper.closed_rad, driver.gripper.open_rad) == (0.6197, 1.6214)
        np.testing.assert_allclose([arm.gripper.closed, arm.gripper.open], ends, atol=5e-5)
