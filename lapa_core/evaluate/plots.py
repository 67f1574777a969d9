# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Pictures of an evaluation. matplotlib is imported when something is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lapa_core.evaluate.openloop import Episode

SHOWN = 6  # episodes; more would be too fine to read


def open_loop(episodes: Sequence[Episode], names: Sequence[str], path: Path) -> None:
    """A row a dimension: recorded and predicted over the steps, episode after episode."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from lapa_core.evaluate.openloop import UNITS

    shown = [e for e in episodes if len(e.index)][:SHOWN]
    figure = Figure(figsize=(13, 1.7 * len(names)))
    FigureCanvasAgg(figure)  # not pyplot: that has a state of the whole process
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    starts = np.cumsum([0, *(int(e.index[-1]) + 5 for e in shown)])
    for row, name in enumerate(names):
        unit, scale = UNITS[name.rpartition("/")[2]]
        for start, episode in zip(starts, shown, strict=False):
            steps = start + episode.index
            label = {True: ("recorded", "predicted"), False: (None, None)}[start == 0]
            recorded, predicted = episode.recorded[:, row], episode.predicted[:, 0, row]
            axes[row].step(steps, scale * recorded, where="post", color="tab:blue",
                           linewidth=1.4, label=label[0])  # fmt: skip
            axes[row].plot(steps, scale * predicted, ".", color="tab:orange", markersize=4,
                           label=label[1])  # fmt: skip
        axes[row].set_ylabel(f"{name}\n[{unit}]", fontsize=8)
        axes[row].grid(alpha=0.3)
    axes[0].legend(loc="upper right", ncols=2, fontsize=8)
    axes[-1].set_xlabel(f"step; {', '.join(e.name for e in shown)}", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
