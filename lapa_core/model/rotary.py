# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Rotary angles as LAPA was trained with: theta 5e7, and rounded to bfloat16 in bfloat16.

The reference builds its table with `precompute_freqs_cis(dtype=self.dtype)`: in bfloat16 the
*angles* are rounded, so that at position 301 an angle of 301 rad becomes 300. The released model
learned and is served with that table, so exact angles would be wrong there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def table(head_dim: int, length: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines of all positions.

    Returns:
        two (length, head_dim / 2) float32 tensors; in bfloat16 with values rounded to it.
    """
    # float64 up to one rounding of the angle: numpy 1.26 promotes so, and the golden tables are
    # met bit for bit this way (docs/decisions/0011).
    angles = np.outer(np.arange(length), 1.0 / theta ** (np.arange(0, head_dim, 2) / head_dim))
    if dtype == torch.bfloat16:
        rounded = torch.from_numpy(angles).bfloat16().double()
        return rounded.cos().bfloat16().float(), rounded.sin().bfloat16().float()
    single = angles.astype(np.float32)
    return torch.from_numpy(np.cos(single)), torch.from_numpy(np.sin(single))


class Rotary(nn.Module):
    """Takes the place of `LlamaRotaryEmbedding`.

    Attributes:
        angle_dtype: type the angles are rounded to; None takes that of the weights.
    """

    def __init__(self, head_dim: int, length: int, theta: float) -> None:
        super().__init__()
        self.head_dim, self.length, self.theta = head_dim, length, theta
        self.angle_dtype: torch.dtype | None = None
        # Follows the model's `.to(dtype)`; the tables themselves must stay float32.
        self.register_buffer("_like", torch.empty(0), persistent=False)
        self._tables: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def forward(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines, (B, T, head_dim) float32, both halves alike.

        Position -1, that of left padding, reads the last row as in the reference.
        """
        key = (x.device, self.angle_dtype or self._like.dtype)
        if key not in self._tables:
            cos, sin = table(self.head_dim, self.length, self.theta, key[1])
            self._tables[key] = tuple(  # type: ignore[assignment]
                torch.cat((t, t), dim=-1).to(x.device) for t in (cos, sin)
            )
        cos, sin = self._tables[key]
        return cos[position_ids], sin[position_ids]
