# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The latent action quantiser (LAPA, Ye et al. 2024; `laq_model` of the reference).

B pairs of frames, H W pixels, h w patches, D wide, N codes a pair.
Choosing a code is exact or wrong: in training under autocast that choice stays in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from lapa_core.model.laq.configuration import LaqConfig
from lapa_core.model.laq.layers import PositionBias, Transformer
from lapa_core.model.laq.quantiser import Quantiser
from lapa_core.model.strict import StrictModel

CHANNELS = 3


@dataclass(frozen=True)
class Quantised:
    """What training needs of a batch of pairs.

    Attributes:
        loss: scalar, mean squared error of the drawn second frame.
        codes: (B, N) int64.
        change: (B, N, Q) what was made a code.
        drawn: (B, 3, H, W) the second frame, drawn.
    """

    loss: Tensor
    codes: Tensor
    change: Tensor
    drawn: Tensor


class Patches(nn.Module):
    """Frames -> tokens; one for both frames."""

    def __init__(self, config: LaqConfig) -> None:
        super().__init__()
        size = CHANNELS * config.patch_size**2
        self.patch = config.patch_size
        self.norm_in = nn.LayerNorm(size)
        self.linear = nn.Linear(size, config.dim)
        self.norm_out = nn.LayerNorm(config.dim)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, T, h, w, D)."""
        x = F.pixel_unshuffle(frames.transpose(1, 2), self.patch)  # channels outermost
        x = x.permute(0, 1, 3, 4, 2)
        return self.norm_out(self.linear(self.norm_in(x)))


class PairEncoder(StrictModel):
    """Both frames of a pair as patches that know of each other."""

    config_class = LaqConfig
    base_model_prefix = ""
    main_input_name = "frames"

    def __init__(self, config: LaqConfig) -> None:
        super().__init__(config)
        c, sizes = config, (config.dim, config.heads, config.dim_head)
        self.patches = Patches(c)
        self.position_bias = PositionBias(c.dim, c.heads)
        self.spatial = Transformer(c.spatial_depth, *sizes)
        self.temporal = Transformer(c.temporal_depth, *sizes, scrambled=c.reference_axes)

    def _init_weights(self, module: nn.Module) -> None:
        """Keep torch's own initialisation, as the reference."""
        del module

    def look(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, 2, H, W) in 0 .. 1 -> (B, 2, h, w, D) patches, and (B, h w, D) of each frame."""
        tokens = self.patches(frames)
        grid = self.config.grid
        x = self.spatial.spatial(tokens, self.position_bias(grid, grid))
        x = self.temporal.temporal(x)
        first, last = (x[:, i].flatten(1, 2) for i in (0, 1))
        return tokens, first, last


class Laq(PairEncoder):
    """Encoder of both frames, quantiser, and a decoder that draws the second from the first."""

    def __init__(self, config: LaqConfig) -> None:
        super().__init__(config)
        c, sizes = config, (config.dim, config.heads, config.dim_head)
        self.quantiser = Quantiser(c)
        self.decoder = Transformer(c.spatial_depth, *sizes, cross=True)
        self.to_pixels = nn.Linear(c.dim, CHANNELS * c.patch_size**2)
        if c.residual:  # begins with the first frame as it is
            nn.init.zeros_(self.to_pixels.weight)
            nn.init.zeros_(self.to_pixels.bias)
        self.post_init()

    def forward(self, frames: Tensor, noise: Tensor, **_: Any) -> Quantised:
        """A training step's loss.

        Args:
            frames: (B, 3, 2, H, W) in 0 .. 1, earlier frame first.
            noise: (B, N, Q) standard normal.
        """
        first, change = self.compare(frames)
        with torch.autocast(frames.device.type, enabled=False):
            change = change.float()
            codes = self.quantiser.codes(change)
            told = self.quantiser.substitute(change, codes, noise)
        drawn = self.redraw(frames[:, :, 0], first, self.quantiser.context(told))
        return Quantised(F.mse_loss(drawn.float(), frames[:, :, 1]), codes, change, drawn)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """(B, 3, 2, H, W) in 0 .. 1 -> (B, N) int64 latent actions."""
        return self.quantiser.codes(self.compare(frames)[1])

    @torch.no_grad()
    def draw(self, frame: Tensor, codes: Tensor) -> Tensor:
        """The next frame, as the codes have it.

        Args:
            frame: (B, 3, H, W) in 0 .. 1.
            codes: (B, N) latent actions.

        Returns:
            (B, 3, H, W), not clipped.
        """
        context = self.quantiser.context(self.quantiser.entries(codes))
        return self.redraw(frame, self.patches(frame.unsqueeze(2)), context)

    def compare(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, h, w, D) the first frame's patches, and (B, N, Q) what changed."""
        tokens, first, last = self.look(frames)
        return tokens[:, :1], self.quantiser.change(first, last)

    def redraw(self, frame: Tensor, patches: Tensor, context: Tensor) -> Tensor:
        """The second frame, (B, 3, H, W).

        Args:
            frame: (B, 3, H, W) the first.
            patches: (B, 1, h, w, D) of it; no gradient flows to them.
            context: (B, N, D) what the codes tell.
        """
        grid = self.config.grid
        x = self.decoder.spatial(patches.detach(), self.position_bias(grid, grid), context)
        drawn = F.pixel_shuffle(
            self.to_pixels(x[:, 0]).permute(0, 3, 1, 2), self.config.patch_size
        )
        return frame + drawn if self.config.residual else drawn
