# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Footage -> a latent action quantiser: the recipe of `lapa pretrain laq` on the loop.

OUT holds the weights with the least error on the clips held back, and what is to be said of them.
Beside it OUT.run holds states to resume from, metrics and curves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from accelerate import Accelerator

from lapa_core.errors import ConfigError
from lapa_core.model.laq import Laq, LaqConfig
from lapa_core.train import loop
from lapa_core.train.laq.footage import Footage
from lapa_core.train.laq.options import STEADY, LaqOptions, told
from lapa_core.train.laq.task import LearnChanges
from lapa_core.train.opening import begin, settle
from lapa_core.train.pair_task import is_model
from lapa_core.train.presets import TrainOptions
from lapa_core.train.task import Standing


def pretrain(
    model: Laq,
    footage: Footage,
    output: Path,
    options: TrainOptions,
    codes: LaqOptions,
    *,
    source: str = "",
    resume: bool = False,
    accelerator: Accelerator | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Standing:
    """Train a latent action quantiser.

    Args:
        model: its sizes; it is trained itself.
        footage: pairs; a share of its clips is held back.
        output: folder of the model.
        options, codes: of the loop, and of the codes.
        source: where the weights come from; empty where they are random.
        resume: go on from the newest state of `output`'s run, if there is one.
        accelerator: this process' device and the others'; None makes one.
        say: told what a person should know, in the first process.

    Returns:
        how far it came, with the errors of the best validation.

    Raises:
        TrainingError, DataError, ConfigError: in one line what is wrong; what was saved before is
            as it was.
    """
    options, accelerator = settle(options, accelerator)
    if codes.quantiser == STEADY and not source and codes.begin >= options.steps:
        raise ConfigError(f"codes begin after {codes.begin} updates, and there are "
                          f"{options.steps}: fewer --begin, or more --steps")  # fmt: skip
    learn, held = footage.split(options.validation, options.seed)
    facts = {
        "options": asdict(options), "codes": told(codes), "start": source,
        "data": footage.fingerprint(), "sizes": model.config.to_diff_dict(),
    }  # fmt: skip
    states = begin(
        output, facts, options, accelerator, source=source, resume=resume, is_one=is_laq,
        kind="LAQ", say=say, lines=[f"{len(learn)} pairs to learn from, {len(held)} held back"],
    )  # fmt: skip
    task = LearnChanges(
        model, learn, held, output, options, codes, accelerator, facts, bool(source)
    )
    return loop.train(task, options, states, accelerator, facts, resume=resume)


def is_laq(folder: Path) -> bool:
    """Whether a folder holds a LAQ."""
    return is_model(folder, LaqConfig.model_type)
