# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa pretrain idm`: what an arm does between two frames, from recordings that say it."""

from __future__ import annotations

import argparse
from pathlib import Path

from lapa_core.commands import footage
from lapa_core.commands.telling import say
from lapa_core.train.laq.options import PRESETS, SHARED, SIZES, resolve

TEXT = "what an arm does between two frames: the rival of latent actions (VPT)"
BINS = 64  # of each number of a motion


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    flag = parser.add_argument
    flag("--output", type=Path, required=True, metavar="FOLDER", help="model to be written")
    flag("--preset", default="micro", choices=sorted(PRESETS), help="sizes and steps")
    flag("--bins", type=int, default=BINS, help=f"codes of each number; default {BINS}")
    footage.add_data(parser, "folders of our recorder's episodes")
    footage.add_training(parser, SHARED)


def run(args: argparse.Namespace) -> int:
    """Read the recordings and train."""
    options = resolve(args.preset, **{name: getattr(args, name) for name in SHARED})
    from lapa_core.model.laq import LaqConfig
    from lapa_core.train.idm import recipe
    from lapa_core.train.placing import make_accelerator

    accelerator = make_accelerator(args.cpu)
    sizes = {**SIZES[args.preset], "gap_s": footage.one_gap(args)}
    found = footage.read(args, LaqConfig(**SIZES[args.preset]).image_size, accelerator)
    standing = recipe.pretrain(
        found, args.output, options, sizes, bins=args.bins, resume=args.resume,
        accelerator=accelerator, say=say,
    )  # fmt: skip
    print(args.output)
    if standing.best:
        print(f"after {standing.best['step']}: {standing.best['relative']:.2f} of a constant's "
              "error")  # fmt: skip
    return 0
