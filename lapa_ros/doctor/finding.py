# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One thing the doctor found out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """What was looked at, what it was, what it should be, and what to do.

    Attributes:
        level: "fail" - the robot cannot work, or not safely; "warn" - it may work badly; "ok".
        what: the thing looked at, such as "camera front: rate".
        measured: what was found, with its unit.
        expected: what is good, or "" where `measured` says it.
        advice: what to do, an exact command where there is one; never empty but for "ok".
    """

    level: Level
    what: str
    measured: str
    expected: str = ""
    advice: str = ""

    def __post_init__(self) -> None:
        """A complaint without a remedy helps nobody."""
        assert self.level == "ok" or self.advice, f"{self.what}: {self.level} without advice"


def judge(what: str, measured: str, expected: str, *, fail: str = "", warn: str = "") -> Finding:
    """A finding that is as bad as the advice given: `fail` before `warn` before ok."""
    if fail:
        return Finding("fail", what, measured, expected, fail)
    if warn:
        return Finding("warn", what, measured, expected, warn)
    return Finding("ok", what, measured, expected)


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level among the findings; "ok" for none."""
    levels = {f.level for f in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"
