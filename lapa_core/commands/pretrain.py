# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa pretrain WHAT`: networks that learn from pictures alone, one sub-command each."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from lapa_core.commands import pretrain_idm, pretrain_laq, pretrain_latent, pretrain_unipi
from lapa_core.commands.telling import counted, say
from lapa_core.errors import ConfigError
from lapa_core.train.vqgan.options import TokenizerOptions
from lapa_core.train.vqgan.reading import LIMIT


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Train what is asked for."""
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, (text, add, _) in KINDS.items():
        add(kinds.add_parser(name, help=text, description=text))
    args = parser.parse_args(argv)
    return KINDS[args.what][2](args)


def _add_vqgan(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    keep = argparse.BooleanOptionalAction
    add("demos", type=Path, metavar="DEMOS", help="folder of recorded episodes or bags")
    add("--output", type=Path, required=True, metavar="FOLDER", help="VQGAN to be written")
    add("--from", dest="source", type=Path, metavar="VQGAN", help="go on with this VQGAN, or a "
        "checkpoint's; default: random weights")  # fmt: skip
    add("--preset", default="micro", help="whose VQGAN's sizes to take; default: micro")
    add("--codes", type=int, help="entries of the codebook; default: as the preset")
    add("--parts", type=int, help="of a code, each with a codebook; default: as the preset")
    add("--resume", action="store_true", help="go on from the newest saved state, if any")
    add("--device", help="default: cuda where there is one, else cpu")
    data = parser.add_argument_group("pictures")
    add = data.add_argument
    add("--cameras", nargs="+", default=[], help="names; default: the robot's first")
    add("--moving", nargs="+", default=[], metavar="CAMERA", help="cameras that move: none of "
        "their pixels is foreground; found out by itself where it is plain")  # fmt: skip
    add("--pictures", type=int, default=LIMIT, help=f"at most, in memory; default {LIMIT}")
    add("--center-crop", action=keep, default=False, help="cut the upper and lower tenth")
    add("--mapping", type=Path, metavar="YAML", help="what the topics of foreign bags mean")
    group = parser.add_argument_group("training")
    for each in fields(TokenizerOptions):
        flag = "--" + each.name.replace("_", "-")
        text = f"{each.metadata['help']} (default {each.default})".replace("%", "%%")
        if isinstance(each.default, bool):
            group.add_argument(flag, action=keep, default=each.default, help=text)
        else:
            choices = each.metadata.get("choices")
            kind = type(each.default)
            group.add_argument(flag, type=kind, default=each.default, choices=choices, help=text,
                               metavar=None if choices else kind.__name__.upper())  # fmt: skip


def _train_vqgan(args: argparse.Namespace) -> int:
    options = TokenizerOptions(**{f.name: getattr(args, f.name) for f in fields(TokenizerOptions)})
    from lapa_core.train.vqgan import reading
    from lapa_core.train.vqgan.recipe import pretrain

    vqgan = _vqgan(args, options)
    pool = reading.read(
        args.demos,
        cameras=args.cameras,
        limit=args.pictures,
        mapping=args.mapping,
        center_crop=args.center_crop,
        progress=counted("read pictures of ", " episodes"),
    )
    for name, why in pool.refused.items():
        say(f"refused {name}: {why}")
    verdict = pretrain(
        vqgan,
        pool,
        args.output,
        options,
        source=str(args.source or ""),
        moving=args.moving,
        resume=args.resume,
        device=args.device or _device(),
        say=say,
    )
    print(f"{args.output}\n{verdict}")
    return 0


def _vqgan(args: argparse.Namespace, options: TokenizerOptions) -> Any:
    """Random weights of a preset's sizes, or those of `--from`."""
    import torch

    from lapa_core.model.configuration import preset
    from lapa_core.model.vqgan import Vqgan
    from lapa_core.train.start import read_vqgan

    if args.source:
        vqgan, _ = read_vqgan(args.source)
        if args.codes and args.codes != vqgan.config.num_embeddings:
            raise ConfigError(
                f"{args.source} has {vqgan.config.num_embeddings} codes, not {args.codes}"
            )
        if args.parts and args.parts != vqgan.config.code_parts:
            raise ConfigError(
                f"{args.source} has codes of {vqgan.config.code_parts} parts, not {args.parts}"
            )
        return vqgan
    config = preset(args.preset).vqgan_config()
    config.num_embeddings = config.num_embeddings if args.codes is None else args.codes
    config.code_parts = config.code_parts if args.parts is None else args.parts
    if config.code_parts < 1:
        raise ConfigError(f"--parts must be 1 or more, got {config.code_parts}")
    most = min(int(2 ** (32 / config.code_parts)), 2**16)  # a cell's code has 32 bits
    if not 2 <= config.num_embeddings <= most:
        raise ConfigError(f"--codes must be 2 to {most}, got {config.num_embeddings}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return Vqgan(config)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


Kind = tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]
# name -> (what it does, its arguments, its work)
KINDS: dict[str, Kind] = {
    "vqgan": ("pictures of demonstrations -> a small image tokenizer", _add_vqgan, _train_vqgan),
    "idm": (pretrain_idm.TEXT, pretrain_idm.add, pretrain_idm.run),
    "laq": (pretrain_laq.TEXT, pretrain_laq.add, pretrain_laq.run),
    "latent": (pretrain_latent.TEXT, pretrain_latent.add, pretrain_latent.run),
    "unipi": (pretrain_unipi.TEXT, pretrain_unipi.add, pretrain_unipi.run),
}
