# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa collect`: what lies on disk is what was demonstrated, the same however it was made."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crew_work
import numpy as np
import pytest

from lapa_core import cli, crew
from lapa_core.audit import inspection
from lapa_core.data import cuts, replay
from lapa_core.data.episodes import find, open_episode
from lapa_core.data.samples import LabelledSample, SampleParams, Samples
from lapa_core.errors import ConfigError, DataError, LapaError, RecordingError
from lapa_core.recording import episode as episodes
from lapa_core.recording import folders
from lapa_core.sim import collect as collecting
from lapa_core.sim import demonstrate
from lapa_core.sim.cell import Cell, ExpertPolicy
from lapa_core.sim.collect import BOOK, Book, collect
from lapa_core.sim.demonstrate import Attempt, Request, make_rig
from lapa_core.sim.disturbance import Disturbance
from lapa_core.sim.turns import LONGEST
from lapa_core.types import FloatArray, Observation

pytestmark = pytest.mark.sim
# Demonstration 0 is to put a block into the bin, 1 and 2 to knock one over.
REQUEST = Request(seed=2, image_size=(320, 240), tasks=("put", "knock"))
QUICK = Request(seed=1, image_size=(160, 120), tasks=("knock",))


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two demonstrations; not to be changed by a test."""
    out = tmp_path_factory.mktemp("collected") / "set"
    collect(REQUEST, out, 2)
    return out


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short ones."""
    out = tmp_path_factory.mktemp("quick") / "set"
    collect(QUICK, out, 2)
    return out


@pytest.fixture(scope="module")
def made() -> list[list[tuple[Observation, FloatArray]]]:
    """What was seen and asked for at the steps of `collected`, made again without a tape."""
    return [list(again(REQUEST, number)) for number in range(2)]


def content(out: Path) -> dict[str, bytes]:
    """Every file of the data set but the lock."""
    found = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    found.pop(folders.LOCK)
    return found


def again(request: Request, number: int) -> Iterator[tuple[Observation, FloatArray]]:
    """The observations and commanded actions of one demonstration."""
    cell = Cell(make_rig(request).robot)
    rng = np.random.default_rng([request.seed, number])
    cell.reset(request.trial(number), rng)
    expert = ExpertPolicy(cell, rng)
    try:
        while True:
            seen = cell.observe()
            if expert.done:
                return
            chunk = expert.decide(cell)
            yield seen, chunk.deltas[0]
            cell.act(chunk)
    finally:
        cell.close()


def acted(request: Request, number: int) -> list[tuple[str, FloatArray]]:
    """Who acted at each step of one disturbed demonstration, and what was asked for."""
    cell = Cell(make_rig(request).robot, source="teleop")
    rng = np.random.default_rng([request.seed, number])
    cell.reset(request.trial(number), rng)
    expert = ExpertPolicy(cell, rng, strays=False)
    chance = np.random.default_rng([request.seed, number, 1])
    pushes = Disturbance(chance, request.disturb, cell.robot.arms[0])
    found: list[tuple[str, FloatArray]] = []
    try:
        while not expert.done:
            told = expert.expert
            push = pushes.delta(told.opening, told.carries) if cell.steps else None
            if push is not None:
                cell.act(cell.chunk(push[None]), source="policy")
                told.disturbed()
                found.append(("policy", push))
                continue
            chunk = expert.decide(cell)
            cell.act(chunk)
            found.append(("teleop", chunk.deltas[0]))
    finally:
        cell.close()
    return found


def read(collected: Path, number: int, **params: Any) -> list[LabelledSample]:
    folder = collected / f"episode_{number:04d}"
    samples = Samples(open_episode(folder), SampleParams(trim_idle=False, **params))
    found = list(samples)
    assert not samples.refused
    return found


