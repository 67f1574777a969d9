# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Closed-loop trials in the real simulation: the script, odd actors of ours, and processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from lapa_core import cli
from lapa_core.errors import CheckpointError, ConfigError, DecodeError, LapaError
from lapa_core.evaluate import actors, evaluation, results, rollout, suites, workers
from lapa_core.evaluate.actors import EXPERT, Job
from lapa_core.evaluate.rollout import Task
from lapa_core.evaluate.scores import Score

pytestmark = pytest.mark.sim
SMOKE = suites.load("smoke")


def job(out: Path, **changes: Any) -> Job:
    return replace(Job(EXPERT, "wx250s", SMOKE.max_s, out, image_size=(64, 48)), **changes)


def same(scores: list[Score]) -> list[Score]:
    """Without what differs from run to run: the clock, and the films."""
    return [replace(s, wall_s=0.0, film="") for s in scores]


class Odd:
    """An actor that stands still, fails, or asks for what is refused."""

    finished = False

    def __init__(self, what: str) -> None:
        self._what = what

    def begin(self, cell: Any) -> None:
        pass

    def decide(self, cell: Any) -> Any:
        if self._what == "fails":
            raise DecodeError("token 300 has no bin")
        row = np.zeros((1, 7))
        row[0, -1] = 1.0
        if self._what == "refused":
            row[0, 0] = np.nan
        return cell.chunk(row)


@pytest.fixture(scope="module")
def cell() -> Any:
    made, _ = actors.make(job(Path()))
    yield made
    made.close()


TASK = evaluation.tasks_of(SMOKE, 0)[0]


@pytest.mark.parametrize(
    ("what", "max_s", "ended", "steps", "note"),
    [
        ("still", 1.0, "time", 5, "touched nothing"),
        ("fails", 1.0, "refused", 0, "DecodeError: token 300"),
        ("refused", 20.0, "hold", 25, ""),
    ],
)
def test_a_trial_ends_for_a_reason_that_is_kept(
    cell: Any, what: str, max_s: float, ended: str, steps: int, note: str
) -> None:
    score = rollout.run(cell, Odd(what), TASK, max_s=max_s, clock=iter((1.0, 3.5)).__next__)
    assert (score.ended, score.steps) == (ended, steps)
    assert note in score.note and score.wall_s == 2.5
    assert score.credit == 0.0 and score.right_object is None and score.chance == 0.25


def test_a_fault_of_the_set_up_is_no_failure_of_the_policy(tmp_path: Path) -> None:
    """Without OpenGL, or with pictures too large, a checkpoint had 0 %."""

    class Looks(Odd):
        def decide(self, cell: Any) -> Any:
            return cell.observe()

    large, _ = actors.make(job(tmp_path, image_size=(9999, 9999)))
    with pytest.raises(ConfigError, match="cannot render 9999x9999"):
        rollout.run(large, Looks(""), TASK, max_s=1.0)
    large.close()


def test_starts_are_the_same_for_everyone_and_for_longer_suites() -> None:
    few, many = evaluation.tasks_of(SMOKE, 3), evaluation.tasks_of(SMOKE.with_episodes(5), 3)
    assert many[: len(few)] == few and len(many) == 15
    assert len({(t.trial.seed, t.trial.task) for t in many}) == 15
    assert evaluation.tasks_of(SMOKE, 4)[0].trial.seed != few[0].trial.seed


def test_the_script_is_judged_filmed_and_never_run_twice(tmp_path: Path) -> None:
    """A second run does what is missing, and nothing else."""
    request = evaluation.Request(SMOKE, seed=0, films=2)
    said: list[str] = []
    first = evaluation.evaluate(request, job(tmp_path), said.append)
    assert [s.task for s in first] == ["put", "knock", "cover"]
    assert all(s.strict and s.right_object and s.ended == "done" for s in first)
    assert not (tmp_path / results.FILMS).exists(), "a success leaves no film"
    lines = (tmp_path / results.TRIALS).read_text().splitlines()
    (tmp_path / results.TRIALS).write_text("\n".join(lines[:2]) + "\n" + lines[2][:40])
    again = evaluation.evaluate(request, job(tmp_path), said.append)
    assert same(again) == same(first)
    assert "2 of 3 trials are there already" in said
    assert (tmp_path / results.TRIALS).read_text().splitlines()[:2] == lines[:2]
    text = evaluation.write(tmp_path, again)
    assert "100 % [44, 100]" in text
    summary = json.loads((tmp_path / evaluation.SUMMARY).read_text())
    assert summary["rows"][-1]["strict"]["sum"] == 3
    assert "| seen | all | 3 |" in (tmp_path / evaluation.TABLE).read_text()
    with pytest.raises(ConfigError, match="seed: 0 then, 1 now"):
        evaluation.evaluate(evaluation.Request(SMOKE, seed=1), job(tmp_path))


