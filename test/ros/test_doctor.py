# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa doctor` as a process, against a simulated robot, against faulty ones and against nothing.

Everything is real: the nodes, DDS, and the command line a user types.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import interfaces
import numpy as np
import pytest
from harness import Operator, StandInArm, StandInCamera, spinning, started, wait_for
from rclpy.node import Node
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from trajectory_msgs.msg import JointTrajectory

from lapa_core import robot as robots
from lapa_ros import convert, environment, interface
from lapa_ros.doctor import listen
from lapa_ros.doctor.finding import Finding

SECONDS = "1.5"


@dataclass
class Examined:
    """What one run of the doctor came to."""

    code: int
    text: str
    took_s: float
    findings: list[Finding]

    def one(self, what: str) -> Finding:
        found = [f for f in self.findings if what in f.what]
        assert len(found) == 1, self.text
        return found[0]

    def levels(self, *whats: str) -> list[str]:
        return [self.one(what).level for what in whats]

    @property
    def fails(self) -> list[str]:
        return [f.what for f in self.findings if f.level == "fail"]


def examine(tmp_path: Path, *arguments: str) -> Examined:
    """Run the command and read what it printed and wrote."""
    out = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, "-m", "lapa_core.cli", "doctor", "--seconds", SECONDS, "--json", str(out),
         *arguments],
        capture_output=True, text=True, timeout=60, env={**os.environ, **interfaces.environment()},
    )  # fmt: skip
    assert done.stderr == "", done.stderr
    content = json.loads(out.read_text())
    findings = [Finding(**f) for f in content["findings"]]
    lines = done.stdout.splitlines()
    assert len(lines) == len(findings) + 1 and lines[-1].startswith("doctor: ")
    return Examined(done.returncode, done.stdout, content["took_s"], findings)


def test_with_nothing_running_it_lists_what_to_start_first_things_first(tmp_path: Path) -> None:
    found = examine(tmp_path, "--backend", "ros2_control")
    assert found.code == 1 and found.took_s < 15.0
    order = ["arm_controller", "gripper_controller", "joint states of wx250s", "camera front"]
    assert [next(w for w in order if w in what) for what in found.fails] == order
    assert "sim.launch.py" in found.one("joint states").advice
    assert found.levels("node arm_node", "node policy_node", "camera overview") == ["warn"] * 3
    assert f"first: {found.fails[0]}" in found.text


def test_a_missing_interbotix_driver_is_the_first_thing_to_start(tmp_path: Path) -> None:
    found = examine(tmp_path)
    missing = found.one("driver of wx250s")
    assert missing.level == "fail" and "/wx250s/get_robot_info" in missing.measured
    assert "robot_model:=wx250s" in missing.advice and "drops the arm" in missing.advice


@pytest.mark.sim
def test_a_simulated_robot_has_nothing_that_fails(ros_context: None, tmp_path: Path) -> None:
    operator = Operator(robots.load("wx250s"))
    arm = {"robot": "wx250s", "backend": "ros2_control"}
    with (
        started("sim_node", {"robot": "wx250s"}, tmp_path / "sim.log"),
        started("arm_node", arm, tmp_path / "arm.log"),
        spinning(operator),
    ):
        wait_for(lambda: operator.state[0] and "sim_node" in operator.diagnostics, "both nodes")
        found = examine(tmp_path, "--device", "cpu")
    assert (found.code, found.fails) == (0, []), found.text
    for what in (
        "simulation", "listener on /wx250s/arm_controller", "listener on /wx250s/gripper",
        "joint states of wx250s: names", "joint states of wx250s: plausibility",
        "camera front: size", "camera front: encoding", "camera front: brightness",
        "camera front: age", "camera overview: size", "commands on /wx250s/arm_controller",
        "node arm_node", "authority", "torch", "Fast DDS profile",
    ):  # fmt: skip
        assert found.one(what).level == "ok", (what, found.text)


@pytest.mark.sim
def test_a_camera_driver_without_the_profile_loses_frames_and_is_told_so(
    ros_context: None, tmp_path: Path
) -> None:
    """By default most best-effort frames get lost between two processes; a reliable one counts."""
    operator = Operator(robots.load("wx250s"))
    default = {environment.PROFILE_VARIABLE: ""}
    log = tmp_path / "sim.log"
    with (
        started("sim_node", {"robot": "wx250s"}, log, extra_environment=default),
        spinning(operator),
    ):
        wait_for(lambda: "sim_node" in operator.diagnostics, "the simulation")
        lost = examine(tmp_path).one("camera front: lost")
    assert lost.level in ("warn", "fail") and "FASTRTPS" in lost.advice


class Rival(Node):
    """Another program that commands the arm, and another that plays a policy's deltas."""

    def __init__(self) -> None:
        super().__init__("joystick_demo")
        for topic in ("wx250s/arm_controller/joint_trajectory", interface.POLICY_EE_DELTA):
            self.create_publisher(JointTrajectory, topic, interface.COMMAND_QOS)


@contextmanager
def glitching(arm: StandInArm, glitch_rad: float, every_s: float) -> Iterator[None]:
    """Now and then one sample that is off by so much, as a failed read of the bus gives."""
    steps = 0

    def toggle() -> None:
        nonlocal steps
        steps += 1
        arm.glitch_rad = glitch_rad if steps % 2 else 0.0

    timer = arm.create_timer(every_s / 2, toggle)
    yield
    arm.destroy_timer(timer)
    arm.glitch_rad = 0.0


def noise(msg: Image, count: int) -> None:
    """A pixel that differs from frame to frame, as a sensor's do."""
    msg.data[0] = count % 251


