# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa replay`: what was recorded through the real nodes is gone again, or refused with figures.

The cell of this test's domain stands for the real robot; simulated replays have their own.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from harness import Operator, spinning, started, wait_for
from std_msgs.msg import String
from taping import Tape
from trajectory_msgs.msg import JointTrajectory

from lapa_core import paths
from lapa_core import robot as robots
from lapa_core.types import ActionChunk
from lapa_ros import convert, interface

pytestmark = [pytest.mark.sim]
STEPS = 10
RENDERING = {"MUJOCO_GL": "egl"}


def motion(dims: int) -> list[np.ndarray]:
    """Two seconds of a loop with turns and a closing gripper, at 5 Hz, for every arm."""
    steps = []
    for k in range(STEPS):
        turn = 2 * np.pi * k / STEPS
        xyz = 0.02 * np.array([np.cos(turn), np.sin(turn), 0.5 * np.sin(2 * turn)])
        rpy = 0.08 * np.array([np.sin(turn), 0.5 * np.cos(turn), -np.sin(turn)])
        steps.append(np.tile(np.concatenate([xyz, rpy, [float(k < STEPS / 2)]]), dims // 7))
    return steps


class Cell:
    """A simulated robot on this test's domain."""

    def __init__(self, name: str, folder: Path, stack: ExitStack) -> None:
        self.robot = robots.load(name).with_backend("ros2_control")
        self.text = paths.share(f"config/robots/{name}.yaml").read_text(encoding="utf-8")
        sim = {"robot": name, "camera_rate_hz": 1.0}
        stack.enter_context(
            started("sim_node", sim, folder / "sim.log", extra_environment=RENDERING)
        )
        arm = {"robot": name, "backend": "ros2_control"}
        stack.enter_context(started("arm_node", arm, folder / "arm.log"))
        q = interface
        topics = {
            q.EXECUTED_EE_DELTA: (JointTrajectory, q.EVENT_QOS),
            q.AUTHORITY: (String, q.LATCHED_QOS),
        }
        for a in self.robot.arms:
            topics[q.ee_pose(a.name)] = (PoseStamped, q.EVENT_QOS)
            topics[q.ee_target(a.name)] = (PoseStamped, q.EVENT_QOS)
        self.topics = topics
        self.operator = Operator(self.robot)

    def go_home(self) -> None:
        wait_for(lambda: self.operator.state[0] == "hold", "arm_node", 60.0)
        wait_for(lambda: self.operator.call("enable").success, "enable", 60.0)
        assert self.operator.call("home").success
        wait_for(lambda: "arrived at start" in self.operator.state[1], "the start pose", 30.0)

    def demonstrate(self, folder: Path) -> Path:
        """Record the motion."""
        tape = Tape(self.topics)
        with spinning(tape):
            wait_for(lambda: tape.count(interface.ee_pose(self.robot.arms[0].name)), "poses")
            self.operator.act_as_policy()
            wait_for(self.operator._pub.get_subscription_count, "arm_node to listen")
            due = time.monotonic()
            for k, delta in enumerate(motion(len(self.robot.dimensions))):
                now = self.operator.get_clock().now().nanoseconds
                self.operator.send(convert.chunk_msg(ActionChunk(
                    self.robot.dimensions, delta[None], np.zeros(1), now, self.robot.base_frame
                )))  # fmt: skip
                wait_for(lambda k=k: tape.count(interface.EXECUTED_EE_DELTA) > k, f"step {k}")
                due += 0.2
                wait_for(lambda due=due: time.monotonic() >= due, "the step's time")
            wait_for(lambda: "silent" in self.operator.state[1], "the end of the last step")
            self.operator.resign_as_policy()
            return tape.write(folder, self.robot, self.text, "draw a loop")


@pytest.fixture(scope="module")
def cell(ros_context: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    with ExitStack() as stack:
        made = Cell("wx250s", tmp_path_factory.mktemp("cell"), stack)
        with spinning(made.operator):
            made.go_home()
            yield made


@pytest.fixture(scope="module")
def episode(cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cell.demonstrate(tmp_path_factory.mktemp("recorded") / "episode_0000")


def lapa_replay(*arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lapa_core.cli", "replay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, **more)  # type: ignore[call-overload,no-any-return]


@pytest.mark.timeout(180)
def test_in_simulation_the_arm_goes_the_recorded_way(episode: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = lapa_replay(episode, "--json", report, "--logs", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["sent"] == found["executed"] == STEPS
    assert found["holds"] == []
    assert found["paths"]["wx250s"]["max_mm"] < 5.0
    assert found["paths"]["wx250s"]["max_deg"] < 3.0
    assert f"{STEPS} of {STEPS} deltas" in done.stdout


@pytest.mark.slow
def test_real_refuses_an_arm_that_is_elsewhere_and_goes_where_it_is_near(
    cell: Cell, episode: Path, tmp_path: Path
) -> None:
    """The running nodes stand for the real robot: asked, refused with figures, and obeyed."""
    cell.go_home()
    said_no = lapa_replay(episode, "--real", input="no\n")
    assert said_no.returncode == 2
    assert "not confirmed" in said_no.stderr
    assert f"{STEPS} deltas" in said_no.stdout
    report = tmp_path / "report.json"
    done = lapa_replay(episode, "--real", "--yes", "--json", report)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(report.read_text())["paths"]["wx250s"]["max_mm"] < 5.0
    assert "disabled" in cell.operator.state[1], "the arm is left holding"
    assert cell.operator.call("enable").success
    assert cell.operator.call("park").success
    wait_for(lambda: "parked" in cell.operator.state[1], "the park pose", 30.0)
    refused = lapa_replay(episode, "--real", "--yes")
    assert refused.returncode == 2
    assert "cm and" in refused.stderr and "valid: at most 3 cm" in refused.stderr


def test_ctrl_c_holds_within_three_seconds(cell: Cell, episode: Path) -> None:
    cell.go_home()
    before = len(cell.operator.executed)
    command = [sys.executable, "-m", "lapa_core.cli", "replay", str(episode), "--real", "--yes"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for(lambda: len(cell.operator.executed) > before + 3, "steps of the replay", 30.0)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10.0) == 130
    assert time.monotonic() - began < 3.0
    wait_for(lambda: "hold requested" in cell.operator.state[1], "hold")


def test_another_robots_episode_is_refused(cell: Cell, episode: Path, tmp_path: Path) -> None:
    other = tmp_path / "episode_0001"
    other.mkdir()
    for file in episode.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    text = (other / "episode.yaml").read_text()
    (other / "episode.yaml").write_text(text.replace("step_time_s: 0.2", "step_time_s: 0.1"))
    refused = lapa_replay(other, "--real", "--yes")
    assert refused.returncode == 2
    assert "step_time_s: episode 0.1, robot 0.2" in refused.stderr


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_two_arms_go_the_recorded_way(ros_context: None, tmp_path: Path) -> None:
    with ExitStack() as stack:
        cell = Cell("bimanual_wx250s", tmp_path, stack)
        with spinning(cell.operator):
            cell.go_home()
            recorded = cell.demonstrate(tmp_path / "episode_0000")
    report = tmp_path / "report.json"
    done = lapa_replay(recorded, "--json", report)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["executed"] == STEPS
    assert all(path["max_mm"] < 5.0 for path in found["paths"].values())
