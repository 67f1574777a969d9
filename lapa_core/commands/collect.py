# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa collect`: scripted demonstrations in simulation, as a recorded data set, without ROS."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from lapa_core.errors import ConfigError

if TYPE_CHECKING:
    from lapa_core.sim.collect import Book

MAX_WORKERS = 256
SAY_S = 10.0  # between two lines of progress
EPILOG = (
    "A folder that was begun with the same arguments is gone on with, also after it was killed; "
    "with a larger --episodes it grows. What there is in the end does not depend on --workers."
)


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Collect, saying how far it is."""
    os.environ.setdefault("MUJOCO_GL", "egl")  # before MuJoCo is imported
    from lapa_core.evaluate.results import fingerprint
    from lapa_core.sim.collect import collect
    from lapa_core.sim.demonstrate import Request

    _add_arguments(parser)
    args = parser.parse_args(argv)
    if not 1 <= args.workers <= MAX_WORKERS:
        raise ConfigError(f"--workers must be 1 to {MAX_WORKERS}, got {args.workers}")
    given = {k: tuple(v) for k, v in vars(args).items() if isinstance(v, list)}
    request = Request(
        seed=args.seed, robot=args.robot, scene=args.scene, jpeg_quality=args.jpeg_quality,
        image_size=args.image_size, keep_failures=args.keep_failures, disturb=args.disturb,
        latency_s=args.latency,
        policy=args.policy, policy_files=fingerprint(Path(args.policy)) if args.policy else "",
        **given,
    )  # fmt: skip
    progress = _Progress(args.episodes)
    try:
        book = collect(request, args.out, args.episodes, workers=args.workers, tell=progress)
    except KeyboardInterrupt:
        print(f"ended; the same command goes on. {args.out} holds what is done", flush=True)
        return 130
    print(summary(book))
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from lapa_core.sim.demonstrate import QUALITY
    from lapa_core.sim.tasks import TASKS
    from lapa_core.sim.things import COLOURS, SCENES, TABLETOP

    parser.epilog = EPILOG
    add = parser.add_argument
    add("out", type=Path, help="folder of the data set")
    add("--episodes", type=int, required=True, help="successful demonstrations wanted in all")
    add("--seed", type=int, default=0, help="of everything: scenes, words, starts, ways")
    add("--workers", type=int, default=1, help="processes")
    add("--tasks", nargs="+", default=list(TASKS), metavar="TASK", help=", ".join(TASKS))
    add("--colours", nargs="+", default=list(COLOURS), metavar="COLOUR", help=", ".join(COLOURS))
    add("--scene", default=TABLETOP.name, help=", ".join(SCENES))
    add("--cameras", nargs="+", default=[], metavar="CAMERA", help="default: the robot's first")
    add("--robot", default="wx250s", help="a name in config/robots, or a path")
    add("--image-size", type=_size, metavar="WxH", help="of the pictures; default: robot file's")
    add("--jpeg-quality", type=int, default=QUALITY, help="1 to 100")
    add(
        "--disturb",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of the steps at which the arm is pushed off its way, so that the way back is shown",
    )
    add(
        "--latency",
        type=float,
        default=0.0,
        metavar="S",
        help="the most simulated seconds that a decision takes; drawn for each demonstration",
    )
    add(
        "--policy",
        default="",
        metavar="CHECKPOINT",
        help="drives until the demonstrator takes over, so that its errors are made up for",
    )
    add("--keep-failures", action="store_true", help="write those too, as failures")


class _Progress:
    """A line now and then."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._began_s = self._said_s = time.monotonic()
        self._before: int | None = None

    def __call__(self, book: Book) -> None:
        """Say how far it is, if it was not said lately."""
        now = time.monotonic()
        done = book.successes
        if self._before is None:
            self._before = done - 1  # what an earlier run has done says nothing of the pace
        if now - self._said_s < SAY_S and done < self._wanted:
            return
        self._said_s = now
        pace_s = (now - self._began_s) / max(1, done - self._before)
        left_min = (self._wanted - done) * pace_s / 60
        failed = len(book.attempts) - done
        print(
            f"{done} of {self._wanted} demonstrations, {failed} failed; {pace_s:.2f} s each, "
            f"{left_min:.0f} min left",
            flush=True,
        )


def summary(book: Book) -> str:
    """What the folder holds, for people."""
    attempts = [book.attempts[n] for n in sorted(book.attempts)]
    good = [a for a in attempts if a.success]
    bad = [a for a in attempts if not a.success]
    tasks = ", ".join(f"{task} {n}" for task, n in sorted(Counter(a.task for a in good).items()))
    lines = [f"{book.folder}: {len(good)} demonstrations ({tasks})"]
    if bad:
        kept = "kept as failures" if book.request.keep_failures else "not kept"
        lines.append(f"{len(bad)} failed and are {kept}; the first:")
        lines += [f"  {a.number:04d} {a.instruction}: {a.note}" for a in bad[:3]]
    if flawed := [a for a in attempts if a.findings]:
        lines.append(f"{len(flawed)} have findings of the audit; the first:")
        lines += [f"  {a.number:04d} {a.findings[0]}" for a in flawed[:3]]
    return "\n".join(lines)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    try:
        size = int(width), int(height)
    except ValueError:
        size = 0, 0
    if min(size) < 16:
        raise argparse.ArgumentTypeError(f"{text!r} must be WIDTHxHEIGHT, at least 16x16")
    return size