def test_a_step_is_a_sample_with_what_was_seen_and_asked_for(collected: Path, made: Any) -> None:
    for number, steps in enumerate(made):
        found = read(collected, number)
        assert [s.index for s in found] == list(range(len(steps))) and len(steps) > 8
        for sample, (seen, action) in zip(found, steps, strict=True):
            np.testing.assert_allclose(sample.action, action, rtol=0, atol=1e-9)
            assert sample.observation.state == pytest.approx(seen.state, abs=1e-9)
            assert sample.observation.instruction == seen.instruction
            assert sample.authority == "teleop" and not sample.correction
        executed = [s.action for s in read(collected, number, labels="executed")]
        np.testing.assert_allclose(executed, [a for _, a in steps], rtol=0, atol=1e-9)


def test_its_picture_is_of_that_moment(collected: Path, made: Any) -> None:
    """Nearer to what was seen then than to what was seen a step before or later."""
    seen = [o.images["front"].astype(int) for o, _ in made[0]]
    apart = np.array(
        [
            [np.abs(s.observation.images["front"] - p).mean() for p in seen]
            for s in read(collected, 0)
        ]
    )
    assert apart.diagonal().max() < 2.5
    moved = [i for i, (_, action) in enumerate(made[0][:-1]) if np.abs(action[:3]).max() > 0.01]
    assert len(moved) > 10
    assert all(apart[i, i] < apart[i, i + 1] and apart[i + 1, i + 1] < apart[i + 1, i]
               for i in moved)  # fmt: skip


def test_the_audit_finds_nothing_and_counts_the_same(collected: Path) -> None:
    for folder in find(collected):
        report = inspection.inspect(folder)
        assert report.findings == ()
        assert report.episode is not None and report.episode.findings == ()
        counted = {s.topic: s for s in report.streams}
        for stream in report.episode.streams:
            assert stream.messages > 0
            assert dataclasses.replace(counted[stream.topic], source="") == stream


def test_an_episode_says_who_and_what(collected: Path) -> None:
    first, second = (episodes.read(collected / f"episode_000{n}") for n in (0, 1))
    assert (second.episode, second.outcome) == (1, "success")
    assert second.instruction == REQUEST.trial(1).instruction
    assert [c.state for c in second.authority] == ["hold", "teleop"]
    assert first.started.startswith("2026-01-01T00:00:01") and first.started < second.started
    robot = open_episode(collected / "episode_0001").robot
    assert [(c.name, c.rate_hz, c.width) for c in robot.cameras] == [("front", 5.0, 320)]


def test_it_can_be_replayed(collected: Path, made: Any) -> None:
    plan = replay.plan(open_episode(collected / "episode_0000"))
    np.testing.assert_allclose(plan.deltas, [a for _, a in made[0]], atol=1e-9)
    np.testing.assert_allclose(np.diff(plan.times_s), 0.2, atol=1e-9)


@pytest.mark.parametrize("task", ["put", "knock", "cover"])
def test_pushed_off_its_way_it_finds_back_and_the_pushes_are_not_its_own(
    task: str, tmp_path: Path
) -> None:
    request = Request(seed=3, image_size=(160, 120), tasks=(task,), disturb=0.15)
    (attempt,) = collect(request, tmp_path / "set", 1).attempts.values()
    assert attempt.success and not attempt.findings
    samples = read(tmp_path / "set", attempt.number)
    who = [s.authority for s in samples]
    did = acted(request, attempt.number)
    assert who == [w for w, _ in did]
    own = [(s.action, asked) for s, (w, asked) in zip(samples, did, strict=True) if w == "teleop"]
    np.testing.assert_allclose(*zip(*own, strict=True), rtol=0, atol=1e-9)
    assert 1 <= who.count("policy") < len(who) / 2
    kept, removed = cuts.apply(_trail(samples), cuts.CutParams())
    assert [w for w, k in zip(who, kept, strict=True) if k] == ["teleop"] * who.count("teleop")
    assert removed[0].reason == "authority" and len(removed[0].steps) == who.count("policy")
    with pytest.raises(ConfigError, match="disturb must be"):
        dataclasses.replace(request, disturb=0.6)


