# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The transformer of the latent action quantiser: C-ViViT's (Villegas et al. 2022, *Phenaki*).

B videos, T frames of h x w patches, D wide, H heads, L tokens of a sequence, S of a context.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from lapa_core.model.attention import at_once, whole

_SCALE = 8.0  # of the cosine between a query and a key
_NULL_KEYS = 2  # keys and values of the cross-attention that belong to no token
_SLOPE = 0.1
_MULTIPLE = 4 * 2 / 3  # width within the feed-forward; two thirds, as half of it gates


class Norm(nn.LayerNorm):
    """A layer norm whose bias is stored and never trained, as in the reference."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, bias=False)
        del self.bias
        self.register_buffer("bias", torch.zeros(dim))


class PositionBias(nn.Module):
    """What attention adds for two patches so and so far apart: a small network of the offset."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(2, dim), nn.Linear(dim, dim), nn.Linear(dim, heads)]
        )

    def forward(self, rows: int, columns: int) -> Tensor:
        """(H, L, L) of a grid's patches in raster order."""
        device = self.layers[0].weight.device
        axes = [torch.arange(n, device=device) for n in (rows, columns)]
        places = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 1)
        offset = places[:, None] - places[None]
        x = (offset.sign() * (offset.abs() + 1).log()).to(self.layers[0].weight.dtype)
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), _SLOPE)
        return self.layers[-1](x).permute(2, 0, 1)


class PositionConvolution(nn.Module):
    """Each patch's neighbours in its frame and in those before (PEG, Chu et al. 2021)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(dim, dim, 3, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, h, w, D) -> the same.

        Frame by frame: the way back through a convolution of three axes with a filter a channel
        takes ten times as long on a CPU, and with it a third of an update.
        """
        shape, out = x.shape, None
        for back, weight in enumerate(reversed(self.conv.weight.unbind(2))):
            if back >= shape[1]:
                break
            frames = x[:, : shape[1] - back]
            bias = None if back else self.conv.bias
            y = F.conv2d(frames.flatten(0, 1).permute(0, 3, 1, 2), weight, bias, padding=1,
                         groups=shape[-1])  # fmt: skip
            y = y.permute(0, 2, 3, 1).reshape(frames.shape)
            out = y if out is None else out + F.pad(y, (0, 0) * 3 + (back, 0))
        assert out is not None
        return out


class Attention(nn.Module):
    """Attention by cosine, to the tokens themselves or to a context."""

    def __init__(self, dim: int, heads: int, dim_head: int, cross: bool = False) -> None:
        super().__init__()
        inner = heads * dim_head
        self.heads = heads
        self.norm = Norm(dim)
        self.context_norm = Norm(dim) if cross else None
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner, bias=False)
        self.q_scale = nn.Parameter(torch.ones(dim_head))
        self.k_scale = nn.Parameter(torch.ones(dim_head))
        null = torch.randn(heads, 2 * _NULL_KEYS, dim_head) if cross else None
        self.null_kv = nn.Parameter(null) if cross else None
        self.to_out = nn.Linear(inner, dim, bias=False)

    def forward(
        self, x: Tensor, bias: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        """(B, L, D) -> (B, L, D).

        Args:
            x: tokens. Keys and values are of them as they are, queries of them normed: so in the
                reference.
            bias: (H, L, L) added to the scores.
            context: (B, S, D) attended to in place of the tokens.
        """
        source = x if context is None or self.context_norm is None else self.context_norm(context)
        q = self._split(self.to_q(self.norm(x)))
        k, v = (self._split(t) for t in self.to_kv(source).chunk(2, -1))
        if self.null_kv is not None:
            null = self.null_kv.to(k.dtype).expand(len(x), -1, -1, -1)  # key, value, key, value
            k = torch.cat([null[:, :, 0::2], k], -2)
            v = torch.cat([null[:, :, 1::2], v], -2)
        q = F.normalize(q, dim=-1) * self.q_scale
        k = F.normalize(k, dim=-1) * self.k_scale
        mask = None if bias is None else bias.to(q.dtype)
        q, k = q.to(v.dtype), k.to(v.dtype)
        if at_once(v, q.shape[2]):
            y = whole(q, k, v, mask if mask is None else mask.to(v.dtype), _SCALE)
        else:
            y = F.scaled_dot_product_attention(q, k, v, mask, scale=_SCALE)
        return self.to_out(y.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(B, L, H d) -> (B, H, L, d)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """norm, then one half gates the other (GEGLU, Shazeer 2020)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        inner = int(_MULTIPLE * dim)
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, 2 * inner, bias=False)
        self.down = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> the same."""
        value, gate = self.up(self.norm(x)).chunk(2, -1)
        return self.down(F.gelu(gate) * value)


class Block(nn.Module):
    """Neighbours, self-attention, the context if any, feed-forward; each added to its input."""

    def __init__(self, dim: int, heads: int, dim_head: int, cross: bool) -> None:
        super().__init__()
        self.position = PositionConvolution(dim)
        self.attention = Attention(dim, heads, dim_head)
        self.cross = Attention(dim, heads, dim_head, cross=True) if cross else None
        self.feed_forward = FeedForward(dim)


class Transformer(nn.Module):
    """Blocks and a norm.

    Args:
        depth, dim, heads, dim_head: sizes.
        cross: whether it has a context.
        scrambled: the position convolution takes a (h w) T D sequence for T (h w) D, as the
            reference's temporal transformer does, whose weights need it.
    """

    def __init__(
        self, depth: int, dim: int, heads: int, dim_head: int, *, cross: bool = False,
        scrambled: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.scrambled = scrambled
        self.blocks = nn.ModuleList(Block(dim, heads, dim_head, cross) for _ in range(depth))
        self.norm = Norm(dim)

    def spatial(self, x: Tensor, bias: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, T, h, w, D) -> the same; every frame attends to itself, or to its context too."""
        b, t, h, w, _ = x.shape
        for block in self.blocks:
            x = block.position(x) + x
            y = x.reshape(b * t, h * w, -1)
            y = block.attention(y, bias) + y
            if block.cross is not None:
                y = block.cross(y, context=context) + y
            x = (block.feed_forward(y) + y).reshape(b, t, h, w, -1)
        return self.norm(x)

    def temporal(self, x: Tensor) -> Tensor:
        """(B, T, h, w, D) -> the same; every patch attends to itself in all frames."""
        b, t, h, w, _ = x.shape
        x = x.permute(0, 2, 3, 1, 4).reshape(b * h * w, t, -1)
        for block in self.blocks:
            x = self._neighbours(block.position, x, (b, t, h, w)) + x
            x = block.attention(x) + x
            x = block.feed_forward(x) + x
        return self.norm(x).reshape(b, h, w, t, -1).permute(0, 3, 1, 2, 4)

    def _neighbours(
        self, position: nn.Module, x: Tensor, shape: tuple[int, int, int, int]
    ) -> Tensor:
        """(B h w, T, D) -> the same, through the position convolution."""
        b, t, h, w = shape
        if self.scrambled:
            return position(x.reshape(b, t, h, w, -1)).reshape(x.shape)
        video = x.reshape(b, h, w, t, -1).permute(0, 3, 1, 2, 4)
        return position(video).permute(0, 2, 3, 1, 4).reshape(x.shape)
