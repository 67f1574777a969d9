# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Somebody else's bags through a mapping file: the same samples as from a recording of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from recorded import (
    BEGIN_NS,
    STORE,
    EpisodeMaker,
    Script,
    image_message,
    joints_message,
    message,
    pose_message,
    wander,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from lapa_core import description
from lapa_core import robot as robots
from lapa_core.control.compose import Pose, compose, difference
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.data import mapping
from lapa_core.data.episodes import open_episode
from lapa_core.data.samples import SampleParams, Samples
from lapa_core.errors import ConfigError, DataError

ROBOT = robots.load("wx250s")
ARM = ROBOT.arms[0]
RENAMED = tuple(f"follower_{j}" for j in ARM.joints)
FK = ArmKinematics(ARM, description.for_arm(ARM)).fk
SECONDS = 4.0
BASE: dict[str, Any] = {
    "format": 1,
    "robot": "wx250s",
    "instruction": "put the red block in the bin",
    "cameras": {"front": {"topic": "/cam_high/color", "width": 64, "height": 48}},
    "arms": {
        "wx250s": {
            "joints": "/follower/joint_states",
            "joint_names": list(RENAMED),
            "gripper": {"topic": "/follower/gripper", "closed": 0.0, "open": 80.0},
        }
    },
}


def joints_at(at_s: float, lead_s: float = 0.0) -> np.ndarray:
    """The follower's joints; a leader's are ahead of them."""
    turn = 0.3 * np.sin(1.5 * max(0.0, min(at_s + lead_s, 3.5) - 0.5))
    return ARM.start_rad + turn * np.array([1.0, 0.5, -0.5, 0.2, 0.3, 0.1])


def opening_at(at_s: float) -> float:
    return 1.0 if at_s < 2.0 else 0.0


def write(
    path: Path, keep: Callable[[str], bool] = lambda topic: True, storage: str = "mcap"
) -> Path:
    """A recording of another program: its own names, another gripper unit, no targets of ours."""
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    sent: list[tuple[float, str, str, Any]] = []
    for k in range(round(50 * SECONDS)):
        t = 0.02 * k
        ns = BEGIN_NS + round(t * 1e9)
        finger = STORE.types["std_msgs/msg/Float64"](data=80.0 * opening_at(t))
        grip = STORE.types["std_msgs/msg/Float32"](data=opening_at(t + 0.1))
        # Two publishers share the topic of joint states, and the arm's are in another order.
        other = joints_message(ns, ("x_follower_waist", "lift"), np.zeros(2))
        arm = joints_message(ns, RENAMED[::-1], joints_at(t)[::-1].copy())
        sent += [
            (t, "/follower/joint_states", "sensor_msgs/msg/JointState", other),
            (t + 0.001, "/follower/joint_states", "sensor_msgs/msg/JointState", arm),
            (t, "/leader/joint_states", "sensor_msgs/msg/JointState",
             joints_message(ns, ARM.joints, joints_at(t, 0.1))),
            (t, "/follower/gripper", "std_msgs/msg/Float64", finger),
            (t, "/leader/grip", "std_msgs/msg/Float32", grip),
            (t, "/tool", "geometry_msgs/msg/PoseStamped", pose_message(ns, FK(joints_at(t)))),
        ]  # fmt: skip
    for k in range(round(30 * SECONDS)):
        t = k / 30
        picture = np.full((48, 64, 3), k, dtype=np.uint8)
        ns = BEGIN_NS + round(t * 1e9)
        compressed = image_message(ns, picture, compressed=True)
        raw = image_message(ns, picture, compressed=False)
        sent.append((t, "/cam_high/color", "sensor_msgs/msg/CompressedImage", compressed))
        sent.append((t, "/cam_raw", "sensor_msgs/msg/Image", raw))
    sent.append((0.1, "/task", "std_msgs/msg/String", message("String", data="open the drawer")))
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        known: dict[str, Any] = {}
        for t, topic, kind, msg in sorted(sent, key=lambda m: m[0]):
            if keep(topic):
                if topic not in known:
                    known[topic] = writer.add_connection(topic, kind, typestore=STORE)
                raw_bytes = STORE.serialize_cdr(msg, kind)
                writer.write(known[topic], BEGIN_NS + round(t * 1e9), raw_bytes)
    return path


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("foreign") / "run_7")


def changed(path: Path, change: Callable[[dict[str, Any]], Any]) -> mapping.Mapping:
    content = yaml.safe_load(yaml.safe_dump(BASE))
    change(content)
    file = path / "foreign.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return mapping.read(file)


