# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The doctor on made-up streams and graphs: every fault gets its own finding. No ROS."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from lapa_core import robot as robots
from lapa_core.robot import Arm, Camera
from lapa_ros.doctor import driver, graph, pictures, streams
from lapa_ros.doctor.finding import Finding, worst
from lapa_ros.doctor.graph import Endpoint, Graph

ROBOT = robots.load("wx250s")
ARM, CAMERA = ROBOT.arms[0], ROBOT.cameras[0]
START, TOPIC = "ros2 launch the_driver", "/wx250s/joint_states"


def one(findings: list[Finding], what: str) -> Finding:
    found = [f for f in findings if what in f.what]
    assert len(found) == 1, [f.what for f in findings]
    return found[0]


# Joint states ------------------------------------------------------------------------------


def resting(count: int = 300, hz: float = 100.0, arm: Arm = ARM) -> streams.JointLog:
    """A second's worth of an arm that stands in its start pose."""
    names = (*arm.joints, "gripper", arm.gripper.joint, "right_finger")
    position = np.array([*arm.start_rad, 0.0, arm.gripper.open, -arm.gripper.open])
    log = streams.JointLog()
    for k in range(count):
        log.arrived_s.append(5.0 + k / hz)
        log.age_s.append(0.001)
        log.names.append(names)
        log.position.append(position.copy())
    return log


def test_a_resting_arm_is_fine() -> None:
    found = streams.check(ARM, TOPIC, resting(), 1, START)
    assert worst(found) == "ok" and len(found) == 6
    assert "100.0 Hz" in one(found, "rate").measured


def test_nobody_publishes_and_a_silent_publisher_are_told_apart() -> None:
    absent = streams.check(ARM, TOPIC, streams.JointLog(), 0, START)
    assert (absent[0].level, absent[0].advice) == ("fail", START)
    silent = streams.check(ARM, TOPIC, streams.JointLog(), 1, START)
    assert silent[0].level == "fail" and "silent" in silent[0].measured
    broken = streams.check(
        ARM, TOPIC, streams.JointLog(malformed=["9 names but 8 positions"]), 1, START
    )
    assert "9 names" in broken[0].measured


def test_two_publishers_of_joint_states_fail() -> None:
    assert one(streams.check(ARM, TOPIC, resting(), 2, START), "publishers").level == "fail"


def test_missing_joints_are_listed_with_what_came() -> None:
    log = resting()
    log.names = [tuple(f"left_{n}" for n in names) for names in log.names]
    found = streams.check(ARM, TOPIC, log, 1, START)
    names = one(found, "names")
    assert names.level == "fail" and "missing waist" in names.measured
    assert "left_waist" in names.measured and not [f for f in found if "plausib" in f.what]


@pytest.mark.parametrize(
    ("hz", "level"), [(100, "ok"), (30, "ok"), (55, "warn"), (15, "warn"), (5, "fail")]
)
def test_rates_of_driver_simulator_slow_bus_and_slow_controller(hz: float, level: str) -> None:
    assert streams.rate("arm", resting(hz=hz)).level == level


def test_a_gap_is_measured_against_the_hold_of_arm_node() -> None:
    for gap_s, level in ((0.05, "ok"), (0.15, "warn"), (0.4, "fail")):
        log = resting()
        log.arrived_s = [t + (gap_s if k > 100 else 0.0) for k, t in enumerate(log.arrived_s)]
        assert streams.gaps("arm", log).level == level
    # The driver kept time, only this computer did not: no fault of the robot.
    log.age_s[101:] = [0.401] * len(log.age_s[101:])
    assert streams.gaps("arm", log).level == "warn"


@pytest.mark.parametrize(("age_s", "level"), [(0.001, "ok"), (0.3, "warn"), (-0.2, "warn")])
def test_clocks_that_disagree_get_chrony(age_s: float, level: str) -> None:
    log = resting()
    log.age_s = [age_s] * len(log.age_s)
    found = streams.age("arm", log)
    assert found.level == level and (level == "ok") == ("chrony" not in found.advice)


