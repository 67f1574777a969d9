# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Scores become rates by split and task: for a terminal, for Markdown, as JSON.

Three rates, each with its 95 % interval: partial credit (`success`), strict success, and the
right object touched first. The last stands twice: of all trials, and, beside chance, of those
in which something was touched; chance is for one who touches an object without knowing which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lapa_core.evaluate.scores import Score
from lapa_core.evaluate.statistics import Rate, wilson

ALL = "all"
HEADER = (
    "split", "task", "trials", "success", "strict", "right object", "of touched", "chance",
    "x real time",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Rates of the trials of one split and task.

    Attributes:
        split, task: which; `ALL` for a sum over them.
        credit: partial credit.
        done: the task was done, whatever else happened.
        strict: the task was done and nothing else happened.
        right: the right object touched first, of all trials; None where nobody knows of any.
        right_of_touched: the same of the trials in which something was touched.
        chance: mean chance of the right object where it is known, else NaN.
        speed: robot seconds in a second, of one process; NaN where nothing took time.
        endings: how many trials ended how.
    """

    split: str
    task: str
    credit: Rate
    done: Rate
    strict: Rate
    right: Rate | None
    right_of_touched: Rate | None
    chance: float
    speed: float
    endings: dict[str, int]


def rows(scores: Sequence[Score]) -> list[Row]:
    """A row a split and task in the order they come, a sum a split, and one of all."""
    splits = list(dict.fromkeys(s.split for s in scores))
    found: list[Row] = []
    for split in splits:
        of_split = [s for s in scores if s.split == split]
        tasks = list(dict.fromkeys(s.task for s in of_split))
        found += [_row(split, task, [s for s in of_split if s.task == task]) for task in tasks]
        if len(tasks) > 1:
            found.append(_row(split, ALL, of_split))
    if len(splits) > 1:
        found.append(_row(ALL, ALL, scores))
    return found


def _row(split: str, task: str, scores: Sequence[Score]) -> Row:
    known = [s for s in scores if s.chance > 0]
    touched = [s for s in known if s.right_object is not None]
    right = sum(bool(s.right_object) for s in touched)
    wall_s = sum(s.wall_s for s in scores)
    endings: dict[str, int] = {}
    for s in scores:
        endings[s.ended] = endings.get(s.ended, 0) + 1
    n = len(scores)
    return Row(
        split=split,
        task=task,
        credit=wilson(math.fsum(s.credit for s in scores), n),
        done=wilson(sum(s.success for s in scores), n),
        strict=wilson(sum(s.strict for s in scores), n),
        right=wilson(right, len(known)) if known else None,
        right_of_touched=wilson(right, len(touched)) if touched else None,
        chance=sum(s.chance for s in known) / len(known) if known else math.nan,
        speed=sum(s.robot_s for s in scores) / wall_s if wall_s > 0 else math.nan,
        endings=endings,
    )


def interval(rate: Rate | None) -> str:
    """A rate as people read it: `83 % [74, 89]`."""
    if rate is None or not rate.total:
        return "-"
    return f"{100 * rate.mean:.0f} % [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"


def cells(row: Row) -> tuple[str, ...]:
    """The row as texts under `HEADER`."""
    return (
        row.split,
        row.task,
        str(row.strict.total),
        interval(row.credit),
        interval(row.strict),
        interval(row.right),
        interval(row.right_of_touched),
        f"{100 * row.chance:.0f} %" if math.isfinite(row.chance) else "-",
        f"{row.speed:.1f}" if math.isfinite(row.speed) else "-",
    )


def terminal(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Columns of equal width; all but the first two to the right."""
    table = [tuple(header), *map(tuple, lines)]
    widths = [max(len(line[i]) for line in table) for i in range(len(header))]
    texts = []
    for number, line in enumerate(table):
        parts = [
            c.ljust(w) if i < 2 else c.rjust(w)
            for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ]
        texts.append("  ".join(parts).rstrip())
        if number == 0:
            texts.append("  ".join("-" * w for w in widths))
    return "\n".join(texts)


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table of GitHub's Markdown."""
    marks = ["---" if i < 2 else "---:" for i in range(len(header))]
    table = [tuple(header), tuple(marks), *map(tuple, lines)]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in t) + " |" for t in table)


def as_json(row: Row) -> dict[str, Any]:
    """The row's numbers; what is unknown is null."""
    return {
        "split": row.split,
        "task": row.task,
        "trials": row.strict.total,
        "success": rate_json(row.credit),
        "done": rate_json(row.done),
        "strict": rate_json(row.strict),
        "right_object": rate_json(row.right),
        "right_of_touched": rate_json(row.right_of_touched),
        "chance": row.chance if math.isfinite(row.chance) else None,
        "times_real_time": row.speed if math.isfinite(row.speed) else None,
        "endings": row.endings,
    }


def rate_json(rate: Rate | None) -> dict[str, float] | None:
    """Mean, interval, trials and sum of a rate."""
    if rate is None or not rate.total:
        return None
    return {
        "mean": rate.mean,
        "low": rate.low,
        "high": rate.high,
        "sum": rate.sum,
        "trials": rate.total,
    }
