# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa pretrain unipi`: imagine the frames to come; with `--idm`, a policy to compare with."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lapa_core.commands import footage
from lapa_core.commands.telling import say
from lapa_core.errors import ConfigError
from lapa_core.train.laq.options import SHARED
from lapa_core.train.unipi.options import PRESETS, SIZES, resolve

TEXT = "the frames to come of a task in words: the rival that plans in pictures (UniPi)"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    flag = parser.add_argument
    flag("--output", type=Path, required=True, metavar="FOLDER", help="planner to be written")
    flag("--from", dest="source", type=Path, metavar="PLANNER", help="go on with this one")
    flag("--preset", default="micro", choices=sorted(PRESETS), help="sizes and steps")
    flag("--frames", type=int, help="to come, a gap apart; default 2")
    flag("--words", type=Path, metavar="CSV", help="clip, instruction: what is done in each clip, "
         "where recordings or a text beside a video do not say it")  # fmt: skip
    flag("--idm", type=Path, metavar="IDM", help="of `lapa pretrain idm` and the same --gap: "
         "FOLDER can be evaluated then")  # fmt: skip
    flag("--robot", default="wx250s", help="robot that it is for, with --idm")
    flag("--camera", default="", help="that it imagines, with --idm; default: the robot's first")
    footage.add_data(parser, "videos and bags, as of `lapa pretrain laq`, and words")
    footage.add_training(parser, SHARED)


def run(args: argparse.Namespace) -> int:
    """Read the footage and train."""
    if importlib.util.find_spec("diffusers") is None:
        raise ConfigError("lapa pretrain unipi needs diffusers: pip install lapa_ros[unipi]")
    options = resolve(args.preset, **{name: getattr(args, name) for name in SHARED})
    from lapa_core.label.words import read_list
    from lapa_core.model import unipi
    from lapa_core.model.unipi import PlannerConfig
    from lapa_core.train.placing import make_accelerator
    from lapa_core.train.unipi import recipe

    sizes = (
        {"gap_s": footage.one_gap(args)}
        if args.source
        else {**SIZES[args.preset], "gap_s": footage.one_gap(args)}
    )
    if args.frames is not None:
        sizes["frames"] = args.frames
    config = unipi.load(args.source).config if args.source else PlannerConfig(**sizes)
    beside = _beside(args)
    accelerator = make_accelerator(args.cpu)
    standing = recipe.pretrain(
        footage.read(args, config.image_size, accelerator), args.output, options, sizes,
        listed=read_list(args.words) if args.words else {}, source=args.source, beside=beside,
        resume=args.resume, accelerator=accelerator, say=say,
    )  # fmt: skip
    print(args.output)
    if standing.best:
        print(f"after {standing.best['step']}: {standing.best['relative']:.2f} of repeating the "
              "present frame's error")  # fmt: skip
    return 0


def _beside(args: argparse.Namespace) -> Callable[[Path], None]:
    """Writes what makes a policy of the planner, if that is asked for."""
    if not args.idm:
        return lambda _: None
    from lapa_core import robot as robots
    from lapa_core.model import idm
    from lapa_core.policy import unipi

    robot = robots.load(args.robot)
    camera = args.camera or robot.cameras[0].name
    of = unipi.interface(robot, camera, footage.one_gap(args), idm.load(args.idm))
    return partial(unipi.write_beside, of=of, inverse=args.idm)
