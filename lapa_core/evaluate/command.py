# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What `lapa eval` does without ROS, and what it prints. Told its arguments by `commands.eval`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lapa_core.errors import ConfigError
from lapa_core.evaluate import compare, evaluation, results, suites, table
from lapa_core.evaluate.actors import EXPERT, Job, robot_of
from lapa_core.evaluate.scores import Score

MAX_WORKERS = 256
# Where these differ it may be they, and not the policies, that make the difference.
COMPARABLE = ("robot", "mode", "max_s", "sample", "image_size", "speed", "latency_s")
OUT = Path("eval_out")


def closed_loop(args: argparse.Namespace) -> int:
    """`lapa eval CHECKPOINT ... --suite SUITE`."""
    policies = [*args.checkpoints, *([EXPERT] if args.policy else [])]
    if not policies:
        raise ConfigError("name a CHECKPOINT, or --policy expert")
    if not args.suite:
        raise ConfigError(f"--suite is missing; valid: {', '.join(suites.available())}, or a file")
    if not 1 <= args.workers <= MAX_WORKERS:
        raise ConfigError(f"--workers must be 1 to {MAX_WORKERS}, got {args.workers}")
    if args.videos < 0:
        raise ConfigError(f"--videos must be 0 or more, got {args.videos}")
    suite = suites.load(args.suite).with_episodes(args.episodes)
    if args.max_s is not None:
        suite = suite.with_max_s(args.max_s)
    request = evaluation.Request(suite, args.seed, args.workers, args.videos)
    names = _names(policies)
    from lapa_core.sim.cell import check_latency  # MuJoCo, which `--compare` does not need

    for policy in policies:  # each is looked at before the first takes its hours
        check_latency(args.latency, robot_of(policy, args.robot))
    found: dict[str, list[Score]] = {}
    for policy, name in zip(policies, names, strict=True):
        job = _job(args, policy, suite.max_s, folder(args.out, name, suite.name, len(names)))
        say = _say(name, quiet=args.json)
        found[name] = evaluation.evaluate(request, job, say)
        checkpoint = None if policy == EXPERT else Path(policy)
        text = evaluation.write(job.out, found[name], checkpoint=checkpoint)
        say(f"results, report and films in {job.out}")
        if args.json:
            print((job.out / evaluation.SUMMARY).read_text(encoding="utf-8"), end="")
        else:
            print(text, flush=True)
    for other in names[1:]:
        _print_comparison(names[0], found[names[0]], other, found[other], args.json)
    return 0


def _job(args: argparse.Namespace, policy: str, max_s: float, out: Path) -> Job:
    return Job(
        policy=policy, robot=args.robot, max_s=max_s, out=out, device=args.device,
        dtype=args.dtype, sample=args.sample, seed=args.sample_seed, image_size=args.image_size,
        latency_s=args.latency,
    )  # fmt: skip


def folder(out: Path | None, name: str, suite: str, policies: int) -> Path:
    """Where the results of one policy go."""
    if out is None:
        return OUT / name / suite
    return out if policies == 1 else out / name


def _names(policies: Sequence[str]) -> list[str]:
    """Short names of the policies: their folders', made different."""
    names = [p if p == EXPERT else Path(p).resolve().name for p in policies]
    if len(set(names)) < len(names):
        names = [
            n if p == EXPERT else f"{n}-{results.fingerprint(Path(p))[:6]}"
            for n, p in zip(names, policies, strict=True)
        ]
    if len(set(names)) < len(names):
        raise ConfigError(f"the same policy twice: {', '.join(policies)}")
    return names


def compare_results(folders: Sequence[Path], as_json: bool) -> int:
    """`lapa eval --compare RESULTS RESULTS`."""
    one, two = folders
    if not as_json:
        runs = results.read_run(one), results.read_run(two)
        for key in COMPARABLE:
            if (runs[0].get(key) or None) != (runs[1].get(key) or None):
                print(f"note: {key} was {runs[0].get(key)!r} and {runs[1].get(key)!r}")
    _print_comparison(str(one), results.read(one), str(two), results.read(two), as_json)
    return 0


def _print_comparison(
    one: str, first: Sequence[Score], two: str, second: Sequence[Score], as_json: bool
) -> None:
    matched = compare.pairs(first, second)
    found = compare.compare(matched)
    if as_json:
        print(json.dumps([compare.as_json(c) for c in found], indent=2))
        return
    left_out = len(first) + len(second) - 2 * len(matched)
    note = f"; {left_out} trials that only one of them had are left out" if left_out else ""
    print(f"\nfirst: {one}\nsecond: {two}\n{len(matched)} identical starts{note}")
    print(table.terminal(compare.HEADER, [c for one in found for c in compare.cells(one)]))


def open_loop(args: argparse.Namespace) -> int:
    """`lapa eval CHECKPOINT --open-loop DEMOS`."""
    if len(args.checkpoints) != 1:
        raise ConfigError("--open-loop takes one CHECKPOINT")
    if args.every < 1:
        raise ConfigError(f"--every must be 1 or more, got {args.every}")
    from lapa_core.evaluate import aiming, dimension, openloop
    from lapa_core.policy import Policy

    (checkpoint,) = args.checkpoints
    policy = Policy.from_checkpoint(
        checkpoint, device=args.device, dtype=args.dtype, sample=args.sample,
        seed=args.sample_seed,
    )  # fmt: skip
    (name,) = _names([checkpoint])
    out = folder(args.out, name, "open_loop", 1)
    say = _say(name, quiet=args.json)
    episodes = openloop.answer(policy, args.open_loop, args.every, say)
    found = openloop.write(out, episodes, policy.dimensions, policy.chunk_length)
    if args.json:
        print((out / "open_loop.json").read_text(encoding="utf-8"), end="")
    else:
        print(table.terminal(dimension.HEADER, map(dimension.cells, found)))
        if sights := aiming.first_sights(episodes):
            print(table.terminal(aiming.SIGHT_HEADER, map(aiming.sight_cells, sights)))
        say(f"errors and plot in {out}")
    return 0


def _say(name: str, quiet: bool) -> Callable[[str], None]:
    """Progress goes to people, not into JSON."""
    return lambda text: print(f"{name}: {text}", file=sys.stderr if quiet else None, flush=True)
