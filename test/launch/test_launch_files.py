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


def test_demo_launch_closes_the_loop(
    ros_context: None, debug_checkpoint: Path, repository: Path, tmp_path: Path
) -> None:
    """demo.launch.py includes sim.launch.py and policy.launch.py: all three are run here."""
    from harness import Operator, spinning, wait_for

    from lapa_core import robot as robots

    operator = Operator(robots.load("wx250s"))
    path = repository / "launch" / "demo.launch.py"
    arguments = (f"checkpoint:={debug_checkpoint}", "instruction:=yes", "sample:=true")
    with spinning(operator), launched(path, tmp_path / "log", *arguments):
        wait_for(lambda: operator.policy_status == "deciding", "a deciding policy", 60.0)
        assert operator.call("enable").success, operator.state
        wait_for(lambda: operator.state[0] == "policy", "authority policy")
        wait_for(lambda: len(operator.executed) > 3, "executed deltas")
        # `instruction:=yes` is a sentence, not a boolean.
        wait_for(
            lambda: operator.diagnostics["policy_node"][1]["instruction"] == "yes", "instruction"
        )


@pytest.fixture(scope="session")
def ros_context() -> Iterator[None]:
    import rclpy

    rclpy.init()
    yield
    rclpy.try_shutdown()
