# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The curves of a run as one picture, from its metrics.jsonl alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Title, entries drawn, unit.
Panels = Sequence[tuple[str, tuple[str, ...], str]]
PANELS: Panels = (
    ("loss", ("train/loss", "validation/loss"), "loss"),
    ("translation", ("validation/translation_mm",), "error of a step [mm]"),
    ("rotation", ("validation/rotation_deg",), "error of a step [deg]"),
    ("gripper", ("validation/gripper_accuracy",), "share right"),
    ("action error", ("validation/relative",), "of the best constant action's"),
    ("learning rate, gradient", ("train/lr", "train/gradient_norm"), ""),
)


def read(path: Path) -> list[dict[str, Any]]:
    """Entries of a metrics file; a last line that was cut short is left out."""
    if not path.exists():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            entries.append(entry)
    return entries


def draw(metrics: Path, picture: Path, panels: Panels = PANELS) -> None:
    """Draw the curves of a run, six panels; the old picture stays until the new one is whole."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    entries = read(metrics)
    figure = Figure(figsize=(12, 6.5))
    figure.subplots_adjust(0.06, 0.08, 0.98, 0.94, wspace=0.25, hspace=0.35)
    FigureCanvasAgg(figure)
    for axes, (title, names, unit) in zip(figure.subplots(2, 3).flat, panels, strict=True):
        for name in names:
            points = [(e["step"], e[name]) for e in entries if name in e]
            if points:
                style = "o-" if name.startswith("validation") else "-"
                axes.plot(*zip(*points, strict=True), style, label=name, linewidth=1, ms=3)
        axes.set(title=title, xlabel="updates", ylabel=unit)
        if len(names) == 1 and axes.lines:
            axes.set_ylim(bottom=0)
        if len(names) > 1 and axes.lines:
            axes.legend(fontsize="small")
            values = [v for line in axes.lines for v in line.get_ydata()]
            if min(values) > 0:
                axes.set_yscale("log")
        axes.grid(alpha=0.3)
    partial = picture.with_name(f".{picture.name}")
    figure.savefig(partial, dpi=90, format="png")
    partial.replace(picture)
