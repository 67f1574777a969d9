# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Several data sets of one robot as one: demonstrations, and corrections recorded later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lapa_core.data.demos import DemoSet, alike
from lapa_core.data.report import DataReport


def labels(folders: Sequence[Path]) -> list[str]:
    """What the episodes of each folder are called by: nothing in the first, its name in others."""
    found = [""]
    for number, folder in enumerate(folders[1:], 2):
        name = f"{folder.name}/"
        found.append(name if name not in found else f"{number}-{name}")
    return found


def joined(sets: Sequence[DemoSet], names: Sequence[str], times: int = 1) -> DemoSet:
    """One set of all their demonstrations.

    Args:
        sets: at least one.
        names: what the names of each set's episodes begin with; see `labels`.
        times: how often an epoch has those of the second set on.

    Raises:
        DataError: they are not of one robot, or not read alike; says which differ in what.
    """
    if len(sets) == 1:
        return sets[0]
    alike({s.report.source or name: s.traits for s, name in zip(sets, names, strict=True)})
    demos, episodes = [], []
    skipped: dict[str, str] = {}
    for number, (each, name) in enumerate(zip(sets, names, strict=True)):
        often = times if number else 1
        demos += [replace(d, name=name + d.name, times=often) for d in each.demos]
        episodes += [replace(e, name=name + e.name) for e in each.report.episodes]
        skipped |= {name + key: why for key, why in each.report.skipped.items()}
    report = DataReport(
        source=" and ".join(s.report.source for s in sets),
        episodes=tuple(episodes),
        skipped=skipped,
        settings=sets[0].report.settings,
        findings=tuple(dict.fromkeys(f for s in sets for f in s.report.findings)),
    )
    return replace(sets[0], demos=tuple(demos), report=report)
