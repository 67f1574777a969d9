# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Attention over whole sequences without padding on the left, as training has them.

Every token sees those before it and itself, so no mask is needed, unless pictures are seen whole;
pads on the right are seen by no token that counts. Computed in the type of the values, which is
that of autocast where it is on. With a cache, `lapa.py` has its own. B batch, H heads, T tokens,
d head size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

# Longer ones would keep too much for the way back: 2 T^2 bytes an example, head and layer.
_LONGEST_WHOLE = 1024


def causal(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float | None,
    dropout: float,
    mask: Tensor | None = None,
) -> Tensor:
    """(B, H, T, d) each, of one type -> (B, H, T, d).

    Args:
        mask: (B, 1, T, T) bool, what each token sees; None: those before it.
        scaling: of the scores; None is 1 / sqrt(d).
        dropout: probability.
    """
    if at_once(value, query.shape[2]) and not dropout:
        length = query.shape[2]
        if mask is None:
            future = torch.full((length, length), -torch.inf, dtype=query.dtype).triu(1)
        else:
            future = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, -torch.inf)
        return whole(query, key, value, future, scaling or query.shape[-1] ** -0.5)
    return F.scaled_dot_product_attention(
        query, key, value, mask, dropout_p=dropout, is_causal=mask is None, scale=scaling
    )


def at_once(value: Tensor, length: int) -> bool:
    """Whether `whole` is the faster way: in bfloat16 on a CPU, where it takes not too much."""
    return (
        value.dtype == torch.bfloat16 and value.device.type == "cpu" and length <= _LONGEST_WHOLE
    )


def whole(
    query: Tensor, key: Tensor, value: Tensor, added: Tensor | None, scaling: float
) -> Tensor:
    """Attention with all scores at once: torch's blockwise kernel takes more than twice as long.

    Decision 0053.

    Args:
        query, key, value: (B, H, T or S, d).
        added: to the scores, (..., T, S).
        scaling: of the scores.
    """
    scores = (query * scaling) @ key.transpose(-1, -2)
    return (scores if added is None else scores + added).softmax(-1) @ value
