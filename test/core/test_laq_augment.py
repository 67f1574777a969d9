# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Pairs of frames are changed alike, anew each time, and only those that are learnt from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from filmed import picture, write

from lapa_core.data.augment import Augment
from lapa_core.data.footage import store
from lapa_core.data.footage.clips import VIDEO, Clip
from lapa_core.data.footage.pairs import PairParams
from lapa_core.data.footage.store import StoreParams
from lapa_core.errors import ConfigError
from lapa_core.model.laq import Laq, LaqConfig
from lapa_core.train.laq import footage, options, recipe
from lapa_core.train.laq.task import LearnChanges
from lapa_core.train.pair_task import pictures

pytestmark = pytest.mark.torch
CHANGE = Augment(crop_area=(0.3, 0.6), probability=1.0)


def filmed(tmp_path: Path, still: bool = False) -> footage.Footage:
    """Three clips; `still`: the same picture all along."""
    kept = []
    for number in range(3):
        places = np.random.default_rng(number).uniform(0, 1, size=1 if still else 20)
        path = tmp_path / f"{number}{still}.mp4"
        write(path, [picture(p) for p in np.resize(places, 20)])
        kept.append(
            store.load(store.store(Clip(path.name, path, VIDEO), StoreParams(64), tmp_path / "c"))
        )
    pairs = PairParams(gap_s=0.2, cuts=False, still=0.0)
    return footage.pair(kept, [pairs] * len(kept), {})


def test_both_frames_of_a_pair_change_alike_and_pairs_differ(tmp_path: Path) -> None:
    found = filmed(tmp_path, still=True)
    which = np.zeros(6, dtype=np.int64)  # the same pair six times
    shown = pictures(found, which, CHANGE, 7)
    plain = pictures(found, which)
    assert shown.shape == plain.shape == (6, 3, 2, 64, 64) and shown.dtype == torch.uint8
    assert torch.equal(plain[:, :, 0], plain[:, :, 1])  # a video that stands still
    assert torch.equal(shown[:, :, 0], shown[:, :, 1])  # stays still
    assert len({each.numpy().tobytes() for each in shown}) == 6
    assert not any(torch.equal(each, plain[0]) for each in shown)
    assert torch.equal(shown, pictures(found, which, CHANGE, 7))  # the same chance, the same
    assert not torch.equal(shown, pictures(found, which, CHANGE, 8))


def test_only_what_is_learnt_from_is_changed(tmp_path: Path) -> None:
    """Batches differ with it and without; what is judged does not, nor is the film changed."""
    found = filmed(tmp_path)
    wanted = options.resolve("debug", batch=4)
    first = {}
    for share in (0.0, 0.5):
        torch.manual_seed(0)
        model = Laq(LaqConfig(**options.SIZES["debug"]))
        codes = options.resolve_codes("debug", augment=share)
        task = LearnChanges(
            model, found, found, tmp_path / "laq", wanted, codes, Accelerator(cpu=True), {}, False
        )
        batch = task.batch(0, 0, 1)
        again = task.batch(0, 0, 1)
        assert torch.equal(batch.frames, again.frames)
        judged = task._judge(np.arange(4))
        first[share] = batch, judged
    (plain, judged), (changed, judged_too) = first[0.0], first[0.5]
    assert not torch.equal(plain.frames, changed.frames)
    assert torch.equal(plain.noise, changed.noise)
    assert np.array_equal(judged[0], judged_too[0]) and judged[2] == judged_too[2]


def test_it_is_told_and_bounded(tmp_path: Path) -> None:
    found = filmed(tmp_path)
    wanted = options.resolve("debug", steps=8, batch=4, validate_every=8, validation=0.3)
    model = Laq(LaqConfig(**options.SIZES["debug"]))
    recipe.pretrain(
        model, found, tmp_path / "laq", wanted, options.resolve_codes("debug", augment=0.4)
    )
    told = json.loads((tmp_path / "laq" / "training.json").read_text("utf-8"))
    assert told["codes"]["augment"] == 0.4
    assert "augment" not in options.told(options.resolve_codes("debug"))  # old runs go on
    with pytest.raises(ConfigError, match=r"augment must be below 0.9, got 0.9"):
        options.resolve_codes("debug", augment=0.9)
    assert (
        replace(CHANGE, crop_area=(1.0, 1.0), probability=0.0)(
            np.arange(48, dtype=np.uint8).reshape(4, 4, 3), np.random.default_rng(0)
        ).tolist()
        == np.arange(48).reshape(4, 4, 3).tolist()
    )
