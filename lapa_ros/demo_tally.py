# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the demo's trials come to: counts beside chance, and their lines in the terminal.

Trials come in pairs of one scene and two sentences; `Score.index` is the place among all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lapa_core.evaluate import table
from lapa_core.evaluate.scores import Score


def pair_of(score: Score) -> int:
    """Which pair a trial belongs to, from 0."""
    return score.index // 2


def tally(scores: Sequence[Score]) -> dict[str, Any]:
    """For `summary.json`: every trial, and what they come to; no trial, no counts."""
    found: dict[str, Any] = {"trials": [{**asdict(s), "pair": pair_of(s)} for s in scores]}
    if scores:
        row = table.rows(scores)[-1]
        found["right_object"] = table.rate_json(row.right)
        found["chance"] = row.chance
        found["success"] = table.rate_json(row.done)
        found["strict"] = table.rate_json(row.strict)
        found["credit"] = table.rate_json(row.credit)
        found["pairs"] = {"total": len(_pairs(scores)), "both_right": both_right(scores)}
    return found


def both_right(scores: Sequence[Score]) -> int:
    """Pairs in which each of the two sentences led to the thing that it names."""
    return sum(bool(a.right_object and b.right_object) for a, b in _pairs(scores))


def _pairs(scores: Sequence[Score]) -> list[tuple[Score, Score]]:
    by_index = {s.index: s for s in scores}
    return [(s, by_index[i + 1]) for i, s in by_index.items() if i % 2 == 0 and i + 1 in by_index]


def outcome(score: Score) -> str:
    """How a trial ended, in a few words."""
    touched = score.first_touched.replace("_", " ")
    if score.right_object is None:
        thing = "touched nothing"
    else:
        thing = f"right object ({touched})" if score.right_object else f"WRONG object ({touched})"
    if score.success:
        other = [score.note] if score.note and not score.strict else []
        return ", ".join([thing, f"success in {score.robot_s:.1f} s", *other])
    ended = {"time": "time over", "hold": "the arm held"}.get(score.ended, score.ended)
    why = f": {score.note}" if score.ended == "hold" else ""  # the arm's reason stands first
    return f"{thing}, no success, credit {score.credit:g}, {ended} at {score.robot_s:.1f} s{why}"


def line(score: Score) -> str:
    """A trial for the terminal, when it has ended."""
    scene = f"scene {pair_of(score) + 1}{'ab'[score.index % 2]}"
    return f'{scene}  "{score.instruction}"'.ljust(52) + f"  {outcome(score)}"


def lines(summary: dict[str, Any]) -> list[str]:
    """The counts for the summary's text; none without trials."""
    if not summary["trials"]:
        return []
    pairs, strict = summary["pairs"], summary["strict"]["sum"]
    undisturbed = f", {strict:g} of them with nothing else disturbed"
    return [
        f"  right object           {_rate(summary['right_object'])}, "
        f"chance {100 * summary['chance']:.0f} %",
        f"  success                {_rate(summary['success'])}"
        f"{undisturbed if summary['success']['sum'] else ''}",
        f"  same scene, two words  {pairs['both_right']} of {pairs['total']} pairs: each sentence "
        "led to the thing that it names",
    ]


def _rate(rate: dict[str, float]) -> str:
    """Such as `3 of 4, 75 % [30, 95]`."""
    return (
        f"{rate['sum']:g} of {rate['trials']}, {100 * rate['mean']:.0f} % "
        f"[{100 * rate['low']:.0f}, {100 * rate['high']:.0f}]"
    )
