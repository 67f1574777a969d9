# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The scripts behind the published figures run whole, in small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filmed import moving, write

from lapa_core import paths
from lapa_core.recording import episode, folders

pytestmark = [pytest.mark.sim, pytest.mark.torch]
ROOT = paths.share("runs").parent


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_the_small_policy_is_made_by_one_script(tmp_path: Path) -> None:
    """`runs/micro.sh FOLDER debug`, and what it left does not have to be made again."""
    from lapa_core.policy.policy import Policy

    def run() -> float:
        began = time.monotonic()
        subprocess.run(
            ["sh", str(ROOT / "runs/micro.sh"), str(tmp_path), "debug"],
            env={**os.environ, "PYTHON": sys.executable},
            check=True,
            timeout=240,
        )
        return time.monotonic() - began

    assert run() < 120.0
    policy = Policy.from_checkpoint(tmp_path / "lapa-micro")
    assert policy.trained and policy.robot == "wx250s"
    for number in (1, 2):
        for made in folders.episodes(tmp_path / f"corrections-{number}"):
            assert episode.read(made).checkpoint == str(tmp_path / f"policy-{number - 1}")
    options = json.loads((tmp_path / "policy-2.run/options.json").read_text("utf-8"))
    assert options["start"].endswith("policy-1")
    assert (tmp_path / "eval/table.md").is_file()
    assert run() < 60.0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_recipes_of_latent_actions_are_compared_by_one_script(tmp_path: Path) -> None:
    """`runs/codes.sh FOLDER VIDEO debug`: a row for each seed of each recipe, and each option."""
    (tmp_path / "video").mkdir()
    for clip in range(8):
        write(tmp_path / f"video/clip_{clip}.mp4", moving(30, begin=clip / 8))
    subprocess.run(
        [
            "sh",
            str(ROOT / "runs/codes.sh"),
            str(tmp_path / "out"),
            str(tmp_path / "video"),
            "debug",
        ],
        env={**os.environ, "PYTHON": sys.executable, "OPTIONS": "change-weight=0.5"},
        check=True,
        timeout=240,
    )
    rows = (tmp_path / "out/codes.md").read_text("utf-8").splitlines()[2:]
    assert [r.split(" |")[0].removeprefix("| ") for r in rows] == [
        "change-weight-1", "steady-1", "steady-2", "reference-1", "reference-2",
    ]  # fmt: skip
    (file,) = (tmp_path / "out").glob("codes-*.json")
    models = json.loads(file.read_text("utf-8"))["models"]
    assert len({m["data"] for m in models.values()}) == 1  # all learnt from the same


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_latent_actions_are_compared_with_their_rivals_by_one_script(tmp_path: Path) -> None:
    """`runs/table.sh FOLDER debug`: every rival's way to its end, and again without work."""

    def run() -> float:
        began = time.monotonic()
        subprocess.run(
            ["sh", str(ROOT / "runs/table.sh"), str(tmp_path), "debug"],
            env={**os.environ, "PYTHON": sys.executable},
            check=True,
            timeout=600,
        )
        return time.monotonic() - began

    first = run()
    rivals = ("read", "plain", "vpt", "actionvla", "unipi")
    for count, others in ((3, ()), (6, rivals)):
        told = (tmp_path / f"wx250s/compared-{count}.txt").read_text("utf-8")
        firsts = [line.split("/")[-1] for line in told.splitlines() if line.startswith("first: ")]
        assert firsts == [f"{name}-{count}.eval" for name in ("scratch", *others)], told
        assert told.count(f"lapa-{count}.eval") == len(firsts)
        for name in ("lapa", *others):
            assert "knock" in (tmp_path / f"wx250s/{name}-{count}.txt").read_text("utf-8")
    assert run() < first
