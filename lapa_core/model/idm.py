# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""An inverse dynamics model: two frames -> what the arm did between them.

A rival of latent actions (VPT, Baker et al. 2022): learnt from demonstrations whose motion is
known, it labels video nobody labelled with motions as codes, one a dimension, and a model is
pretrained on these as it would be on latent actions. So it answers as a `Laq` does.

B pairs, h w patches, D wide, m dimensions of a motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lapa_core.errors import CheckpointError, ConfigError
from lapa_core.model.laq.configuration import LaqConfig
from lapa_core.model.laq.laq import PairEncoder


class IdmConfig(LaqConfig):
    """Sizes of its encoder, and what its numbers mean.

    Args:
        dimensions: names of a motion's numbers.
        middle, spread: (m,) of each in the demonstrations; the network tells how many spreads it
            is from the middle.
        edges: (m, bins - 1) increasing, between the bins of each dimension.
        gap_s: time between the two frames; 0: a model of before this was told.
        kwargs: of `LaqConfig`; how many codes there are, and of how many kinds, follows.
    """

    model_type = "lapa_idm"

    def __init__(
        self,
        dimensions: Sequence[str] = ("x",),
        middle: Sequence[float] = (0.0,),
        spread: Sequence[float] = (1.0,),
        edges: Sequence[Sequence[float]] = ((0.0,),),
        gap_s: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """Take them.

        Raises:
            ConfigError: they are not of as many dimensions, or a spread is not above 0.
        """
        lengths = {len(dimensions), len(middle), len(spread), len(edges)}
        if len(lengths) > 1 or len({len(e) for e in edges}) > 1 or not min(spread) > 0:
            raise ConfigError(
                f"{len(dimensions)} dimensions need as many middles, spreads above 0 and rows of "
                f"edges, got {len(middle)}, {list(spread)} and {len(edges)}"
            )
        sizes = {**kwargs, "code_seq_len": len(dimensions), "codebook_size": len(edges[0]) + 1,
                 "reference_axes": False}  # fmt: skip
        super().__init__(**sizes)
        self.dimensions = list(dimensions)
        self.middle, self.spread = list(middle), list(spread)
        self.edges = [list(row) for row in edges]
        self.gap_s = gap_s


class Idm(PairEncoder):
    """The encoder of a LAQ, and a head that tells the motion."""

    config_class = IdmConfig

    def __init__(self, config: IdmConfig) -> None:
        super().__init__(config)
        width = config.dim
        # What changed, patch by patch; then all of them together.
        self.each = nn.Sequential(
            nn.LayerNorm(2 * width), nn.Linear(2 * width, 2 * width), nn.GELU()
        )
        self.all = nn.Linear(2 * width, len(config.dimensions))
        self.post_init()

    def forward(self, frames: Tensor, **_: Any) -> Tensor:
        """(B, 3, 2, H, W) in 0 .. 1 -> (B, m) in spreads from the middle."""
        _, first, last = self.look(frames)
        told: Tensor = self.all(self.each(torch.cat([first, last], dim=-1)).mean(dim=1))
        return told

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """(B, 3, 2, H, W) in 0 .. 1 -> (B, m) int64 codes of what it tells."""
        config = self.config
        middle, spread = (torch.tensor(v) for v in (config.middle, config.spread))
        told = self(frames).float().cpu()
        return self.binned(told * spread + middle)

    def binned(self, moves: Tensor) -> Tensor:
        """(B, m) motions -> (B, m) int64 codes: the bin that each lies in."""
        edges = torch.tensor(self.config.edges, dtype=moves.dtype)
        return torch.searchsorted(edges, moves.t().contiguous(), right=True).t().contiguous()


def load(path: Path) -> Idm:
    """Of a folder of `lapa pretrain idm`.

    Raises:
        CheckpointError: it is none, or its tensors do not fit.
    """
    from lapa_core.model.checkpoint import load_model

    config = path / "config.json"
    if not config.is_file() or f'"{IdmConfig.model_type}"' not in config.read_text("utf-8"):
        raise CheckpointError(f"{path} is no folder of `lapa pretrain idm`")
    return load_model(Idm, path, torch.float32)
