# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Sizes and presets of UniPi's planner. Knows nothing of torch."""

from __future__ import annotations

from functools import partial
from typing import Any

from lapa_core.train.laq import options

SIZES: dict[str, dict[str, Any]] = {
    "debug": {"image_size": 32, "channels": (16, 16, 16), "width": 16, "depth": 1, "heads": 2,
              "vocab_size": 300, "sample_steps": 2},
    "micro": {"sample_steps": 6},  # on one core 0.1 s to learn from a film, 0.5 s to imagine one
    "base": {"image_size": 128, "channels": (64, 128, 192, 256), "width": 256, "depth": 4,
             "sample_steps": 20},
}  # fmt: skip
PRESETS: dict[str, dict[str, Any]] = {
    "debug": {
        "steps": 12, "batch": 4, "lr": 1e-3, "validate_every": 6, "validation_samples": 4,
        "save_every": 6, "log_every": 2, "validation": 0.25, "threads": 1,
    },
    "micro": {
        "steps": 6000, "batch": 16, "lr": 5e-4, "schedule": "cosine", "warmup": 200,
        "validate_every": 1000, "validation_samples": 32, "save_every": 500, "validation": 0.05,
    },
    "base": {
        "steps": 60_000, "batch": 64, "lr": 2e-4, "warmup": 1000, "precision": "bfloat16",
        "validate_every": 5000, "validation_samples": 128, "save_every": 1000, "validation": 0.02,
    },
}  # fmt: skip


# As of `laq.options`.
resolve = partial(options.resolve, known=PRESETS, command="lapa pretrain unipi")