@pytest.mark.torch
def test_a_policy_drives_and_what_the_demonstrator_makes_up_for_is_a_correction(
    debug_checkpoint: Path, tmp_path: Path
) -> None:
    """Random weights: they get nothing done, so whatever is done is the demonstrator's."""
    request = Request(seed=4, image_size=(160, 120), tasks=("put",), policy=str(debug_checkpoint))
    (attempt,) = collect(request, tmp_path / "set", 1).attempts.values()
    assert attempt.success
    assert episodes.read(tmp_path / "set/episode_0000").checkpoint == str(debug_checkpoint)
    samples = read(tmp_path / "set", attempt.number)
    who = [s.authority for s in samples]
    first = who.index("policy")
    turn = who[first:].index("teleop")
    assert first == 1 and 1 <= turn <= LONGEST and who[-1] == "teleop"
    assert [s.correction for s in samples] == [
        i > first and w == "teleop" for i, w in enumerate(who)
    ]
    asked = [s.action for s in samples if s.authority == "teleop"]
    assert np.abs(np.array(asked)[:, :3]).max() <= 0.05  # nothing that no policy may ask for
    kept, _ = cuts.apply(_trail(samples), cuts.CutParams("corrections"))
    assert [i for i, k in enumerate(kept) if k] == [
        i for i, w in enumerate(who) if w == "teleop" and i > first
    ]
    with pytest.raises(ConfigError, match="not both"):
        dataclasses.replace(request, disturb=0.1)


@pytest.mark.parametrize("number", range(3))
def test_a_block_that_was_knocked_over_is_taken_across_its_length(number: int) -> None:
    request = Request(seed=5, tasks=("put",))
    cell = Cell(make_rig(request).robot, source="teleop")
    cell.reset(request.trial(number))
    expert = ExpertPolicy(cell)
    joint = cell.sim.model.joint(cell.trial.target).qposadr[0]
    angle = np.random.default_rng(number).uniform(0.0, 2 * np.pi)
    lying = [np.sqrt(0.5), np.sqrt(0.5) * np.cos(angle), np.sqrt(0.5) * np.sin(angle), 0.0]
    cell.sim.data.qpos[joint + 3 : joint + 7] = lying
    still = np.array([[0.0] * 6 + [1.0]])
    try:
        for _ in range(3):  # until it lies still
            cell.act(cell.chunk(still))
        assert cell.sim.object_poses()[cell.trial.target].rotation[2, 2] < 0.1
        expert.expert.disturbed()
        while not expert.done:
            cell.act(expert.decide(cell))
        for _ in range(3):
            cell.act(cell.chunk(still))
        assert cell.outcome().success, cell.outcome().note
    finally:
        cell.close()


def _trail(samples: list[LabelledSample]) -> cuts.Trail:
    trail = cuts.Trail()
    for sample in samples:
        trail.add(sample)
    return trail


def test_several_processes_make_the_same_bytes(quick: Path, tmp_path: Path) -> None:
    assert collect(QUICK, tmp_path / "set", 2, workers=2).successes == 2
    mine, theirs = content(tmp_path / "set"), content(quick)
    assert mine.keys() == theirs.keys()
    lines = [sorted(c.pop(BOOK).splitlines()) for c in (mine, theirs)]  # in the order of the end
    assert lines[0] == lines[1]
    assert mine == theirs


def test_a_run_that_was_killed_is_gone_on_with(quick: Path, tmp_path: Path) -> None:
    """Killed in episode 0, after episode 1 got its name and before its line was whole."""
    out = tmp_path / "set"
    shutil.copytree(quick, out)
    header, _, second = (out / BOOK).read_bytes().splitlines(keepends=True)
    (out / BOOK).write_bytes(header + second[:-20])
    cut = (out / "episode_0000").rename(out / "episode_0000.partial") / "episode_0000_0.mcap"
    cut.write_bytes(cut.read_bytes()[:1000])
    before = (out / "episode_0001").stat().st_mtime_ns
    book = collect(QUICK, out, 2)
    assert sorted(book.attempts) == [0, 1]
    assert (out / "episode_0001").stat().st_mtime_ns == before, "made again"
    mine, theirs = content(out), content(quick)
    assert mine.pop(BOOK).count(b"\n") == theirs.pop(BOOK).count(b"\n") == 3
    assert mine == theirs


