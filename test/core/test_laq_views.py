# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Latent actions that two cameras of one recording agree on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filmed import picture, write

from lapa_core.data.footage import split, store
from lapa_core.data.footage.clips import BAG, VIDEO, Clip
from lapa_core.data.footage.pairs import PairParams
from lapa_core.data.footage.store import StoreParams
from lapa_core.errors import ConfigError, DataError
from lapa_core.model.laq import Laq, LaqConfig, load
from lapa_core.train.laq import footage, options, recipe, views

pytestmark = pytest.mark.torch


def filmed(tmp_path: Path, late_s: float = 0.03, recordings: int = 3) -> footage.Footage:
    """Recordings with a camera from the front and one that sees all mirrored, a little later."""
    kept, sources = [], []
    for number in range(recordings):
        places = np.random.default_rng(number).uniform(0, 1, size=20)
        for topic, turn in (("/front", 1), ("/back", -1)):
            path = tmp_path / f"{number}{topic.replace('/', '_')}.mp4"
            write(path, [np.ascontiguousarray(picture(p)[:, ::turn]) for p in places])
            made = store.load(
                store.store(Clip(path.name, path, VIDEO), StoreParams(size=64), tmp_path / "c")
            )
            made = replace(made, times_s=made.times_s + late_s * (turn < 0))
            kept.append(made)
            sources.append(Clip(f"{number}:{topic}", tmp_path / str(number), BAG, topic))
    found = footage.pair(kept, [PairParams(gap_s=0.2, cuts=False)] * len(kept), {})
    return replace(found, sources=tuple(sources))


def test_pairs_of_one_moment_find_each_other(tmp_path: Path) -> None:
    found = filmed(tmp_path)
    other = views.of_others(found)
    assert (other >= 0).mean() > 0.9
    seen = np.flatnonzero(other >= 0)
    here, there = found.owner[seen], found.owner[other[seen]]
    assert np.array_equal(here ^ 1, there)  # the other camera of the same recording
    assert np.array_equal(found.rows[seen], found.rows[other[seen]])
    assert not (views.of_others(filmed(tmp_path, late_s=100.0)) >= 0).any()
    alone = replace(found, sources=tuple(replace(s, kind=VIDEO) for s in found.sources))
    assert not (views.of_others(alone) >= 0).any()


def test_what_one_camera_saw_is_not_learnt_while_anothers_is_held_back(tmp_path: Path) -> None:
    found = filmed(tmp_path, recordings=4)
    for seed in range(8):
        learn, held = found.split(0.25, seed)
        theirs, mine = (
            {found.sources[c].path for c in np.unique(each.owner)} for each in (held, learn)
        )
        assert len(theirs) == 1 and len(mine) == 3 and not theirs & mine
        assert len(np.unique(held.owner)) == 2
    names = [f"{clip}{camera}" for clip in "abcd" for camera in (":/front", ":/back")]
    owner = np.repeat(np.arange(8), 3)
    held_too = split.held_back(owner, names, 0.25, 0, [split.recording(n) for n in names])
    assert len(held_too) == 2 and held_too[0] // 2 == held_too[1] // 2
    videos = [f"{clip}.mp4" for clip in "abcdefgh"]  # each its own: as before, those of least mark
    assert split.held_back(owner, videos, 0.25, 0, videos) == split.held_back(
        owner, videos, 0.25, 0
    )
    alone = replace(
        found, sources=tuple(replace(c, name=f"{i}") for i, c in enumerate(found.sources))
    )
    assert alone.fingerprint() == replace(found, sources=()).fingerprint() != found.fingerprint()
    one = [names[0], names[1]]
    with pytest.raises(DataError, match="one clip cannot be split"):
        split.held_back(owner[:6], one, 0.25, 0, [split.recording(n) for n in one])


def test_a_third_camera_stands_in_where_the_next_one_saw_nothing(tmp_path: Path) -> None:
    found = filmed(tmp_path, recordings=2)
    one = [replace(s, path=tmp_path) for s in found.sources]  # four cameras of one recording
    gone = replace(found, sources=tuple(one)).only(found.owner != 1)
    other = views.of_others(gone)
    first = other[gone.owner == 0]
    assert set(gone.owner[first[first >= 0]].tolist()) == {2}


def test_a_code_is_asked_to_draw_what_the_other_camera_saw(tmp_path: Path) -> None:
    found = filmed(tmp_path)
    wanted = options.resolve("debug", steps=60, batch=16, validate_every=60, log_every=20,
                             validation=0.3)  # fmt: skip
    codes = options.resolve_codes("debug", view_weight=1.0)
    model = Laq(LaqConfig(**options.SIZES["debug"]))
    before = set(model.state_dict())
    recipe.pretrain(model, found, tmp_path / "laq", wanted, codes)
    lines = (tmp_path / "laq.run/metrics.jsonl").read_text("utf-8").splitlines()
    seen = [e["train/loss_view"] for e in map(json.loads, lines) if "train/loss_view" in e]
    assert len(seen) == 3 and np.isfinite(seen).all() and 0 < seen[-1] < 0.8 * seen[0]
    assert set(load(tmp_path / "laq").state_dict()) == before
    told = json.loads((tmp_path / "laq" / "training.json").read_text("utf-8"))
    assert told["codes"]["view_weight"] == 1.0
    assert "view_weight" not in options.told(options.resolve_codes("debug"))  # old runs go on
    alone = replace(found, sources=())
    with pytest.raises(ConfigError, match="view_weight needs bags in which several cameras"):
        recipe.pretrain(model, alone, tmp_path / "never", wanted, codes)


def test_its_gradient_reaches_the_codes_of_the_first_camera_alone(tmp_path: Path) -> None:
    """Only pairs with another view count: of a batch without one it is nothing."""
    from lapa_core.train.laq.trainee import PairBatch, Trainee

    torch.manual_seed(0)
    model = Laq(LaqConfig(**options.SIZES["debug"]))
    model.to_pixels.weight.data.normal_(std=0.1)
    trainee = Trainee(model, options.resolve_codes("debug", view_weight=1.0))
    frames = torch.randint(0, 255, (2, 3, 2, 64, 64), dtype=torch.uint8)
    noise = torch.zeros(2, model.config.code_seq_len, model.config.quant_dim)
    batch = PairBatch(frames, noise, torch.tensor([4, 4]), torch.zeros(2, 0))
    batch.others, batch.known = frames.flip(0), torch.tensor([False, False])
    assert float(trainee(batch).parts["view"]) == 0.0
    batch.known = torch.tensor([True, False])
    first = float(trainee(batch).parts["view"])
    assert first > 0
    batch.others = batch.others.clone()
    batch.others[1] = 0  # nobody looks at that one
    assert float(trainee(batch).parts["view"]) == pytest.approx(first)