def test_failed_reads_jumps_and_limits_are_counted_apart() -> None:
    log = resting()
    log.position[50][:6] = -math.pi  # every motor's raw zero
    log.position[120][2] = -math.pi  # one motor's
    log.position[200][0] += 0.7
    log.position[230][1] = 2.5
    log.position[260][0] = math.nan
    (found,) = streams.plausible("arm", ARM, log)
    assert found.level == "fail" and "5 of 300" in found.measured
    for words in ("2 with a joint at -pi", "1 with a jump", "1 outside the limits", "not finite"):
        assert words in found.measured
    assert "cable" in found.advice
    once = resting()
    once.position[120][2] = -math.pi
    assert streams.plausible("arm", ARM, once)[0].level == "warn"


def test_without_a_urdf_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    lost = replace(ARM, urdf=str(tmp_path / "none.urdf"))
    found = streams.check(lost, TOPIC, resting(), 1, START)
    assert worst(found) == "ok" and not [f for f in found if "plausib" in f.what]


# Cameras -----------------------------------------------------------------------------------

AROUND = pictures.Around(
    topic="/camera/front/image_raw",
    kinds=("sensor_msgs/msg/Image",),
    others=(),
    simulated=False,
    step_time_s=0.2,
)


def frames(count: int = 90, hz: float = 30.0, camera: Camera = CAMERA) -> pictures.FrameLog:
    """Three seconds of a camera as it should be."""
    stamps = [k * round(1e9 / hz) for k in range(count)]
    return pictures.FrameLog(
        arrived_s=[5.0 + s * 1e-9 for s in stamps],
        age_s=[0.03] * count,
        stamps_ns=stamps,
        digests=list(range(count)),
        sizes={(camera.width, camera.height)},
        encodings={"rgb8"},
        means=[120.0] * (count // 10),
        reliable_ns=stamps.copy(),
    )


def test_a_camera_as_it_should_be_is_fine() -> None:
    found = pictures.check(CAMERA, frames(), AROUND)
    assert worst(found) == "ok" and len(found) == 7


def ages(seconds: float) -> Callable[[pictures.FrameLog], None]:
    return lambda log: setattr(log, "age_s", [seconds] * len(log.age_s))


FAULTS = {
    "other size": (lambda log: setattr(log, "sizes", {(320, 240)}), "size", "fail", "320x240"),
    "16 bit": (lambda log: log.undecodable.append("unknown encoding '16UC1'"), "encoding", "fail",
               "16UC1"),
    "black": (lambda log: setattr(log, "means", [1.0]), "brightness", "fail", "1 of 255"),
    "white": (lambda log: setattr(log, "means", [253.0]), "brightness", "warn", "253"),
    "frozen": (lambda log: setattr(log, "digests", [7] * 90), "repeated", "fail", "89 of 89"),
    "doubled": (lambda log: setattr(log, "digests", [k // 2 for k in range(90)]), "repeated",
                "warn", "45 of 89"),
    "offset of usb_cam": (ages(0.6), "age", "warn", "600 ms"),
    "too old for arm_node": (ages(1.4), "age", "fail", "1400 ms"),
    "from the future": (ages(-0.4), "age", "fail", "-400 ms"),
    "a tenth lost": (lambda log: log.stamps_ns.__delitem__(slice(5, 14)), "lost", "warn", "%"),
    "most lost": (lambda log: log.stamps_ns.__delitem__(slice(5, 80)), "lost", "fail", "%"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_camera_gets_its_own_finding_alone(name: str) -> None:
    spoil, what, level, word = FAULTS[name]
    log = frames()
    spoil(log)
    found = pictures.check(CAMERA, log, AROUND)
    bad = one(found, what)
    assert bad.level == level and word in bad.measured, bad
    assert [f for f in found if f.level != "ok"] == [bad]


@pytest.mark.parametrize(("hz", "level"), [(30, "ok"), (28, "ok"), (15, "warn"), (3, "fail")])
def test_camera_rates(hz: float, level: str) -> None:
    assert pictures.rate("camera", CAMERA, frames(30, hz), AROUND).level == level


def test_pictures_of_a_simulation_may_repeat() -> None:
    log = frames()
    log.digests = [1] * 90
    assert worst(pictures.content("camera", log, simulated=True)) == "ok"


def test_a_driver_that_publishes_best_effort_has_no_losses_to_compare() -> None:
    log = frames()
    log.reliable_ns = []
    assert pictures.losses("camera", log) == []


def around(**changes: object) -> pictures.Around:
    return pictures.Around(**{**AROUND.__dict__, **changes})


def test_a_camera_under_another_name_is_found() -> None:
    """RealSense drivers publish /camera/camera/color/image_raw."""
    others = ["/camera/camera/color/image_raw", "/arducam/image"]
    found = pictures.check(CAMERA, pictures.FrameLog(), around(kinds=(), others=others))
    assert [f.level for f in found] == ["fail"]
    assert others[0] in found[0].measured
    assert f"-r {others[0]}:=/camera/front/image_raw" in found[0].advice
    nothing = pictures.check(CAMERA, pictures.FrameLog(), around(kinds=()))
    assert "start the camera's driver" in nothing[0].advice


def test_silent_lost_and_mistyped_cameras_are_told_apart() -> None:
    log = pictures.FrameLog()
    assert "silent" in pictures.check(CAMERA, log, AROUND)[0].measured
    compressed = around(kinds=("sensor_msgs/msg/CompressedImage",))
    assert "/compressed" in pictures.check(CAMERA, log, compressed)[0].advice
    log.reliable_ns = [1, 2, 3]
    lost = pictures.check(CAMERA, log, AROUND)[0]
    assert "lost" in lost.measured and "FASTRTPS" in lost.advice
    assert pictures.wanted_kind("a/image_raw/compressed") == "sensor_msgs/msg/CompressedImage"


def test_a_camera_for_people_is_at_worst_a_warning() -> None:
    found = pictures.check(CAMERA, pictures.FrameLog(), AROUND)[0]
    watched = pictures.only_watched(found)
    assert watched.level == "warn" and watched.advice == found.advice
    fine = pictures.check(CAMERA, frames(), AROUND)[0]
    assert pictures.only_watched(fine) == fine


# Graph and driver --------------------------------------------------------------------------

SIMULATED = ROBOT.with_backend("ros2_control")
REAL = ROBOT.with_backend("interbotix")
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
JOINTS = "/wx250s/arm_controller/joint_trajectory"


def test_names_are_resolved_as_ros_does() -> None:
    assert graph.resolve("", "a/b") == "/a/b"
    assert graph.resolve("/cell", "a") == graph.resolve("cell", "a") == "/cell/a"
    assert graph.resolve("cell", "/a") == "/a"


def test_a_rival_is_named_and_arm_node_is_none() -> None:
    mine = Endpoint("/arm_node", TRAJECTORY)
    alone = graph.rivals(Graph(publishers={JOINTS: (mine,)}), SIMULATED, "")
    assert worst(alone) == "ok" and len(alone) == 4
    rival = Endpoint("/moveit/servo", TRAJECTORY)
    found = graph.rivals(Graph(publishers={JOINTS: (mine, rival)}), SIMULATED, "")
    bad = one(found, JOINTS)
    assert bad.level == "fail" and "stop /moveit/servo" in bad.advice


def test_an_arm_node_of_another_namespace_is_a_rival() -> None:
    other = Endpoint("/other/arm_node", TRAJECTORY)
    found = graph.rivals(Graph(publishers={JOINTS: (other,)}), SIMULATED, "")
    assert one(found, JOINTS).level == "fail"


def test_two_policies_are_named() -> None:
    ends = (Endpoint("/policy_node", TRAJECTORY), Endpoint("/rosbag2_player", TRAJECTORY))
    found = graph.rivals(Graph(publishers={"/policy/ee_delta": ends}), SIMULATED, "")
    assert "/rosbag2_player" in one(found, "policy/ee_delta").measured


def test_our_nodes_are_counted() -> None:
    none = graph.nodes(Graph(), "")
    assert [f.level for f in none] == ["warn", "warn"]
    twice = graph.nodes(Graph(nodes=("/arm_node", "/arm_node", "/policy_node")), "")
    assert [f.level for f in twice] == ["fail", "ok"]


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("policy: moving", "ok"),
        ("hold: disabled: call enable", "ok"),
        ("hold: joint states of wx250s are 0.41 s old", "warn"),
        ("estop: estop requested", "warn"),
    ],
)
def test_the_authority_and_its_reason(text: str, level: str) -> None:
    found = graph.authority(text, {})
    assert [f.level for f in found] == [level]
    assert ("reset" in found[0].advice) == text.startswith("estop")


def test_a_loop_that_does_not_keep_time_is_a_warning() -> None:
    for p99, level in ((24.0, "ok"), (41.0, "warn")):
        values = {"rate_hz": "50.0", "period_ms_p99": str(p99)}
        assert graph.authority("policy: x", values)[1].level == level


def test_the_policys_status() -> None:
    assert graph.policy("") == []
    for text, level in (("deciding", "ok"), ("waiting: camera front silent", "warn")):
        assert graph.policy(text)[0].level == level


def test_a_missing_driver_and_one_under_another_name() -> None:
    absent = driver.check(Graph(), REAL, "")
    assert worst(absent) == "fail"
    assert "/wx250s/get_robot_info" in one(absent, "driver of").measured
    assert "robot_name:=wx250s" in one(absent, "driver of").advice
    elsewhere = Graph(services={"/follower_left/get_robot_info": ("x",)})
    found = one(driver.check(elsewhere, REAL, ""), "driver of")
    assert "/follower_left" in found.measured and "namespace: follower_left" in found.advice


def test_one_missing_service_is_named() -> None:
    names = [f"/wx250s/{s}" for s in driver.XS_SERVICES]
    there = Graph(services=dict.fromkeys(names, ("x",)))
    assert one(driver.check(there, REAL, ""), "driver of").level == "ok"
    less = Graph(services=dict.fromkeys(names[1:], ("x",)))
    found = one(driver.check(less, REAL, ""), "driver of")
    assert found.level == "fail" and found.measured.endswith("get_robot_info")


def test_a_controller_that_reads_another_type_is_told_from_none() -> None:
    none = one(driver.check(Graph(), SIMULATED, ""), JOINTS)
    assert none.level == "fail" and "list_controllers" in none.advice
    ends = (Endpoint("/controller", "std_msgs/msg/Float64MultiArray"),)
    wrong = one(driver.check(Graph(subscribers={JOINTS: ends}), SIMULATED, ""), JOINTS)
    assert wrong.level == "fail" and "Float64MultiArray" in wrong.advice


def test_moveit_servo_is_known_by_its_services_and_topics(repository: Path) -> None:
    content = yaml.safe_load((repository / "config/robots/wx250s.yaml").read_text())
    gripper = {"topic": "hand/commands", "kind": "forward"}
    for command, service, topic in (
        ("pose", "switch_command_type", "pose_target_cmds"),
        ("twist", "start_servo", "delta_twist_cmds"),
    ):
        servo = {"node": "servo_node", "command": command, "gripper": gripper}
        content["arms"][0]["drivers"]["moveit_servo"] = servo
        robot = robots.parse(content, "mine.yaml").with_backend("moveit_servo")
        found = driver.check(Graph(), robot, "cell")
        assert f"/cell/servo_node/{service}" in one(found, "MoveIt Servo").measured
        assert one(found, f"/cell/servo_node/{topic}").level == "fail"
        assert "Float64MultiArray" in one(found, "/cell/hand/commands").expected
