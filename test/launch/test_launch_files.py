# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Every launch file starts what it says, through the installed executables, and ends cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.sim, pytest.mark.timeout(180)]

RUNNER = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = [a.split(":=", 1) for a in sys.argv[2:]]
service = LaunchService(argv=sys.argv[2:])
source = PythonLaunchDescriptionSource(sys.argv[1])
include = IncludeLaunchDescription(source, launch_arguments=arguments)
service.include_launch_description(LaunchDescription([include]))
raise SystemExit(service.run())
"""


@contextmanager
def launched(path: Path, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`ros2 launch` of a file in a process of its own; interrupted at the end, as by Ctrl-C."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(path), *arguments],
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=20)
    text = log.read_text()
    assert "Traceback" not in text, text
    assert "process has died" not in text, text


@pytest.fixture(scope="session", params=["wx250s", "bimanual_wx250s"])
def robot_and_checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A robot of one arm and one of two, each with a fresh checkpoint of its own."""
    from lapa_core.cli import main

    out = tmp_path_factory.mktemp("launched") / "checkpoint"
    argv = ["init", str(out), "--preset", "debug", "--robot", request.param, "--seed", "1"]
    assert main(argv) == 0
    return request.param, out


def test_demo_launch_closes_the_loop(
    ros_context: None,
    robot_and_checkpoint: tuple[str, Path],
    repository: Path,
    tmp_path: Path,
) -> None:
    """demo.launch.py includes sim.launch.py and policy.launch.py: all three are run here."""
    from harness import Operator, spinning, wait_for

    from lapa_core import robot as robots

    name, checkpoint = robot_and_checkpoint
    operator = Operator(robots.load(name))
    path = repository / "launch" / "demo.launch.py"
    arguments = (f"robot:={name}", f"checkpoint:={checkpoint}", "instruction:=yes", "sample:=true")
    with spinning(operator), launched(path, tmp_path / "log", *arguments):
        wait_for(lambda: operator.policy_status == "deciding", "a deciding policy", 60.0)
        assert operator.call("enable").success, operator.state
        wait_for(
            lambda: len(operator.executed) > 3,
            "executed deltas",
            30.0,
            seen=lambda: operator.authority[-5:],
        )
        assert list(operator.executed[-1].joint_names) == list(operator.robot.dimensions)
        # `instruction:=yes` is a sentence, not a boolean.
        wait_for(
            lambda: operator.diagnostics["policy_node"][1]["instruction"] == "yes", "instruction"
        )


def test_robot_launch_runs_the_arm_node_beside_a_running_driver(
    ros_context: None, repository: Path, tmp_path: Path
) -> None:
    from harness import Operator, StandInArm, spinning, wait_for

    from lapa_core import robot as robots

    robot = robots.load("wx250s").with_backend("ros2_control")
    arm, operator = StandInArm(robot), Operator(robot)
    operator.act_as_policy()
    path = repository / "launch" / "robot.launch.py"
    arguments = ("robot:=wx250s", "backend:=ros2_control", "speed_scale:=0.5")
    with spinning(arm, operator), launched(path, tmp_path / "log", *arguments):
        wait_for(lambda: operator.state[0] == "hold", "the first authority", 30.0)
        wait_for(lambda: operator.call("enable").success, "an enabled arm", poll_s=0.2)

        def executed() -> bool:
            operator.send(operator.chunk((0.02, 0.0, 0.0)))
            return bool(operator.executed)

        wait_for(executed, "an executed delta", poll_s=0.2, seen=lambda: operator.authority[-3:])
        assert operator.executed[0].points[0].positions[0] == pytest.approx(0.01)  # half of it
        wait_for(lambda: arm.commands, "commands")


def test_a_session_is_recorded_beside_the_simulation(
    ros_context: None, repository: Path, tmp_path: Path
) -> None:
    """sim.launch.py and record.launch.py side by side, as two terminals."""
    from harness import spinning
    from recorder_rig import Person

    from lapa_core.recording import episode as episodes

    person, launch = Person(), repository / "launch"
    arguments = ("robot:=wx250s", "reset_s:=0", "episodes:=1", "device:=browser", "port:=0")
    task = ("task:=yes", f"folder:={tmp_path / 'data'}")
    with (
        spinning(person),
        launched(launch / "sim.launch.py", tmp_path / "sim.log", "robot:=wx250s"),
        launched(launch / "record.launch.py", tmp_path / "log", *arguments, *task),
    ):
        person.wait("idle")
        assert person.press("start")[0]
        assert person.press("save")[0]
        assert person.wait("done").counter == "1 of 1"
    assert episodes.read(tmp_path / "data" / "episode_0000").instruction == "yes"


@pytest.fixture(scope="session")
def ros_context() -> Iterator[None]:
    import rclpy

    rclpy.init()
    yield
    rclpy.try_shutdown()
