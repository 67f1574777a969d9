# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A small image tokenizer: what it is shown, that it learns, goes on after a crash, is judged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from full_disk import largest_file
from recorded import EpisodeMaker, Script, number_of, numbered, wander

from lapa_core.data import images
from lapa_core.data.augment import Augment
from lapa_core.errors import CheckpointError, ConfigError, DataError, TrainingError
from lapa_core.train.vqgan import pool as pools
from lapa_core.train.vqgan import reading
from lapa_core.train.vqgan.options import TokenizerOptions
from lapa_core.train.vqgan.pool import PicturePool

pytestmark = pytest.mark.torch
QUICK = {"steps": 12, "batch": 4, "warmup": 3, "threads": 1, "precision": "float32",
         "log_every": 1, "curves": False}  # fmt: skip


# --- pictures -----------------------------------------------------------------------------------


def table(seed: int, block: tuple[int, int] | None = None, arm: bool = True) -> np.ndarray:
    """(256, 256, 3): a shaded table, an arm, and a small red block; the arm is somewhere else."""
    chance = np.random.default_rng(seed)
    rows = np.arange(256)[:, None, None]
    picture = np.broadcast_to(rows // 4 + np.array([120, 110, 90]), (256, 256, 3)).copy()
    if arm:
        at = int(chance.integers(0, 210))
        picture[:140, at : at + 40] = (30, 30, 35)
    row, column = block or (int(chance.integers(150, 230)), int(chance.integers(0, 240)))
    picture[row : row + 14, column : column + 14] = (200, 30, 30)
    return picture.astype(np.uint8)


def pictures(count: int = 24, episodes: int = 6) -> PicturePool:
    return pools.make(
        [(f"episode_{i * episodes // count:04d}", "front", table(i)) for i in range(count)]
    )


def shaken(count: int) -> list[tuple[str, str, np.ndarray]]:
    """Of a camera that moves: the same room from somewhere else each time."""
    chance = np.random.default_rng(0)
    room = chance.integers(0, 255, (12, 12, 3)).repeat(64, 0).repeat(64, 1).astype(np.uint8)
    found = []
    for i in range(count):
        row, column = chance.integers(0, 12 * 64 - 256, 2)
        found.append((f"e{i // 4}", "wrist", room[row : row + 256, column : column + 256]))
    return found


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small episodes of 66 pictures, one of them a failure; one of a wrong size, one cut."""
    folder = tmp_path_factory.mktemp("demos")
    maker = EpisodeMaker(compressed=True)
    script = Script({1.0: wander(0, 1)[0]}, 2.2)
    for i in range(3):
        outcome = "failure" if i == 2 else "success"
        maker.write(folder / f"episode_{i:04d}", script, episode=i, outcome=outcome)
    text = maker.text.replace("width: 64", "width: 32")
    maker.write(folder / "episode_0003", script, episode=3, robot_yaml=text)
    blind = Script({1.0: wander(0, 1)[0]}, 2.2, keep=lambda topic, at_s: "camera" not in topic)
    maker.write(folder / "episode_0004", blind, episode=4)
    return folder


def test_pictures_are_drawn_evenly_and_resized_as_a_policys(demos: Path) -> None:
    told: list[tuple[int, int]] = []
    pool = reading.read(demos, limit=31, progress=lambda *t: told.append(t))
    assert pool.cameras == ("front",)
    assert pool.episodes == ("episode_0000", "episode_0001", "episode_0002")
    # What the refused one would have given is not given to the others.
    assert sorted(np.bincount(pool.episode)) == [7, 8, 8] and told[-1] == (4, 4)
    numbers = [number_of(pool.picture(i)) for i in range(8)]
    assert numbers == pools.spread(66, 8).tolist()
    for i, number in enumerate(numbers):
        expected = images.resize_for_model(numbered(number), center_crop=False)
        assert np.abs(pool.picture(i).astype(int) - expected).max() <= 4  # two JPEGs


def test_an_episode_that_cannot_be_used_is_named(demos: Path) -> None:
    pool = reading.read(demos, limit=31)
    assert set(pool.refused) == {"episode_0003", "episode_0004"}
    assert "front sent 64x48 images, the robot file says 32x48" in pool.refused["episode_0003"]
    assert "camera/front" in pool.refused["episode_0004"]
    with pytest.raises(DataError, match=r"has 0 pictures to learn from: episode_0004: DataError"):
        reading.read(demos / "episode_0004")
    with pytest.raises(ConfigError, match=r"unknown camera 'frnt'.*did you mean 'front'"):
        reading.read(demos, cameras=("frnt",))
    with pytest.raises(ConfigError, match="at least 2"):
        reading.read(demos, limit=1)
    with pytest.raises(DataError, match="no data set"):
        reading.read(demos / "nothing")


def test_several_cameras_have_several_backgrounds(demos: Path) -> None:
    pool = reading.read(demos, cameras=("overview", "front"), limit=40)
    assert pool.cameras == ("overview", "front")
    assert [b.camera for b in pool.backgrounds()] == ["overview", "front"]


@pytest.mark.parametrize("seed", range(5))
def test_a_quota_is_all_there_is_or_no_more_than_anothers(seed: int) -> None:
    chance = np.random.default_rng(seed)
    counts = chance.integers(0, 50, 20).tolist()
    limit = int(chance.integers(1, 700))
    given = reading.quotas(counts, limit)
    assert sum(given) == min(limit, sum(counts))
    more = [g for g, c in zip(given, counts, strict=True) if g < c]
    assert all(0 <= g <= c for g, c in zip(given, counts, strict=True))
    assert not more or max(given) - min(more) <= 1


def test_a_background_is_what_stays(tmp_path: Path) -> None:
    pool = pictures()
    (background,) = pool.backgrounds()
    bare = table(0, block=(0, 0), arm=False)
    assert np.abs(background.median[20:].astype(int) - bare[20:]).max() <= 6
    assert background.fixed and 0.06 < background.foreground < 0.15
    mask = pools.foreground(table(3, block=(200, 100)), background.median)
    assert mask[200:214, 100:114].mean() > 0.95 and mask[150:190].mean() < 0.02


def test_a_camera_that_moves_is_found_out_or_named() -> None:
    still = [(e, "front", table(i)) for i, (e, _, _) in enumerate(shaken(24))]
    pool = pools.make(still + shaken(24))
    front, wrist = pool.backgrounds()
    assert front.fixed and not wrist.fixed and "moves" in str(wrist)
    assert [b.fixed for b in pool.backgrounds(moving=("front",))] == [False, False]
    with pytest.raises(ConfigError, match="unknown camera 'rist'"):
        pool.backgrounds(moving=("rist",))


def test_whole_episodes_are_held_back() -> None:
    learn, held = pictures(24, 6).split(0.2)
    assert len(learn) == 20 and len(held) == 4 and len(np.unique(held.episode)) == 1
    assert not set(np.unique(held.episode)) & set(np.unique(learn.episode))
    learn, held = pictures(10, 1).split(0.2)
    assert (len(learn), len(held)) == (8, 2)


# --- batches ------------------------------------------------------------------------------------


def feed(pool: PicturePool, **others: Any) -> Any:
    from lapa_core.train.vqgan.batches import PictureFeed

    return PictureFeed(pool, pool.backgrounds(), **{"size": 16, "cell": 16, **others})


def test_a_batch_follows_from_seed_number_and_stage() -> None:
    import torch

    from lapa_core.train.vqgan.batches import Stage

    pool, parts, whole = pictures(), Stage("encoder", False, 0.1), Stage("encoder", True, 0.9)
    made = feed(pool).batch(7, parts)
    assert made.pixels.shape == (16, 128, 128, 3) and made.pixels.dtype == torch.float32
    assert torch.equal(made.pixels, feed(pool).batch(7, parts).pixels)
    for other in (feed(pool).batch(8, parts), feed(pool, seed=1).batch(7, parts)):
        assert not torch.equal(made.pixels, other.pixels)
    assert feed(pool).batch(7, whole).pixels.shape == (4, 256, 256, 3)
    drawn = feed(pool).batch(7, Stage("decoder", False, 0.1))
    assert drawn.pixels.shape == (4, 256, 256, 3) and int(drawn.corners.max()) <= 8
    # A part is where there is something to see: 9 % of whole pictures is foreground.
    assert (made.weights > 0).float().mean() > 0.14


def test_each_piece_of_the_foreground_weighs_alike() -> None:
    """A block, its half behind the arm, a block by it of another colour, the arm itself."""
    from lapa_core.train.vqgan.pieces import PIECE_PX, piece_weights

    behind = table(0, block=(0, 0), arm=False)
    picture = behind.copy()
    picture[:140, 100:160] = (30, 30, 35)
    picture[150:180, 20:50] = (200, 30, 30)
    picture[180:210, 20:50] = (30, 160, 40)
    picture[139:149, 120:130] = (30, 40, 200)
    weights = piece_weights(picture, behind)
    assert weights.dtype == np.float32 and (weights[:, 200:] == 0).all()
    for piece, area in (
        (np.s_[:130, 100:160], 140 * 60 - 10),
        (np.s_[152:178, 22:48], 900),
        (np.s_[182:208, 22:48], 900),
    ):
        assert weights[piece] == pytest.approx(PIECE_PX / area, rel=0.05)
    assert (weights[141:147, 122:128] == 1.0).all()  # what is small does not weigh more
    assert not piece_weights(behind, behind).any()


def test_a_picture_may_come_in_squares_of_pixels() -> None:
    """Sizes, and that what is drawn of a cell is where the cell is."""
    import torch

    from lapa_core.model.configuration import VqganConfig
    from lapa_core.model.vqgan import Vqgan

    config = VqganConfig(16, (1, 2, 2), 1, 3, 8, 64, 8, 4, patch=4)
    assert (config.cell_px, config.codes_per_image) == (16, 256)
    vqgan = Vqgan(config).eval()
    pixels = torch.rand(2, 256, 256, 3) * 2 - 1
    with torch.inference_mode():
        codes = vqgan.encode(pixels)
        other = codes.clone()
        other[:, 16 * 5 + 9] = (other[:, 16 * 5 + 9] + 7) % 64
        changed = (vqgan.decode(codes) - vqgan.decode(other)).abs().amax(-1)
    assert codes.shape == (2, 256) and changed.shape == (2, 256, 256)
    here = changed[:, 80:96, 144:160].mean()
    assert here > 3 * changed[:, :16].mean() and here > 3 * changed[:, -64:].mean()


@pytest.mark.parametrize("levels", [4, 6])
def test_cells_may_be_smaller_or_larger(tmp_path: Path, pool: PicturePool, levels: int) -> None:
    from lapa_core.model.configuration import VqganConfig
    from lapa_core.model.vqgan import Vqgan
    from lapa_core.train.vqgan.batches import Stage

    cell = 2 ** (levels - 1)
    made = feed(pool, cell=cell).batch(0, Stage("encoder", False, 0.1))
    assert made.pixels.shape == (16, 128, 128, 3)
    assert int(made.corners.max()) <= 128 // cell
    sizes = VqganConfig(4, (1,) * levels, 1, 3, 8, 64, 8, 2)
    verdict = train(tmp_path / "vqgan", pool, vqgan=Vqgan(sizes), steps=4)
    assert verdict.codes == 64


def test_an_augmented_picture_and_its_background_are_changed_alike() -> None:
    from lapa_core.train.vqgan.batches import Stage

    made = feed(pictures(), augment=Augment()).batch(3, Stage("encoder", True, 1.0))
    plain = feed(pictures()).batch(3, Stage("encoder", True, 1.0))
    assert (made.pictures == plain.pictures).all()
    assert float((made.pixels - plain.pixels).abs().mean()) > 0.02
    there, before = ((b.weights > 0).float().mean() for b in (made, plain))
    assert abs(float(there - before)) < 0.05


# --- codebook -----------------------------------------------------------------------------------


def test_codes_become_the_means_of_their_cells_and_dead_ones_live_again() -> None:
    import torch
    from torch import nn

    from lapa_core.train.vqgan.quantiser import MovingCodebook

    chance = torch.Generator().manual_seed(0)
    middles = torch.randn(8, 4, generator=chance) * 5
    cells = middles.repeat(100, 1) + torch.randn(800, 4, generator=chance) * 0.1
    errors = []
    for revive in (False, True):
        book = MovingCodebook(nn.Embedding(16, 4).weight.data)
        assert not book.ready
        book.begin(cells[:2], chance)  # all at two of the eight
        entries = book._weight.clone()
        entries[4:] += 1000.0  # where there is nothing
        book.set(entries, 0.1)
        replaced = 0
        for step in range(300):
            codes = book.codes(cells)
            book.follow(cells, codes)
            if revive and step % 20 == 0 and step < 100:
                replaced += book.replace_dead(cells, codes, chance)
        errors.append(float((cells - book._weight[book.codes(cells)]).square().sum(1).mean()))
        assert (book.used() == 16) == revive == (replaced >= 12)
    assert errors[1] < 0.4 * errors[0], errors
    for code in book.codes(cells).unique():
        own = cells[book.codes(cells) == code]
        assert float((own.mean(0) - book._weight[code]).norm()) < 0.1
    assert 6 <= book.perplexity() <= 16
    again = MovingCodebook(nn.Embedding(16, 4).weight.data)
    again.load(book.tensors())
    assert torch.equal(again.uses, book.uses) and torch.equal(again.sums, book.sums)


# --- training -----------------------------------------------------------------------------------


def tiny_vqgan() -> Any:
    import torch

    from lapa_core.model.configuration import VqganConfig
    from lapa_core.model.vqgan import Vqgan

    sizes = VqganConfig(4, (1, 1, 1, 1, 1), 1, 3, 8, 64, 8, 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Vqgan(sizes)


def train(out: Path, pool: PicturePool, **others: Any) -> Any:
    from lapa_core.train.vqgan.recipe import pretrain

    known = {"resume", "moving", "clock", "source", "say", "vqgan"}
    options = TokenizerOptions(**{**QUICK, **{k: v for k, v in others.items() if k not in known}})
    more = {k: v for k, v in others.items() if k in known}
    return pretrain(more.pop("vqgan", tiny_vqgan()), pool, out, options, **more)


def entries(out: Path) -> list[dict[str, Any]]:
    text = out.with_name(out.name + ".run").joinpath("metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    (file,) = folder.glob("*.safetensors")
    return load_file(file)


@pytest.fixture(scope="module")
def pool() -> PicturePool:
    return pictures()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, pool: PicturePool) -> Path:
    """A run of twelve updates, not to be changed."""
    out = tmp_path_factory.mktemp("whole") / "vqgan"
    train(out, pool, curves=True)
    return out


class CrashError(Exception):
    """The process ends here."""


def crashing(calls: int) -> Callable[[], float]:
    """A clock that ends the process when it is asked so often."""
    asked = iter(range(calls))

    def clock() -> float:
        for number in asked:
            return float(number)
        raise CrashError

    return clock


def test_a_run_that_crashed_ends_with_the_same_weights(
    tmp_path: Path, pool: PicturePool, whole: Path
) -> None:
    """Once while the encoder learns, once while the decoder does; that one leaves the codes."""
    out, run = tmp_path / "vqgan", tmp_path / "vqgan.run"
    for calls, last in ((12, 6), (9, 10)):
        with pytest.raises(CrashError):
            train(out, pool, save_seconds=0, resume=True, clock=crashing(calls))
        states = sorted(run.glob("state-*"))
        assert len(states) == 2 and not out.exists()
        assert states[-1].name == f"state-{last:08d}"
    before = tensors(states[-1])
    train(out, pool, save_seconds=100, resume=True)
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert [e["step"] for e in entries(out)] == list(range(1, 13))
    after = tensors(out)
    for name in after:
        kept = before.get(f"frozen/vqgan.{name}")
        if name.startswith(("encoder", "quant_conv", "codebook")):
            assert kept is not None and (kept == after[name]).all(), name
    assert any((before[f"weight/vqgan.{n}"] != after[n]).any() for n in after if "decoder" in n)


def test_what_is_saved_is_a_whole_vqgan_and_says_how_it_was_made(whole: Path) -> None:
    import torch

    from lapa_core.train.start import read_vqgan

    vqgan, words = read_vqgan(whole)
    assert words is None and vqgan.num_codes == 64
    with torch.inference_mode():
        codes = vqgan.encode(torch.from_numpy(images.normalise(table(0)))[None])
    assert codes.shape == (1, 256) and len(codes.unique()) > 1
    told = json.loads((whole / "training.json").read_text("utf-8"))
    assert told["updates"] == 12 and told["verdict"]["faults"]
    assert (whole.with_name("vqgan.run") / "curves.png").is_file()
    for entry in entries(whole):
        part = "encoder" if entry["step"] <= 9 else "decoder"
        assert {f"{part}/loss", f"{part}/foreground_error", f"{part}/pictures_per_s"} <= set(entry)
        assert ("encoder/codes_used" in entry) == (1 < entry["step"] <= 9), entry


def test_it_learns_what_stands_out(tmp_path: Path, pool: PicturePool) -> None:
    train(tmp_path / "vqgan", pool, steps=28, lr=8e-3)
    found = entries(tmp_path / "vqgan")
    for part in ("encoder", "decoder"):
        errors = [e[f"{part}/foreground_error"] for e in found if f"{part}/loss" in e]
        assert np.mean(errors[-3:]) < 0.8 * errors[0], (part, errors)
    told = json.loads((tmp_path / "vqgan/training.json").read_text("utf-8"))
    assert told["verdict"]["codes_used"] > 5


def test_a_run_by_the_clock_ends_with_the_time(tmp_path: Path, pool: PicturePool) -> None:
    """Every update takes a second of it."""
    seconds = iter(range(10_000))
    told: list[str] = []
    verdict = train(
        tmp_path / "vqgan", pool, steps=0, minutes=0.4, save_seconds=1000, say=told.append,
        clock=lambda: float(next(seconds)),
    )  # fmt: skip
    steps = [e["step"] for e in entries(tmp_path / "vqgan")]
    assert 10 <= len(steps) <= 30 and "decoder/loss" in entries(tmp_path / "vqgan")[-1]
    assert "verdict: " in str(verdict) and any("camera front: foreground" in t for t in told)
    with pytest.raises(TrainingError, match="before the decoder had any; give it more --minutes"):
        train(tmp_path / "short", pool, steps=0, minutes=0.1, clock=lambda: float(next(seconds)))
    assert not (tmp_path / "short").exists()


def test_a_trained_one_is_gone_on_with(tmp_path: Path, pool: PicturePool, whole: Path) -> None:
    """Its codebook is kept, where a new run would begin another."""
    from lapa_core.train.start import read_vqgan

    before = tensors(whole)["codebook.weight"]
    from lapa_core.train.vqgan.recipe import pretrain

    options = TokenizerOptions(**{**QUICK, "steps": 4, "lr": 1e-9})
    pretrain(read_vqgan(whole)[0], pool, tmp_path / "vqgan", options, source=str(whole))
    after = tensors(tmp_path / "vqgan")["codebook.weight"]
    same = (before - after).abs().amax(1) < 0.1 * before.abs().amax(1)
    assert float(same.float().mean()) > 0.9
    options = TokenizerOptions(**{**QUICK, "steps": 3, "decoder_share": 1.0})
    pretrain(read_vqgan(whole)[0], pool, tmp_path / "drawn", options, source=str(whole))
    before, after = tensors(whole), tensors(tmp_path / "drawn")
    changed = {n.partition(".")[0] for n in after if not (after[n] == before[n]).all()}
    assert changed == {"decoder", "post_quant_conv"}
    with pytest.raises(ConfigError, match="--from VQGAN"):
        train(tmp_path / "none", pool, decoder_share=1.0)


def test_a_camera_that_moves_is_learnt_from_evenly(tmp_path: Path) -> None:
    told: list[str] = []
    verdict = train(
        tmp_path / "vqgan", pools.make(shaken(24)), steps=4, say=told.append
    )  # fmt: skip
    assert any("camera wrist: moves" in t for t in told)
    assert not any("encoder/foreground_error" in e for e in entries(tmp_path / "vqgan"))
    assert verdict.cameras[0].foreground_error is None


# --- what can go wrong --------------------------------------------------------------------------


def test_a_loss_that_is_no_number_is_named(tmp_path: Path, pool: PicturePool) -> None:
    with pytest.raises(TrainingError) as caught:
        train(tmp_path / "vqgan", pool, lr=1e30, warmup=0, save_seconds=0)
    said = str(caught.value)
    assert said.startswith("update ") and "episode_000" in said and "state-0000000" in said
    assert not (tmp_path / "vqgan").exists()


def test_a_full_disk_is_named_and_leaves_what_there_was(tmp_path: Path, pool: PicturePool) -> None:
    out = tmp_path / "vqgan"
    with largest_file(60_000), pytest.raises(TrainingError, match="cannot save the state"):
        train(out, pool, steps=4)
    assert not out.exists() and not list((tmp_path / "vqgan.run").glob("*state*"))
    train(out, pool, steps=4)
    before = (out / "model.safetensors").read_bytes()
    with largest_file(30_000), pytest.raises(CheckpointError, match="cannot write"):
        train(out, pool, steps=4, resume=True)
    assert (out / "model.safetensors").read_bytes() == before


def test_a_run_is_not_begun_over_nor_continued_as_another(
    tmp_path: Path, pool: PicturePool, whole: Path
) -> None:
    with pytest.raises(ConfigError, match="holds a run of 12 updates; --resume"):
        train(whole, pool)
    with pytest.raises(ConfigError, match=r"lr: 0.0015 then, 0.001 now"):
        train(whole, pool, lr=0.001, resume=True)
    with pytest.raises(ConfigError, match="data: "):
        train(whole, pictures(12), resume=True)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match="exists and is no VQGAN"):
        train(tmp_path / "mine", pool)
    with pytest.raises(ConfigError, match="steps must be 4 or more"):
        TokenizerOptions(steps=3)
    with pytest.raises(ConfigError, match="whole_share must be below 1"):
        TokenizerOptions(whole_share=1.0)


def test_the_command_trains_from_bags(demos: Path, tmp_path: Path, capsys: Any) -> None:
    from lapa_core import cli
    from lapa_core.train.start import read_vqgan

    out = tmp_path / "vqgan"
    argv = ["pretrain", "vqgan", str(demos), "--output", str(out), "--preset", "debug", "--codes",
            "64", "--steps", "4", "--batch", "2", "--threads", "1", "--device", "cpu",
            "--pictures", "30", "--no-curves"]  # fmt: skip
    assert cli.main(argv) == 0
    told = capsys.readouterr()
    assert "verdict: " in told.out and "refused episode_0003" in told.err
    assert read_vqgan(out)[0].num_codes == 64
    assert cli.main([*argv, "--resume", "--codes", "1"]) == 2
    assert "--codes must be 2" in capsys.readouterr().err
    assert cli.main(argv) == 2 and "--resume" in capsys.readouterr().err
    argv = ["pretrain", "vqgan", str(demos), "--output", str(out / "x"), "--from", str(demos)]
    assert cli.main(argv) == 2 and "config.json" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["pretrain", "--help"])
    assert "vqgan" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_command_that_is_killed_goes_on(demos: Path, tmp_path: Path) -> None:
    """Kill -9 at random moments; the weights are those of a run without."""
    argv = [sys.executable, "-m", "lapa_core.cli", "pretrain", "vqgan", str(demos), "--preset",
            "debug", "--steps", "60", "--batch", "2", "--threads", "1", "--device", "cpu",
            "--save-seconds", "0", "--no-curves", "--resume", "--output"]  # fmt: skip
    subprocess.run([*argv, str(tmp_path / "whole")], check=True, capture_output=True)
    run, chance, kills = tmp_path / "cut.run", np.random.default_rng(0), 0
    for _ in range(6):
        known = sorted(run.glob("state-*"))[-1:]
        child = subprocess.Popen([*argv, str(tmp_path / "cut")], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while sorted(run.glob("state-*"))[-1:] == known and time.monotonic() < deadline:
            if child.poll() is not None:
                break
            time.sleep(0.002)
        try:
            child.wait(chance.uniform(0, 0.3))
        except subprocess.TimeoutExpired:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            kills += 1
    subprocess.run([*argv, str(tmp_path / "cut")], check=True, capture_output=True)
    assert kills >= 3
    one, other = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("whole", "cut"))
    assert one == other


# --- the verdict --------------------------------------------------------------------------------


class Perfect:
    """Draws what it was shown, changed by `spoil`."""

    def __init__(self, spoil: Callable[[Any], Any] = lambda pixels: pixels, codes: int = 64):
        import torch

        from lapa_core.model.configuration import VqganConfig

        self.device, self.config = torch.device("cpu"), VqganConfig(num_embeddings=codes)
        self._spoil, self._seen = spoil, None

    def eval(self) -> Perfect:
        return self

    def encode(self, pixels: Any) -> Any:
        import torch

        self._seen = pixels
        return (torch.arange(256) % 64).repeat(len(pixels), 1)

    def decode(self, codes: Any) -> Any:
        return self._spoil(self._seen)


def test_the_verdict_says_what_was_lost(pool: PicturePool) -> None:
    from lapa_core.train.vqgan.check import judge

    backgrounds = pool.backgrounds()
    median = images.normalise(backgrounds[0].median)

    def without_blocks(pixels: Any) -> Any:
        drawn = pixels.clone()
        drawn[:, 150:] = drawn.new_tensor(median[150:])
        return drawn

    good = judge(Perfect(), pool, backgrounds)
    (front,) = good.cameras
    assert good.faults == () and "verdict: healthy" in str(good)
    assert front.explained > 0.99 and front.things_kept == 1.0 and front.error < 1
    assert (good.codes_used, good.codes) == (64, 64)
    blocks = judge(Perfect(without_blocks), pool, backgrounds)
    (front,) = blocks.cameras
    assert front.explained > 0.9, "most of the foreground is the arm"
    assert blocks.faults == (
        f"small things lost: 0 % of {front.small_things} seen by camera front are drawn "
        "in their colour",
    )
    grey = judge(Perfect(lambda p: p.mean(-1, keepdim=True).expand_as(p)), pool, backgrounds)
    assert grey.cameras[0].explained > 0.7 and grey.cameras[0].things_kept == 0.0
    nothing = judge(Perfect(lambda p: p.new_tensor(median).expand_as(p)), pool, backgrounds)
    assert any(f.startswith("foreground lost: 0 %") for f in nothing.faults)
    few = judge(Perfect(codes=4096), pool, backgrounds)
    assert few.faults == ("few codes used: 64 of 4096, worth 64",)


def test_the_verdict_on_a_camera_that_moves() -> None:
    from lapa_core.train.vqgan.check import judge

    pool = pools.make(shaken(8))
    assert judge(Perfect(), pool, pool.backgrounds()).faults == ()
    grey = judge(Perfect(lambda p: p * 0), pool, pool.backgrounds())
    assert [f.split(":")[0] for f in grey.faults] == ["picture lost"]


def test_parts_of_a_code_are_codebooks_of_their_own() -> None:
    import torch
    from torch import nn

    from lapa_core.train.vqgan.quantiser import MovingCodebook, MovingCodebooks

    chance = torch.Generator().manual_seed(0)
    table = nn.Embedding(2 * 8, 3)
    books = MovingCodebooks(table, 8)
    cells = torch.randn(500, 6, generator=chance)
    books.begin(cells, chance)
    alone = [MovingCodebook(rows.clone()) for rows in table.weight.data.split(8)]
    for book in alone:
        book.set(book._weight.clone(), 500 / 8)
    for _ in range(5):
        codes = books.codes(cells)
        assert codes.shape == (500, 2)
        for number, book in enumerate(alone):
            share = cells[:, 3 * number : 3 * number + 3]
            assert torch.equal(codes[:, number], book.codes(share))
            book.follow(share, codes[:, number])
        books.follow(cells, codes)
    assert torch.equal(table.weight.data, torch.cat([book._weight for book in alone]))
    assert torch.equal(books.entries(codes)[:, 3:], alone[1].entries(codes[:, 1]))
    assert books.perplexity() == pytest.approx(alone[0].perplexity() + alone[1].perplexity())
    again = MovingCodebooks(nn.Embedding(2 * 8, 3), 8)
    again.load(books.tensors())
    kept = books.tensors()
    assert all(torch.equal(again.tensors()[name], kept[name]) for name in kept)
