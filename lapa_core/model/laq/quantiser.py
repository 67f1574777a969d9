# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""From what changed between two frames to a few codes (NSVQ, Vali and Backstrom 2022).

B pairs, g x g patches, D wide, N codes a pair, Q wide. In training what is decoded is not the code
but the input moved in a random direction by as much as the code is off, so that a gradient reaches
both the encoder and the codebook without a loss of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from lapa_core.errors import ConfigError
from lapa_core.model.laq.configuration import LaqConfig

_SMALLEST = 4  # a grid is halved down to this, or to that of the codes; the rest is one window
_EPS = 1e-12


class Quantiser(nn.Module):
    """Patches of two frames -> codes, and what the decoder is told of them."""

    def __init__(self, config: LaqConfig) -> None:
        """Of these sizes; the convolutions lead from the grid of patches to that of the codes.

        Raises:
            ConfigError: the codes would be more than the patches.
        """
        super().__init__()
        width = config.quant_dim
        self.grid, self.reference_axes = config.grid, config.reference_axes
        self.project_in = nn.Linear(config.dim, width)
        self.convolutions = nn.ModuleList(_convolutions(width, config.grid, config.code_grid))
        self.codebook = nn.Parameter(torch.randn(config.codebooks * config.codebook_size, width))
        self.codebooks = config.codebooks
        self.project_out = nn.Linear(width, config.dim)

    def change(self, first: Tensor, last: Tensor) -> Tensor:
        """(B, g g, D) of each frame -> (B, N, Q) what changed, before it is made a code."""
        return self._shrink(last) - self._shrink(first)

    def codes(self, change: Tensor) -> Tensor:
        """(B, N, Q) -> (B, N) int64, the nearest code of each; in float32 under any autocast."""
        with torch.autocast(change.device.type, enabled=False):
            books = self.books().float()
            # |z|^2, which the reference adds, is the same for every code.
            near = (change.float().unsqueeze(2) @ books.transpose(1, 2)).squeeze(2)
            return (books.square().sum(-1) - 2 * near).argmin(-1)

    def books(self) -> Tensor:
        """(1 or N, K, Q) the codes that each place may have; one book serves all places."""
        return self.codebook.unflatten(0, (self.codebooks, -1))

    def entries(self, codes: Tensor) -> Tensor:
        """(B, N) -> (B, N, Q) the vectors that codes stand for."""
        if self.codebooks == 1:
            return self.codebook[codes]
        size = len(self.codebook) // self.codebooks
        return self.codebook[codes + size * torch.arange(self.codebooks, device=codes.device)]

    def substitute(self, change: Tensor, codes: Tensor, noise: Tensor) -> Tensor:
        """(B, N, Q) the change, off by as much as its code is, in the direction of the noise.

        Args:
            change: (B, N, Q).
            codes: (B, N), of it.
            noise: (B, N, Q) standard normal.
        """
        off = (change - self.entries(codes)).square().sum(-1, keepdim=True).sqrt()
        return change + (off / noise.square().sum(-1, keepdim=True).sqrt() + _EPS) * noise

    def context(self, quantised: Tensor) -> Tensor:
        """(B, N, Q) codes' vectors, or what stands for them -> (B, N, D) for the decoder."""
        if self.reference_axes:
            b, n, q = quantised.shape
            quantised = quantised.reshape(b, q, n).transpose(1, 2)
        return self.project_out(quantised)

    def _shrink(self, tokens: Tensor) -> Tensor:
        """(B, g g, D) -> (B, N, Q)."""
        x = self.project_in(tokens).transpose(1, 2).unflatten(2, (self.grid, self.grid))
        for i, convolution in enumerate(self.convolutions):
            x = convolution(F.relu(x) if i else x)
        return x.flatten(2).transpose(1, 2)


def _convolutions(width: int, grid: int, codes: tuple[int, int]) -> Sequence[nn.Conv2d]:
    """Halvings, then one window; those of the reference for 1, 2, 4, 16, 64 and 256 codes."""
    if max(codes) > -(-grid // 2):
        raise ConfigError(
            f"{codes[0]} x {codes[1]} codes are too many for {grid} x {grid} patches; valid: up "
            "to half as many a side"
        )
    found, side = [], grid
    while not found or side > max(_SMALLEST, *codes):
        found.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
        side = -(-side // 2)
    if (side, side) != codes:
        found.append(nn.Conv2d(width, width, (side - codes[0] + 1, side - codes[1] + 1)))
    return found
