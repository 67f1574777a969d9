# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How many samples a second reach the training loop from cached demonstrations, on one thread.

    benchmarks/feed.py [--demos 150] [--batch 64]

A training on a GPU must never wait for it: compare with the samples per second of that training.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import RESULTS, processor, write_result

from lapa_core.data import demo_file
from lapa_core.data.demos import Demo, DemoSet, Traits
from lapa_core.data.report import EpisodeReport
from lapa_core.train.feed import Feed
from lapa_core.train.prefetch import Prefetch
from lapa_core.train.presets import resolve
from lapa_core.train.start import Start, ready
from lapa_core.types import dimension_names

STEPS, VARIANTS = 50, 4
TRAITS = Traits("wx250s", dimension_names(("arm",)), 0.2, "open_is_one", ("front",))


def main() -> None:
    """Write demonstrations to a cache, read them back, feed them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demos", type=int, default=150)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for i in range(args.demos):
            report = EpisodeReport(f"e{i}", STEPS, STEPS)
            demo_file.save(Path(folder) / f"{i}.npz", made(i), TRAITS, report)
        since = time.perf_counter()
        found = tuple(demo_file.load(p)[0] for p in sorted(Path(folder).glob("*.npz")))
        reading = time.perf_counter() - since
    demos = DemoSet(**{k: getattr(TRAITS, k) for k in Traits.__dataclass_fields__}, demos=found)
    feed = Feed(demos, ready(Start.scratch("debug"), demos, resolve("debug")))
    result = {
        "benchmark": "feed",
        "machine": processor(),
        "demos": args.demos,
        "samples": len(feed),
        "read_samples_per_s": round(len(feed) / reading),
        "feed_samples_per_s": round(rate(feed, args.batch, args.seconds)),
    }
    print(result)
    print(write_result("feed", result, args.out))


def made(number: int) -> Demo:
    """A demonstration of usual size with random numbers."""
    chance = np.random.default_rng(number)
    actions = chance.normal(0, 0.01, (STEPS, 7))
    actions[:, 6] = chance.integers(0, 2, STEPS)
    return Demo(
        name=f"e{number}",
        codes=chance.integers(0, 512, (VARIANTS, STEPS, 1, 256)).astype(np.uint32),
        actions=actions,
        state=np.empty((STEPS, 0)),
        index=np.arange(STEPS),
        instructions=(("put the red block in the bin", "knock over the cup")[number % 2],) * STEPS,
        authority=("teleop",) * STEPS,
    )


def rate(feed: Feed, batch: int, seconds: float) -> float:
    """Samples per second through the thread that feeds the loop."""
    queue = Prefetch(feed.batch(feed.draw(n, batch)) for n in range(10**9))
    next(queue)
    since, count = time.perf_counter(), 0
    while time.perf_counter() - since < seconds:
        count += len(next(queue))
    spent = time.perf_counter() - since
    queue.close()
    return count / spent


if __name__ == "__main__":
    main()
