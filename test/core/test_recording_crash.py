# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Nothing saved is lost, nothing is half-visible: the crash suite of `benchmarks`, in small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run(repository: Path, script: str, *argv: str) -> str:
    result = subprocess.run(
        [sys.executable, str(repository / "benchmarks" / script), *argv],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def crash(repository: Path, out: Path, **numbers: int) -> dict[str, Any]:
    argv = [word for k, v in numbers.items() for word in (f"--{k.replace('_', '-')}", str(v))]
    run(repository, "crash.py", *argv, "--out", str(out))
    (file,) = out.glob("crash-*.json")
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def result(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return crash(repository, tmp_path_factory.mktemp("crash"), runs=3, power_cuts=1, stalls=1)


def test_killed_at_random_moments(result):
    kills = result["kills"]
    assert kills["violations"] == [] and kills["messages"] > 50
    assert kills["lost_s"]["max"] <= 0.5


@pytest.mark.parametrize("part", ["full disk", "broken disk", "stalled disk", "power cut"])
def test_on_disks_that_fail(result, part):
    if "left out" in result[part]:
        pytest.skip(result[part]["left out"])
    assert result[part]["violations"] == []


def test_killed_before_every_call_that_changes_the_disk(repository):
    """Saving and recovering; the numbers of calls say that something was tried."""
    points = json.loads(run(repository, "crash_points.py"))
    assert points["save"] > 25 and points["recover"] > 15


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_200_times(repository, tmp_path):
    found = crash(repository, tmp_path, runs=200, power_cuts=20, stalls=6)
    assert found["passed"] and found["kills"]["runs"] == 200
