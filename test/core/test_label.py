# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A corpus labelled into shards: each example once, whatever stops the job; real files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from filmed import moving, picture, write
from recorded import EpisodeMaker, Script, wander

from lapa_core import cli
from lapa_core.data import images
from lapa_core.data.footage import clips
from lapa_core.label import lines, shard
from lapa_core.model.configuration import preset
from lapa_core.model.laq import Laq, LaqConfig, load
from lapa_core.model.vqgan import Vqgan
from lapa_core.train.codes import frozen
from lapa_core.train.laq.options import SIZES

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(0)
    model = Laq(LaqConfig(**SIZES["debug"]))
    model.save_pretrained(folder / "laq")
    Vqgan(preset("debug").vqgan_config()).save_pretrained(folder / "vqgan")
    return folder / "laq", folder / "vqgan"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(6):
        write(folder / f"{number}.mp4", moving(16, begin=number / 8))
    (folder / "0.txt").write_text("move the\nsquare\n")
    (folder / "broken.mp4").write_bytes(b"no video")
    write(folder / "one.mp4", moving(1))
    steps = {0.5 + 0.2 * i: d for i, d in enumerate(wander(4, 8))}
    script = Script(steps, 3.0, instruction={0.0: "wave"})
    EpisodeMaker().write(folder / "episode_000000", script)
    return folder


def command(corpus: Path, networks: tuple[Path, Path], output: Path, *more: str) -> list[str]:
    laq, vqgan = networks
    return ["label", str(corpus), "--laq", str(laq), "--vqgan", str(vqgan), "--output",
            str(output), "--per-shard", "2", *more]  # fmt: skip


def examples(output: Path) -> list[dict[str, object]]:
    return [x for p in sorted(output.glob("*.parquet")) for x in shard.read(p)]


