# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Does the arm hold, and come back, whatever happens? A closed loop with a fault every 10 s.

    python benchmarks/soak.py --minutes 30

Real nodes, simulated arm. Faults: a node killed or frozen, the network between policy and arm
cut, the system clock set, the processors busy with something else. Every fault must end in hold
within two steps of the policy plus 50 ms, every recovery must stand in the log with its reason,
every `enable` must work, memory must stay flat.

Cutting the network needs root and `ip` (the policy then runs in a network namespace of its own),
setting the clock needs libfaketime; where they are missing the fault is left out and the result
says so.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, processor, write_result
from soak_faults import FAULTS, Fault, available
from soak_robot import Cell

FAULT_EVERY_S = 10.0
MARGIN_S = 0.05
MAX_GROWTH_MB = 10.0  # of a process that lived through half of the run
MEMORY_SETTLES_S = 60.0  # caches and buffers fill first


def main() -> int:
    """Run, judge, write JSON; 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--robot", default="wx250s")
    parser.add_argument("--seed", type=int, default=0, help="order of the faults")
    parser.add_argument("--only", choices=FAULTS, action="append", help="these faults alone")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON")
    parser.add_argument("--logs", type=Path, help="keep the nodes' logs in this folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, Cell(args.robot, args.logs or Path(made)) as cell:
        kinds = [k for k in available(cell) if not args.only or k in args.only]
        left_out = sorted(set(FAULTS) - set(kinds))
        print(f"soak: faults {', '.join(kinds)}; left out: {', '.join(left_out) or 'none'}")
        records = run(cell, kinds, 60.0 * args.minutes, random.Random(args.seed))
        content = judge(cell, records)
    content = {
        "benchmark": "soak",
        "machine": processor(),
        "cores": os.cpu_count(),
        "minutes": args.minutes,
        "robot": args.robot,
        "left_out": left_out,
        **content,
    }
    for name, mark in content["marks"].items():
        print(f"{'ok    ' if mark['met'] else 'MISSED'} {name}: {mark['value']} ({mark['mark']})")
    print(write_result(f"soak-{args.robot}", content, args.out))
    return 0 if all(m["met"] for m in content["marks"].values()) else 1


def run(cell: Cell, kinds: list[str], seconds: float, rng: random.Random) -> list[dict[str, Any]]:
    """Inject a fault every ten seconds; what each led to.

    In the first half the simulation lives, in the second policy and arm node do, so that each
    process's memory is seen over half of the run.
    """
    cell.start()
    begin, records = time.monotonic(), []
    while (elapsed := time.monotonic() - begin) < seconds:
        due = begin + (len(records) + 1) * FAULT_EVERY_S
        cell.listen_until(min(due, begin + seconds))
        spared = ("kill_sim",) if elapsed < seconds / 2 else ("kill_policy", "kill_arm")
        kind = rng.choice([k for k in kinds if k not in spared] or kinds)
        record = inject(cell, FAULTS[kind])
        record["at_s"] = round(time.monotonic() - begin, 1)
        records.append(record)
        print(f"soak: {record}", flush=True)
    return records


def inject(cell: Cell, fault: Fault) -> dict[str, Any]:
    """One fault: begin, wait for the hold, end, wait until the policy moves the arm again."""
    cell.require_moving()
    cell.mark()
    begin = fault.begin(cell)
    held = cell.wait_for_stop(begin, fault.lasts_s)
    fault.end(cell)
    recovered = cell.recover()
    return {
        "fault": fault.name,
        "held_after_s": None if held is None else round(held - begin, 3),
        "reason": cell.hold_reason,
        "must_hold": fault.must_hold,
        "recovered_after_s": round(recovered - begin, 2),
        "longest_gap_s": round(cell.longest_gap_s, 3),
    }


def judge(cell: Cell, records: list[dict[str, Any]]) -> dict[str, Any]:
    """The marks, and the figures by fault."""
    bound = 2 * cell.robot.step_time_s + MARGIN_S
    must = [r for r in records if r["must_hold"]]
    late = [r for r in must if r["held_after_s"] is None or r["held_after_s"] > bound]
    # A fault that need not end in hold must not have moved the arm on old orders either.
    held = [r["held_after_s"] for r in records if r["held_after_s"] is not None]
    growth = cell.memory_growth_mb(MEMORY_SETTLES_S)
    unlogged = cell.unlogged_recoveries()
    by_fault = {
        name: {
            "count": len(mine),
            "held": sum(r["held_after_s"] is not None for r in mine),
            "held_after_s_max": max((r["held_after_s"] or 0.0 for r in mine), default=0.0),
            "recovered_after_s_median": float(np.median([r["recovered_after_s"] for r in mine])),
        }
        for name in sorted({r["fault"] for r in records})
        for mine in [[r for r in records if r["fault"] == name]]
    }
    grown = max(growth.values(), default=0.0)
    missed = cell.enables_asked - cell.enables_done
    return {
        "marks": {
            f"faults that held later than {bound:.2f} s": _mark(len(late), "0", not late),
            "recoveries without their reason in the log": _mark(unlogged, "0", unlogged == 0),
            "enables asked and not given": _mark(missed, "0", missed == 0),
            "largest growth of a process [MB]": _mark(
                round(grown, 1), f"< {MAX_GROWTH_MB:g}", grown < MAX_GROWTH_MB
            ),
        },
        "faults": len(records),
        "holds": len(held),
        "held_after_s": {"median": float(np.median(held)), "max": max(held)} if held else {},
        "by_fault": by_fault,
        "memory_growth_mb": {k: round(v, 1) for k, v in growth.items()},
        "enables": cell.enables_done,
        "late": late,
    }


def _mark(value: Any, mark: str, met: bool) -> dict[str, Any]:
    return {"value": value, "mark": mark, "met": met}


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # DDS threads may hang in an ordinary ending