def samples(bag: Path, found: mapping.Mapping, **params: Any) -> Samples:
    return Samples(mapping.open_bag(bag, found), SampleParams(cameras=("front",), **params))


def the_way(start_s: float, end_s: float) -> np.ndarray:
    return difference(FK(joints_at(start_s)), FK(joints_at(end_s)))


def test_joints_become_samples_by_kinematics(bag: Path, tmp_path: Path) -> None:
    """Labels are what the follower reached; pictures, words, state and gripper as in the bag."""
    found = samples(bag, changed(tmp_path, lambda c: None), labels="reached")
    got = list(found)
    assert not found.refused
    assert 14 <= len(got) <= 20
    for sample in got:
        t = (sample.time_ns - BEGIN_NS) * 1e-9
        assert abs(int(np.median(sample.observation.images["front"])) - np.floor(t * 30)) <= 2
        assert sample.observation.instruction == "put the red block in the bin"
        assert sample.authority == "teleop"
        np.testing.assert_allclose(sample.action[:6], the_way(t, t + 0.2), atol=1e-3)
        assert sample.action[6] == opening_at(t + 0.2 - 0.02)
        assert sample.observation.state["wx250s/gripper"] == pytest.approx(opening_at(t))
    pose = Pose(np.zeros(3), np.eye(3))
    for sample in got:
        pose = compose(pose, sample.action)
    assert max(np.linalg.norm(s.action[:3]) for s in got) > 0.01
    np.testing.assert_allclose(pose.xyz_m, the_way(0.0, 4.0)[:3], atol=2e-3)


def test_a_pose_topic_gives_the_same_as_joints(bag: Path, tmp_path: Path) -> None:
    def by_pose(content: dict[str, Any]) -> None:
        content["arms"]["wx250s"] = {
            "pose": "/tool",
            "gripper": content["arms"]["wx250s"]["gripper"],
        }

    by_joints = list(samples(bag, changed(tmp_path, lambda c: None)))
    others = list(samples(bag, changed(tmp_path, by_pose)))
    assert len(others) == len(by_joints)
    for one, other in zip(by_joints, others, strict=True):
        np.testing.assert_allclose(one.action, other.action, atol=2e-3)


def test_a_leader_is_the_command_and_the_follower_what_was_reached(
    bag: Path, tmp_path: Path
) -> None:
    def led(content: dict[str, Any]) -> None:
        arm = content["arms"]["wx250s"]
        arm["target"] = "/leader/joint_states"
        arm["target_joint_names"] = list(ARM.joints)
        arm["gripper"]["command"] = {"topic": "/leader/grip", "closed": 0.0, "open": 1.0}

    found = changed(tmp_path, led)
    assert found.commanded
    commanded = list(samples(bag, found, trim_idle=False))
    reached = list(samples(bag, found, trim_idle=False, labels="reached"))
    middle = [s for s in commanded if 1.0 < (s.time_ns - BEGIN_NS) * 1e-9 < 3.0]
    for sample in middle:
        t = (sample.time_ns - BEGIN_NS) * 1e-9
        np.testing.assert_allclose(sample.action[:6], the_way(t + 0.1, t + 0.3), atol=4e-3)
        assert sample.action[6] == opening_at(t + 0.2 + 0.1 - 0.02)
    assert len(reached) == len(commanded)
    apart = [a.action[:3] - b.action[:3] for a, b in zip(reached, commanded, strict=True)]
    assert np.linalg.norm(apart, axis=1).max() > 5e-3


def test_words_from_a_topic_and_by_bag(bag: Path, tmp_path: Path) -> None:
    spoken = changed(tmp_path, lambda c: c.update(instruction={"topic": "/task"}))
    assert {s.observation.instruction for s in samples(bag, spoken)} == {"open the drawer"}
    listed = changed(tmp_path, lambda c: c.update(instruction={"bags": {"run_7": "close it"}}))
    assert next(iter(samples(bag, listed))).observation.instruction == "close it"
    other = changed(tmp_path, lambda c: c.update(instruction={"bags": {"run_8": "close it"}}))
    with pytest.raises(DataError, match=r"unknown bag 'run_7'.*valid: 'run_8'"):
        mapping.open_bag(bag, other)


def test_raw_pictures_and_sqlite(tmp_path: Path) -> None:
    path = write(tmp_path / "bags" / "old", storage="sqlite3")
    camera = {"topic": "/cam_raw", "width": 64, "height": 48}
    found = changed(tmp_path, lambda c: c.update(cameras={"front": camera}))
    assert mapping.find(tmp_path / "bags") == [path]
    got = list(samples(path, found))
    assert len(got) >= 14
    assert not samples(path, found).refused