def test_failures_are_not_kept_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demonstrate, "MAX_STEPS", 16)  # enough to knock over, not to put
    request = dataclasses.replace(REQUEST, image_size=(64, 48))
    book = collect(request, tmp_path / "good", 1)
    assert [(a.success, a.note) for a in book.attempts.values()] == [
        (False, "not done in 16 steps"),
        (True, ""),
    ]
    assert [f.name for f in folders.episodes(tmp_path / "good")] == ["episode_0001"]
    assert not folders.partials(tmp_path / "good")
    collect(dataclasses.replace(request, keep_failures=True), tmp_path / "both", 1)
    found = [episodes.read(f).outcome for f in folders.episodes(tmp_path / "both")]
    assert found == ["failure", "success"]
    assert [f.name for f in find(tmp_path / "both")] == ["episode_0001"]
    monkeypatch.setattr(demonstrate, "MAX_STEPS", 1)
    monkeypatch.setattr(collecting, "GIVE_UP", 2)
    with pytest.raises(LapaError, match=r"2 demonstrations in a row failed, the last to '"):
        collect(request, tmp_path / "good", 9)


def test_decisions_that_take_time_are_demonstrated_too(quick: Path, tmp_path: Path) -> None:
    """The same scenes and starts; the arm is further behind what it is told."""
    collect(dataclasses.replace(QUICK, latency_s=0.15), tmp_path / "late", 2)
    with pytest.raises(ConfigError, match=r"collected with latency_s 0\.15, not 0\.0"):
        collect(QUICK, tmp_path / "late", 2)
    for number in range(2):
        on_time, slow = read(quick, number), read(tmp_path / "late", number)
        assert slow[0].observation.state == pytest.approx(on_time[0].observation.state, abs=1e-9)
        np.testing.assert_allclose(slow[0].action, on_time[0].action, rtol=0, atol=1e-9)
        tools = [np.array([s[1].observation.state[f"wx250s/{i}"] for i in "xyz"])
                 for s in (on_time, slow)]  # fmt: skip
        latency_s = np.random.default_rng([QUICK.seed, number, 2]).uniform(0, 0.15)
        behind = latency_s / 0.2 * np.linalg.norm(on_time[0].action[:3])
        assert np.linalg.norm(tools[0] - tools[1]) == pytest.approx(behind, rel=0.3) != 0.0
        executed = read(tmp_path / "late", number, labels="executed")
        for asked, begun in zip(slow, executed, strict=True):
            np.testing.assert_allclose(asked.action, begun.action, rtol=0, atol=1e-9)


