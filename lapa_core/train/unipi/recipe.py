# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Footage and words -> UniPi's planner: the recipe of `lapa pretrain unipi` on the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from lapa_core.errors import ConfigError, DataError
from lapa_core.model import unipi
from lapa_core.model.checkpoint import TOKENIZER
from lapa_core.model.fresh import small_tokenizer
from lapa_core.model.tokenizer import TextTokenizer
from lapa_core.model.unipi import Planner, PlannerConfig, tokens
from lapa_core.train import loop
from lapa_core.train.laq.footage import Footage
from lapa_core.train.opening import begin, settle
from lapa_core.train.pair_task import is_model
from lapa_core.train.presets import TrainOptions
from lapa_core.train.task import Standing
from lapa_core.train.unipi.films import films, spoken
from lapa_core.train.unipi.task import LearnFilms


def pretrain(
    footage: Footage,
    output: Path,
    options: TrainOptions,
    sizes: Mapping[str, Any],
    *,
    listed: Mapping[str, str],
    source: Path | None = None,
    beside: Callable[[Path], None] = lambda _: None,
    resume: bool = False,
    accelerator: Accelerator | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Standing:
    """Train a planner.

    Args:
        footage: pairs, of which films are made; a share of the clips is held back.
        output: folder of the model.
        options: of the loop.
        sizes: of `PlannerConfig`, where nothing is gone on from.
        listed: name of a clip -> words, where a list says them.
        source: folder of a planner to go on from.
        beside: writes what else belongs into a model's folder.
        resume: go on from the newest state of `output`'s run, if there is one.
        accelerator: this process' device and the others'; None makes one.
        say: told what a person should know, in the first process.

    Raises:
        TrainingError, DataError, ConfigError, CheckpointError: in one line what is wrong; what
            was saved before is as it was.
    """
    options, accelerator = settle(options, accelerator)
    learn, held = footage.split(options.validation, options.seed)
    said = spoken(learn, listed), spoken(held, listed)
    model, tokenizer = _begin(source, sizes, said[0], options.seed)
    learn, held = (films(part, model.config.frames) for part in (learn, held))
    facts = {
        "options": asdict(options), "data": footage.fingerprint(), "start": str(source or ""),
        "sizes": model.config.to_diff_dict(),
    }  # fmt: skip
    silent = sum(not text for text in said[0])
    states = begin(
        output, facts, options, accelerator, source=str(source or ""), resume=resume,
        is_one=is_planner, kind="planner", say=say,
        lines=[f"{len(learn)} films to learn from, {len(held)} held back; of {silent} nobody "
               "says what is done"],
    )  # fmt: skip

    def write(folder: Path) -> None:
        (folder / TOKENIZER).write_bytes(tokenizer.model)
        beside(folder)

    length = model.config.max_words
    words = tuple(tokens(tokenizer, part, length) for part in said)
    task = LearnFilms(model, learn, held, words, output, options, accelerator, facts, write)
    return loop.train(task, options, states, accelerator, facts, resume=resume)


def _begin(
    source: Path | None, sizes: Mapping[str, Any], said: list[str], seed: int
) -> tuple[Planner, TextTokenizer]:
    """A planner to go on from, or a new one that knows the words of these sentences.

    Raises:
        DataError: nobody says what is done.
        ConfigError: `sizes` are others than those of what is gone on from.
    """
    sentences = sorted({text for text in said if text})
    if not sentences:
        raise DataError("nobody says what is done in this footage: a planner is told in words "
                        "what to imagine; name them with --words")  # fmt: skip
    if source is None:
        config = PlannerConfig(**sizes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Planner(config), small_tokenizer(config.vocab_size, sentences)
    model = unipi.load(source)
    for name, value in sizes.items():
        own = getattr(model.config, name)
        if own != (list(value) if isinstance(value, tuple) else value):
            raise ConfigError(f"{source} has {name} {own}, not {value}")
    return model, TextTokenizer.from_file(source / TOKENIZER)


def is_planner(folder: Path) -> bool:
    """Whether a folder holds such a model."""
    return is_model(folder, PlannerConfig.model_type)
