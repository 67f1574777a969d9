# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What became of a data set on its way to training: found, used, refused, cut, each with why.

Nothing is left out silently: every step that is not trained on stands here with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN = 20  # removals that a person is told one by one


@dataclass(frozen=True)
class Removal:
    """Steps of one episode that were left out for one reason.

    Attributes:
        reason: short and the same for all steps removed alike, such as `idle`, `camera cut`,
            `authority`, or the name of an error.
        steps: places on the episode's grid, increasing.
        note: what was seen there, with its figures.
    """

    reason: str
    steps: tuple[int, ...]
    note: str = ""

    def __str__(self) -> str:
        """Such as `12 steps idle (3-9, 20-24): the arm was told to stay`."""
        count = len(self.steps)
        note = f": {self.note}" if self.note else ""
        return f"{count} step{'s'[: count != 1]} {self.reason} ({ranges(self.steps)}){note}"


@dataclass(frozen=True)
class EpisodeReport:
    """One episode.

    Attributes:
        name: of its folder.
        found: decision times on its grid.
        used: how many of them are trained on.
        removed: the others, by reason.
        error: why the whole episode was refused, or "".
    """

    name: str
    found: int
    used: int
    removed: tuple[Removal, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class DataReport:
    """A data set, printable with `str` and as JSON with `to_json`.

    Attributes:
        source: where it lies, or how it was made.
        episodes: all that were opened, used or refused, in order.
        skipped: name of an episode -> why it was not wanted, such as `failure`.
        settings: the choices the data was made with, such as the source of its labels.
        findings: what a person should know, in full sentences.
    """

    source: str = ""
    episodes: tuple[EpisodeReport, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    @property
    def refused(self) -> Mapping[str, str]:
        """Name of every episode that was refused as a whole -> why."""
        return {e.name: e.error for e in self.episodes if e.error}

    @property
    def used(self) -> int:
        """Steps that are trained on."""
        return sum(e.used for e in self.episodes)

    @property
    def removed(self) -> dict[str, int]:
        """Reason -> number of steps left out for it, most frequent first."""
        counts: Counter[str] = Counter()
        for episode in self.episodes:
            for removal in episode.removed:
                counts[removal.reason] += len(removal.steps)
        return dict(counts.most_common())

    def restricted(self, names: Iterable[str]) -> DataReport:
        """The report of these episodes alone, such as one side of a split."""
        wanted = set(names)
        kept = tuple(e for e in self.episodes if e.name in wanted)
        return DataReport(self.source, kept, {}, self.settings, self.findings)

    def to_json(self) -> dict[str, Any]:
        """Everything, of plain types."""
        return {
            "source": self.source,
            "steps_used": self.used,
            "steps_removed": self.removed,
            "episodes_used": sum(not e.error for e in self.episodes),
            "episodes_refused": dict(self.refused),
            "episodes_skipped": dict(self.skipped),
            "settings": dict(self.settings),
            "findings": list(self.findings),
            "episodes": [
                {
                    "name": e.name,
                    "found": e.found,
                    "used": e.used,
                    "removed": [
                        {"reason": r.reason, "steps": ranges(r.steps), "note": r.note}
                        for r in e.removed
                    ],
                    **({"error": e.error} if e.error else {}),
                }
                for e in self.episodes
            ],
        }

    def __str__(self) -> str:
        """A screenful for people."""
        good = [e for e in self.episodes if not e.error]
        found = sum(e.found for e in good)
        lines = [
            f"{self.source}: {self.used} of {found} steps of {len(good)} episodes are used",
            *(f"  {n} steps left out: {why}" for why, n in self.removed.items()),
        ]
        alike: dict[str, list[str]] = {}  # one camera that is late is late in every episode
        for episode in good:
            for removal in episode.removed:
                if removal.note:
                    alike.setdefault(str(removal), []).append(episode.name)
        noted = [
            f"  {names[0] if len(names) == 1 else f'{len(names)} episodes'}: {what}"
            for what, names in alike.items()
        ]
        lines += noted[:SHOWN]
        if len(noted) > SHOWN:
            lines.append(f"  and {len(noted) - SHOWN} more")
        lines += [f"  {name} refused: {why}" for name, why in self.refused.items()]
        skipped = Counter(self.skipped.values())
        lines += [f"  {n} episodes not wanted: {why}" for why, n in skipped.most_common()]
        return "\n".join([*lines, *(f"  note: {f}" for f in self.findings)])


def ranges(steps: Sequence[int]) -> str:
    """Increasing numbers in short: `3-9, 12`."""
    runs: list[list[int]] = []
    for step in steps:
        if runs and step == runs[-1][1] + 1:
            runs[-1][1] = step
        else:
            runs.append([step, step])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
