# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa eval`: how good a policy is, with error bars.

In simulation without ROS by default, many times faster than real time. With `--ros` through the
real nodes (`lapa_ros.evaluate`); with `--open-loop` over recordings; with `--compare` over results
that are there. On a real arm: `ros2 launch lapa_ros evaluate.launch.py`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lapa_core.errors import ConfigError
from lapa_core.evaluate import suites

# What has a meaning in each way of evaluating; anything else is refused there.
OF_COMPARE = ("compare", "json")
OF_OPEN_LOOP = ("open_loop", "checkpoints", "device", "dtype", "sample", "sample_seed", "out",
                "every", "json")  # fmt: skip


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Evaluate, print the table, write the report."""
    if "--ros" in argv:
        return _ros(argv)
    _add_arguments(parser)
    args = parser.parse_args(argv)
    os.environ.setdefault("MUJOCO_GL", "egl")  # MuJoCo chooses when it is imported: here
    try:
        return _evaluate(parser, args)
    except KeyboardInterrupt:
        print("lapa eval: interrupted; run it again to go on", file=sys.stderr, flush=True)
        return 130


def _evaluate(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    from lapa_core.evaluate import command

    usual = {name: parser.get_default(name) for name in vars(args)} | {"checkpoints": []}
    given = [name for name, value in vars(args).items() if value != usual[name]]
    if args.compare:
        _only("--compare", given, OF_COMPARE)
        return command.compare_results(args.compare, args.json)
    if args.open_loop:
        _only("--open-loop", given, OF_OPEN_LOOP)
        return command.open_loop(args)
    if "every" in given:
        raise ConfigError("--every is for --open-loop")
    return command.closed_loop(args)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("checkpoints", nargs="*", metavar="CHECKPOINT", help="one, or several to compare")
    add("--policy", choices=["expert"], help="the scripted demonstrator, instead of a checkpoint")
    add("--suite", default="", help=f"{', '.join(suites.available())}, or a YAML file")
    add("--episodes", type=int, help="trials of each item; default: as the suite says")
    add("--workers", type=int, default=1, help="processes, each with a model of its own")
    add("--seed", type=int, default=0, help="of the starts: the same for every policy")
    add("--out", type=Path, help="folder of the results; default eval_out/<policy>/<suite>")
    add("--videos", type=int, default=4, help="films of failures, at most")
    add("--max-s", type=float, help="simulated seconds a trial may take; default: the suite's")
    add("--latency", type=float, default=0.0, metavar="S",
        help="simulated seconds that a decision takes, while the arm moves on")  # fmt: skip
    add("--robot", default="", help="robot file; default: the checkpoint's")
    add("--device", default="cpu", help="a torch device, such as cuda")
    add("--dtype", choices=("float32", "bfloat16"), default="float32")
    add("--sample", action="store_true", help="draw actions instead of taking the likeliest")
    add("--sample-seed", type=int, default=0, help="of the draw")
    add("--image-size", type=_size, metavar="WxH", help="of the pictures; default: robot file's")
    add("--ros", action="store_true", help="through the real nodes; `--ros --help` says more")
    add("--compare", nargs=2, type=Path, metavar="RESULTS", help="two folders of results")
    add("--open-loop", type=Path, metavar="DEMOS", help="predicted against recorded actions")
    add("--every", type=int, default=1, help="with --open-loop: ask at every n-th step")
    add("--json", action="store_true", help="print JSON instead of tables")


def _ros(argv: list[str]) -> int:
    """Become `lapa_ros.evaluate` with the same arguments, which lapa_core never imports."""
    if importlib.util.find_spec("lapa_ros") is None:
        raise ConfigError("--ros needs lapa_ros beside lapa_core: is the package installed?")
    rest = [a for a in argv if a != "--ros"]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "lapa_ros.evaluate", *rest])


def _only(flag: str, given: Sequence[str], valid: Sequence[str]) -> None:
    """Refuse what has no meaning beside `flag`."""
    for name in given:
        if name not in valid:
            raise ConfigError(f"{flag} does not go with {name.replace('_', '-')}")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    try:
        size = int(width), int(height)
    except ValueError:
        size = 0, 0
    if min(size) < 16:
        raise argparse.ArgumentTypeError(f"{text!r} must be WIDTHxHEIGHT, at least 16x16")
    return size
