# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The MuJoCo twin: its joints, its servos, its scene, and that a seed fixes all of it."""

from __future__ import annotations

import dataclasses
import threading

import arms
import numpy as np
import pytest

from lapa_core import description
from lapa_core import robot as robots
from lapa_core.control.gripper import finger_from_angle
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.errors import ConfigError, DataError
from lapa_core.sim import Simulation, things, world
from lapa_core.sim.layout import BLOCK_EDGE_M, layout

NAMES = (
    *("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate"),
    *("gripper", "left_finger", "right_finger"),
)


@pytest.fixture
def sim() -> Simulation:
    return Simulation(arms.wx250s())


def go(sim: Simulation, arm: str, joints: np.ndarray, seconds: float = 1.5) -> None:
    names = sim.robot.arm(arm).joints
    sim.set_command(arm, dict(zip(names, map(float, joints), strict=True)))
    sim.step(round(seconds / sim.timestep))


def test_joint_states_are_the_drivers(sim: Simulation) -> None:
    names, position, velocity = sim.joint_state("wx250s")
    assert names == NAMES
    np.testing.assert_allclose(position[:6], sim.robot.arms[0].park_rad)
    assert position[7] == -position[8] == pytest.approx(0.037)
    linkage = description.load("wx250s.urdf.xacro").linkage
    assert linkage is not None
    assert finger_from_angle(linkage, position[6]) == pytest.approx(position[7])
    assert velocity.shape == (9,)


def test_it_starts_parked_and_touches_nothing_but_its_table(sim: Simulation) -> None:
    sim.step(500)
    assert sim.contacts() == [
        ("blue_block", "table"),
        ("green_block", "table"),
        ("red_block", "table"),
        ("table", "yellow_block"),
    ]


def test_servos_follow_within_millirads_and_without_overshoot(sim: Simulation) -> None:
    arm = sim.robot.arms[0]
    go(sim, "wx250s", arm.start_rad, 3.0)
    for index, joint in enumerate(arm.joints):
        goal = np.array(arm.start_rad)
        goal[index] += 0.2
        sim.set_command("wx250s", {joint: float(goal[index])})
        path = []
        for _ in range(100):
            sim.step(5)
            path.append(sim.joint_state("wx250s")[1][index])
        assert max(path) < goal[index] + 0.004, f"{joint} overshoots"
        assert path[-1] == pytest.approx(goal[index], abs=0.003)
        go(sim, "wx250s", arm.start_rad)


def test_the_tool_is_where_kinematics_say(sim: Simulation) -> None:
    arm = sim.robot.arms[0]
    go(sim, "wx250s", arm.start_rad, 3.0)
    kinematics = ArmKinematics(arm, description.for_arm(arm))
    expected = kinematics.fk(sim.joint_state("wx250s")[1][:6])
    np.testing.assert_allclose(sim.tool_pose("wx250s").xyz_m, expected.xyz_m, atol=2e-4)
    np.testing.assert_allclose(sim.tool_pose("wx250s").rotation, expected.rotation, atol=2e-3)


def test_the_arm_pushes_against_the_table_and_stays_above(sim: Simulation) -> None:
    arm = sim.robot.arms[0]
    go(sim, "wx250s", arm.start_rad, 3.0)
    down = np.array(arm.start_rad) + np.array([0, 0.6, 0, 0, 0, 0])
    go(sim, "wx250s", down)
    assert any("table" in pair and "finger" in "".join(pair) for pair in sim.contacts())
    assert sim.tool_pose("wx250s").xyz_m[2] > -0.005


def test_fingers_mirror_and_reach_both_ends(sim: Simulation) -> None:
    for finger in (0.015, 0.037, 0.025):
        sim.set_command("wx250s", {"left_finger": finger})
        sim.step(600)
        _, position, _ = sim.joint_state("wx250s")
        assert position[7] == pytest.approx(finger, abs=5e-4)
        assert position[8] == pytest.approx(-finger, abs=5e-4)


