# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The rival of latent actions: motions learnt from recordings, told of video, as codes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filmed import picture, write
from recorded import EpisodeMaker, Script, wander

from lapa_core import cli
from lapa_core.data.footage import clips, moves, store
from lapa_core.data.footage.clips import VIDEO, Clip
from lapa_core.data.footage.pairs import PairParams
from lapa_core.data.footage.store import Stored, StoreParams
from lapa_core.errors import CheckpointError, ConfigError
from lapa_core.label import shard
from lapa_core.model import idm
from lapa_core.model.configuration import preset
from lapa_core.model.idm import IdmConfig
from lapa_core.model.laq import Laq, LaqConfig
from lapa_core.model.laq import load as load_laq
from lapa_core.model.vqgan import Vqgan
from lapa_core.train.idm import recipe
from lapa_core.train.laq import footage, options
from lapa_core.train.laq import recipe as laq_recipe
from lapa_core.train.laq.trainee import drawing_error

pytestmark = pytest.mark.torch


def test_a_motion_is_a_way_a_turn_and_an_opening() -> None:
    states = np.zeros((3, 10))
    states[:, :5] = [[0.1, 0, 0.2, 3.0, 1], [0.2, -0.1, 0.2, -3.0, 0], [np.nan, 0, 0, 0, 0]]
    found = moves.between(states, np.array([[0, 1], [1, 0], [1, 2]]))
    np.testing.assert_allclose(found[0, :5], [0.1, -0.1, 0, 2 * np.pi - 6, 0], atol=1e-12)
    np.testing.assert_allclose(found[1, :5], [-0.1, 0.1, 0, 6 - 2 * np.pi, 1], atol=1e-12)
    assert np.isnan(found[2, 0]) and not found[:2, 5:].any()
    assert moves.ways_m(found).shape == (3, 6) and moves.names(10)[6] == "1/y"


def told(tmp_path: Path, count: int = 6) -> footage.Footage:
    """A bright square that goes to and fro, and where it was."""
    kept: list[Stored] = []
    for number in range(count):
        places = np.random.default_rng(number).uniform(0, 1, size=24)
        path = write(tmp_path / f"{number}.mp4", [picture(p) for p in places])
        clip = Clip(path.name, path, VIDEO)
        made = store.load(store.store(clip, StoreParams(size=64), tmp_path / "cache"))
        states = np.zeros((len(places), 5))
        states[:, 0] = 0.3 * places
        kept.append(replace(made, states=states))
    return footage.pair(kept, [PairParams(gap_s=0.2, cuts=False)] * count, {})


def test_it_learns_motions_that_it_then_tells_as_codes(tmp_path: Path) -> None:
    found = told(tmp_path)
    wanted = options.resolve("debug", steps=250, batch=16, validate_every=250, save_every=250,
                             validation=0.2, validation_samples=64)  # fmt: skip
    ended = recipe.pretrain(found, tmp_path / "idm", wanted, options.SIZES["debug"], bins=4)
    assert ended.best is not None and ended.best["x_r2"] > 0.8 and ended.best["relative"] < 0.3
    model = idm.load(tmp_path / "idm").eval()
    assert model.config.code_seq_len == 5 and model.config.codebook_size == 4
    assert model.config.dimensions == ["x", "y", "z", "yaw", "gripper"]
    which = np.arange(len(found))
    frames = torch.from_numpy(found.pictures(which)).permute(0, 4, 1, 2, 3).float() / 255.0
    codes = model.encode(frames)
    true = model.binned(torch.from_numpy(found.moves(which)))
    assert codes.shape == true.shape == (len(which), 5)
    assert (codes[:, 0] == true[:, 0]).float().mean() > 0.6  # of four bins, equally full
    assert np.bincount(true[:, 0]).min() > len(which) / 6


