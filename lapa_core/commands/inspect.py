# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa inspect`: the capture audit of bags and episodes on disk, anybody's."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lapa_core import robot as robots
from lapa_core.audit import inspection, page, table
from lapa_core.audit.inspection import Report
from lapa_core.commands.telling import counted
from lapa_core.errors import ConfigError, DataError
from lapa_core.recording.episode import Finding

CLEAN, FOUND = 0, 1  # exit codes; an error is 2, as of every command


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Print what is in the recordings and what is wrong with them."""
    parser.description = (
        "Audit recordings: any rosbag2 folder, .mcap or .db3 file, episode, or a folder of these. "
        "Exit code 0: nothing serious; 1: serious findings; 2: error."
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page to look at")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--robot", help="robot file or name that says what must be there")
    parser.add_argument(
        "--expect", action="append", default=[], metavar="TOPIC=HZ", help="rate of a topic"
    )
    args = parser.parse_args(argv)
    robot = robots.load(args.robot) if args.robot else None
    expect = dict(_rate(text) for text in args.expect)
    found = [path for given in args.paths for path in inspection.find(given)]
    pictures = page.pictures_each(len(found)) if args.html else 0
    reports, show = [], counted("", "")
    for i, path in enumerate(found):
        if len(found) > 1:
            show(i + 1, len(found))
        reports.append(_inspect(path, robot, expect, pictures, alone=len(found) == 1))
    if args.json:
        print(json.dumps([as_json(r) for r in reports], indent=2, ensure_ascii=False))
    elif len(reports) == 1:
        print(table.one(reports[0]))
    else:
        print(table.many(reports))
    if args.html:
        args.html.write_text(page.render(reports), encoding="utf-8")
    return FOUND if any(r.flagged for r in reports) else CLEAN


def as_json(report: Report) -> dict[str, Any]:
    """A report without its pictures; of the actions, the range of each dimension."""
    content = asdict(replace(report, actions=None, pictures={}))
    del content["pictures"]
    content["path"] = str(report.path)
    content["flagged"] = report.flagged
    if report.actions is not None:
        values = report.actions.values
        content["actions"] = {
            name: {"least": float(v.min()), "most": float(v.max()), "mean": float(v.mean())}
            for name, v in zip(report.actions.names, values.T, strict=True)
        }
    return content


def _inspect(
    path: Path,
    robot: robots.Robot | None,
    expect: dict[str, float],
    pictures: int,
    alone: bool,
) -> Report:
    """One recording; in a data set, one that cannot be read is a finding, not the end."""
    try:
        return inspection.inspect(path, robot, expect, pictures)
    except DataError as error:
        if alone:
            raise
        fault = Finding("unreadable", "", 0.0, 0.0, str(error))
        return Report(path, "-", 0, 0.0, 0, (), (fault,), None, (), None, {})


def _rate(text: str) -> tuple[str, float]:
    topic, _, rate = text.rpartition("=")
    try:
        value = float(rate)
    except ValueError:
        value = math.nan
    if not topic or not 0 < value < math.inf:
        raise ConfigError(f"--expect {text!r}: must be TOPIC=HZ with a rate above 0")
    return topic, value
