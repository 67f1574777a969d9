# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa pretrain laq`: latent actions from video nobody labelled."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from lapa_core.commands import footage
from lapa_core.commands.telling import say
from lapa_core.errors import ConfigError
from lapa_core.train.laq.options import PRESETS, SHARED, LaqOptions, resolve, resolve_codes, sizes

TEXT = "codes of what changes between two frames, from any video"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    flag = parser.add_argument
    flag("--output", type=Path, required=True, metavar="FOLDER", help="LAQ to be written")
    flag("--from", dest="source", type=Path, metavar="LAQ", help="go on with this one: a folder, "
         "or the reference's file such as laq_openx.pt; default: random weights")  # fmt: skip
    flag("--preset", default="micro", choices=sorted(PRESETS), help="sizes and steps")
    flag("--codes", type=int, help="different codes; default: as the preset (8)")
    flag("--length", type=int, help="codes of an action; default: as the preset (4)")
    footage.add_data(
        parser, "folders of videos, of folders of frames, or of bags; or a single one"
    )
    group = parser.add_argument_group("codes")
    for each in fields(LaqOptions):
        text = f"{each.metadata['help']} (default {each.default})".replace("%", "%%")
        choices = each.metadata.get("choices")
        group.add_argument(f"--{each.name.replace('_', '-')}", type=type(each.default),
                           default=None, choices=choices, help=text,
                           metavar=None if choices else each.name.upper())  # fmt: skip
    footage.add_training(parser, SHARED)


def run(args: argparse.Namespace) -> int:
    """Read the footage and train."""
    options = resolve(args.preset, **{name: getattr(args, name) for name in SHARED})
    codes = resolve_codes(
        args.preset, **{f.name: getattr(args, f.name) for f in fields(LaqOptions)}
    )
    from lapa_core.train.laq import check, recipe
    from lapa_core.train.placing import make_accelerator

    accelerator = make_accelerator(args.cpu)
    model = _model(args, codes, options.seed)
    found = footage.read(args, model.config.image_size, accelerator)
    standing = recipe.pretrain(
        model, found, args.output, options, codes, source=str(args.source or ""),
        resume=args.resume, accelerator=accelerator, say=say,
    )  # fmt: skip
    print(args.output)
    if standing.best:
        said = check.said(standing.best, model.config.codebook_size)
        print(f"after {standing.best['step']}: {said}")
    return 0


def _model(args: argparse.Namespace, codes: LaqOptions, seed: int) -> Any:
    """Random weights of a preset's sizes, or those of `--from`.

    Raises:
        ConfigError: sizes that make no sense, or others than those of `--from`.
        CheckpointError: `--from` cannot be read.
    """
    import torch

    from lapa_core.model.laq import Laq, LaqConfig, load

    if args.source:
        model = load(args.source)
        for name, given, has in (
            ("codes", args.codes, model.config.codebook_size),
            ("length", args.length, model.config.code_seq_len),
        ):
            if given and given != has:
                raise ConfigError(f"{args.source} has --{name} {has}, not {given}")
        return model
    wanted = sizes(args.preset, codes, codebook_size=args.codes, code_seq_len=args.length)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Laq(LaqConfig(**wanted))
