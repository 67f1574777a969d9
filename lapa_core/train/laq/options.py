# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What is special to the training of a latent action quantiser, and its presets.

The options of `lapa pretrain laq` are made of the fields here and of some of `TrainOptions`.
Knows nothing of torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lapa_core.errors import ConfigError, unknown
from lapa_core.train import presets
from lapa_core.train.presets import TrainOptions, check, option

STEADY, REFERENCE = "steady", "reference"

# Of the loop's own options those that mean something here.
SHARED = (
    "steps", "batch", "accumulate", "lr", "schedule", "warmup", "weight_decay", "clip",
    "precision", "validation", "validate_every", "validation_samples", "patience",
    "save_every", "keep", "log_every", "tracker", "threads", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class LaqOptions:
    """How codes are learnt; each field says what it is in its `help`."""

    quantiser: str = option(STEADY, "steady: codes are moving averages of what they stand for, "
                            "dead ones begin anew where a pair is; reference: as the reference "
                            "does it, which collapses", choices=(STEADY, REFERENCE))  # fmt: skip
    begin: int = option(100, "steady: updates without codes, before they begin as means of what "
                             "was seen", least=1)  # fmt: skip
    commitment: float = option(0.25, "steady: weight of the distance between what changed and "
                                     "its code", least=0)  # fmt: skip
    decay: float = option(0.99, "steady: of a code's moving average, an update", above=0, below=1)
    change_weight: float = option(0.0, "share of a drawing's error that counts where a picture "
                                       "changes, and by how much", least=0, below=1)  # fmt: skip
    motion_weight: float = option(0.0, "weight of telling from the codes what the arm did, of "
                                       "pairs whose recording says it", least=0)  # fmt: skip
    view_weight: float = option(0.0, "weight of drawing, from a pair's codes, what another camera "
                                     "of the same recording saw then", least=0)  # fmt: skip
    augment: float = option(0.0, "share of a picture's area that may be cut off, anew each time "
                            "and from both frames of a pair alike; light and colours change "
                            "with it; 0: pairs stay as they are", least=0, below=0.9)  # fmt: skip
    dead_share: float = option(0.25, "steady: a code used for less of its fair share of a place's "
                               "pairs is dead", least=0, below=1)  # fmt: skip

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        for each in fields(self):
            check(each.name, getattr(self, each.name), each.metadata)


LATER = ("change_weight", "motion_weight", "view_weight", "augment")


def told(codes: LaqOptions) -> dict[str, Any]:
    """For the facts of a run; what came later is left out where it is off.

    So a run that was begun before can be gone on with.
    """
    found = asdict(codes)
    return {k: v for k, v in found.items() if v or k not in LATER}


# What the reference has, and models of one's own need not: see `LaqConfig`.
AS_REFERENCE = {"reference_axes": True, "own_codebooks": False, "residual": False}
SIZES: dict[str, dict[str, Any]] = {
    "debug": {
        "dim": 32, "quant_dim": 8, "image_size": 64, "patch_size": 16, "spatial_depth": 1,
        "temporal_depth": 1, "dim_head": 16, "heads": 2, "reference_axes": False,
        "own_codebooks": True, "residual": True,
    },
    "micro": {
        "dim": 128, "quant_dim": 32, "image_size": 128, "patch_size": 16, "spatial_depth": 3,
        "temporal_depth": 2, "dim_head": 32, "heads": 4, "reference_axes": False,
        "own_codebooks": True, "residual": True,
    },
    "7b": {},  # the released one
}  # fmt: skip
CODES: dict[str, dict[str, Any]] = {"debug": {"begin": 4}, "micro": {}, "7b": {"begin": 500}}
PRESETS: dict[str, dict[str, Any]] = {
    "debug": {
        "steps": 20, "batch": 4, "lr": 1e-3, "validate_every": 10, "validation_samples": 8,
        "save_every": 5, "log_every": 2, "validation": 0.25, "threads": 1,
    },
    "micro": {
        "steps": 6000, "batch": 32, "lr": 6e-4, "schedule": "cosine", "warmup": 100,
        "weight_decay": 0.01, "validate_every": 500, "save_every": 500, "precision": "auto",
        "validation": 0.05,
    },
    # The reference's rate and clip.
    "7b": {
        "steps": 100_000, "batch": 64, "lr": 1e-4, "clip": 0.5, "warmup": 500,
        "precision": "bfloat16", "validation": 0.01, "validate_every": 1000, "save_every": 1000,
    },
}  # fmt: skip


def sizes(preset: str, codes: LaqOptions, **changes: Any) -> dict[str, Any]:
    """Sizes of a new model of a preset; with the reference's quantiser all is as it has it."""
    given = {k: v for k, v in changes.items() if v is not None}
    own = AS_REFERENCE if codes.quantiser == REFERENCE else {}
    return {**SIZES[preset], **own, **given}


def resolve_codes(preset: str, **changes: Any) -> LaqOptions:
    """The codes' options of a preset with changes; None leaves the preset's."""
    given = {k: v for k, v in changes.items() if v is not None}
    return LaqOptions(**{**CODES[preset], **given})


def resolve(
    preset: str,
    known: Mapping[str, Mapping[str, Any]] = PRESETS,
    command: str = "lapa pretrain laq",
    **changes: Any,
) -> TrainOptions:
    """The loop's options of a preset of those `known`, with changes; None leaves the preset's.

    Raises:
        ConfigError: an unknown preset or option, or a value out of range.
    """
    if preset not in known:
        raise ConfigError(unknown("preset", preset, known, command))
    for name in changes:
        if name not in SHARED:
            raise ConfigError(unknown("option", name, SHARED, command))
    given = {k: v for k, v in changes.items() if v is not None}
    return presets.TrainOptions(**{**known[preset], **given})
