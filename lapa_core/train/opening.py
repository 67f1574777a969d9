# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How a training on the loop begins: this process' settings, and the folders it may write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from lapa_core.errors import ConfigError
from lapa_core.model.checkpoint import INTERFACE
from lapa_core.policy.allocator import keep_freed_memory
from lapa_core.train.placing import make_accelerator, products_type
from lapa_core.train.presets import TrainOptions
from lapa_core.train.state import States


def settle(
    options: TrainOptions, accelerator: Accelerator | None
) -> tuple[TrainOptions, Accelerator]:
    """Set this process up as the options say; gives them with the type of products decided.

    Args:
        options: of the loop.
        accelerator: this process' device and the others'; None makes one.
    """
    accelerator = accelerator or make_accelerator()
    options = replace(options, precision=products_type(options.precision, accelerator.device))
    if options.threads:
        torch.set_num_threads(options.threads)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    torch.manual_seed(options.seed + accelerator.process_index)  # of dropout
    return options, accelerator


def run_folder(output: Path) -> Path:
    """What a run needs for itself lies beside what it makes."""
    return output.with_name(output.name + ".run")


def states_of(output: Path, options: TrainOptions, accelerator: Accelerator) -> States:
    """The saved states of the run that makes `output`."""
    rank, world = accelerator.process_index, accelerator.num_processes
    return States(run_folder(output), options.keep, rank, world)


def begin(
    output: Path,
    facts: Mapping[str, Any],
    options: TrainOptions,
    accelerator: Accelerator,
    *,
    source: str,
    resume: bool,
    is_one: Callable[[Path], bool] | None = None,
    kind: str = "checkpoint",
    say: Callable[[str], None] = lambda _: None,
    lines: Sequence[str] = (),
) -> States:
    """Refuse what cannot be, and open the run's folder; the first process does, the others wait.

    Args:
        output: folder to be made.
        facts: of the run; one that is gone on with must agree in all, of `options` in what counts.
        options: of the loop.
        accelerator: this process and the others.
        source: what the training begins with; empty where that is nothing.
        resume: whether a run that lies there is gone on with.
        is_one, kind: as of `check_output`.
        say, lines: told what a person should know, where all is well.

    Raises:
        ConfigError, TrainingError: as of `check_output` and `claim`.
    """
    states = states_of(output, options, accelerator)
    if accelerator.is_main_process:
        check_output(output, source, resume, is_one, kind)
        claim(states, facts, options, [name for name in facts if name != "options"])
        for line in lines:
            say(line)
    accelerator.wait_for_everyone()
    return states


def claim(
    states: States, facts: Mapping[str, Any], options: TrainOptions, compared: Sequence[str]
) -> None:
    """Open the run's folder, for the first process alone.

    Args:
        states: of the run.
        facts: of the run that begins; `options` among them.
        options: of the loop.
        compared: names of the other facts in which a run that is gone on with must agree.

    Raises:
        ConfigError: the run there was another one; says in what.
        TrainingError: the folder cannot be written.
    """
    known = states.facts()
    states.open(facts, options.differences(known["options"]) if known else [], compared)


def check_output(
    output: Path,
    source: str,
    resume: bool,
    is_one: Callable[[Path], bool] | None = None,
    kind: str = "checkpoint",
) -> None:
    """Refuse a folder that a training would spoil, before anything is read or made.

    Args:
        output: folder to be written.
        source: what the training begins with; empty where that is nothing.
        resume: whether a run that lies there is gone on with.
        is_one: whether a folder holds what the training makes; None: a checkpoint.
        kind: name of that.

    Raises:
        ConfigError: it is no such thing, the one that is begun with, or of another run.
    """
    if output.exists() and not (is_one or _is_checkpoint)(output):
        raise ConfigError(f"{output} exists and is no {kind}; choose another --output")
    if source and output.exists() and output.resolve() == Path(source).resolve():
        raise ConfigError(
            f"{output} is what the training begins with, and would change under it; choose "
            f"another --output"
        )
    States(run_folder(output)).refuse_unless(resume)


def _is_checkpoint(folder: Path) -> bool:
    return (folder / INTERFACE).is_file()
