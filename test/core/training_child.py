# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A training in a process of its own, to be killed. Forked from a server that has all imported."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import toy_demos

from lapa_core.errors import TrainingError


def run(out: str, options: dict[str, Any], begun: Any = None) -> None:
    """Train, or go on; exit code 3 where it was told to end and has saved."""
    from lapa_core.train.finetune import finetune
    from lapa_core.train.presets import resolve
    from lapa_core.train.start import Start

    demos = toy_demos.toy_demos(8, 12, variants=2, state=1)
    start = Start.scratch("debug", sentences=toy_demos.WORDS)
    if begun is not None:
        begun.set()
    try:
        finetune(start, demos, Path(out), resolve("debug", **options), resume=True)
    except TrainingError as error:
        raise SystemExit(3 if "interrupted" in str(error) else str(error)) from None


def context() -> Any:
    """Children start in a tenth of a second instead of four."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(
        ["lapa_core.train.finetune", "matplotlib.backends.backend_agg", "training_child"]
    )
    return made
