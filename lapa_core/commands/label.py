# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa label`: latent actions and picture tokens for a corpus, into shards for pretraining."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from lapa_core.commands.telling import say
from lapa_core.data.footage.pairs import PairParams
from lapa_core.data.footage.store import StoreParams
from lapa_core.errors import ConfigError
from lapa_core.label.job import PER_SHARD, Job, Outcome, label, prepare

SHOWN = 5


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Label what is missing."""
    add = parser.add_argument
    add("data", type=Path, nargs="+", metavar="DATA", help="folders of videos, of folders of "
        "frames, or of bags; or a single one")  # fmt: skip
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--laq", type=Path, help="folder, or the reference's file")
    what.add_argument("--idm", type=Path, help="inverse dynamics model (pretrain idm) instead, "
                      "whose motions become the codes")  # fmt: skip
    add("--true", action="store_true", help="with --idm: the motions that our recordings tell, "
        "in its bins, and not what it says")  # fmt: skip
    add("--vqgan", type=Path, required=True, help="its folder, or a checkpoint's")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="SHARDS",
        help="gone on with where it stopped",
    )
    add("--words", type=Path, metavar="CSV", help="columns clip, instruction; default: what our "
        "recorder wrote, or a text beside each video")  # fmt: skip
    add("--gap", type=float, default=0.6, metavar="S", help="seconds between the frames of a pair")
    add("--still", type=float, default=0.25, metavar="LEVELS", help="as of pretrain laq")
    add("--cameras", nargs="+", default=[], metavar="NAME", help="of bags; default: all")
    add("--rate", type=float, default=0.0, metavar="HZ", help="of folders of frames")
    add("--hz", type=float, default=5.0, help="frames a second that begin a pair, at most about")
    add("--center-crop", action=argparse.BooleanOptionalAction, default=True, help="of the policy")
    add("--per-shard", type=int, default=PER_SHARD, metavar="CLIPS", help="clips of a shard")
    add("--workers", type=int, default=1, help="processes")
    add("--ray", default="", metavar="ADDRESS", help="of a Ray cluster that has these processes, "
        "such as `auto`; `local` for Ray on this machine")  # fmt: skip
    add("--device", default="cpu", help="of the networks")
    args = parser.parse_args(argv)
    if args.hz <= 0:
        raise ConfigError(f"--hz must be above 0, got {args.hz:g}")
    from lapa_core.model.checkpoint import check_device
    from lapa_core.train.idm.recipe import is_idm

    check_device(args.device)
    if args.laq and is_idm(args.laq):
        raise ConfigError(f"{args.laq} is an inverse dynamics model: give it as --idm")
    if args.idm and not is_idm(args.idm):
        raise ConfigError(f"{args.idm} is no inverse dynamics model (lapa pretrain idm)")
    # Another machine's processes are in other folders.
    data = [p.resolve() for p in args.data]
    coder, vqgan, output = (p.resolve() for p in (args.laq or args.idm, args.vqgan, args.output))
    job = Job(
        coder, vqgan, StoreParams(keep_hz=args.hz, rate_hz=args.rate),
        PairParams(gap_s=args.gap, still=args.still), args.center_crop,
        args.words.resolve() if args.words else None, args.device,
        args.true,
    )  # fmt: skip
    plan, refused = prepare(data, output, job, args.cameras, args.per_shard)
    begun = time.monotonic()
    outcome = label(plan, job, args.workers, _tell, args.ray)
    _report(outcome, refused, time.monotonic() - begun)
    print(args.output)
    return 0


def _report(outcome: Outcome, refused: dict[str, str], seconds: float) -> None:
    rate = outcome.examples / max(seconds, 1e-9)
    say(f"{outcome.examples} examples, {rate:.0f} a second, {outcome.silent} without words")
    for why, count in sorted(outcome.left.items()):
        say(f"  {count} frames begin none: {why}")
    for what, those in (("refused", refused), ("damaged", outcome.damaged)):
        for name, why in list(those.items())[:SHOWN]:
            say(f"  {what}: {name}: {why}")
        if len(those) > SHOWN:
            say(f"  {what}: and {len(those) - SHOWN} more")


def _tell(done: int, total: int) -> None:
    say(f"{done} of {total} shards")
