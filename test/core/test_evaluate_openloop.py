# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The open loop over recorded episodes: predicted against recorded, in millimetres and degrees."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from recorded import EpisodeMaker, Script, wander

from lapa_core import cli
from lapa_core.data import aims
from lapa_core.data.demos import Demo
from lapa_core.data.episodes import open_episode
from lapa_core.data.samples import SampleParams, Samples
from lapa_core.errors import DataError
from lapa_core.evaluate import aiming, openloop
from lapa_core.evaluate.openloop import Episode

NAMES = ("wx250s/x", "wx250s/yaw", "wx250s/gripper")


def episode(index: list[int], recorded: np.ndarray, predicted: np.ndarray) -> Episode:
    return Episode("e", np.array(index), recorded, predicted, {})


def test_errors_have_their_units_and_stand_beside_the_best_constant() -> None:
    recorded = np.array([[0.01, 0.1, 1.0], [0.03, 0.1, 1.0], [0.01, 0.1, 0.0]])
    off = np.array([[0.001, 0.02, -0.7], [-0.003, 0.0, 0.0], [0.001, 0.01, 0.3]])
    x, yaw, gripper = openloop.errors(
        [episode([0, 1, 2], recorded, (recorded + off)[:, None])], NAMES
    )
    assert (x.unit, yaw.unit, gripper.unit) == ("mm", "deg", "open")
    assert (x.mean, x.median, x.bias) == pytest.approx((5 / 3, 1.0, -1 / 3))
    assert x.constant == pytest.approx(20 / 3)  # of always giving 10 mm
    assert yaw.mean == pytest.approx(math.degrees(0.01)) and yaw.constant == pytest.approx(0.0)
    assert gripper.wrong == pytest.approx(1 / 3) and math.isnan(x.wrong)


def test_later_steps_of_a_chunk_meet_what_was_done_then() -> None:
    """Step 1 of the chunk at place i belongs to place i + 1, where that was recorded."""
    index = [0, 1, 2, 5, 6]
    recorded = np.array([[i * 1e-3] for i in index])
    predicted = np.stack([recorded, recorded + 1e-3 + 2e-3], axis=1)
    found = openloop.errors([episode(index, recorded, predicted)], ("a/x",), ahead=1)
    assert found[0].mean == pytest.approx(2.0)  # of 0, 1 and 5; 2 and 6 have no next
    with pytest.raises(DataError, match="1 ahead"):
        openloop.errors([episode([0, 2], recorded[:2], predicted[:2])], ("a/x",), ahead=1)


def test_the_place_said_at_first_stands_apart_from_those_said_when_the_tool_is_near() -> None:
    acted = np.array([[0.3, 0.1], [0.3, 0.1], [np.nan, np.nan]])
    said = acted + np.array([[0.02, -0.01], [0.002, -0.001], [0.0, 0.0]])
    one = Episode("e", np.arange(3), np.zeros((3, 7)), np.zeros((3, 1, 7)), {}, acted, said)
    silent = Episode("f", np.arange(3), np.zeros((3, 7)), np.zeros((3, 1, 7)), {}, acted,
                     np.full((3, 2), np.nan))  # fmt: skip
    found = aiming.errors([one, silent], ("arm/aim_x", "arm/aim_y"))
    assert [(d.name, d.unit) for d in found] == [
        ("arm/aim_x at first", "mm"), ("arm/aim_y at first", "mm"),
        ("arm/aim_x at all steps", "mm"), ("arm/aim_y at all steps", "mm"),
    ]  # fmt: skip
    assert [d.mean for d in found] == pytest.approx([20, 10, 11, 5.5])
    assert aiming.errors([silent], ("arm/aim_x", "arm/aim_y")) == []


def sighted(words: str, off_m: list[float]) -> Episode:
    """An episode whose place at first is so far off, of each arm."""
    acted = np.full((2, 2 * len(off_m)), 0.2)
    said = acted.copy()
    said[0, ::2] += off_m
    return Episode(
        "e", np.arange(2), np.zeros((2, 7)), np.zeros((2, 1, 7)), {}, acted, said, words
    )


