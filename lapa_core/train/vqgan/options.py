# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Every choice of an image tokenizer's training in one frozen dataclass.

The options of `lapa pretrain vqgan` are made of the fields here. Knows nothing of torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lapa_core.errors import ConfigError
from lapa_core.train.presets import check, option

PRECISIONS = ("auto", "bfloat16", "float32")
# May differ between a run and its continuation: none of them changes a weight on the way.
FREE = frozenset({"save_seconds", "log_every", "curves", "threads"})


@dataclass(frozen=True)
class TokenizerOptions:
    """How a tokenizer is trained; each field says what it is in its `help`."""

    minutes: float = option(15.0, "time for all of it, by the clock", above=0)
    steps: int = option(0, "updates in all, instead of a time, and with --threads 1 the same for "
                        "the same seed; 0: by the clock", least=0)  # fmt: skip
    batch: int = option(32, "parts of pictures an update", least=1)
    lr: float = option(1.5e-3, "highest learning rate", above=0)
    warmup: int = option(100, "updates over which the rate rises, and before the codebook begins; "
                         "a tenth of a part's time at most", least=0)  # fmt: skip
    decoder_share: float = option(0.25, "share of the time for the decoder, after the encoder; 1 "
                                  "with --from leaves its codes as they are", above=0)  # fmt: skip
    whole_share: float = option(0.25, "share of either's time on whole pictures, at its end",
                                above=0, below=1)  # fmt: skip
    augment: bool = option(False, "change light, colours and cut of the pictures as in training")
    held: float = option(0.05, "share of the episodes held back to judge by", above=0, below=1)
    precision: str = option("auto", "type of products; auto: bfloat16 where the processor has "
                            "instructions for it", choices=PRECISIONS)  # fmt: skip
    save_seconds: float = option(60.0, "between saved states", least=0)
    log_every: int = option(20, "updates between entries of the metrics", least=1)
    curves: bool = option(True, "draw the curves at the end")
    threads: int = option(0, "CPU threads; 0: torch's choice", least=0)
    seed: int = option(0, "of all chance", least=0)

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        for each in fields(self):
            check(each.name, getattr(self, each.name), each.metadata)
        if self.decoder_share > 1.0:
            raise ConfigError(f"decoder_share must be 1 or less, got {self.decoder_share:g}")
        if self.steps and (least := math.ceil(1 / min(self.decoder_share, 0.5))) > self.steps:
            raise ConfigError(
                f"steps must be {least} or more with a decoder_share of {self.decoder_share:g}, "
                f"got {self.steps}"
            )

    def progress(self, step: int, seconds: float) -> float:
        """Share of the run that is over, 0 .. 1, after these updates and this time."""
        return min(step / self.steps if self.steps else seconds / (60.0 * self.minutes), 1.0)

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """What makes a run with the `other` options (as JSON has them) another run."""
        return [
            f"{name}: {other.get(name)!r} then, {value!r} now"
            for name, value in asdict(self).items()
            if name not in FREE and other.get(name) != value
        ]
