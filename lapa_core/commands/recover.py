# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa recover`: make bags whole that a crash, a full disk or a pulled plug has cut."""

from __future__ import annotations

import argparse
from pathlib import Path

from lapa_core.recording.recover import Report, recover

EPILOG = (
    "Exit code 0: every bag there is whole (now). 1: one is not: it is being written, holds "
    "nothing, or could not be made whole. A bag that is whole is not touched; nothing is deleted."
)


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Print one paragraph a bag that was not whole, and a last line with the sum."""
    parser.epilog = EPILOG
    parser.add_argument("dir", type=Path, help="data set, episode, rosbag2 folder or MCAP file")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    args = parser.parse_args(argv)
    states: dict[str, int] = {}
    for report in recover(args.dir, dry_run=args.dry_run):
        states[report.state] = states.get(report.state, 0) + 1
        if report.state != "whole":
            _show(report)
    if not states:
        print(f"no bag in {args.dir}")
        return 1
    print(", ".join(f"{number} {state}" for state, number in states.items()))
    good = {"whole"} if args.dry_run else {"whole", "saved"}
    return 0 if set(states) <= good else 1


def _show(report: Report) -> None:
    moved = f" -> {report.now.name}" if report.now != report.path else ""
    print(f"{report.path}{moved}: {report.text}")
    width = max((len(topic) for topic, _ in report.counts), default=0)
    for topic, number in report.counts:
        print(f"    {topic:<{width}}  {number:>8}")
    for problem in report.lost:
        print(f"    lost: {problem}")
