# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Keys and values of the tokens read so far, in buffers of a fixed size.

The buffers are float32, the type attention is computed in, so that nothing is converted again at
every step; what goes in is rounded to the model's type first, as the reference's cache is.
Answers the calls that `LlamaModel` makes to a `transformers.Cache`, of 4.57 and of 5.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class KeyValueCache:
    """One (2, B, heads, length, head_dim) buffer a layer, filled from the left.

    Args:
        dtype: that of the model, which keys and values are rounded to.

    Attributes:
        layers: the buffers.
        filled: number of slots in use before the running forward pass.
    """

    is_compileable = False

    def __init__(
        self,
        num_layers: int,
        shape: tuple[int, int, int, int],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._dtype = dtype
        self.layers = [
            torch.zeros((2, *shape), device=device, dtype=torch.float32) for _ in range(num_layers)
        ]
        self.filled = 0

    @property
    def length(self) -> int:
        """Number of slots."""
        return int(self.layers[0].shape[3])

    def update(
        self, keys: Tensor, values: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Write (B, heads, T, head_dim) after the filled slots and return all up to them."""
        layer = self.layers[layer_idx]
        end = self.filled + keys.shape[2]
        layer[0, :, :, self.filled : end] = keys.to(self._dtype)
        layer[1, :, :, self.filled : end] = values.to(self._dtype)
        return layer[0, :, :, :end], layer[1, :, :, :end]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Number of filled slots."""
        return self.filled

    def advance(self, num_tokens: int) -> None:
        """Count the tokens of a finished forward pass."""
        self.filled += num_tokens

    def rewind(self, filled: int) -> None:
        """Forget what came after the first `filled` slots."""
        self.filled = filled