def test_each_pair_has_its_words_its_tokens_and_its_codes(
    corpus: Path, networks: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shards"
    assert cli.main(command(corpus, networks, out)) == 0
    told = capsys.readouterr().err
    assert "damaged: broken.mp4" in told and "nothing so long after it" in told
    found = examples(out)
    each = Counter(str(x["clip"]) for x in found)
    assert {f"{i}.mp4" for i in range(6)} <= set(each) and "one.mp4" not in each
    assert all(each[f"{i}.mp4"] >= 11 for i in range(6))
    words = {str(x["clip"]).partition(":")[0]: x["instruction"] for x in found}
    assert words["0.mp4"] == "move the square" and words["1.mp4"] == ""
    assert words["episode_000000"] == "wave"
    # The same by hand, of one clip: both networks, both ways to resize.
    laq, vqgan = load(networks[0]).eval(), frozen(Vqgan.from_pretrained(networks[1]))
    clip = next(c for c in clips.find(corpus)[0] if c.name == "2.mp4")
    seen = [f.image for f in clips.frames(clip)]
    mine = [x for x in found if x["clip"] == "2.mp4"]
    for example in mine[:3]:
        row = round(float(str(example["time_s"])) * 5)
        small = np.stack([images.resize_for_laq(seen[i], 64) for i in (row, row + 3)])
        pixels = torch.from_numpy(small).permute(3, 0, 1, 2)[None] / 255.0
        assert laq.encode(pixels)[0].tolist() == example["latent"]
        shown = images.normalise(images.resize_for_model(seen[row], True))
        with torch.inference_mode():
            tokens = vqgan.encode(torch.from_numpy(shown[None]))[0]
        assert tokens.tolist() == example["vision"]


def test_processes_make_the_same_shards_and_nothing_is_made_twice(
    corpus: Path, networks: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert cli.main(command(corpus, networks, one)) == 0
    assert cli.main(command(corpus, networks, two, "--workers", "2")) == 0
    assert examples(one) == examples(two)
    lost = sorted(two.glob("*.parquet"))[1]
    times = {p.name: p.stat().st_mtime_ns for p in two.glob("*.parquet")}
    lost.unlink()
    assert cli.main(command(corpus, networks, two)) == 0
    again = {p.name: p.stat().st_mtime_ns for p in two.glob("*.parquet")}
    assert [n for n in times if again[n] != times[n]] == [lost.name]
    assert examples(one) == examples(two)
    capsys.readouterr()
    assert cli.main(command(corpus, networks, two, "--gap", "0.4")) == 2
    assert "was begun with another pairs" in capsys.readouterr().err
    # Other footage of the same names is other footage.
    moved = tmp_path / "moved"
    shutil.copytree(corpus, moved)
    write(moved / "3.mp4", moving(16, begin=0.9))
    assert cli.main(command(moved, networks, two)) == 2
    assert "was begun with another shards" in capsys.readouterr().err
    assert cli.main(command(corpus, networks, two, "--workers", "0")) == 2
    assert "1 process or more" in capsys.readouterr().err
    (two / "labels.json").write_text("{")
    assert cli.main(command(corpus, networks, two)) == 2
    assert "labels.json is damaged" in capsys.readouterr().err
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "labels.part").write_text("{")  # killed while it was written
    assert cli.main(command(corpus, networks, tmp_path / "begun")) == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes").write_text("mine")
    assert cli.main(command(corpus, networks, tmp_path / "other")) == 2
    assert "holds something else" in capsys.readouterr().err


@pytest.mark.slow
def test_ray_makes_the_same_shards(
    corpus: Path, networks: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (extra `ray`)")
    one, other = tmp_path / "one", tmp_path / "other"
    assert cli.main(command(corpus, networks, one)) == 0
    words = command(corpus, networks, other, "--ray", "local", "--workers", "2")
    assert cli.main(words) == 0
    assert examples(one) == examples(other)
    times = {p.name: p.stat().st_mtime_ns for p in other.glob("*.parquet")}
    lost = sorted(other.glob("*.parquet"))[1]
    lost.unlink()
    assert cli.main(words) == 0  # goes on with what is missing, and nothing else
    again = {p.name: p.stat().st_mtime_ns for p in other.glob("*.parquet")}
    assert [n for n in times if again[n] != times[n]] == [lost.name]
    lost.unlink()
    capsys.readouterr()
    assert cli.main([*words[:-3], "auto", *words[-2:]]) == 2
    assert "no Ray cluster at auto" in capsys.readouterr().err


def test_a_list_of_words_goes_before_all_others(
    corpus: Path, networks: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "words.csv"
    listed.write_text('clip,instruction\n0.mp4,"push it, slowly"\nepisode_000000,rest\n')
    assert cli.main(command(corpus, networks, tmp_path / "x", "--words", str(listed))) == 0
    found = {str(x["clip"]).partition(":")[0]: x["instruction"] for x in examples(tmp_path / "x")}
    assert found["0.mp4"] == "push it, slowly" and found["episode_000000"] == "rest"
    assert found["1.mp4"] == ""
    listed.write_text("name,words\n")
    assert cli.main(command(corpus, networks, tmp_path / "y", "--words", str(listed))) == 2
    assert "columns clip and instruction" in capsys.readouterr().err


def test_lines_of_the_reference(corpus: Path, networks: tuple[Path, Path], tmp_path: Path) -> None:
    assert cli.main(command(corpus, networks, tmp_path / "x")) == 0
    example = next(x for x in examples(tmp_path / "x") if x["clip"] == "0.mp4")
    line = json.loads(lines.line(example))
    assert line["instruction"] == (
        "<s> You are a helpful assistant. USER: What action should the robot take to "
        "`move the square` ASSISTANT:"
    )
    assert line["fields"] == "[instruction],[vision],delta"
    assert [int(c) for c in line["delta"]] == example["latent"] and all(
        isinstance(c, str) for c in line["delta"]
    )


@pytest.mark.slow
@pytest.mark.timeout(600)  # of some 25 starts each imports torch, some 5 s
def test_killed_twenty_times_nothing_is_lost_or_doubled(
    networks: tuple[Path, Path], tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(40):
        folder = corpus / f"{number:02d}"
        folder.mkdir()
        for i in range(12):
            image = picture(((number + i) / 7) % 1)
            cv2.imwrite(str(folder / f"{i}.png"), image)
    whole = tmp_path / "whole"
    argv = command(corpus, networks, whole, "--rate", "5", "--per-shard", "1")
    assert cli.main(argv) == 0
    wanted = examples(whole)
    assert len(wanted) >= 300
    cut = tmp_path / "cut"
    argv = command(corpus, networks, cut, "--rate", "5", "--per-shard", "1", "--workers", "2")
    chance = np.random.default_rng(0)
    killed = 0
    for _ in range(60):
        if killed == 20 or len(list(cut.glob("*.parquet"))) > 36:
            break
        job = subprocess.Popen([sys.executable, "-m", "lapa_core.cli", *argv],
                               stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        made = len(list(cut.glob("*.parquet")))
        deadline = time.monotonic() + 60
        # Somewhere in the middle of the next shards, not while libraries are imported.
        while len(list(cut.glob("*.parquet"))) <= made and time.monotonic() < deadline:
            if job.poll() is not None:
                break
            time.sleep(0.005)
        time.sleep(float(chance.uniform(0, 0.1)))
        if job.poll() is None and len(list(cut.glob("*.parquet"))) < 40:
            killed += 1
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
        job.wait()
    assert killed >= 15
    assert cli.main(argv) == 0
    assert examples(cut) == wanted
