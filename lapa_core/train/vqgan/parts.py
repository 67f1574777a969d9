# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What learns in the training of an image tokenizer, and by what losses.

First encoder and codebook, with a light head that draws half-size pictures and is thrown away
later: the decoder itself would cost most of an update. Then the decoder, of codes that no longer
change. What is small would not survive a plain loss, so foreground weighs most, each piece of it
alike.

B pictures, h w cells, D width of a code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from lapa_core.errors import ConfigError
from lapa_core.model.configuration import VqganConfig
from lapa_core.model.vqgan import ResBlock, Vqgan
from lapa_core.train.vqgan.batches import PictureBatch
from lapa_core.train.vqgan.quantiser import MovingCodebooks

SCALE = 127.5  # levels of 0 .. 255 in one unit of -1 .. 1
# Weights of a pixel: any, foreground, beside foreground; and where nobody knows what that is,
# about the mean in a part that is rich in foreground.
ANY, FOREGROUND, BESIDE, UNKNOWN = 0.1, 1.0, 0.3, 0.3
SQUARED = 2.0  # weight of squared differences beside absolute ones
COMMITMENT = 0.025  # of a latent's squared distance from its code
_HEAD, _FINE = 128, 64  # channels of the light head, at one and at half a cell


def cell_size(config: VqganConfig) -> int:
    """Width in pixels of what one code stands for; a `ConfigError` if it is less than two."""
    cell = config.cell_px
    if cell < 2:
        raise ConfigError(
            f"a VQGAN of one level (channel_mult {config.channel_mult}) has no cells"
        )
    return cell


