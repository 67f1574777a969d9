# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Findings as lines for people and JSON for programs; the only place that prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from lapa_core.errors import ConfigError
from lapa_ros.doctor.finding import Finding, worst


def line(finding: Finding) -> str:
    """One finding on one line."""
    text = f"{finding.level:<5} {finding.what}: {finding.measured}"
    if finding.expected:
        text += f" (expected: {finding.expected})"
    return f"{text} -> {finding.advice}" if finding.advice else text


def summary(findings: Sequence[Finding]) -> str:
    """Counts, and what to mend first: findings stand in the order they should be mended."""
    counts = {level: sum(f.level == level for f in findings) for level in ("fail", "warn", "ok")}
    text = f"{counts['fail']} fail, {counts['warn']} warn, {counts['ok']} ok"
    first = next((f for f in findings if f.level == worst(findings)), None)
    if first is None or first.level == "ok":
        return text
    return f"{text}; first: {first.what}"


def show(findings: Sequence[Finding]) -> None:
    """Print every finding and the summary."""
    for finding in findings:
        print(line(finding))
    print(f"doctor: {summary(findings)}", flush=True)


def write_json(findings: Sequence[Finding], about: Mapping[str, object], path: Path) -> None:
    """Write what `show` prints, and what it was about.

    Raises:
        ConfigError: the file cannot be written.
    """
    content = {
        **about,
        "worst": worst(findings),
        "findings": [asdict(f) for f in findings],
    }
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None


def exit_code(findings: Sequence[Finding]) -> int:
    """0, or 1 where something fails."""
    return int(worst(findings) == "fail")
