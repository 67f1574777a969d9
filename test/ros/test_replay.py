# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa replay`: what was recorded through the real nodes is gone again, or refused with figures.

The cell of this test's domain stands for the real robot; simulated replays have their own.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import wait_for
from replaying import Cell, lapa_replay, motion, replay_command, running

pytestmark = [pytest.mark.sim, pytest.mark.slow]
STEPS = 10


@pytest.fixture(scope="module")
def cell(ros_context: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    with running("wx250s", tmp_path_factory.mktemp("cell")) as cell:
        yield cell


@pytest.fixture(scope="module")
def episode(cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "episode_0000"
    return cell.demonstrate(folder, motion(7, STEPS))


@pytest.mark.timeout(180)
def test_in_simulation_the_arm_goes_the_recorded_way(episode: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = lapa_replay(episode, "--json", report, "--logs", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["sent"] == found["executed"]
    assert found["paths"]["wx250s"]["median_mm"] < 3.0
    assert f"{found['sent']} of {found['sent']} deltas executed" in done.stdout


def test_another_robots_episode_is_refused(cell: Cell, episode: Path, tmp_path: Path) -> None:
    """Where the robot file was changed since: with every difference, and nothing is moved."""
    other = tmp_path / "episode_0001"
    other.mkdir()
    for file in episode.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    text = (other / "episode.yaml").read_text()
    changes = {"step_time_s: 0.2": "step_time_s: 0.1", "closed: 0.015": "closed: 0.02"}
    for before, after in changes.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    (other / "episode.yaml").write_text(text)
    told = len(cell.operator.executed)
    refused = lapa_replay(other, "--real", "--yes")
    assert refused.returncode == 2
    assert "step_time_s: episode 0.1, robot 0.2" in refused.stderr
    assert "wx250s: gripper closed: episode 0.02, robot 0.015" in refused.stderr
    assert len(cell.operator.executed) == told


def park(cell: Cell) -> None:
    assert cell.operator.call("park").success
    wait_for(lambda: "parked" in cell.operator.state[1], "the park pose", 30.0)


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (park, "not where the episode began"),
        (lambda cell: cell.operator.act_as_policy(), "stop the policy first"),
        (lambda cell: cell.operator.call("estop"), "estop is latched"),
    ],
    ids=["moved", "policy", "estop"],
)
def test_what_changed_while_the_question_stood_is_refused(
    act: Callable[[Cell], object], why: str, cell: Cell, episode: Path, tmp_path: Path
) -> None:
    """A yes is an answer to what was printed, not to what has become of it."""
    cell.operator.call("reset")
    cell.go_home()
    said = tmp_path / "said"
    with said.open("w") as out:
        asking = subprocess.Popen(
            replay_command(episode, "--real"),
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )
    wait_for(lambda: "workspace clear" in said.read_text(), "the question", 30.0)
    try:
        act(cell)
        told, state = len(cell.operator.executed), cell.operator.state
        asking.communicate("yes\n", timeout=30.0)
        assert asking.returncode == 2
        assert f"since the question was asked: {why}" in re.sub(
            r"\d+ publ.*: ", "", said.read_text()
        )
        assert len(cell.operator.executed) == told
        assert cell.operator.state == state, "nobody enabled it, nobody held it"
    finally:
        if cell.operator._pub:
            cell.operator.resign_as_policy()
        cell.operator.call("reset")


@pytest.mark.timeout(180)
def test_real_asks_obeys_and_refuses_an_arm_that_is_elsewhere(
    cell: Cell, episode: Path, tmp_path: Path
) -> None:
    cell.go_home()
    said_no = lapa_replay(episode, "--real", answer="no\n")
    assert said_no.returncode == 2
    assert "not confirmed" in said_no.stderr
    assert f"{STEPS} deltas" in said_no.stdout
    report = tmp_path / "report.json"
    done = lapa_replay(episode, "--real", "--json", report, answer="yes\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(report.read_text())["paths"]["wx250s"]["median_mm"] < 3.0
    assert "disabled" in cell.operator.state[1], "the arm is left holding"
    cell.enable()
    assert cell.operator.call("park").success
    wait_for(lambda: "parked" in cell.operator.state[1], "the park pose", 30.0)
    refused = lapa_replay(episode, "--real", "--yes")
    assert refused.returncode == 2
    assert "cm and" in refused.stderr
    assert "valid: at most 3 cm" in refused.stderr


def test_a_running_policy_must_be_stopped_first(cell: Cell, episode: Path) -> None:
    cell.operator.act_as_policy()
    refused = lapa_replay(episode, "--real", "--yes")
    cell.operator.resign_as_policy()
    assert refused.returncode == 2
    assert "stop the policy first" in refused.stderr


def test_ctrl_c_holds_within_three_seconds(cell: Cell, episode: Path) -> None:
    cell.go_home()
    before = len(cell.operator.executed)
    process = subprocess.Popen(replay_command(episode, "--real", "--yes"))
    wait_for(lambda: len(cell.operator.executed) > before + 3, "steps of the replay", 30.0)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10.0) == 130
    assert time.monotonic() - began < 3.0
    wait_for(lambda: "hold requested" in cell.operator.state[1], "hold")


@pytest.mark.timeout(180)
def test_a_teleoperators_quick_steps_all_arrive(cell: Cell, tmp_path: Path) -> None:
    """Fifty small steps a second, nearly one each control period: none lost, same way."""
    cell.go_home()
    steps = motion(7, 100)
    recorded = cell.demonstrate(tmp_path / "episode_0000", steps, 40.0)
    report = tmp_path / "report.json"
    done = lapa_replay(recorded, "--json", report)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["sent"] == found["executed"]
    assert found["paths"]["wx250s"]["median_mm"] < 3.0
