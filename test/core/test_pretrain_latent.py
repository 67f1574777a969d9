# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Latent pretraining: shards in, a latent checkpoint out that a fine-tuning begins with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from filmed import moving, picture, write
from toy_demos import toy_demos

from lapa_core import cli
from lapa_core.data import images
from lapa_core.data.footage import clips
from lapa_core.errors import DataError
from lapa_core.label import lines
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.configuration import preset
from lapa_core.model.laq import Laq, LaqConfig, load, rollout
from lapa_core.model.vqgan import Vqgan
from lapa_core.train import examples
from lapa_core.train.finetune import finetune
from lapa_core.train.laq.options import SIZES
from lapa_core.train.latent import recipe, shards
from lapa_core.train.latent.feed import LatentFeed, sayable
from lapa_core.train.presets import resolve
from lapa_core.train.start import Start, read_vqgan

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the networks and the shards of eight videos with two instructions."""
    folder = tmp_path_factory.mktemp("labelled")
    torch.manual_seed(0)
    Laq(LaqConfig(**SIZES["debug"])).save_pretrained(folder / "laq")
    Vqgan(preset("debug").vqgan_config()).save_pretrained(folder / "vqgan")
    (folder / "videos").mkdir()
    for number in range(9):
        write(folder / "videos" / f"{number}.mp4", moving(14, begin=number / 8))
        text = "push the square" if number % 2 else "bring the square back to the left"
        if number < 8:  # of the last one nobody says anything
            (folder / "videos" / f"{number}.txt").write_text(text)
    networks = ("--laq", str(folder / "laq"), "--vqgan", str(folder / "vqgan"))
    argv = ["label", str(folder / "videos"), *networks, "--output", str(folder / "shards")]
    argv += ["--per-shard", "3"]
    assert cli.main(argv) == 0
    return folder


def command(labelled: Path, output: Path, *more: str) -> list[str]:
    return ["pretrain", "latent", str(labelled / "shards"), "--output", str(output), "--preset",
            "debug", "--cpu", "--tracker", "none", *more]  # fmt: skip


def scratch(labelled: Path) -> tuple[str, ...]:
    return "--from", "scratch", "--vqgan", str(labelled / "vqgan")


def test_batches_are_the_examples_of_the_reference(labelled: Path) -> None:
    corpus = shards.read([labelled / "shards"])
    assert len(corpus) > 60 and len(corpus.texts) == 3 and len(corpus.clips) == 9
    assert shards.SILENT in corpus.texts and corpus.silent == int((corpus.clip == 8).sum())
    vqgan = Vqgan.from_pretrained(labelled / "vqgan")
    start = Start.scratch("debug", vqgan=vqgan, sentences=corpus.texts)
    feed = LatentFeed(corpus, start.tokenizer, vqgan.num_codes, seed=1)
    drawn = feed.draw(3, 8)
    wanted = examples.collate(
        [
            examples.latent_example(
                start.tokenizer, corpus.texts[corpus.said[i]], corpus.vision[i][None],
                vqgan.num_codes, corpus.latent[i],
            )
            for i in drawn.samples
        ]
    )  # fmt: skip
    found = feed.batch(drawn)
    for name in ("input_ids", "input_tables", "target_ids", "target_tables", "loss", "lengths"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), atol=0, rtol=0)
    seen = np.concatenate([feed.draw(n, 8).samples for n in range(len(feed) // 8)])
    assert len(set(seen.tolist())) == len(seen)  # none twice in an epoch
    learn, held = corpus.split(0.25, 0)
    assert len(learn) + len(held) == len(corpus)
    assert not set(learn.clip.tolist()) & set(held.clip.tolist())


def test_the_references_lines_go_out_and_come_in(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "latent.jsonl"
    assert cli.main(["export", "latent-jsonl", str(labelled / "shards"), str(out)]) == 0
    assert f"{out}: " in capsys.readouterr().out
    before, after = shards.read([labelled / "shards"]), shards.read([out])
    for name in ("said", "vision", "latent", "clip"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert after.texts == before.texts and after.clips == before.clips
    assert after.vqgan == shards.UNKNOWN
    assert cli.main(["export", "latent-jsonl", str(labelled / "shards"), str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    argv = ["pretrain", "latent", str(out), "--output", str(tmp_path / "model"), "--preset"]
    more = ["debug", "--cpu", "--tracker", "none", "--steps", "2", *scratch(labelled)]
    assert cli.main([*argv, *more]) == 0
    assert "do not say whose their picture tokens are" in capsys.readouterr().err
    line = json.loads(out.read_text().splitlines()[0])  # as theirs: numbers, and no id
    line |= {"delta": [4, 7, 5, 4], "vision": [600] * len(line["vision"])}
    del line["id"]
    out.write_text(json.dumps(line) + "\n")
    theirs = shards.read([out])
    assert theirs.latent.tolist() == [[4, 7, 5, 4]] and theirs.codes == 8
    assert cli.main([*argv, *more, "--validation", "0"]) == 2  # tokens of a larger VQGAN
    assert "the lines have picture token 600" in capsys.readouterr().err


def test_lines_that_are_no_latent_actions_are_named(tmp_path: Path) -> None:
    good = lines.line({"clip": "a", "time_s": 0.0, "vision": [1, 2], "latent": [0, 7],
                       "instruction": "push it"})  # fmt: skip
    for change, words in (
        ({"delta": ["x"]}, "line 2: delta must be whole numbers"),
        ({"vision": None}, "line 2: vision must be whole numbers"),
        ({"delta": [1]}, r"different numbers of codes: \[1, 2\]"),
    ):
        path = tmp_path / "lines.jsonl"
        path.write_text(good + "\n" + json.dumps(json.loads(good) | change) + "\n")
        with pytest.raises(DataError, match=words):
            shards.read([path])


def test_guessing_by_frequency_is_the_measure(labelled: Path) -> None:
    corpus = shards.read([labelled / "shards"])
    corpus.latent[:] = np.arange(len(corpus))[:, None] % 8
    guess = recipe.frequency_loss(corpus, corpus, 8)
    assert guess == pytest.approx(np.log(8), abs=0.01)
    corpus.latent[:] = 3
    assert recipe.frequency_loss(corpus, corpus, 8) < 0.2


def test_whether_words_matter_is_asked_with_those_of_others(
    labelled: Path, tmp_path: Path
) -> None:
    """Where the sentence alone tells the codes, that of another misleads."""
    corpus = shards.read([labelled / "shards"])
    alike = replace(corpus, said=np.zeros_like(corpus.said))
    assert recipe.with_other_words(alike, 0) is None
    told = replace(corpus, texts=("up", "down"), said=np.arange(len(corpus)) % 2)
    other = recipe.with_other_words(told, 0)
    assert other is not None and np.array_equal(other.said, 1 - told.said)
    assert np.array_equal(other.vision, corpus.vision)
    told.latent[:] = np.where(told.said == 0, 1, 6)[:, None]
    options = resolve("debug", steps=60, lr=3e-3, validate_every=60, tracker="none")
    vqgan, words = read_vqgan(labelled / "vqgan")
    start = Start.scratch("debug", vqgan=vqgan, tokenizer=words, sentences=told.texts)
    done = recipe.pretrain(start, told, tmp_path / "told", options, clean=True, text_weight=0.0)
    assert done.best["relative"] < 0.6 < 1.0 < done.best["other_words"]


def test_a_latent_model_is_what_a_fine_tuning_begins_with(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "latent"
    more = ("--steps", "60", "--lr", "3e-3", "--validate-every", "20")
    assert cli.main(command(labelled, out, *scratch(labelled), *more)) == 0
    shown = capsys.readouterr()
    assert "codes right" in shown.out and "of guessing by frequency" in shown.err
    made = Checkpoint.from_pretrained(out)
    assert made.interface.kind == "latent" and made.interface.num_tokens == 4
    assert "pretrained on" in made.interface.origin and "/" not in made.interface.origin
    assert made.statistics["validation"]["loss"] < np.log(8) - 0.1  # it has learnt something
    start = Start.checkpoint(out)
    assert start.actions is None
    # All that the losses ask of has learnt; the tables of pictures' scores have nothing to.
    fresh = Start.scratch("debug", vqgan=made.vqgan, tokenizer=made.tokenizer).lapa.state_dict()
    changed = {n for n, t in made.lapa.state_dict().items() if not torch.equal(t, fresh[n])}
    assert {"latent_head.weight", "latent_embed.weight", "lm_head.weight"} <= changed
    assert "vision_head.weight" not in changed
    assert cli.main(command(labelled, tmp_path / "on", "--from", str(out))) == 0
    options = resolve("debug", steps=4, tracker="none")
    finetune(Start.checkpoint(out), toy_demos(), tmp_path / "policy", options)
    assert Checkpoint.from_pretrained(tmp_path / "policy").interface.kind == "action"


def test_it_first_learns_to_read(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (*scratch(labelled), "--read-steps", "3", "--steps", "4")
    assert cli.main(command(labelled, tmp_path / "x", *more)) == 0
    assert "reading: 3 of 3 updates" in capsys.readouterr().err


def test_places_of_a_new_model_begin_as_curves_and_a_learnt_ones_stay(
    labelled: Path, tmp_path: Path
) -> None:
    """As in a fine-tune from nothing, so that the two differ by what was learnt alone."""
    corpus = shards.read([labelled / "shards"])
    options = resolve("debug", smooth_start=True, read_steps=1)
    vqgan, words = read_vqgan(labelled / "vqgan")
    start = Start.scratch(
        "debug", vqgan=vqgan, tokenizer=words, sentences=corpus.texts,
        changes={"vision_positions": corpus.vision.shape[1] + 1},
    )  # fmt: skip
    drawn = start.lapa.vision_position.weight.detach().clone()
    ready = recipe._ready(start, corpus, options)
    curves = ready.lapa.vision_position.weight.detach()
    assert not torch.equal(drawn, curves)
    ready.save_pretrained(tmp_path / "learnt")
    again = recipe._ready(Start.checkpoint(tmp_path / "learnt"), corpus, options)
    assert torch.equal(again.lapa.vision_position.weight, curves)

    def neighbours(table: torch.Tensor) -> float:
        side = int((len(table) - 1) ** 0.5)
        places = table[: side * side].reshape(side, side, -1)
        return float(torch.cosine_similarity(places[:, :-1], places[:, 1:], dim=-1).mean())

    assert abs(neighbours(drawn)) < 0.2 < 0.5 < neighbours(curves)


def test_what_is_too_long_to_be_said_is_left_out(labelled: Path) -> None:
    corpus = shards.read([labelled / "shards"])
    start = Start.scratch("debug", sentences=corpus.texts)
    assert sayable(corpus, start.tokenizer) is corpus
    long = replace(corpus, texts=("push it " * 500, *corpus.texts[1:]))
    left = sayable(long, start.tokenizer)
    assert len(left) == int((corpus.said != 0).sum())


def test_a_latent_model_dreams_in_pictures(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command(labelled, tmp_path / "latent", *scratch(labelled))) == 0
    image = tmp_path / "first.png"
    cv2.imwrite(str(image), picture(0.3))
    capsys.readouterr()
    argv = ["dream", str(tmp_path / "latent"), "--laq", str(labelled / "laq"), "--image",
            str(image), "--instruction", "push the square", "--steps", "3", "--output",
            str(tmp_path / "out" / "d")]  # fmt: skip
    assert cli.main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and all(len(x.split()) == 5 for x in lines[:3])
    strip = cv2.imread(str(tmp_path / "out" / "d.png"))
    assert strip.shape == (64, 4 * 64, 3)
    small = images.resize_for_laq(picture(0.3)[..., ::-1], 64)
    assert np.abs(strip[:, :64, ::-1].astype(int) - small).max() <= 1
    clip = clips.Clip("d", tmp_path / "out" / "d.mp4", clips.VIDEO)
    assert len(list(clips.frames(clip))) == 4
    # Each frame is drawn of the one before, by the codes that are printed.
    laq = load(labelled / "laq").eval()
    codes = torch.tensor([[int(c) for c in lines[0].split()[1:]]])
    drawn = rollout.picture(laq.draw(rollout.pixels(laq, [picture(0.3)[..., ::-1]]), codes)[0])
    assert np.abs(strip[:, 64:128, ::-1].astype(int) - drawn).max() <= 1
    argv[argv.index("3")] = "0"
    assert cli.main(argv) == 2
    assert "1 step or more" in capsys.readouterr().err


def test_codes_are_drawn_and_counted(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "codes.png"
    argv = ["codes", str(labelled / "laq"), str(labelled / "videos"), "--output", str(out)]
    argv.append("--arrows")
    assert cli.main(argv) == 0
    shown = capsys.readouterr().out
    assert shown.count("place ") == 4 and "used and worth" in shown
    assert cv2.imread(str(out)).std() > 10
    laq = load(labelled / "laq").eval()
    laq.to_pixels.weight.data.normal_(std=0.5)  # as it begins it draws no change at all
    usual = np.array([0, 1, 2, 3])
    change, drawn = rollout.effects(laq, [picture(0.2), picture(0.7)], usual)
    assert change.shape == (4, 8, 64, 64) and drawn.shape == (4, 8, 64, 64, 3)
    for place, code in enumerate(usual):
        assert np.abs(change[place, code]).max() < 1e-3
        assert np.abs(change[place, (code + 1) % 8]).max() > 1e-3


def test_the_latent_head_learns_more_than_frequencies(labelled: Path, tmp_path: Path) -> None:
    """Codes that follow from the words alone are told from the words."""
    corpus = shards.read([labelled / "shards"])
    corpus.latent[:] = np.where(corpus.said[:, None] == 0, [1, 2, 3, 4], [4, 3, 2, 1])
    vqgan = Vqgan.from_pretrained(labelled / "vqgan")
    start = Start.scratch("debug", vqgan=vqgan, sentences=corpus.texts)
    options = resolve("debug", steps=150, validate_every=50, tracker="none", lr=1e-2)
    standing = recipe.pretrain(start, corpus, tmp_path / "x", options)
    assert standing.best is not None
    assert standing.best["accuracy"] > 0.95  # who knows but frequencies has half of them right


def test_what_does_not_fit_is_refused(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(5)
    Vqgan(preset("debug").vqgan_config()).save_pretrained(tmp_path / "other")
    for more, words in (
        (("--from", "scratch"), "needs the --vqgan of the shards"),
        (("--from", "scratch", "--vqgan", str(tmp_path / "other")), "are not of the VQGAN in"),
        ((*scratch(labelled), "--text-weight", "1"), "--text-weight must be 0 or more"),
    ):
        assert cli.main(command(labelled, tmp_path / "x", *more)) == 2
        assert words in capsys.readouterr().err
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    for file in (labelled / "shards").iterdir():
        (lacking / file.name).write_bytes(file.read_bytes())
    (lacking / "shard-00001.parquet").unlink()
    with pytest.raises(DataError, match=r"lacks 1 of 3 shards, such as shard-00001"):
        shards.read([lacking])
    with pytest.raises(DataError, match="is no folder of shards"):
        shards.read([tmp_path])
    (lacking / "shard-00001.parquet").write_bytes(b"PAR1nothing")
    with pytest.raises(DataError, match="cannot read"):
        shards.read([lacking])


def test_arrows_point_where_things_go() -> None:
    texture = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    texture = cv2.resize(texture, (96, 96), interpolation=cv2.INTER_CUBIC)
    before = np.zeros((256, 256, 3), np.uint8)
    after = before.copy()
    before[80:176, 60:156], after[80:176, 66:162] = texture, texture  # six to the right
    found = rollout.arrows(before, after)
    inside = (abs(found[:, 0] - 110) < 30) & (abs(found[:, 1] - 128) < 30)
    assert inside.sum() >= 4
    np.testing.assert_allclose(np.median(found[inside, 2:], axis=0), [6, 0], atol=1)
    assert not len(rollout.arrows(before, before))
