# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which model the demo runs, what it is given to do, and a pair of trials through real nodes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lapa_core.errors import CheckpointError, ConfigError
from lapa_ros import demo, demo_checkpoint
from lapa_ros.demo_checkpoint import INSTRUCTION, Model, choose
from lapa_ros.environment import own_domain


@pytest.fixture
def shipped(posing_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint where the shipped one is."""
    monkeypatch.setattr(demo_checkpoint, "SHIPPED", str(posing_checkpoint))
    return posing_checkpoint


@pytest.mark.torch
def test_the_shipped_model_gets_trials_on_its_robot(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert choose("wx250s", tmp_path, None, None) == Model(shipped, True, "")
    assert "given trials" in capsys.readouterr().out
    words = "wave"  # a person's own: no judge knows what to make of it
    assert choose("wx250s", tmp_path, None, words) == Model(shipped, True, words)


@pytest.mark.torch
def test_another_robot_wanders_with_random_weights_and_says_why(
    shipped: Path, tmp_path: Path, debug_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = tmp_path / "random-micro-vx300s"  # by an earlier run
    shutil.copytree(debug_checkpoint, left)
    for name in ("interface.json", "action_bins.csv"):
        file = left / name
        file.write_text(file.read_text().replace("wx250s", "vx300s"))
    assert choose("vx300s", tmp_path, None, None) == Model(left, False, INSTRUCTION)
    said = capsys.readouterr().out
    assert "does not fit: made for wx250s, not for vx300s" in said and "not trained" in said


@pytest.mark.torch
def test_a_checkpoint_that_is_asked_for_is_used_or_refused(
    debug_checkpoint: Path, tmp_path: Path
) -> None:
    model = choose("wx250s", tmp_path, debug_checkpoint, None)
    assert model == Model(debug_checkpoint, False, INSTRUCTION)
    with pytest.raises(CheckpointError, match=r"not made for .*vx300s"):
        choose("vx300s", tmp_path, debug_checkpoint, None)
    with pytest.raises(CheckpointError, match=r"no interface\.json"):
        choose("wx250s", tmp_path, tmp_path, None)


def test_there_are_trials_for_the_whole_time() -> None:
    tasks = demo.plan("seen", 60.0, 0)
    assert [t.index for t in tasks] == list(range(len(tasks)))
    assert len(tasks) * demo.LEAST_TRIAL_S >= 60.0
    with pytest.raises(ConfigError, match="unknown split"):
        demo.plan("unknown", 60.0, 0)


@pytest.mark.torch
@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_scene_is_tried_with_two_sentences(posing_checkpoint: Path, tmp_path: Path) -> None:
    """Each through the real nodes; the pair is finished although there is time for one alone."""
    argv = [sys.executable, "-m", "lapa_ros.demo", "--checkpoint", str(posing_checkpoint),
            "--seconds", "1", "--trial-seconds", "1", "--out", str(tmp_path)]  # fmt: skip
    variables = {**os.environ, "ROS_DOMAIN_ID": own_domain()}
    done = subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=150)
    assert (tmp_path / "summary.json").is_file(), done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    one, other = summary["trials"]
    assert (one["seed"], one["scene"], one["pair"]) == (other["seed"], "tabletop", other["pair"])
    assert one["target"] != other["target"] and one["instruction"] != other["instruction"]
    for trial in (one, other):
        assert f'"{trial["instruction"]}"' in done.stdout
        assert trial["steps"] >= 3 and trial["chance"] == 0.25 and trial["ended"] == "time"
        assert 0.9 < trial["robot_s"] < 3.0
    # Of the policy's turns alone, which the way back to the start pose is not.
    assert summary["steps_executed"] == pytest.approx(one["steps"] + other["steps"], abs=2)
    assert summary["seconds"] < 8.0 and summary["trained"] is True
    assert "2 trials, split seen" in done.stdout and "of 2, " in done.stdout
    assert (tmp_path / "demo.mp4").stat().st_size > 5000
    assert "did not end cleanly" not in done.stdout