def test_two_arms_by_their_own_topics(tmp_path: Path) -> None:
    """A recording of two arms read as a stranger's: the same way, each gripper its own."""
    maker = EpisodeMaker("bimanual_wx250s")
    steps = {round(1.0 + 0.2 * i, 3): s for i, s in enumerate(wander(0, 10, 14))}
    folder = maker.write(tmp_path / "e", Script(steps, 3.5, rested=False))
    camera = maker.robot.cameras[0]
    content: dict[str, Any] = {
        "format": 1,
        "robot": "bimanual_wx250s",
        "instruction": "x",
        "cameras": {camera.name: {"topic": f"/{camera.topic}", "width": 64, "height": 48}},
        "arms": {},
    }
    for arm in maker.robot.arms:
        content["arms"][arm.name] = {
            "pose": f"/{arm.name}/ee_pose",
            "target": f"/{arm.name}/ee_target",
            "gripper": {
                "topic": f"/{arm.joint_states}",
                "joint": arm.gripper.joint,
                "closed": arm.gripper.closed,
                "open": arm.gripper.open,
            },
        }
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    chosen = SampleParams((camera.name,))
    foreign = list(Samples(mapping.open_bag(folder, mapping.read(file)), chosen))
    ours = list(Samples(open_episode(folder), chosen))
    for columns in (slice(0, 7), slice(7, 14)):
        ends = []
        for got in (foreign, ours):
            pose = Pose(np.zeros(3), np.eye(3))
            for sample in got:
                pose = compose(pose, sample.action[columns])
            ends.append(pose.xyz_m)
        np.testing.assert_allclose(*ends, atol=1e-6)
    assert {tuple(s.action[[6, 13]].round(6)) for s in foreign} == {(0.25, 0.75)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(robot="wx25s"), "unknown robot 'wx25s'"),
        (lambda c: c.update(colour=1), "unknown key 'colour' in"),
        (lambda c: c.pop("instruction"), "'instruction' is missing"),
        (lambda c: c.update(instruction={"tpic": "/x"}), "instruction must be text, or have"),
        (lambda c: c["cameras"].update(frnt="/x"), "unknown key 'frnt'.*valid:.*'front'"),
        (lambda c: c.update(cameras={}), "must name at least one camera"),
        (lambda c: c["cameras"]["front"].pop("width"), "cameras: front: 'width' is missing"),
        (lambda c: c["arms"].update(left={}), "unknown key 'left'"),
        (lambda c: c["arms"]["wx250s"].update(pose="/tool"), "either `pose`"),
        (lambda c: c["arms"]["wx250s"]["gripper"].update(open=0.0), "open and closed are both 0"),
        (lambda c: c["arms"]["wx250s"].update(tagret="/x"), "unknown key 'tagret'.*did you mean"),
        (lambda c: c["arms"]["wx250s"].update(joint_names=["a"]), "1 joint names for 6 joints"),
    ],
)
def test_a_wrong_mapping_names_the_key(
    change: Callable[[dict[str, Any]], Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        changed(tmp_path, change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["cameras"]["front"].update(topic="/cam"), "unknown topic '/cam'"),
        (lambda c: c["cameras"]["front"].update(topic="/tool"), "/tool holds geometry_msgs"),
        (lambda c: c["arms"]["wx250s"].update(joints="/task"), "/task holds std_msgs/msg/String"),
        (
            lambda c: c["arms"]["wx250s"]["gripper"].update(
                topic="/leader/joint_states", joint="jaw"
            ),
            "unknown joint 'jaw' in .*/leader/joint_states; valid: 'waist'",
        ),
        (
            lambda c: c["arms"]["wx250s"].pop("joint_names"),
            "unknown joint 'waist' in .*/follower/joint_states",
        ),
    ],
)  # fmt: skip
def test_a_mapping_that_does_not_fit_the_bag_names_the_topic(
    change: Callable[[dict[str, Any]], Any], words: str, bag: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=words):
        mapping.open_bag(bag, changed(tmp_path, change))


def test_pictures_of_another_size_are_refused_by_name(bag: Path, tmp_path: Path) -> None:
    found = samples(bag, changed(tmp_path, lambda c: c["cameras"].update(front="/cam_high/color")))
    assert not list(found)
    assert (
        "camera front sends 64x48 images, the robot file says 640x480" in found.refused[0].reason
    )


def test_a_mapping_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "foreign.yaml").write_bytes(b"format: \xff")
    with pytest.raises(ConfigError, match="is not YAML"):
        mapping.read(tmp_path / "foreign.yaml")


def test_no_bag_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no bag"):
        mapping.find(tmp_path)
