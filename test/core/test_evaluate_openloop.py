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
from lapa_core.errors import DataError
from lapa_core.evaluate import openloop
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


@pytest.mark.torch
def test_a_checkpoint_answers_a_recording(
    debug_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lapa_core.data.episodes import open_episode
    from lapa_core.data.samples import SampleParams, Samples
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