class Head(nn.Module):
    """(B, D, h, w) codes -> (B, 3, H/2, W/2) pictures, by pixel shuffle."""

    def __init__(self, config: VqganConfig) -> None:
        super().__init__()
        factor = cell_size(config) // 2
        finer = 2 if factor % 2 == 0 else 1
        self.layers = nn.Sequential(
            nn.Conv2d(config.quantized_embed_dim, _HEAD, 1),
            ResBlock(_HEAD, _HEAD, 8),
            ResBlock(_HEAD, _HEAD, 8),
            nn.Conv2d(_HEAD, _FINE * finer**2, 1),
            nn.PixelShuffle(finer),
            ResBlock(_FINE, _FINE, 8),
            nn.Conv2d(_FINE, 3 * (factor // finer) ** 2, 1),
            nn.PixelShuffle(factor // finer),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Draw."""
        drawn: Tensor = self.layers(z)
        return drawn


@dataclass
class Update:
    """What one update is made of and measured by.

    Attributes:
        loss: to be minimised.
        commitment: mean squared distance of a latent from its code; nan without codes.
        foreground: mean squared error of the foreground, by its weights, of pixels in -1 .. 1;
            nan without any.
        cells, codes: (n, D) latents and (n, P) their codes' parts; None where the codebook stays.
    """

    loss: Tensor
    commitment: Tensor
    foreground: Tensor
    cells: Tensor | None = None
    codes: Tensor | None = None


class Trainee(nn.Module):
    """A VQGAN and its light head."""

    def __init__(self, vqgan: Vqgan) -> None:
        super().__init__()
        config: Any = vqgan.config
        self.vqgan, self.head = vqgan, Head(config)
        self.codebook = MovingCodebooks(vqgan.codebook, config.num_embeddings)
        self.cell = cell_size(config)

    def learn(self, part: str) -> list[nn.Parameter]:
        """Let one part learn and freeze the rest; gives its parameters."""
        v = self.vqgan
        parts = {
            "encoder": (v.encoder, v.quant_conv, self.head),
            "decoder": (v.post_quant_conv, v.decoder),
        }
        self.requires_grad_(False)
        learning = [p for module in parts[part] for p in module.parameters()]
        for parameter in learning:
            parameter.requires_grad_(True)
        return learning

    def encoder_update(self, batch: PictureBatch, products: torch.autocast) -> Update:
        """Loss of the encoder, by what the head draws of its codes."""
        pixels = batch.pixels.permute(0, 3, 1, 2).contiguous()  # NHWC trains 4 times slower here
        with products:
            z = self.vqgan.quant_conv(self.vqgan.encoder(pixels))
        z = z.float().permute(0, 2, 3, 1)
        cells = z.detach().flatten(0, 2)
        codes, commitment = None, torch.full((), torch.nan)
        passed, loss = z, torch.zeros((), device=z.device)
        if self.codebook.ready:
            codes = self.codebook.codes(cells)
            entry = self.codebook.entries(codes).view_as(z).clone()
            commitment = (z - entry).square().sum(-1).mean()
            passed, loss = z + (entry - z).detach(), COMMITMENT * commitment
        drawn = self.head(passed.permute(0, 3, 1, 2))
        wanted = F.avg_pool2d(pixels, 2)
        weights = F.avg_pool2d(batch.weights[:, None], 2)
        drawing, error = drawing_loss(drawn, wanted, weights, batch.fixed, reach=2)
        return Update(loss + drawing, commitment.detach(), error, cells, codes)

    def decoder_update(self, batch: PictureBatch, products: torch.autocast, part: int) -> Update:
        """Loss of the decoder, on codes of whole pictures, drawn whole or as parts of them."""
        with torch.no_grad():
            codes = self.vqgan.encode(batch.pixels)
        side = round(codes.shape[1] ** 0.5)
        grids = codes.unflatten(1, (side, side))
        wanted, weights = batch.pixels.permute(0, 3, 1, 2), batch.weights[:, None]
        if not batch.stage.whole:
            corners = batch.corners.tolist()
            grids = torch.stack(
                [g[r : r + part, c : c + part] for g, (r, c) in zip(grids, corners, strict=True)]
            )
            wanted, weights = (_parts(p, corners, part, self.cell) for p in (wanted, weights))
        z = self.vqgan.entries(grids).permute(0, 3, 1, 2)
        with products:
            drawn = self.vqgan.decoder(self.vqgan.post_quant_conv(z))
        loss, error = drawing_loss(drawn.float(), wanted, weights, batch.fixed, reach=4)
        return Update(loss, torch.full((), torch.nan), error)


def _parts(pictures: Tensor, corners: list[list[int]], part: int, cell: int) -> Tensor:
    """(B, 3, H, W) -> (B, 3, part * cell, part * cell) from these corners, in cells, on."""
    side = part * cell
    cut = [
        p[:, r * cell : r * cell + side, c * cell : c * cell + side]
        for p, (r, c) in zip(pictures, corners, strict=True)
    ]
    return torch.stack(cut)


def drawing_loss(
    drawn: Tensor, wanted: Tensor, weights: Tensor, fixed: Tensor, reach: int
) -> tuple[Tensor, Tensor]:
    """How far (B, 3, H, W) pictures in -1 .. 1 are from what they should be.

    Args:
        weights: (B, 1, H, W) 0 .. 1 of the foreground.
        fixed: (B,) whether they tell what is foreground.
        reach: pixels that count as beside the foreground.

    Returns:
        the weighted loss, and the mean squared error of the foreground, each pixel by its weight;
        nan where there is none.
    """
    near = F.max_pool2d(weights, 2 * reach + 1, 1, reach)
    weight = ANY + FOREGROUND * weights + BESIDE * near
    weight = torch.where(fixed[:, None, None, None], weight, UNKNOWN)
    difference = drawn - wanted
    each = (difference.abs() + SQUARED * difference.square()).mean(1, keepdim=True)
    squared = difference.detach().square().mean(1, keepdim=True)
    counted = torch.where(fixed[:, None, None, None], weights, 0.0)
    return (each * weight).sum() / weight.sum(), (squared * counted).sum() / counted.sum()
