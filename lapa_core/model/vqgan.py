# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The image tokenizer: 256x256 RGB -> 16x16 codes and back (Esser et al. 2021; LWM's weights).

B batch, C channels, H W pixels, h w cells of the latent (16 times fewer in the reference), N codes
an image.
Runs in float32 whatever the language model's type: its nearest-neighbour choice is exact or wrong.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from lapa_core.errors import ConfigError
from lapa_core.model.configuration import VqganConfig
from lapa_core.model.strict import StrictModel

_EPS = 1e-6  # flax GroupNorm's default
_LATENT_STD = 0.25  # measured on untrained weights


def _conv(inner: int, outer: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, size, stride, padding=size // 2 if stride == 1 else 0)


def _norm_silu(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """silu(norm(x)); in place where no gradient needs the normed value."""
    return F.silu(norm(x), inplace=not torch.is_grad_enabled())


class ResBlock(nn.Module):
    """norm, silu, conv, twice; a 1x1 conv on the skip where the channels change."""

    def __init__(self, inner: int, outer: int, num_groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(num_groups, inner, _EPS)
        self.conv1 = _conv(inner, outer)
        self.norm2 = nn.GroupNorm(num_groups, outer, _EPS)
        self.conv2 = _conv(outer, outer)
        self.shortcut = _conv(inner, outer, size=1) if inner != outer else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        y = self.conv1(_norm_silu(self.norm1, x))
        y = self.conv2(_norm_silu(self.norm2, y))
        skip = x if self.shortcut is None else self.shortcut(x)
        return y + skip if torch.is_grad_enabled() else y.add_(skip)


class Level(nn.Module):
    """Residual blocks at one resolution, then a change of resolution (or none)."""

    def __init__(
        self, inner: int, outer: int, num_blocks: int, num_groups: int, resample: str | None
    ) -> None:
        super().__init__()
        widths = [inner] + [outer] * (num_blocks - 1)
        self.blocks = nn.ModuleList(ResBlock(w, outer, num_groups) for w in widths)
        self.down = _conv(outer, outer, stride=2) if resample == "down" else None
        self.up = _conv(outer, outer) if resample == "up" else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        for block in self.blocks:
            x = block(x)
        if self.down is not None:
            x = self.down(F.pad(x, (0, 1, 0, 1)))  # right and bottom only, as flax does it there
        if self.up is not None:
            x = self.up(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x


class Encoder(nn.Module):
    """Pixels to latents."""

    def __init__(self, config: VqganConfig) -> None:
        super().__init__()
        widths = [config.hidden_channels * m for m in config.channel_mult]
        groups, top = config.num_groups, widths[-1]
        self.patch = config.patch
        self.conv_in = _conv(config.num_channels * config.patch**2, widths[0])
        self.levels = nn.ModuleList(
            Level(inner, outer, config.num_res_blocks, groups, resample)
            for inner, outer, resample in zip(
                [widths[0], *widths[:-1]],
                widths,
                ["down"] * (len(widths) - 1) + [None],
                strict=True,
            )
        )
        self.mid = nn.ModuleList(ResBlock(top, top, groups) for _ in range(2))
        self.norm_out = nn.GroupNorm(groups, top, _EPS)
        self.conv_out = _conv(top, config.z_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, z_channels, h, w)."""
        x = self.conv_in(F.pixel_unshuffle(x, self.patch) if self.patch > 1 else x)
        for module in (*self.levels, *self.mid):
            x = module(x)
        return self.conv_out(_norm_silu(self.norm_out, x))


class Decoder(nn.Module):
    """Latents to pixels; one block a level more than the encoder."""

    def __init__(self, config: VqganConfig) -> None:
        super().__init__()
        widths = [config.hidden_channels * m for m in reversed(config.channel_mult)]
        groups, top = config.num_groups, widths[0]
        self.conv_in = _conv(config.z_channels, top)
        self.mid = nn.ModuleList(ResBlock(top, top, groups) for _ in range(2))
        self.levels = nn.ModuleList(
            Level(inner, outer, config.num_res_blocks + 1, groups, resample)
            for inner, outer, resample in zip(
                [top, *widths[:-1]], widths, ["up"] * (len(widths) - 1) + [None], strict=True
            )
        )
        self.norm_out = nn.GroupNorm(groups, widths[-1], _EPS)
        self.patch = config.patch
        self.conv_out = _conv(widths[-1], config.num_channels * config.patch**2)

    def forward(self, z: Tensor) -> Tensor:
        """(B, z_channels, h, w) -> (B, 3, H, W), not clipped."""
        x = self.conv_in(z)
        for module in (*self.mid, *self.levels):
            x = module(x)
        x = self.conv_out(_norm_silu(self.norm_out, x))
        return F.pixel_shuffle(x, self.patch) if self.patch > 1 else x


class Vqgan(StrictModel):
    """Encoder, codebook and decoder."""

    config_class = VqganConfig
    base_model_prefix = ""
    main_input_name = "pixels"

    def __init__(self, config: VqganConfig) -> None:
        super().__init__(config)
        width, parts = config.quantized_embed_dim, config.code_parts
        if parts < 1 or width % parts:
            raise ConfigError(f"a width of {width} cannot be shared by {parts} parts of a code")
        self.encoder = Encoder(config)
        self.quant_conv = _conv(config.z_channels, width, size=1)
        self.codebook = nn.Embedding(parts * config.num_embeddings, width // parts)
        self.post_quant_conv = _conv(width, config.z_channels, size=1)
        self.decoder = Decoder(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Keep torch's own initialisation, but spread the codebook as the latents are spread.

        With torch's unit normal only a dozen codes would ever be nearest to untrained latents.
        """
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=_LATENT_STD)

    @property
    def num_codes(self) -> int:
        """Different codes that a cell can have."""
        return int(self.config.num_codes)

    def latents(self, pixels: Tensor) -> Tensor:
        """(B, H, W, 3) in -1 .. 1 -> (B, N, width) before quantisation, raster order."""
        x = pixels.permute(0, 3, 1, 2)  # an NHWC tensor seen as NCHW is already channels_last
        # On a GPU torch would round the factors of float32 convolutions to 10 bits (TF32).
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            z = self.quant_conv(self.encoder(x))
        return z.permute(0, 2, 3, 1).flatten(1, 2)

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, H, W, 3) float32 in -1 .. 1 -> (B, N) int64 codes, raster order."""
        z = self.latents(pixels)
        tables = self.codebook.weight.split(self.config.num_embeddings)
        code = torch.zeros(z.shape[:-1], dtype=torch.int64, device=z.device)
        for part, table in zip(z.chunk(len(tables), -1), tables, strict=True):
            # |z|^2 + |e|^2 - 2 z.e as in the reference; |z|^2 is the same for every code.
            distance = table.square().sum(1) - 2 * (part @ table.T)
            code = code * len(table) + distance.argmin(-1)
        return code

    def entries(self, codes: Tensor) -> Tensor:
        """(...) codes -> (..., width) the vectors that they stand for."""
        rows = code_rows(codes, self.config.num_embeddings, self.config.code_parts)
        return self.codebook(rows).flatten(-2)

    def decode(self, codes: Tensor) -> Tensor:
        """(B, N) codes of a square image -> (B, H, W, 3) float32 in -1 .. 1."""
        side = round(codes.shape[1] ** 0.5)
        z = self.entries(codes).unflatten(1, (side, side)).permute(0, 3, 1, 2)
        return self.decoder(self.post_quant_conv(z)).clamp(-1, 1).permute(0, 2, 3, 1)

    def forward(self, pixels: Tensor, **_: Any) -> Tensor:
        """Codes of the pixels."""
        return self.encode(pixels)


def code_rows(codes: Tensor, entries: int, parts: int) -> Tensor:
    """(...) codes -> (..., parts) the row of each part, in a table of one part after the other."""
    weights = [entries ** (parts - 1 - p) for p in range(parts)]
    rows = [codes // weight % entries + p * entries for p, weight in enumerate(weights)]
    return torch.stack(rows, -1)
