# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the commands that learn from footage have in common: its options, and reading it."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from lapa_core.commands.telling import counted, say, silent
from lapa_core.errors import ConfigError
from lapa_core.train.presets import TrainOptions, defaults

GAP_S = 0.6  # of robots, in the paper

if TYPE_CHECKING:  # they bring torch, which a command's help does not need
    from accelerate import Accelerator

    from lapa_core.train.laq.footage import Footage


def add_data(parser: argparse.ArgumentParser, what: str) -> None:
    """What to watch, and where the result goes."""
    flag = parser.add_argument
    flag("data", type=Path, nargs="+", metavar="DATA", help=what)
    flag("--resume", action="store_true", help="go on from the newest saved state, if any")
    flag("--cpu", action="store_true", help="not on the GPU")
    group = parser.add_argument_group("footage")
    flag = group.add_argument
    flag("--gap", type=float, action="append", metavar="S", help="seconds between the frames of a "
         "pair; the paper takes 0.6 of robots, 2.4 of people; once, or once for each DATA in "
         "their order (default 0.6)")  # fmt: skip
    flag("--cameras", nargs="+", default=[], metavar="NAME", help="of bags; default: all")
    flag("--rate", type=float, default=0.0, metavar="HZ", help="of folders of frames")
    flag("--still", type=float, default=0.25, metavar="LEVELS", help="pairs that differ by less, "
         "of 255 in the mean, are left out")  # fmt: skip
    flag("--cache", type=Path, help="where the frames are kept, small; default: OUTPUT.frames")
    flag("--workers", type=int, default=1, help="processes that decode")


def add_training(parser: argparse.ArgumentParser, names: Collection[str]) -> None:
    """Of the loop's options those of these names."""
    group, known = parser.add_argument_group("training"), defaults()
    for each in fields(TrainOptions):
        if each.name in names:
            text = f"{each.metadata['help']} (default as the preset)".replace("%", "%%")
            choices = each.metadata.get("choices")
            group.add_argument(f"--{each.name.replace('_', '-')}", type=type(known[each.name]),
                               default=None, choices=choices, help=text,
                               metavar=None if choices else each.name.upper())  # fmt: skip


def gaps(args: argparse.Namespace) -> list[float]:
    """Of each DATA [s].

    Raises:
        ConfigError: some are given, and not one for each.
    """
    given = args.gap or [GAP_S]
    if len(given) not in (1, len(args.data)):
        raise ConfigError(f"--gap is given {len(given)} times for {len(args.data)} DATA; valid: "
                          "once for all, or once for each")  # fmt: skip
    return given * len(args.data) if len(given) == 1 else list(given)


def one_gap(args: argparse.Namespace) -> float:
    """The gap [s] of all DATA.

    Raises:
        ConfigError: there are several, of which such a model knows one.
    """
    found = set(gaps(args))
    if len(found) > 1:
        raise ConfigError("--gap: a model of what is done in a time needs one for all DATA, got "
                          + ", ".join(f"{gap:g}" for gap in sorted(found)))  # fmt: skip
    return found.pop()


def read(args: argparse.Namespace, size: int, accelerator: Accelerator) -> Footage:
    """The footage, saying what was left out.

    Args:
        args: of `add_data`, and `output`.
        size: pixels of a side of the pictures that are kept.
        accelerator: of several processes one decodes, and the others read what it has decoded.

    Raises:
        DataError, ConfigError: as of `laq.footage.read`.
    """
    from lapa_core.data.footage.pairs import PairParams
    from lapa_core.data.footage.store import StoreParams
    from lapa_core.train.laq import footage

    first = accelerator.is_main_process
    with accelerator.main_process_first():
        found = footage.read(
            args.data,
            args.cache or args.output.with_name(args.output.name + ".frames"),
            params=StoreParams(size=size, rate_hz=args.rate),
            wanted=[PairParams(gap_s=gap, still=args.still) for gap in gaps(args)],
            cameras=args.cameras,
            workers=args.workers,
            progress=counted("read ", " clips") if first else silent,
        )
    for line in found.report.lines() if first else ():
        say(line)
    return found
