# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Is anything lost that was saved, and how much that was not? A recorder killed 200 times.

    python benchmarks/crash.py --runs 200

A child records episode after episode and is ended by `kill -9` at a random moment; in every
third run `lapa recover` is killed as well, at random, before it may end. Then: the same on a disk
that is full, on one that fails, on one that stalls, and with the power cut (see `crash_disks`;
those need root and are left out without, which the result says). Marks: nothing saved is lost or
half-visible, ever; what is recovered lacks at most the last 0.5 s.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import crash_disks
from common import RESULTS, processor, write_result
from crash_check import Violation
from crash_runs import kill_once, spread

ALLOWED_S = 0.5


def main() -> int:
    """Run, judge, write JSON; 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--power-cuts", type=int, default=20)
    parser.add_argument("--stalls", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    content: dict[str, Any] = {
        "benchmark": "crash",
        "machine": processor(),
        "cores": os.cpu_count(),
        "seed": args.seed,
        "kills": kills(args.runs, chance),
        "full disk": crash_disks.full(),
        "broken disk": crash_disks.broken(),
        "stalled disk": crash_disks.stalls(args.stalls, chance),
        "power cut": crash_disks.power_cuts(args.power_cuts, chance),
    }
    worst = max(content[k].get("lost_s", {}).get("max", 0.0) for k in ("kills", "power cut"))
    violations = sum(len(v.get("violations", ())) for v in content.values() if isinstance(v, dict))
    content["passed"] = worst <= ALLOWED_S and not violations
    path = write_result("crash", content, args.out)
    print(f"worst loss {worst:.3f} s, {violations} violations; {path}")
    return 0 if content["passed"] else 1


def kills(runs: int, chance: random.Random) -> dict[str, Any]:
    """Kill the recorder at random moments, each time in a new data set."""
    lost, phases, violations = [], Counter[str](), []
    totals = Counter[str]()
    for run in range(runs):
        with tempfile.TemporaryDirectory(prefix="lapa_crash_") as made:
            try:
                one = kill_once(Path(made) / "set", chance, kill_recover=run % 3 == 2)
            except Violation as error:
                violations.append(f"run {run}: {error}")
                continue
        lost.append(one.pop("lost_s"))
        phases[one.pop("phase")] += 1
        totals.update(one)
        if run % 20 == 19:
            print(f"{run + 1} kills, worst loss {max(lost):.3f} s", flush=True)
    return {
        "runs": runs,
        **totals,
        "killed while": dict(phases),
        "lost_s": spread(lost),
        "violations": violations,
    }


if __name__ == "__main__":
    sys.exit(main())
