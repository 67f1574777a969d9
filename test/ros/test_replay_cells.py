# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa replay` on robots of the tests' own: a driver's stand-in, two arms, a slow one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import wait_for
from replaying import Cell, lapa_replay, motion, replay_command, running
from trajectory_msgs.msg import JointTrajectory

from lapa_ros import interface

pytestmark = pytest.mark.timeout(240)


def test_an_arm_goes_the_recorded_way(ros_context: None, tmp_path: Path) -> None:
    """Also the one without a simulation: a driver's stand-in, the rest is real."""
    with running("wx250s", tmp_path, simulated=False) as cell:
        recorded = cell.demonstrate(tmp_path / "episode_0000", motion(7, 4))
        report = tmp_path / "report.json"
        # Where it ended is where it began, within the 3 cm: the loop is closed.
        # A busy computer starts a step late, and the stand-in's tool is 11 mm off for a moment.
        wide = ("--tolerance-mm", "15")
        done = lapa_replay(recorded, "--real", "--yes", "--json", report, *wide)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["sent"] == found["executed"] == 4
    assert found["stopped"] == ""
    assert "4 of 4 deltas executed" in done.stdout


def fall_silent(cell: Cell) -> None:
    cell.driver.silent = True
    # In all that was said: the replay may have disabled the arm a moment later.
    said = cell.operator.authority
    wait_for(lambda: any("joint states" in why for _, _, why in said), "a hold")
    cell.driver.silent = False


def take_over(cell: Cell) -> None:
    operator = cell.operator
    teleop = operator.create_publisher(
        JointTrajectory, interface.TELEOP_EE_DELTA, interface.COMMAND_QOS
    )

    def taken() -> bool:
        teleop.publish(operator.chunk())
        return any(state == "teleop" for _, state, _ in operator.authority)

    wait_for(taken, "teleop", poll_s=0.05)
    operator.destroy_publisher(teleop)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "why"), [(fall_silent, "hold: joint states of wx250s are"), (take_over, "teleop: ")]
)
def test_the_first_hold_or_take_over_ends_a_replay(
    act: Callable[[Cell], object], why: str, ros_context: None, tmp_path: Path
) -> None:
    """A driver that was silent for a while has lost a delta: the rest would lead elsewhere."""
    with running("wx250s", tmp_path, simulated=False) as cell:
        operator = cell.operator
        recorded = cell.demonstrate(tmp_path / "episode_0000", motion(7, 20))
        before = len(operator.executed)
        report = tmp_path / "report.json"
        with (tmp_path / "said").open("w") as out:
            replaying = subprocess.Popen(
                replay_command(recorded, "--real", "--yes", "--json", report), stdout=out
            )
        wait_for(lambda: len(operator.executed) > before + 10, "deltas", 30.0)
        act(cell)
        told = len(operator.executed)
        assert replaying.wait(timeout=30.0) == 1
        assert len(operator.executed) == told, "nothing is sent any more"
        assert "disabled" in operator.state[1]
    found = json.loads(report.read_text())
    assert not found["good"]
    assert why in found["stopped"]
    assert found["sent"] < 20
    assert "replay: stopped" in (tmp_path / "said").read_text()


@pytest.mark.slow
def test_a_pause_of_the_recording_is_no_reason_to_stop(ros_context: None, tmp_path: Path) -> None:
    """Where nothing was told for a second, the arm holds for silence, then and now."""
    with running("wx250s", tmp_path, simulated=False) as cell:
        recorded = cell.demonstrate(tmp_path / "episode_0000", motion(7, 4), rate_hz=1.0)
        done = lapa_replay(recorded, "--real", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "holds: hold: policy silent" in done.stdout


@pytest.mark.sim
@pytest.mark.slow
def test_two_arms_go_the_recorded_way(ros_context: None, tmp_path: Path) -> None:
    with running("bimanual_wx250s", tmp_path) as cell:
        recorded = cell.demonstrate(tmp_path / "episode_0000", motion(14))
    report = tmp_path / "report.json"
    done = lapa_replay(recorded, "--json", report)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert set(found["paths"]) == {"left", "right"}
    assert all(path["median_mm"] < 3.0 for path in found["paths"].values())


@pytest.mark.sim
@pytest.mark.slow
def test_a_slow_robot_goes_the_whole_way_in_more_time(ros_context: None, tmp_path: Path) -> None:
    """At a third of the speed: same path, three times as long."""
    with running("wx250s", tmp_path) as cell:
        recorded = cell.demonstrate(tmp_path / "episode_0000", motion(7))
    report = tmp_path / "report.json"
    with running("wx250s", tmp_path, speed_scale=0.3):
        # A busy computer starts a step late, and the stand-in's tool is 11 mm off for a moment.
        wide = ("--tolerance-mm", "15")
        done = lapa_replay(recorded, "--real", "--yes", "--json", report, *wide)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["sent"] == found["executed"]
    assert "at speed_scale 0.3" in done.stdout
    assert found["paths"]["wx250s"]["median_mm"] < 6.0  # slower, it cuts corners less
