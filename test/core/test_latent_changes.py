# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Image tokens that must tell what will have changed by the end of their clip."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lapa_core.errors import ConfigError
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.configuration import preset
from lapa_core.model.vqgan import Vqgan
from lapa_core.train.latent import recipe
from lapa_core.train.latent.changes import Changes, LatentObjective
from lapa_core.train.latent.feed import LatentFeed
from lapa_core.train.latent.shards import Corpus
from lapa_core.train.presets import resolve
from lapa_core.train.start import Start

pytestmark = pytest.mark.torch
SIDE = 4


def vqgan() -> Vqgan:
    """Of the debug preset, with entries far apart."""
    torch.manual_seed(0)
    made = Vqgan(preset("debug").vqgan_config())
    torch.nn.init.normal_(made.codebook.weight)
    return made


def corpus(clips: int = 24, seed: int = 0) -> Corpus:
    """Clips of three pictures; "left" changes the left half until the end, "right" the right."""
    chance = np.random.default_rng(seed)
    said = np.repeat(np.arange(clips) % 2, 3)
    vision = np.repeat(chance.integers(0, 40, size=(clips, SIDE, SIDE)), 3, axis=0)
    for row in range(2, len(vision), 3):
        half = slice(0, SIDE // 2) if said[row] == 0 else slice(SIDE // 2, SIDE)
        vision[row, :, half] = 40 + chance.integers(0, 20, size=(SIDE, SIDE // 2))
    return Corpus(
        ("left", "right"), said, vision.reshape(len(vision), -1),
        chance.integers(0, 8, size=(len(vision), 4)), tuple(f"{i}.mp4" for i in range(clips)),
        np.repeat(np.arange(clips), 3), "a", False, 8,
    )  # fmt: skip


def start(made: Corpus) -> Start:
    """Random weights of the debug preset."""
    return Start.scratch(
        "debug", vqgan=vqgan(), sentences=made.texts,
        changes={"vision_positions": made.vision.shape[1] + 1},
    )  # fmt: skip


def test_what_differs_from_the_clips_last_picture_has_changed() -> None:
    made = corpus()
    changes = Changes(made, vqgan())
    assert len(changes) == 48  # of each clip all but the last
    found = changes(np.array([0, 1, 2, 3])).reshape(4, SIDE, SIDE)
    left = torch.zeros(SIDE, SIDE)
    left[:, : SIDE // 2] = 1
    assert torch.equal(found[0], left) and torch.equal(found[1], left)
    assert torch.isnan(found[2]).all()
    assert torch.equal(found[3], 1 - left)
    alone = replace(made, clip=np.arange(len(made)), clips=tuple(map(str, range(len(made)))))
    assert len(Changes(alone, vqgan())) == 0


def test_other_codes_that_look_alike_are_no_change() -> None:
    net, made = vqgan(), corpus()
    with torch.no_grad():
        net.codebook.weight[41] = net.codebook.weight[7] + 0.1
        net.codebook.weight[42] = net.codebook.weight[7] + 1.0
    made.vision[0, :2], made.vision[1, :2], made.vision[2, :2] = 7, 7, (41, 42)
    found = Changes(made, net)(np.array([0]))
    assert found[0, :2].tolist() == [0.0, 1.0]


def test_image_tokens_learn_to_tell_by_the_words(tmp_path: Path) -> None:
    """On clips held back: which half changes, which the words alone say."""
    made = corpus()
    options = resolve(
        "debug", steps=80, batch=12, lr=3e-3, validate_every=40, point_weight=1.0, point_layer=2,
        smooth_start=True, validation=0.25, tracker="none", log_every=10, take="last",
    )  # fmt: skip
    begun, told = start(made), list[str]()
    names = set(begun.lapa.state_dict())
    recipe.pretrain(begun, made, tmp_path / "latent", options, clean=True, say=told.append)
    lines = (tmp_path / "latent.run/metrics.jsonl").read_text("utf-8").splitlines()
    lost = [e["train/loss_changes"] for e in map(json.loads, lines) if "train/loss_changes" in e]
    assert lost[0] > 0.5 and lost[-1] < 0.1
    saved = Checkpoint.from_pretrained(tmp_path / "latent")
    assert set(saved.lapa.state_dict()) == names  # the head is no part of it
    assert not any("point_weight is off" in line for line in told)


def test_a_gradient_comes_from_what_is_known_alone() -> None:
    made = corpus()
    begun = start(made)
    feed = LatentFeed(
        made, begun.tokenizer, begun.vqgan.num_codes, changes=Changes(made, begun.vqgan)
    )
    trainee = LatentObjective(begun.lapa, 2.0, 1, clean=True, text_weight=0.0)
    batch = feed.batch(feed.in_order(np.arange(3)))
    assert batch.changed is not None and batch.to("cpu").changed is not None
    losses = trainee(batch)
    plain = losses.total - 2.0 * losses.parts["changes"]
    assert float(plain.detach()) == pytest.approx(float(losses.parts["latent"]), rel=1e-5)
    batch.changed[2] = 1.0  # of the last one somebody claims to know it
    assert float(trainee(batch).parts["changes"]) != float(losses.parts["changes"])
    batch.changed[:] = torch.nan
    assert float(trainee(batch).parts["changes"]) == 0.0
    batch.changed = None
    assert "changes" not in trainee(batch).parts


def test_it_is_left_out_where_nothing_comes_after(tmp_path: Path) -> None:
    made = corpus()
    alone = replace(made, clip=np.arange(len(made)), clips=tuple(map(str, range(len(made)))))
    options = resolve("debug", steps=2, validate_every=2, point_weight=1.0, tracker="none")
    told: list[str] = []
    recipe.pretrain(start(alone), alone, tmp_path / "latent", options, clean=True, say=told.append)
    assert any("point_weight is off" in line for line in told)
    metrics = (tmp_path / "latent.run/metrics.jsonl").read_text("utf-8")
    assert "loss_changes" not in metrics
    with pytest.raises(ConfigError, match="point_layer must be 0 to"):
        LatentObjective(start(made).lapa, 1.0, 99)


def test_a_run_from_before_that_did_without_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its options had the weight already, and nothing asked for it."""
    made = corpus()
    options = resolve("debug", steps=4, validate_every=4, point_weight=1.0, tracker="none")
    with monkeypatch.context() as before:
        before.setattr(Changes, "__len__", lambda _: 0)
        recipe.pretrain(start(made), made, tmp_path / "latent", options, clean=True)
    with pytest.raises(ConfigError, match="changes: None then, True now"):
        recipe.pretrain(start(made), made, tmp_path / "latent", options, clean=True, resume=True)