def test_what_its_numbers_mean_must_fit_together() -> None:
    with pytest.raises(ConfigError, match="2 dimensions need as many middles"):
        IdmConfig(dimensions=["x", "y"])
    with pytest.raises(ConfigError, match="spreads above 0"):
        IdmConfig(spread=[0.0])


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for number in range(4):
        steps = {0.5 + 0.2 * i: d for i, d in enumerate(wander(number, 12))}
        EpisodeMaker().write(folder / f"episode_{number:06d}", Script(steps, 4.0))
    return folder


@pytest.fixture(scope="module")
def networks(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An inverse dynamics model by the command, and a VQGAN."""
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(0)
    Vqgan(preset("debug").vqgan_config()).save_pretrained(folder / "vqgan")
    words = ["pretrain", "idm", str(recordings), "--output", str(folder / "idm"), "--preset",
             "debug", "--bins", "16", "--cpu", "--cameras", "front"]  # fmt: skip
    assert cli.main(words) == 0
    assert cli.main([*words, "--resume"]) == 0
    return folder / "idm", folder / "vqgan"


def labelled(
    data: Path, networks: tuple[Path, Path], out: Path, more: Sequence[str] = ()
) -> list[dict[str, object]]:
    words = ["label", str(data), "--idm", str(networks[0]), "--vqgan", str(networks[1]),
             "--output", str(out), "--cameras", "front", *more]  # fmt: skip
    assert cli.main(words) == 0
    return [x for p in sorted(out.glob("*.parquet")) for x in shard.read(p)]


def test_true_motions_are_codes_too_and_a_model_is_pretrained_on_either(
    recordings: Path, networks: tuple[Path, Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    guessed = labelled(recordings, networks, tmp_path / "guessed")
    true = labelled(recordings, networks, tmp_path / "true", ["--true"])
    assert "nobody says what was done" in capsys.readouterr().err  # before the first step
    mine = {(x["clip"], x["time_s"]): x for x in guessed}
    assert len(true) > 20 and {(x["clip"], x["time_s"]) for x in true} <= set(mine)
    assert all(x["vision"] == mine[x["clip"], x["time_s"]]["vision"] for x in true)
    model = idm.load(networks[0])
    clip = clips.find(recordings, ["front"])[0][0]
    first = [x for x in true if x["clip"] == clip.name]
    times = np.array([float(str(x["time_s"])) for x in first])
    ends = times + 0.6  # pictures come at 10 Hz, five a second are kept
    both = store.states(clip, [*times, *ends])
    rows = np.stack([np.arange(len(times)), len(times) + np.arange(len(times))], axis=1)
    wanted = model.binned(torch.from_numpy(moves.between(both, rows))).numpy()
    assert np.mean(wanted == np.array([x["latent"] for x in first])) > 0.8
    for name in ("guessed", "true"):
        out = tmp_path / f"latent-{name}"
        assert cli.main(
            ["pretrain", "latent", str(tmp_path / name), "--from", "scratch", "--preset", "debug",
             "--vqgan", str(networks[1]), "--output", str(out), "--cpu"]
        ) == 0  # fmt: skip
        assert (out / "model.safetensors").is_file()


def test_what_cannot_be_learnt_from_or_told_is_said(
    networks: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "video.mp4", [picture(p) for p in np.linspace(0, 1, 12)])
    words = ["pretrain", "idm", str(tmp_path / "video.mp4"), "--output", str(tmp_path / "idm"),
             "--preset", "debug", "--cpu"]  # fmt: skip
    assert cli.main(words) == 2
    assert "nothing here says what an arm did" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="no folder of `lapa pretrain idm`"):
        idm.load(networks[1])
    words = ["label", str(tmp_path / "video.mp4"), "--laq", str(networks[1]), "--true",
             "--vqgan", str(networks[1]), "--output", str(tmp_path / "shards")]  # fmt: skip
    assert cli.main(words) == 2
    assert "in the bins of an inverse dynamics model" in capsys.readouterr().err
    assert not labelled(tmp_path / "video.mp4", networks, tmp_path / "none", ["--true"])
    words[2:4] = ["--laq", str(networks[0])]
    assert cli.main(words[:4] + words[5:]) == 2
    assert "give it as --idm" in capsys.readouterr().err
    words[2:4] = ["--idm", str(networks[1])]
    assert cli.main(words) == 2
    assert "is no inverse dynamics model" in capsys.readouterr().err
    words[2:4] = ["--idm", str(networks[0])]
    words[words.index("--output") + 1] = str(tmp_path / "far")
    assert cli.main([w for w in words if w != "--true"] + ["--gap", "2.4"]) == 2
    assert "tells what is done in 0.6 s, and pairs are 2.4 s apart" in capsys.readouterr().err


def test_a_quantiser_can_be_asked_for_motions_and_for_what_changes(tmp_path: Path) -> None:
    """Both off by default; half of the pairs say nothing of what was done."""
    found = told(tmp_path, 4)
    for clip in found.clips[:2]:
        clip.states[:] = np.nan
    assert np.isnan(found.moves(np.arange(len(found)))).any(axis=1).mean() == 0.5
    wanted = options.resolve("debug", steps=60, batch=16, validate_every=60, log_every=20)
    codes = options.resolve_codes("debug", motion_weight=1.0, change_weight=0.5)
    model = Laq(LaqConfig(**options.SIZES["debug"]))
    before = set(model.state_dict())
    laq_recipe.pretrain(model, found, tmp_path / "laq", wanted, codes)
    lines = (tmp_path / "laq.run/metrics.jsonl").read_text("utf-8").splitlines()
    seen = [e["train/loss_motion"] for e in map(json.loads, lines) if "train/loss_motion" in e]
    assert len(seen) == 3 and np.isfinite(seen).all() and seen[-1] < 0.7 * seen[0]
    assert set(load_laq(tmp_path / "laq").state_dict()) == before  # the head stays behind
    for clip in found.clips:
        clip.states[:] = np.nan
    with pytest.raises(ConfigError, match="motion_weight needs pairs"):
        laq_recipe.pretrain(model, found, tmp_path / "never", wanted, codes)


def test_the_error_of_a_drawing_counts_where_the_picture_changes() -> None:
    frames = torch.zeros(1, 3, 2, 8, 8)
    frames[:, :, 1, :4] = 0.5  # the upper half changes
    upper, lower = frames[:, :, 1].clone(), frames[:, :, 1].clone()
    upper[:, :, :4] += 0.1
    lower[:, :, 4:] += 0.1
    for share, wanted in ((0.0, (1.0, 1.0)), (0.5, (1.5, 0.5))):
        off = [float(drawing_error(d, frames, share)) for d in (upper, lower)]
        np.testing.assert_allclose(off, np.array(wanted) * 0.005, rtol=1e-4)
    still = torch.zeros_like(frames)
    assert torch.isfinite(drawing_error(upper, still, 0.5))


def test_an_edge_lies_between_values_that_are_there() -> None:
    openings = np.array([0.0] * 45 + [1.0] * 55)
    edges = recipe.edges_of(openings, 8)
    assert edges.tolist() == [0.5] * 7
    model = idm.Idm(IdmConfig(**{**options.SIZES["debug"], "edges": [edges.tolist()]}))
    codes = model.binned(torch.tensor([[0.0], [-0.1], [0.4], [0.9], [1.0], [1.2]])).flatten()
    assert codes.tolist() == [0, 0, 0, 7, 7, 7]
    assert np.unique(recipe.edges_of(np.zeros(5), 4)).tolist() == [1.0]  # all in the first bin
    spread = np.random.default_rng(0).normal(size=1000)
    full = np.bincount(np.searchsorted(recipe.edges_of(spread, 16), spread, side="right"))
    assert len(full) == 16 and full.min() >= 60
