# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A model that reads the arm's state and two cameras: made, saved, and asked by `lapa infer`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lapa_core import cli
from lapa_core import robot as robots
from lapa_core.commands.infer import dump
from lapa_core.errors import ConfigError, DataError, StaleInput
from lapa_core.model import fresh
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.policy import Policy
from lapa_core.policy.policy import Prediction
from lapa_core.types import Observation

pytestmark = pytest.mark.torch
STATE = ("wx250s/x", "wx250s/gripper")
VALUES = {"wx250s/x": 0.3, "wx250s/gripper": 1.0}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = fresh.checkpoint("debug", robots.load("wx250s"), state=STATE, vision_positions=True)
    made.interface = dataclasses.replace(made.interface, cameras=("front", "overview"))
    out = tmp_path_factory.mktemp("state") / "checkpoint"
    made.save_pretrained(out)
    return out


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    found = {}
    for name in ("front", "overview"):
        found[name] = folder / f"{name}.png"
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(found[name])
    return found


def infer(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, images: list[str], state: list[str]
) -> tuple[int, str, str]:
    argv = ["infer", str(checkpoint), "--instruction", "open the drawer", "--json"]
    code = cli.main([*argv, "--image", *images, *(["--state", *state] if state else [])])
    out, err = capsys.readouterr()
    return code, out, err


def named(files: dict[str, Path]) -> list[str]:
    return [f"{camera}={file}" for camera, file in files.items()]


def test_it_answers_as_the_policy_does(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, files: dict[str, Path]
) -> None:
    state = [f"{n}={v}" for n, v in VALUES.items()]
    code, out, err = infer(capsys, checkpoint, named(files), state)
    assert code == 0, err
    images = {camera: np.array(Image.open(file)) for camera, file in files.items()}
    policy = Policy.from_checkpoint(checkpoint)
    seen = Observation(1, images, "open the drawer", VALUES)
    assert json.loads(out)["tokens"] == policy.infer(seen).tokens.tolist()
    ordered = [images["front"], images["overview"]]
    own, swapped = (policy.predict(p, seen.instruction, VALUES) for p in (ordered, ordered[::-1]))
    np.testing.assert_array_equal(policy.infer(seen).tokens, own.tokens)
    assert not np.array_equal(own.step_logits, swapped.step_logits), "which camera is which"
    with pytest.raises(StaleInput, match=r"'wx250s/x'"):
        policy.infer(dataclasses.replace(seen, state={}))
    with pytest.raises(DataError, match="not finite"):
        policy.infer(dataclasses.replace(seen, state={**VALUES, "wx250s/x": float("nan")}))


def test_every_value_of_the_state_is_read(checkpoint: Path) -> None:
    """Scores differ, whether or not the likeliest token does."""
    policy = Policy.from_checkpoint(checkpoint)
    grey = [np.full((48, 64, 3), 99, dtype=np.uint8)] * 2
    scores = [
        policy.predict(grey, "open the drawer", {**VALUES, **changes}).step_logits
        for changes in ({}, {"wx250s/x": 0.2}, {"wx250s/gripper": 0.0})
    ]
    assert not np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


@pytest.mark.parametrize(
    ("images", "state", "message"),
    [
        (
            ["front", "overview"],
            [],
            "reads the arm's state; give --state wx250s/x=VALUE ",
        ),
        (["front", "overview"], ["wx250s/x=0.3"], "give --state wx250s/gripper=VALUE"),
        (["front", "overview"], ["wx250s/z=1"], "the checkpoint reads wx250s/x, wx250s/gripper"),
        (["front", "overview"], ["wx250s/x=far"], "'far' is no number"),
        (["front"], [], "--image has no file of overview"),
        (["front", "front"], [], "each camera needs one file; valid: front=FILE overview=FILE"),
    ],
)
def test_what_is_missing_is_named(
    capsys: pytest.CaptureFixture[str],
    checkpoint: Path,
    files: dict[str, Path],
    images: list[str],
    state: list[str],
    message: str,
) -> None:
    code, _, err = infer(capsys, checkpoint, [f"{c}={files[c]}" for c in images], state)
    assert code == 2 and message in err and err.count("\n") == 1
    code, _, err = infer(capsys, checkpoint, [f"wrist={files['front']}"], [])
    assert code == 2 and "unknown camera 'wrist'" in err


def test_a_state_for_a_checkpoint_that_reads_none_is_refused(
    capsys: pytest.CaptureFixture[str], debug_checkpoint: Path, files: dict[str, Path]
) -> None:
    images = [f"front={files['front']}"]
    code, _, err = infer(capsys, debug_checkpoint, images, ["wx250s/x=0.3"])
    assert code == 2 and "the checkpoint reads no state" in err
    assert infer(capsys, debug_checkpoint, images, [])[0] == 0


def test_a_dump_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    none = np.zeros(0, dtype=np.int64)
    with pytest.raises(DataError, match="cannot write"):
        dump(tmp_path / "none" / "x.npz", Prediction(none, none, none, none, none, {}))


def test_a_fresh_model_without_state_is_what_it_was(debug_checkpoint: Path) -> None:
    config = Checkpoint.from_pretrained(debug_checkpoint).lapa.config
    assert (config.state_vocab_size, config.vision_positions) == (0, 0)
    with pytest.raises(ConfigError, match=r"unknown state 'wx250s/t'"):
        fresh.checkpoint("debug", robots.load("wx250s"), state=("wx250s/t",))