def test_a_faulty_robot_gets_a_finding_for_every_fault(ros_context: None, tmp_path: Path) -> None:
    """Jumping joints, a camera of another size with old stamps, and two rivals at once."""
    robot = robots.load("wx250s")
    arm, camera = StandInArm(robot), StandInCamera(robot, np.full((240, 320, 3), 90, np.uint8))
    operator, rival = Operator(robot), Rival()
    operator.act_as_policy()

    def spoil(msg: Image) -> None:
        noise(msg, camera.count)
        msg.header.stamp.sec -= 2

    camera.spoil = spoil
    with glitching(arm, 0.8, every_s=0.2), spinning(arm, camera, operator, rival):
        found = examine(tmp_path, "--backend", "ros2_control")
    assert found.code == 1
    jumps = found.one("plausibility")
    assert jumps.level == "fail" and "with a jump" in jumps.measured and "waist" in jumps.measured
    assert "320x240" in found.one("camera front: size").measured
    old = found.one("camera front: age")
    assert old.level == "fail" and "20" in old.measured and "chrony" in old.advice
    assert "stop /joystick_demo" in found.one("commands on /wx250s/arm_controller").advice
    both = found.one("deltas on /policy/ee_delta")
    assert both.level == "fail" and "/joystick_demo" in both.measured
    assert len(found.fails) == 5, found.text
    assert (
        found.levels("front: brightness", "front: repeated", "listener on /wx250s/arm")
        == ["ok"] * 3
    )


def test_a_dead_bus_a_frozen_and_black_camera(ros_context: None, tmp_path: Path) -> None:
    robot = robots.load("wx250s")
    arm, camera = StandInArm(robot), StandInCamera(robot, np.zeros((480, 640, 3), np.uint8))
    arm.silent = True
    with spinning(arm, camera):
        found = examine(tmp_path, "--backend", "ros2_control")
    assert found.code == 1
    assert "silent" in found.one("joint states of wx250s").measured
    assert "lens" in found.one("camera front: brightness").advice
    assert "frozen" in found.one("camera front: repeated").advice
    assert len(found.fails) == 3, found.text


def test_a_driver_of_another_arm_and_a_camera_of_another_name(
    ros_context: None, tmp_path: Path
) -> None:
    robot = robots.load("wx250s")
    arm = StandInArm(robot)
    arm.names = tuple(f"left_{n}" for n in arm.names)
    other = Node("realsense")
    other.create_publisher(Image, "/camera/camera/color/image_raw", interface.SENSOR_PUB_QOS)
    with spinning(arm, other):
        found = examine(tmp_path, "--backend", "ros2_control")
    names = found.one("joint states of wx250s: names")
    assert names.level == "fail" and "missing waist" in names.measured
    assert "left_waist" in names.measured
    assert "-r /camera/camera/color/image_raw:=" in found.one("camera front").advice
    assert len(found.fails) == 2, found.text


def test_two_arm_nodes_are_one_too_many(ros_context: None, tmp_path: Path) -> None:
    arm = {"robot": "wx250s", "backend": "ros2_control", "dry_run": True}
    robot = robots.load("wx250s")
    listener = Operator(robot)

    def both() -> bool:
        return listener.get_node_names().count("arm_node") == 2

    with (
        started("arm_node", arm, tmp_path / "one.log"),
        started("arm_node", arm, tmp_path / "two.log"),
        spinning(StandInArm(robot), listener),
    ):
        wait_for(both, "two arm nodes")
        found = examine(tmp_path, "--backend", "ros2_control")
    twice = found.one("node arm_node")
    assert twice.level == "fail" and "2 running" in twice.measured


@contextmanager
def xs_driver(tmp_path: Path, **parameters: object) -> Iterator[None]:
    """The stand-in of Interbotix' driver as a process, with its real messages."""
    arguments = ["--ros-args", "-r", "__ns:=/wx250s"]
    for name, value in parameters.items():
        arguments += ["-p", f"{name}:={value}"]
    script = Path(__file__).parent / "xs_driver.py"
    with (tmp_path / "xs.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(script), *arguments],
            stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, **environment.dds_variables(), **interfaces.environment()},
        )  # fmt: skip
        try:
            yield
        finally:
            process.kill()
            process.wait()


@interfaces.needs_interbotix
@pytest.mark.parametrize(
    ("parameters", "bad"),
    [
        ({}, {}),
        ({"gripper_mode": "current"}, {"driver of wx250s: gripper": "'current'"}),
        pytest.param(
            {"profile_type": "velocity"},
            {"driver of wx250s: arm": "profile_type: time"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_interbotix_driver_is_asked_how_it_is_set_up(
    ros_context: None, tmp_path: Path, parameters: dict[str, object], bad: dict[str, str]
) -> None:
    with xs_driver(tmp_path, **parameters):
        found = examine(tmp_path)
    assert found.one("package interbotix_xs_msgs").level == "ok"
    assert next(f for f in found.findings if f.what == "driver of wx250s").level == "ok"
    for what in ("driver of wx250s: arm", "driver of wx250s: gripper"):
        finding = found.one(what)
        assert finding.level == ("fail" if what in bad else "ok"), found.text
        assert bad.get(what, "") in finding.measured
    assert found.levels("wx250s: names", "wx250s: rate", "wx250s: plausibility") == ["ok"] * 3
    assert found.one("listener on /wx250s/commands/joint_group").measured == "/wx250s/xs_sdk"


def test_the_stamp_of_a_serialised_frame_is_read_without_its_pixels() -> None:
    stamp_ns = 1_795_170_308 * 10**9 + 596_312_431
    msg = convert.image_msg(np.zeros((2, 2, 3), np.uint8), "camera", stamp_ns)
    assert listen.stamp_of_cdr(serialize_message(msg)) == stamp_ns