def test_failures_are_filmed_up_to_a_number(tmp_path: Path, cell: Any) -> None:
    found: list[Score] = []
    budget, tasks = workers.Budget(2), [Task(i, TASK.trial) for i in range(3)]
    for task in tasks:
        out = tmp_path if budget.take() else None
        found.append(rollout.run(cell, Odd("still"), task, max_s=0.6, out=out))
    assert [bool(s.film) for s in found] == [True, True, False]
    with av.open(str(tmp_path / found[0].film)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(frames) == 4 + 8  # of 0 .. 3 steps, and the end
    assert frames[0].shape == (480, 640, 3) and frames[0][100:].std() > 10


@pytest.mark.torch
def test_the_command_runs_a_checkpoint_and_compares(
    debug_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["eval", str(debug_checkpoint), "--policy", "expert", "--suite", "smoke", "--max-s",
            "0.6", "--image-size", "64x48", "--videos", "0", "--out", str(tmp_path)]  # fmt: skip
    late = ["--latency", "0.1"]
    assert cli.main([*argv, *late]) == 0
    assert cli.main(argv) == 2
    assert "latency_s: 0.1 then, 0.0 now" in capsys.readouterr().err
    argv += late
    assert cli.main(argv) == 0
    printed = capsys.readouterr().out
    assert "3 identical starts" in printed and "difference" in printed
    assert {p.name for p in tmp_path.iterdir()} == {"checkpoint", "expert"}
    run = results.read_run(tmp_path / "checkpoint")
    assert run["policy"] == results.fingerprint(debug_checkpoint)
    folders = [str(tmp_path / n) for n in ("expert", "checkpoint")]
    assert cli.main(["eval", "--compare", *folders, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["pairs"] == 1


@pytest.mark.torch
@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--suite", "smoke"], "name a CHECKPOINT"),
        (["--policy", "expert"], "--suite is missing"),
        (["--policy", "expert", "--suite", "smoke", "--workers", "0"], "--workers must be"),
        (["--policy", "expert", "--suite", "real_example"], "for a real arm"),
        (["nowhere", "--suite", "smoke"], "no interface.json"),
        (["--policy", "expert", "--suite", "smoke", "--seed", "-1"], "seed must be 0 or more"),
        (["--policy", "expert", "--suite", "smoke", "--every", "2"], "--every is for"),
        (
            ["--policy", "expert", "--suite", "smoke", "--latency", "0.2"],
            "less than the step time",
        ),
        (["--compare", "a", "b", "--suite", "smoke"], "does not go with suite"),
        (["a", "--open-loop", "b", "--max-s", "3"], "does not go with max-s"),
        (["--compare", "a", "b"], "not the folder of an evaluation"),
        (["--open-loop", "demos"], "takes one CHECKPOINT"),
    ],
)
def test_what_cannot_be_evaluated_is_named(
    argv: list[str], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.main(["eval", *argv]) == 2
    assert word in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.torch
def test_a_second_policy_is_looked_at_before_the_first_takes_its_hours(
    debug_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    argv = ["eval", str(debug_checkpoint), str(tmp_path / "none"), "--suite", "smoke"]
    assert cli.main([*argv, "--max-s", "0.2", "--videos", "0", "--out", str(out)]) == 2
    assert "no interface.json" in capsys.readouterr().err and not out.exists()


def test_an_interrupted_evaluation_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ended with a traceback."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "evaluate", interrupted)
    assert cli.main(["eval", "--policy", "expert", "--suite", "smoke"]) == 130
    assert "run it again" in capsys.readouterr().err


def test_a_checkpoint_for_another_robot_is_refused(debug_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="wx250"):
        actors.robot_of(str(debug_checkpoint), "wx250")


def test_processes_give_the_same_scores_and_tell_their_errors(tmp_path: Path) -> None:
    suite = suites.Suite("two", "", SMOKE.max_s, SMOKE.items[:2])
    here = evaluation.evaluate(evaluation.Request(suite, 0, workers=1), job(tmp_path / "one"))
    there = evaluation.evaluate(evaluation.Request(suite, 0, workers=2), job(tmp_path / "two"))
    assert same(here) == same(there)
    wrong = [Task(0, replace(TASK.trial, scene="moon"))] * 2
    with pytest.raises(ConfigError, match="moon"):
        workers.run(job(tmp_path), wrong, workers=2, films=0, take=lambda s: None)


@pytest.mark.slow
def test_a_killed_worker_is_named_and_what_is_done_is_kept(tmp_path: Path) -> None:
    taken: list[Score] = []

    def take(score: Score) -> None:
        taken.append(score)
        if len(taken) == 1:
            children = subprocess.run(
                ["pgrep", "-P", str(os.getpid()), "-f", "multiprocessing.spawn"],
                capture_output=True, text=True, check=True,
            ).stdout.split()  # fmt: skip
            for child in children:
                os.kill(int(child), signal.SIGKILL)

    tasks = evaluation.tasks_of(SMOKE.with_episodes(10), 0)
    with pytest.raises(LapaError, match="exit code -9"):
        workers.run(job(tmp_path), tasks, workers=2, films=0, take=take)
    assert 1 <= len(taken) < 30


@pytest.mark.slow
def test_a_killed_evaluation_ends_as_one_that_ran_through(tmp_path: Path) -> None:
    """Killed at random moments, its processes end with it, and the end is the same."""
    argv = [sys.executable, "-m", "lapa_core.cli", "eval", "--policy", "expert", "--suite",
            "smoke", "--episodes", "6", "--videos", "0", "--image-size", "64x48"]  # fmt: skip
    whole = tmp_path / "whole"
    subprocess.run([*argv, "--out", str(whole)], check=True, capture_output=True)
    cut = tmp_path / "cut"
    again = [*argv, "--out", str(cut), "--workers", "2"]
    for done in (1, 6, 11):  # of 18: some are under way whenever one has just ended
        process = subprocess.Popen(again, start_new_session=True, stdout=subprocess.DEVNULL)
        while _lines(cut / "trials.jsonl") < done:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert subprocess.run(again, stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert same(results.read(cut)) == same(results.read(whole))


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0
