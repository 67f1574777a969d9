# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One more token through the layers, in few calls, as generation needs it for each code.

`LapaModel.backbone` gives the same; but of its time for one token of a small model, three quarters
are Python's, between some sixty calls a layer. Here a layer is some twenty calls on buffers that
are there already. Types and roundings are those of `lapa.py`: residual stream, rotation and
attention in float32, products in the weights' type.

D hidden size, H heads, d head size, I inner size of the MLP.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from lapa_core.model.cache import KeyValueCache
from lapa_core.model.lapa import LapaModel, RMSNorm
from lapa_core.model.linear import Linear

# On a CPU `Linear` has the faster product for one row of a large matrix, and BLAS, called with
# less ado, that of a small one: 192 x 192 takes half the time.
SMALL = 2**20


class TokenStep:
    """Reads single tokens into a cache.

    Args:
        model: for inference; adapters and quantised weights are its own affair.
    """

    def __init__(self, model: LapaModel) -> None:
        config, some = model.config, model.model.norm.weight
        heads, size = config.num_attention_heads, config.head_dim
        self._layers = [_Layer.of(layer) for layer in model.model.layers]
        self._norm, self._rotary, self._half = model.model.norm, model.model.rotary_emb, size // 2
        new = {"device": some.device, "dtype": some.dtype}
        self._attending = torch.empty((3, heads, size), **new)  # query, key, value
        self._rows = self._attending.view(3, 1, heads * size).unbind()
        self._inner = torch.empty((2, 1, config.intermediate_size), **new).unbind()
        self._sign = torch.ones(size, device=some.device)
        self._sign[: self._half] = -1
        self._dtype = some.dtype

    def __call__(self, embeds: Tensor, position: int, first: int, cache: KeyValueCache) -> Tensor:
        """Read a token that sees all before it.

        Args:
            embeds: (1, D) float32.
            position: its own, of those that are no padding.
            first: slot of the cache with the token of position 0; this one goes `position` on.
            cache: its slots before are filled; written to, and not advanced.

        Returns:
            (1, D) final state.
        """
        where = torch.tensor([[position]], device=embeds.device)
        cos, sin = (t[0] for t in self._rotary(embeds, where))  # (1, d)
        slot, sin = first + position, sin * self._sign
        query, key, value = self._rows
        gate, up = self._inner
        turned = self._attending[:2]
        for layer, kept in zip(self._layers, cache.layers, strict=True):
            seen = _normed(layer.before, embeds)
            layer.query(seen, query)
            layer.key(seen, key)
            layer.value(seen, value)
            exact = turned.float()
            turned.copy_(torch.addcmul(exact * cos, exact.roll(self._half, -1), sin))
            kept[:, 0, :, slot] = self._attending[1:]
            keys, values = kept[:, 0, :, first : slot + 1]
            found = F.scaled_dot_product_attention(
                self._attending[0].float().unsqueeze(1), keys, values
            )
            embeds = embeds + layer.out(found.to(self._dtype).view(1, -1))
            seen = _normed(layer.after, embeds)
            layer.gate(seen, gate)
            layer.up(seen, up)
            embeds = embeds + layer.down(F.silu(gate) * up)
        return _normed(self._norm, embeds)


class _Product:
    """`x W^T` of a layer, into a given place or a new one."""

    def __init__(self, layer: nn.Module) -> None:
        plain = type(layer) is Linear and layer.weight.is_floating_point()
        small = plain and (layer.weight.device.type != "cpu" or layer.weight.numel() < SMALL)
        self._layer = layer
        self._weight = layer.weight.detach().t() if small else None

    def __call__(self, x: Tensor, into: Tensor | None = None) -> Tensor:
        """(1, in) -> (1, out)."""
        if self._weight is not None:
            return torch.mm(x, self._weight, out=into)
        made: Tensor = self._layer(x)
        return made if into is None else into.copy_(made)


@dataclass(frozen=True)
class _Layer:
    """The parts of a decoder layer."""

    before: RMSNorm
    query: _Product
    key: _Product
    value: _Product
    out: _Product
    after: RMSNorm
    gate: _Product
    up: _Product
    down: _Product

    @classmethod
    def of(cls, layer: nn.Module) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        names = ("q_proj", "k_proj", "v_proj", "o_proj")
        return cls(
            layer.input_layernorm,
            *(_Product(getattr(attention, name)) for name in names),
            layer.post_attention_layernorm,
            *(_Product(getattr(mlp, name)) for name in ("gate_proj", "up_proj", "down_proj")),
        )


def _normed(norm: RMSNorm, x: Tensor) -> Tensor:
    """As `RMSNorm`; where nothing is rounded in between, in one call."""
    if norm.weight.dtype == torch.float32:
        return F.rms_norm(x, x.shape[-1:], norm.weight, norm.eps)
    normed: Tensor = norm(x)
    return normed
