# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa replay` with two arms, and on a robot that takes only a share of every step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from replaying import lapa_replay, motion, running

pytestmark = [pytest.mark.sim, pytest.mark.slow, pytest.mark.timeout(240)]


def test_two_arms_go_the_recorded_way(ros_context: None, tmp_path: Path) -> None:
    with running("bimanual_wx250s", tmp_path) as cell:
        recorded = cell.demonstrate(tmp_path / "episode_0000", motion(14))
    report = tmp_path / "report.json"
    done = lapa_replay(recorded, "--json", report)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert set(found["paths"]) == {"left", "right"}
    assert all(path["median_mm"] < 3.0 for path in found["paths"].values())


def test_a_slow_robot_goes_the_whole_way_in_more_time(ros_context: None, tmp_path: Path) -> None:
    """At a third of the speed: same path, three times as long."""
    with running("wx250s", tmp_path) as cell:
        recorded = cell.demonstrate(tmp_path / "episode_0000", motion(7))
    report = tmp_path / "report.json"
    with running("wx250s", tmp_path, speed_scale=0.3):
        done = lapa_replay(recorded, "--real", "--yes", "--json", report)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["sent"] == found["executed"]
    assert "at speed_scale 0.3" in done.stdout
    assert found["paths"]["wx250s"]["median_mm"] < 6.0  # slower, it cuts corners less
