# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a person sees of an image tokenizer's training: how far it is, entries, one live line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lapa_core.train.curves import Panels
from lapa_core.train.progress import clock
from lapa_core.train.vqgan.parts import SCALE, Update
from lapa_core.train.vqgan.quantiser import MovingCodebooks

PANELS: Panels = (
    ("loss", ("encoder/loss", "decoder/loss"), ""),
    (
        "foreground error",
        ("encoder/foreground_error", "decoder/foreground_error"),
        "levels of 255",
    ),
    ("codes", ("encoder/codes_used", "encoder/perplexity"), "used, and worth"),
    ("dead codes replaced", ("encoder/replaced",), "between two entries"),
    ("distance of latents from their codes", ("encoder/commitment",), "squared"),
    ("speed", ("encoder/pictures_per_s", "decoder/pictures_per_s"), "pictures/s"),
)


@dataclass
class Standing:
    """How far a run has come.

    Attributes:
        step: updates made.
        part: what learns now, "encoder" or "decoder".
        part_step: updates of it.
        seconds: time spent.
        ready: whether the codebook has begun.
        replaced: dead codes replaced so far.
    """

    step: int = 0
    part: str = "encoder"
    part_step: int = 0
    seconds: float = 0.0
    ready: bool = False
    replaced: int = 0


@dataclass
class Window:
    """What has happened since the last entry."""

    losses: list[float] = field(default_factory=list)
    foreground: list[float] = field(default_factory=list)
    commitment: list[float] = field(default_factory=list)
    pictures: int = 0
    seconds: float = 0.0
    replaced: int = 0

    def count(self, made: Update, pictures: int) -> None:
        """Take in an update of so many pictures."""
        self.losses.append(float(made.loss.detach()))
        self.pictures += pictures
        for value, values in (
            (float(made.foreground), self.foreground),
            (float(made.commitment), self.commitment),
        ):
            if math.isfinite(value):  # nan: no foreground, or no codes yet
                values.append(value)

    def values(self, codebook: MovingCodebooks | None) -> dict[str, float]:
        """The entry; of the codebook only where one is given."""
        values = {
            "loss": float(np.mean(self.losses)),
            "pictures_per_s": self.pictures / max(self.seconds, 1e-9),
        }
        if self.foreground:
            values["foreground_error"] = SCALE * math.sqrt(float(np.mean(self.foreground)))
        if codebook is not None:
            values["codes_used"] = codebook.used()
            values["perplexity"] = codebook.perplexity()
            values["replaced"] = self.replaced
        if self.commitment:
            values["commitment"] = float(np.mean(self.commitment))
        return values


def line(standing: Standing, over: float, values: Mapping[str, float]) -> str:
    """What a person sees of an entry, when this share of the run is over."""
    text = f"{standing.part} {standing.step}  {100 * over:.0f} %, loss {values['loss']:.4f}"
    if "foreground_error" in values:
        text += f", foreground off by {values['foreground_error']:.1f} levels"
    if "codes_used" in values:
        text += f", codes {values['codes_used']:.0f} (worth {values['perplexity']:.0f})"
        text += f", {values['replaced']:.0f} replaced"
    left = standing.seconds * (1 - over) / max(over, 1e-9)
    return f"{text}, {values['pictures_per_s']:.0f} pictures/s, ETA {clock(left)}"
