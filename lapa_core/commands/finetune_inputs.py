# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What `lapa finetune` trains: weights to start from, demonstrations, and whose they are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lapa_core.commands.telling import counted, say
from lapa_core.data.join import joined, labels
from lapa_core.errors import ConfigError
from lapa_core.train.presets import TrainOptions


def start_and_demos(
    args: argparse.Namespace, options: TrainOptions, accelerator: Any
) -> tuple[Any, Any]:
    """Weights to start from, and the demonstrations as their VQGAN's codes."""
    from lapa_core.train.start import SCRATCH, Start, read_vqgan

    words = None
    if args.source != SCRATCH:
        start = Start.checkpoint(args.source, options.weights)
        vqgan, crop = start.vqgan, start.center_crop
    else:
        from lapa_core.model.configuration import preset
        from lapa_core.train.start import random_vqgan

        start, crop = None, True
        size = args.size or args.preset
        if args.vqgan:
            vqgan, words = read_vqgan(args.vqgan)
        else:
            vqgan = random_vqgan(preset(size), options.seed)
            say("no --vqgan: pictures pass a random one, which tells little of them")
    crop = crop if args.center_crop is None else args.center_crop
    _follow(args, start)
    with accelerator.main_process_first():  # the others read what it has cached
        demos = _demos(args, options, vqgan.to(accelerator.device), crop)
    vqgan.to("cpu")
    if start is None:
        said = {i for d in demos.demos for i in d.instructions}
        changes = dict(_size(text) for text in args.model)
        start = Start.scratch(
            size, vqgan=vqgan, tokenizer=words, sentences=said, codebook=args.codebook,
            seed=options.seed, changes=changes,
        )  # fmt: skip
    start.center_crop = crop
    return start, demos


def _follow(args: argparse.Namespace, start: Any) -> None:
    """What a policy that is gone on from reads is read again, unless another choice is made."""
    known = start.interface if start is not None else None
    reads = known if known is not None and known.kind == "action" else None
    for name, least in (("cameras", 2), ("state", 1)):  # one camera has another name elsewhere
        given = getattr(args, name)
        if not given and reads is not None and len(getattr(reads, name)) >= least:
            setattr(args, name, list(getattr(reads, name)))
            say(f"--{name} as {start.name} reads: {' '.join(getattr(args, name))}")
    args.state = [] if args.state == ["none"] else args.state


def _demos(args: argparse.Namespace, options: TrainOptions, vqgan: Any, crop: bool) -> Any:
    from lapa_core.data.cuts import CutParams
    from lapa_core.train import step_files, tokens

    params = tokens.TokenParams(
        cameras=tuple(args.cameras),
        state=tuple(args.state),
        center_crop=crop,
        labels=args.labels,
        filters=CutParams(args.authority, args.cuts, args.frozen, args.max_idle_share),
        variants=args.variants,
        seed=options.seed,
        outcomes=tuple(args.outcomes),
        flagged=args.flagged,
    )
    if step_files.is_step_file(args.demos):
        return step_files.build(
            args.demos, _named_robot(args), vqgan=vqgan, cache=_cache(args, args.demos),
            params=params, images_root=args.images,
        )  # fmt: skip
    if args.also_times < 1:
        raise ConfigError(f"--also-times must be 1 or more, got {args.also_times}")
    folders, show = (args.demos, *args.also), counted("encoded ", " episodes")
    sets = [
        tokens.build(
            folder,
            vqgan=vqgan,
            cache=_cache(args, folder),
            params=params,
            mapping=args.mapping,
            workers=args.workers,
            progress=lambda p: show(p.done, p.total),
            strict=args.strict,
        )
        for folder in folders
    ]
    return joined(sets, labels(folders), args.also_times)


def _cache(args: argparse.Namespace, folder: Path) -> Path:
    return args.cache or folder.with_name(folder.name + ".tokens")


def robot_of(args: argparse.Namespace, options: TrainOptions, demos: Any) -> Any:
    """The robot as the demonstrations have it, which may differ from a file of the same name."""
    from lapa_core.train import sources, step_files

    if step_files.is_step_file(args.demos):
        return _named_robot(args)
    folders = (args.demos, *args.also)
    used = {d.name for d in demos.demos}
    parts = []
    for folder, label in zip(folders, labels(folders), strict=True):
        found = sources.open_source(
            folder, args.labels, args.mapping, tuple(args.outcomes), args.flagged
        )
        parts.append((found, [n for n in found.names if label + n in used]))
    return sources.robot_of(parts, demos.cameras if options.point_weight else ())


def _named_robot(args: argparse.Namespace) -> Any:
    from lapa_core import paths, robot

    if not args.robot:
        known = ", ".join(paths.names("config/robots", ".yaml"))
        raise ConfigError(
            f"{args.demos} does not say whose steps it has; give --robot: {known}, or a robot file"
        )
    return robot.load(args.robot)


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not number.strip().isdecimal():
        raise ConfigError(f"--model {text!r}: must be NAME=NUMBER, such as hidden_size=256")
    return name.strip(), int(number)