def test_a_block_can_be_grasped_and_lifted() -> None:
    """Straight above a block, down, close, up: the task that LAPA's evaluations are made of."""
    sim = Simulation(arms.wx250s(), seed=3)
    arm = sim.robot.arms[0]
    kinematics = ArmKinematics(arm, description.for_arm(arm))
    block = sim.object_poses()["red_block"]
    edge = block.rotation[:, 0]
    yaw = np.arctan2(edge[1], edge[0])
    yaw = (yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4  # a block looks the same every quarter turn
    pose = kinematics.fk(arm.start_rad)
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    joints = np.array(arm.start_rad)

    def tool_to(height: float) -> None:
        nonlocal joints
        for share in np.linspace(0.1, 1.0, 10):
            xyz = pose.xyz_m + share * (np.array([*block.xyz_m[:2], height]) - pose.xyz_m)
            target = dataclasses.replace(pose, xyz_m=xyz, rotation=turn @ pose.rotation)
            found = kinematics.reach(target, joints)
            joints = found.position_rad
            go(sim, "wx250s", joints, 0.2)
        go(sim, "wx250s", joints, 0.5)

    go(sim, "wx250s", joints, 2.0)
    tool_to(0.10)
    pose = dataclasses.replace(pose, xyz_m=np.array([*block.xyz_m[:2], 0.10]))
    tool_to(0.015)
    sim.set_command("wx250s", {"left_finger": 0.015})
    sim.step(400)
    pose = dataclasses.replace(pose, xyz_m=np.array([*block.xyz_m[:2], 0.015]))
    tool_to(0.15)
    assert sim.object_poses()["red_block"].xyz_m[2] > 0.10


def test_commands_are_checked_before_any_is_set(sim: Simulation) -> None:
    before = sim.command("wx250s")
    with pytest.raises(DataError, match=r"unknown joint 'knee'.*'waist'"):
        sim.set_command("wx250s", {"waist": 0.5, "knee": 0.0})
    with pytest.raises(DataError, match="target of elbow is nan"):
        sim.set_command("wx250s", {"waist": 0.5, "elbow": float("nan")})
    with pytest.raises(DataError, match="unknown joint 'right_finger'"):
        sim.set_command("wx250s", {"right_finger": 0.0})
    with pytest.raises(ConfigError, match="unknown arm 'left'"):
        sim.set_command("left", {})
    assert sim.command("wx250s") == before


def test_targets_beyond_a_limit_stop_at_the_limit(sim: Simulation) -> None:
    go(sim, "wx250s", np.array([9.0, -1.8, 1.55, 0.0, 0.8, 0.0]), 3.0)
    assert sim.joint_state("wx250s")[1][0] == pytest.approx(np.pi, abs=5e-3)


def test_two_runs_of_one_seed_are_bit_equal() -> None:
    def run(seed: int) -> np.ndarray:
        sim = Simulation(arms.wx250s(), seed=seed)
        go(sim, "wx250s", sim.robot.arms[0].start_rad)
        return sim.snapshot()

    first = run(7)
    assert run(7).tobytes() == first.tobytes()
    assert run(8).tobytes() != first.tobytes()


def test_reset_returns_to_the_same_beginning(sim: Simulation) -> None:
    begin = sim.snapshot()
    go(sim, "wx250s", sim.robot.arms[0].start_rad)
    sim.reset()
    assert sim.snapshot().tobytes() == begin.tobytes()
    sim.reset(seed=5)
    assert sim.snapshot().tobytes() != begin.tobytes()
    assert sim.time_s == 0.0


def test_blocks_lie_on_the_table_within_reach_and_apart(sim: Simulation) -> None:
    box = sim.robot.arms[0]
    for seed in range(30):
        sim.reset(seed)
        poses = sim.object_poses()
        places = np.array([poses[n].xyz_m for n in world.BLOCKS])
        assert np.all(places[:, :2] > box.workspace_lower_m[:2])
        assert np.all(places[:, :2] < box.workspace_upper_m[:2])
        gaps = [np.linalg.norm(a - b) for i, a in enumerate(places) for b in places[:i]]
        assert min(gaps) > 0.05
        bin_edge = sim.layout.bin_xy[1] + world.BIN_HALF_M + BLOCK_EDGE_M / np.sqrt(2)
        assert np.all(places[:, 1] > bin_edge)


def test_two_arms_with_equal_joint_names_live_in_one_world() -> None:
    sim = Simulation(arms.two_arms())
    go(sim, "left", sim.robot.arms[0].start_rad, 3.0)
    parked = sim.robot.arms[1].park_rad
    np.testing.assert_allclose(sim.joint_state("right")[1][:6], parked, atol=2e-3)
    left, right = sim.tool_pose("left").xyz_m, sim.tool_pose("right").xyz_m
    np.testing.assert_allclose(left, [0.30, 0.0, 0.15], atol=2e-3)
    np.testing.assert_allclose(right, [0.1227, 0.0, 0.0813], atol=2e-3)  # in its own base frame


def test_two_arms_collide_with_each_other_and_not_with_themselves() -> None:
    robot = arms.two_arms()
    near = dataclasses.replace(robot.arms[1], base_xyz_m=np.array([0.60, 0.0, 0.0]))
    sim = Simulation(dataclasses.replace(robot, arms=(robot.arms[0], near)))
    go(sim, "left", near.start_rad, 3.0)
    go(sim, "right", near.start_rad, 1.0)
    pairs = [(a.split("/")[0], b.split("/")[0]) for a, b in sim.contacts()]
    assert ("left", "right") in pairs
    assert ("left", "left") not in pairs and ("right", "right") not in pairs


def test_an_arm_folded_into_itself_shows_it(sim: Simulation) -> None:
    """Its shapes stop each other as links of two arms do; neighbours go on overlapping."""
    arm = sim.robot.arms[0]
    folded = np.array(arm.park_rad) + np.array([0, 0, 0, 0, 1.2, 0])
    go(sim, "wx250s", folded)
    assert sim.violations() == sim.contacts()[-len(sim.violations()) :] != []
    assert all(a.startswith("wx250s/") and b.startswith("wx250s/") for a, b in sim.violations())
    assert any(pair[1] == "wx250s/shoulder_link" for pair in sim.violations())
    assert abs(sim.joint_state("wx250s")[1][4] - folded[4]) > 0.1  # the servo could not get there


def test_violations_are_of_arms_and_table_alone(sim: Simulation) -> None:
    sim.step(100)
    assert sim.violations() == []
    assert sim.contacts() != []  # blocks on the table
    arm = sim.robot.arms[0]
    go(sim, "wx250s", arm.start_rad, 3.0)
    go(sim, "wx250s", np.array(arm.start_rad) + np.array([0, 0.6, 0, 0, 0, 0]))
    found = sim.violations()
    assert found and all("table" in pair for pair in found)
    assert any("finger" in "".join(pair) for pair in found)


def test_links_the_robot_file_ignores_may_overlap() -> None:
    robot = arms.wx250s()
    collision = dataclasses.replace(robot.collision, ignore=(("wrist_link", "shoulder_link"),))
    pairs = []
    for changed in (robot, dataclasses.replace(robot, collision=collision)):
        sim = Simulation(changed)
        go(sim, "wx250s", np.array(robot.arms[0].park_rad) + np.array([0, 0, 0, 0, 1.2, 0]))
        pairs.append(("wx250s/shoulder_link", "wx250s/wrist_link") in sim.violations())
    assert pairs[1] is False


@pytest.mark.parametrize("name", robots.available())
def test_every_shipped_robot_stands_free_on_its_table_with_its_objects_in_reach(name: str) -> None:
    robot = robots.load(name)
    sim = Simulation(robot)
    sim.step(200)
    assert sim.violations() == []
    for arm in robot.arms:
        go(sim, arm.name, arm.start_rad, 3.0)
        assert np.all(arm.base_xyz_m[:2] - 0.13 > sim.layout.table_lower)
        assert np.all(arm.base_xyz_m[:2] + 0.1 < sim.layout.table_upper)
    assert sim.violations() == []
    for arm in robot.arms:  # the area is common: every arm could take every block
        for thing in sim.object_poses().values():
            xyz = arm.base_rotation.T @ (thing.xyz_m - arm.base_xyz_m)
            assert np.all(arm.workspace_lower_m[:2] < xyz[:2])
            assert np.all(xyz[:2] < arm.workspace_upper_m[:2])


def test_the_one_arm_scene_is_what_it_was() -> None:
    """Pictures and trained models depend on where things stand in front of the WidowX."""
    scene = layout(arms.wx250s())
    np.testing.assert_allclose(scene.bin_xy, [0.36, -0.13], atol=1e-12)
    np.testing.assert_allclose(
        [scene.blocks_lower, scene.blocks_upper], [[0.2, -0.04], [0.38, 0.16]]
    )
    np.testing.assert_allclose([scene.table_lower, scene.table_upper], [[-0.2, -0.6], [0.7, 0.6]])


def test_a_table_below_the_base_takes_its_objects_along() -> None:
    sim = Simulation(dataclasses.replace(arms.wx250s(), table_z_m=-0.1))
    sim.step(100)
    heights = [p.xyz_m[2] for n, p in sim.object_poses().items() if n != world.BIN]
    np.testing.assert_allclose(heights, -0.1 + BLOCK_EDGE_M / 2, atol=1e-3)


def test_arms_that_share_too_little_leave_the_objects_to_the_first() -> None:
    robot = arms.two_arms()
    far = dataclasses.replace(robot.arms[1], base_xyz_m=np.array([0.0, 2.0, 0.0]))
    apart = dataclasses.replace(robot, arms=(robot.arms[0], far))
    np.testing.assert_allclose(layout(apart).bin_xy, layout(arms.wx250s()).bin_xy)
    small = dataclasses.replace(robot.arms[0], workspace_upper_m=np.array([0.2, 0.25, 0.25]))
    with pytest.raises(ConfigError, match=r"needs 0\.2 m on both"):
        layout(dataclasses.replace(robot, arms=(small, far)))


def test_a_camera_on_a_link_goes_along_with_it() -> None:
    sim = Simulation(robots.load("bimanual_wx250s"))
    right = sim.robot.arm("right")
    go(sim, "right", right.start_rad, 3.0)
    camera = sim.robot.camera("cam_right_wrist")
    tool = right.base_xyz_m + right.base_rotation @ sim.tool_pose("right").xyz_m
    down = sim.tool_pose("right").rotation[:, 0]
    place = sim.camera_xyz_m("cam_right_wrist")
    behind = float((place - tool) @ down)
    assert behind == pytest.approx(camera.position_m[0] - 0.0936, abs=2e-3)  # tool in gripper_link
    go(sim, "right", right.start_rad + np.array([0.3, 0, 0, 0, 0, 0]))
    assert np.linalg.norm(sim.camera_xyz_m("cam_right_wrist") - place) > 0.05
    assert np.allclose(sim.camera_xyz_m("cam_high"), sim.robot.camera("cam_high").position_m)


def test_a_camera_on_an_unknown_link_is_refused() -> None:
    robot = arms.wx250s()
    lost = dataclasses.replace(robot.cameras[0], attached_to="wx250s/gripper_lnk")
    with pytest.raises(ConfigError, match=r"camera front.*did you mean 'wx250s/gripper_link'"):
        Simulation(dataclasses.replace(robot, cameras=(lost,)))


def test_a_finger_pushed_past_its_limit_still_has_a_motor_angle(sim: Simulation) -> None:
    """A soft limit gives way by a millimetre; beyond the crank's reach the angle was an error."""
    sim.model.joint("wx250s/left_finger").range[:] = [0.0, 0.05]
    sim.model.actuator("wx250s/left_finger").ctrlrange[:] = [0.0, 0.05]
    sim.set_command("wx250s", {"left_finger": 0.045})
    sim.step(500)
    _, position, _ = sim.joint_state("wx250s")
    assert position[7] > 0.038
    assert position[6] == pytest.approx(np.pi / 2)


def test_the_larger_arm_runs_too() -> None:
    sim = Simulation(arms.vx300s())
    go(sim, "vx300s", sim.robot.arms[0].start_rad, 3.0)
    arm = sim.robot.arms[0]
    kinematics = ArmKinematics(arm, description.for_arm(arm))
    expected = kinematics.fk(arm.start_rad).xyz_m
    np.testing.assert_allclose(sim.tool_pose("vx300s").xyz_m, expected, atol=2e-3)


def test_a_camera_without_an_upright_view_is_refused() -> None:
    robot = arms.wx250s()
    down = dataclasses.replace(robot.cameras[0], forward=np.array([0.0, 0.0, -1.0]))
    with pytest.raises(ConfigError, match="no upright view"):
        Simulation(dataclasses.replace(robot, cameras=(down,)))
    with pytest.raises(ConfigError, match="timestep"):
        Simulation(robot, timestep=0.1)


@pytest.mark.sim
def test_pictures_have_the_size_asked_for_and_repeat(sim: Simulation) -> None:
    try:
        own = sim.render("front")
        assert own.shape == (480, 640, 3) and own.dtype == np.uint8
        small = sim.render("front", 256, 256)
        assert small.shape == (256, 256, 3)
        other = Simulation(arms.wx250s())
        np.testing.assert_array_equal(other.render("front"), own)
        np.testing.assert_array_equal(other.render("front", 256, 256), small)
        other.close()
    finally:
        sim.close()


@pytest.mark.sim
def test_the_camera_sees_the_blocks_where_its_geometry_says(sim: Simulation) -> None:
    """Projects each block by the robot file's pose and opening, and finds its colour there."""
    camera = sim.robot.camera("front")
    axes = world.camera_axes(camera.forward)
    focal = camera.height / 2 / np.tan(np.radians(camera.fovy_deg) / 2)
    assert focal == pytest.approx(623.588, rel=2e-3)  # SIMPLER's intrinsics of the C920
    try:
        image = sim.render("front").astype(int)
    finally:
        sim.close()
    for thing in things.BLOCKS.things:
        name, (red, green, blue, _) = thing.name, thing.rgba
        right, up, back = axes.T @ (sim.object_poses()[name].xyz_m - camera.position_m)
        column = round(camera.width / 2 + focal * right / -back)
        row = round(camera.height / 2 - focal * up / -back)
        pixel = image[row, column]
        wanted = np.array([red, green, blue]) / max(red, green, blue)
        assert np.abs(pixel / pixel.max() - wanted).max() < 0.25, f"{name}: {pixel}"


@pytest.mark.sim
def test_a_snapshot_renders_the_moment_it_was_taken(sim: Simulation) -> None:
    try:
        before, snapshot = sim.render("front"), sim.snapshot()
        go(sim, "wx250s", sim.robot.arms[0].start_rad)
        assert not np.array_equal(sim.render("front"), before)
        np.testing.assert_array_equal(sim.render_snapshot(snapshot, "front", 640, 480), before)
    finally:
        sim.close()


@pytest.mark.sim
def test_each_thread_renders_with_its_own_context(sim: Simulation) -> None:
    expected = sim.render("front", 128, 96)
    found: list[np.ndarray] = []

    def work() -> None:
        try:
            found.append(sim.render("front", 128, 96))
        finally:
            sim.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    sim.close()
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.sim
def test_impossible_pictures_are_refused(sim: Simulation) -> None:
    with pytest.raises(ConfigError, match="unknown camera 'back'"):
        sim.render("back")
    with pytest.raises(ConfigError, match="at most 640x480"):
        sim.render("front", 1280, 720)
    with pytest.raises(ConfigError, match="cannot render 0x10"):
        sim.render("front", 0, 10)
