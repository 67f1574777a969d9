# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa pretrain laq`: latent actions from video nobody labelled."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from lapa_core.commands.telling import counted, say, silent
from lapa_core.errors import ConfigError
from lapa_core.train.laq.options import PRESETS, SHARED, LaqOptions, resolve, resolve_codes, sizes
from lapa_core.train.presets import TrainOptions, defaults

TEXT = "codes of what changes between two frames, from any video"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    flag = parser.add_argument
    flag("data", type=Path, nargs="+", metavar="DATA", help="folders of videos, of folders of "
         "frames, or of bags; or a single one")  # fmt: skip
    flag("--output", type=Path, required=True, metavar="FOLDER", help="LAQ to be written")
    flag("--from", dest="source", type=Path, metavar="LAQ", help="go on with this one: a folder, "
         "or the reference's file such as laq_openx.pt; default: random weights")  # fmt: skip
    flag("--preset", default="micro", choices=sorted(PRESETS), help="sizes and steps")
    flag("--codes", type=int, help="different codes; default: as the preset (8)")
    flag("--length", type=int, help="codes of an action; default: as the preset (4)")
    flag("--resume", action="store_true", help="go on from the newest saved state, if any")
    flag("--cpu", action="store_true", help="not on the GPU")
    data = parser.add_argument_group("footage")
    flag = data.add_argument
    flag("--gap", type=float, default=0.6, metavar="S", help="seconds between the frames of a "
         "pair; the paper takes 0.6 of robots, 2.4 of people")  # fmt: skip
    flag("--cameras", nargs="+", default=[], metavar="NAME", help="of bags; default: all")
    flag("--rate", type=float, default=0.0, metavar="HZ", help="of folders of frames")
    flag("--still", type=float, default=0.25, metavar="LEVELS", help="pairs that differ by less, "
         "of 255 in the mean, are left out")  # fmt: skip
    flag("--cache", type=Path, help="where the frames are kept, small; default: OUTPUT.frames")
    flag("--workers", type=int, default=1, help="processes that decode")
    group = parser.add_argument_group("codes")
    for each in fields(LaqOptions):
        text = f"{each.metadata['help']} (default {each.default})".replace("%", "%%")
        choices = each.metadata.get("choices")
        group.add_argument(f"--{each.name.replace('_', '-')}", type=type(each.default),
                           default=None, choices=choices, help=text,
                           metavar=None if choices else each.name.upper())  # fmt: skip
    group = parser.add_argument_group("training")
    known = defaults()
    for each in fields(TrainOptions):
        if each.name in SHARED:
            text = f"{each.metadata['help']} (default as the preset)".replace("%", "%%")
            choices = each.metadata.get("choices")
            group.add_argument(f"--{each.name.replace('_', '-')}", type=type(known[each.name]),
                               default=None, choices=choices, help=text,
                               metavar=None if choices else each.name.upper())  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Read the footage and train."""
    options = resolve(args.preset, **{name: getattr(args, name) for name in SHARED})
    codes = resolve_codes(
        args.preset, **{f.name: getattr(args, f.name) for f in fields(LaqOptions)}
    )
    from lapa_core.data.footage.pairs import PairParams
    from lapa_core.data.footage.store import StoreParams
    from lapa_core.train.laq import check, footage, recipe
    from lapa_core.train.placing import make_accelerator

    wanted = PairParams(gap_s=args.gap, still=args.still)
    accelerator = make_accelerator(args.cpu)
    model = _model(args, codes, options.seed)
    with accelerator.main_process_first():  # the others read what it has decoded
        found = footage.read(
            args.data,
            args.cache or args.output.with_name(args.output.name + ".frames"),
            params=StoreParams(size=model.config.image_size, rate_hz=args.rate),
            wanted=wanted,
            cameras=args.cameras,
            workers=args.workers,
            progress=counted("read ", " clips") if accelerator.is_main_process else silent,
        )
    for line in found.report.lines() if accelerator.is_main_process else ():
        say(line)
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
