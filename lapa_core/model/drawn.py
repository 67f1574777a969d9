# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What new tables and heads begin as."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lapa_core.model.vqgan import Vqgan

# Standard deviation of a normal distribution of width 1 cut at 2, which jax corrects for.
_CUT_NORMAL_STD = 0.87962566103423978


def lecun_normal(shape: torch.Size, fan_in: int, generator: torch.Generator) -> Tensor:
    """A normal distribution of variance 1/fan_in, cut at two deviations, as jax makes it.

    The reference takes the first axis of the *stored* tensor for the inputs. A table of 256 rows
    is stored (256, D), so its fan_in is 256 and not 1; a head is stored (D, 256), turned against
    torch's.
    """
    std = math.sqrt(1 / fan_in) / _CUT_NORMAL_STD
    out = torch.empty(shape)
    return nn.init.trunc_normal_(out, std=std, a=-2 * std, b=2 * std, generator=generator)


@torch.no_grad()
def codebook_rows(vqgan: Vqgan, width: int, scale: float, seed: int = 0) -> Tensor:
    """(codebook's rows, width) the codebook, in the space of a language model's embeddings.

    The vectors are centred, turned by a random orthogonal map into the width and scaled to a
    standard deviation of `scale`. Each part of a code has its own share of the latent.
    """
    entries = vqgan.codebook.weight.detach().float().cpu()
    parts = entries.split(vqgan.config.num_embeddings)
    codes = torch.block_diag(*(p - p.mean(0) for p in parts))
    generator = torch.Generator().manual_seed(seed)
    turn = nn.init.orthogonal_(torch.empty(width, codes.shape[1]), generator=generator)
    spread = codes @ turn.T
    return spread * (scale / spread.std().clamp(min=1e-12))