def test_what_does_not_fit_is_refused(quick: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="collected with seed 1, not 2"):
        collect(dataclasses.replace(QUICK, seed=2), quick, 2)
    (tmp_path / "episode_0000").mkdir()
    with pytest.raises(ConfigError, match="they were not collected here"):
        collect(QUICK, tmp_path, 1)
    (tmp_path / BOOK).write_text("no book\n")
    with pytest.raises(DataError, match="cannot be read"):
        collect(QUICK, tmp_path, 1)
    with folders.lock(quick), pytest.raises(folders.InUseError, match=str(os.getpid())):
        collect(QUICK, quick, 2)
    with pytest.raises(ConfigError, match=r"unknown camera 'back'.*; valid: 'front', 'overview'"):
        collect(dataclasses.replace(QUICK, cameras=("back",)), tmp_path / "new", 1)
    with pytest.raises(ConfigError, match=r"less than the step time of 0\.2 s, got 0\.2 s"):
        collect(dataclasses.replace(QUICK, latency_s=0.2), tmp_path / "new", 1)
    with pytest.raises(ConfigError, match="the tasks are for one arm, not 2"):
        collect(dataclasses.replace(QUICK, robot="aloha"), tmp_path / "new", 1)
    assert not (tmp_path / "new").exists() or not folders.episodes(tmp_path / "new")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colours": ("pink",)}, "unknown colour 'pink'"),
        ({"tasks": ("juggle",)}, "unknown task 'juggle'"),
        ({"scene": "moon"}, "unknown scene 'moon'"),
        ({"jpeg_quality": 0}, "jpeg quality must be 1 to 100"),
        ({"seed": -1}, "seed must be 0"),
        ({"tasks": ("put",), "colours": ("green",)}, "no pair of task and colour"),
    ],
)
def test_requests_that_are_none(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(QUICK, **changes)


def test_more_demonstrations_do_not_change_those_before() -> None:
    trials = [REQUEST.trial(n) for n in range(40)]
    assert trials == [REQUEST.trial(n) for n in range(40)]
    assert len({t.seed for t in trials}) == 40 and all(t.seed % 2 for t in trials)
    assert not any((t.task, t.target) == ("knock", "yellow_block") for t in trials)


def test_the_command_goes_on_and_says_what_there_is(
    quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["collect", str(quick), "--episodes", "2", "--seed", "1", "--tasks", "put", "knock"]
    assert cli.main([*argv, "--image-size", "160x120"]) == 2  # another request
    assert "collected with tasks ['knock'], not ['put', 'knock']" in capsys.readouterr().err
    argv = [a for a in argv if a != "put"]
    assert cli.main([*argv, "--image-size", "160x120"]) == 0
    assert capsys.readouterr().out.strip() == f"{quick}: 2 demonstrations (knock 2)"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_crew_does_all_pieces(workers: int) -> None:
    pieces, results = iter(range(8)), []
    crew.run(crew_work.doubler, lambda: next(pieces, None), results.append, workers)
    assert sorted(results) == [2 * n for n in range(8)]


@pytest.mark.parametrize(
    ("work", "kind", "message"),
    [
        (crew_work.faulty, DataError, "three is too much"),
        (crew_work.mortal, LapaError, "exit code -9"),
    ],
)
def test_a_crew_says_what_befell_it(work: Any, kind: type[Exception], message: str) -> None:
    pieces = iter(range(50))
    with pytest.raises(kind, match=message):
        crew.run(work, lambda: next(pieces, None), lambda _: None, 2)


def test_a_worker_that_dies_between_two_pieces_is_named() -> None:
    """The next piece for it was a BrokenPipeError."""

    def take(_: object) -> None:
        for child in multiprocessing.active_children():
            child.kill()
            child.join()

    with pytest.raises(LapaError, match="exit code -9"):
        crew.run(crew_work.doubler, lambda: 1, take, 2)


def test_a_book_that_the_disk_refuses_is_named(tmp_path: Path) -> None:
    book = Book(tmp_path, Request())
    (tmp_path / BOOK).mkdir()
    with pytest.raises(RecordingError, match="cannot be written"):
        book.add(Attempt(0, "put", "red_block", "words", True, True, 20))


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    request = ["--seed", "7", "--image-size", "160x120"]
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert cli.main(["collect", str(whole), "--episodes", "8", *request]) == 0
    command = [sys.executable, "-m", "lapa_core.cli", "collect", str(torn), "--episodes", "8"]
    kills = 0
    for done in range(1, 6):  # by its progress: how fast it is depends on the machine
        process = subprocess.Popen([*command, "--workers", "2", *request])
        while process.poll() is None and len(folders.episodes(torn)) < done:
            threading.Event().wait(0.01)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills > 0
    # The workers of a killed run finish what they are doing: the next run waits for them.
    assert subprocess.run([*command, "--workers", "2", *request], check=False).returncode == 0
    mine, theirs = content(torn), content(whole)
    books = [
        sorted(json.loads(line)["number"] for line in c.pop(BOOK).splitlines()[1:])
        for c in (mine, theirs)
    ]
    assert books[0] == books[1]
    assert mine == theirs
