# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Two policies over identical starts: what one does better, pair by pair.

Starts that only one of them had are left out, and counted. The same trial with another start is
refused: that would be no pair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lapa_core.errors import DataError
from lapa_core.evaluate.scores import Score
from lapa_core.evaluate.statistics import PairedDifference, Rate, paired, sign_test, wilson
from lapa_core.evaluate.table import ALL, interval, rate_json

HEADER = ("split", "task", "pairs", "", "first", "second", "difference", "p")
# Of a trial; None where nobody knows, as when a person has not said what was touched first.
_MEASURES: dict[str, Callable[[Score], bool | None]] = {
    "strict": lambda s: s.strict,
    "right object": lambda s: s.right_object is True if s.chance > 0 else None,
}


@dataclass(frozen=True)
class Comparison:
    """Two policies over the trials of one split and task.

    Attributes:
        split, task: which; `ALL` for all.
        measures: name -> rates of the first and second, and their paired difference, over the
            pairs of which it is known; without any it is not there.
        credit: partial credit of the first and second.
        credit_better, credit_worse: pairs in which the first has more, or less, of it.
        credit_p: of the exact sign test over those.
    """

    split: str
    task: str
    measures: dict[str, tuple[Rate, Rate, PairedDifference]]
    credit: tuple[Rate, Rate]
    credit_better: int
    credit_worse: int
    credit_p: float


def pairs(first: Sequence[Score], second: Sequence[Score]) -> list[tuple[Score, Score]]:
    """The trials both had.

    Raises:
        DataError: none, or the same trial began otherwise.
    """
    others = {s.key: s for s in second}
    found = [(s, others[s.key]) for s in first if s.key in others]
    for one, two in found:
        if one.start != two.start:
            raise DataError(
                f"trial {one.index} of {one.split}/{one.task} began otherwise: "
                f"{one.start} and {two.start}; compare runs of the same suite and seed"
            )
    if not found:
        raise DataError("the two evaluations have no trial in common")
    return found


def compare(matched: Sequence[tuple[Score, Score]]) -> list[Comparison]:
    """A comparison a split and task, and one of all."""
    keys = list(dict.fromkeys((a.split, a.task) for a, _ in matched))
    found = [
        _compare(split, task, [p for p in matched if (p[0].split, p[0].task) == (split, task)])
        for split, task in keys
    ]
    if len(keys) > 1:
        found.append(_compare(ALL, ALL, matched))
    return found


def _compare(split: str, task: str, matched: Sequence[tuple[Score, Score]]) -> Comparison:
    n = len(matched)
    measures = {}
    for name, of in _MEASURES.items():
        both = [(of(a), of(b)) for a, b in matched]
        known = [(bool(x), bool(y)) for x, y in both if x is not None and y is not None]
        if not known:
            continue
        table = [
            known.count(cell)
            for cell in ((True, True), (True, False), (False, True), (False, False))
        ]
        one, two = (wilson(sum(pair[i] for pair in known), len(known)) for i in (0, 1))
        measures[name] = (one, two, paired(*table))
    better = sum(a.credit > b.credit for a, b in matched)
    worse = sum(a.credit < b.credit for a, b in matched)
    credit = tuple(wilson(math.fsum(p[i].credit for p in matched), n) for i in (0, 1))
    return Comparison(
        split, task, measures, (credit[0], credit[1]), better, worse, sign_test(better, worse)
    )


def cells(comparison: Comparison) -> list[tuple[str, ...]]:
    """Lines under `HEADER`."""
    c = comparison
    head = c.split, c.task
    one, two = c.credit
    change = f"{100 * (one.mean - two.mean):+.0f} %"
    lines: list[tuple[str, ...]] = [
        (*head, str(one.total), "success", interval(one), interval(two), change, _p(c.credit_p))
    ]
    for name, (one, two, d) in c.measures.items():
        change = f"{100 * d.difference:+.0f} % [{100 * d.low:+.0f}, {100 * d.high:+.0f}]"
        shown = interval(one), interval(two)
        lines.append((*head, str(one.total), name, *shown, change, _p(d.p)))
    return lines


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The numbers."""
    c = comparison
    return {
        "split": c.split,
        "task": c.task,
        "pairs": c.credit[0].total,
        "success": {
            "first": rate_json(c.credit[0]),
            "second": rate_json(c.credit[1]),
            "better": c.credit_better,
            "worse": c.credit_worse,
            "p": c.credit_p,
        },
        **{
            name.replace(" ", "_"): {
                "first": rate_json(one), "second": rate_json(two), **asdict(d)
            }
            for name, (one, two, d) in c.measures.items()
        },
    }  # fmt: skip


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