def test_what_is_seen_at_first_is_told_for_each_instruction() -> None:
    episodes = [sighted("cover it", [0.004])] * 3 + [sighted("put it away", [0.01])]
    episodes += [sighted("put it away", [0.05])]
    everything, put, cover = aiming.first_sights(episodes)
    assert (everything.instruction, everything.episodes, everything.far) == ("all", 5, 0.2)
    assert (cover.instruction, cover.episodes, cover.far) == ("cover it", 3, 0.0)
    assert (cover.median_mm, cover.p75_mm) == pytest.approx((4.0, 4.0))
    assert (put.median_mm, put.p75_mm, put.far) == pytest.approx((30.0, 40.0, 0.5))
    assert aiming.sight_cells(put) == ("put it away", "2", "30.0 mm", "40.0 mm", "50 %")
    (_, two) = aiming.first_sights([sighted("pass it", [0.001, 0.02])])
    assert two.median_mm == pytest.approx(20.0)  # of two arms the worse one
    assert aiming.first_sights([sighted("", [math.nan])]) == []
    assert aiming.first_sights([episode([0], np.zeros((1, 3)), np.zeros((1, 1, 3)))]) == []


def test_places_are_held_against_what_a_training_would_learn(tmp_path: Path) -> None:
    """Of two arms: the same hindsight as of a demonstration's own samples."""
    steps = {0.5 + 0.2 * i: d for i, d in enumerate(wander(4, 12, 14))}
    EpisodeMaker("bimanual_wx250s").write(tmp_path / "episode_000000", Script(steps, 3.2))
    samples = Samples(open_episode(tmp_path / "episode_000000"), SampleParams(state=False))
    taken = list(samples)
    kept = [aiming.Step(s.index, s.time_ns, s.action) for s in taken]
    tools = np.array([samples.tracks.tools(s.time_ns) for s in taken])
    demo = Demo(
        name="e", codes=np.zeros((1, len(kept), 1, 1), dtype=np.uint32),
        actions=np.array([s.action for s in taken]), state=np.zeros((len(kept), 0)),
        index=np.array([s.index for s in taken]), instructions=("",) * len(kept),
        authority=("teleop",) * len(kept), tool=tools,
    )  # fmt: skip
    found = aiming.acted(samples.tracks, kept)
    assert found.shape == (len(kept), 4) and len(kept) >= 10
    np.testing.assert_array_equal(found, aims.of_demo(demo)[:, :, :2].reshape(-1, 4))
    assert np.isfinite(found).all() and np.ptp(found, axis=0).min() > 0.005
    assert aiming.acted(samples.tracks, []).shape == (0, 4)


@pytest.mark.torch
def test_a_checkpoint_answers_a_recording(
    debug_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lapa_core.policy import Policy

    steps = {0.5 + 0.2 * i: d for i, d in enumerate(wander(0, 6))}
    script = Script(steps, 2.5, instruction={0.0: "put the red block in the bin"})
    demos = tmp_path / "demos"
    EpisodeMaker().write(demos / "episode_000000", script)
    argv = ["eval", str(debug_checkpoint), "--open-loop", str(demos), "--out", str(tmp_path)]
    assert cli.main(argv) == 0
    printed = capsys.readouterr().out
    assert "wx250s/x" in printed and "mm" in printed and "constant" in printed
    with (tmp_path / "open_loop.png").open("rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    found = json.loads((tmp_path / "open_loop.json").read_text())
    assert found["steps"] == found["episodes"][0]["steps"] >= 4
    # The same through samples and policy by hand: what was seen live and what was done then.
    policy = Policy.from_checkpoint(debug_checkpoint)
    samples = Samples(open_episode(demos / "episode_000000"), SampleParams(state=False))
    off = [policy.infer(s.observation).chunk.deltas[0] - s.action for s in samples]
    x = found["dimensions"][0]
    assert x["name"] == "wx250s/x"
    assert x["mean"] == pytest.approx(1e3 * np.mean(np.abs(off), axis=0)[0])
    every = ["--every", "2", "--json"]
    assert cli.main([*argv, *every]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == math.ceil(found["steps"] / 2)


@pytest.mark.torch
def test_recordings_of_another_robot_are_refused(
    debug_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Script({0.5: wander(0, 1)[0]}, 1.0, instruction={0.0: "put it in"})
    EpisodeMaker("vx300s").write(tmp_path / "episode_000000", script)
    assert cli.main(["eval", str(debug_checkpoint), "--open-loop", str(tmp_path)]) == 2
    assert "not made for" in capsys.readouterr().err
