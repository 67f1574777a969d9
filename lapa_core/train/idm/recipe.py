# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Recordings -> an inverse dynamics model: the recipe of `lapa pretrain idm` on the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from lapa_core.data.footage import moves
from lapa_core.errors import ConfigError, DataError
from lapa_core.model.idm import Idm, IdmConfig
from lapa_core.train import loop
from lapa_core.train.idm.task import LearnMotions
from lapa_core.train.laq.footage import Footage
from lapa_core.train.opening import begin, settle
from lapa_core.train.pair_task import STILL, is_model
from lapa_core.train.presets import TrainOptions
from lapa_core.train.task import Standing
from lapa_core.types import FloatArray

BINS = 64  # a motion's numbers as codes


def pretrain(
    footage: Footage,
    output: Path,
    options: TrainOptions,
    sizes: dict[str, Any],
    *,
    bins: int = BINS,
    resume: bool = False,
    accelerator: Accelerator | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Standing:
    """Train an inverse dynamics model.

    Args:
        footage: pairs, of which those are learnt from whose motion is known; a share of the
            clips is held back.
        output: folder of the model.
        options: of the loop.
        sizes: of the encoder, as of `laq.options.SIZES`, and `gap_s`.
        bins: of each number of a motion, equally many pairs in each.
        resume: go on from the newest state of `output`'s run, if there is one.
        accelerator: this process' device and the others'; None makes one.
        say: told what a person should know, in the first process.

    Raises:
        TrainingError, DataError, ConfigError: in one line what is wrong; what was saved before is
            as it was.
    """
    options, accelerator = settle(options, accelerator)
    known = told_motions(footage)
    learn, held = known.split(options.validation, options.seed)
    config = meaning(learn, bins, sizes)
    facts = {
        "options": asdict(options), "data": known.fingerprint(), "sizes": config.to_diff_dict(),
    }  # fmt: skip
    states = begin(
        output, facts, options, accelerator, source="", resume=resume, is_one=is_idm,
        kind="inverse dynamics model", say=say,
        lines=[f"{len(learn)} pairs to learn from, {len(held)} held back; of "
               f"{len(footage) - len(known)} more nobody says what was done"],
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        model = Idm(config)
    task = LearnMotions(model, learn, held, output, options, accelerator, facts)
    return loop.train(task, options, states, accelerator, facts, resume=resume)


def told_motions(footage: Footage) -> Footage:
    """The pairs of which a recording says what was done between them.

    Raises:
        DataError: there is none.
    """
    true = footage.moves(np.arange(len(footage)))
    told = np.isfinite(true).all(axis=1) & (true.shape[1] > 0)
    if not told.any():
        raise DataError(
            "nothing here says what an arm did: an inverse dynamics model learns from episodes of "
            "our recorder"
        )
    return footage.only(told)


def meaning(footage: Footage, bins: int, sizes: dict[str, Any]) -> IdmConfig:
    """What the model's numbers and codes mean, from the pairs it learns from.

    Raises:
        ConfigError: fewer than 2 bins.
    """
    if bins < 2:
        raise ConfigError(f"a motion needs 2 bins or more, got {bins}")
    true = footage.moves(np.arange(len(footage)))
    spread = true.std(axis=0)
    edges = np.stack([edges_of(column, bins) for column in true.T])
    kept = {k: v for k, v in sizes.items() if k not in ("own_codebooks", "residual")}
    return IdmConfig(
        dimensions=moves.names(true.shape[1]),
        middle=true.mean(axis=0).tolist(),
        spread=np.where(spread > STILL, spread, 1.0).tolist(),
        edges=edges.tolist(),
        **kept,
    )


def edges_of(values: FloatArray, bins: int) -> FloatArray:
    """(bins - 1,) increasing, with equally many of (n,) values between them, as far as that goes.

    An edge lies half-way between two values that are there: an opening is 0 or 1, and what a
    network says of it is a little more or less.
    """
    there = np.unique(values)
    if len(there) == 1:  # it never moves, so all is one bin
        return np.full(bins - 1, there[0] + 1.0)
    wanted = np.quantile(values, np.arange(1, bins) / bins, method="lower")
    above = np.clip(np.searchsorted(there, wanted, side="right"), 1, len(there) - 1)
    found: FloatArray = (there[above - 1] + there[above]) / 2
    return found


def is_idm(folder: Path) -> bool:
    """Whether a folder holds such a model."""
    return is_model(folder, IdmConfig.model_type)
