# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Sizes of the latent action quantiser. The defaults are the released `laq_openx.pt`."""

from __future__ import annotations

import math
from typing import Any

from transformers import PretrainedConfig

from lapa_core.errors import ConfigError


class LaqConfig(PretrainedConfig):
    """Sizes; the names are the reference's `LatentActionQuantization`.

    The reference reshapes two of its tensors in an order of axes that differs from the one they
    were flattened in; its weights are fitted to that. `reference_axes=False` takes the axes as
    they are, for models of one's own. It has one codebook for all codes of an action;
    `own_codebooks` gives each place an own one of `codebook_size`. It draws the second frame from
    nothing; with `residual` what is drawn is what is added to the first.
    """

    model_type = "lapa_laq"

    def __init__(
        self,
        dim: int = 1024,
        quant_dim: int = 32,
        codebook_size: int = 8,
        image_size: int = 256,
        patch_size: int = 32,
        spatial_depth: int = 8,
        temporal_depth: int = 8,
        dim_head: int = 64,
        heads: int = 16,
        code_seq_len: int = 4,
        reference_axes: bool = True,
        own_codebooks: bool = False,
        residual: bool = False,
        **kwargs: Any,
    ) -> None:
        """Set the sizes.

        Raises:
            ConfigError: patches do not fill the picture, or a code of no length.
        """
        if image_size % patch_size:
            raise ConfigError(f"patches of {patch_size} pixels do not fill {image_size}")
        if code_seq_len < 1 or codebook_size < 2:
            raise ConfigError(
                f"a latent action needs 1 or more codes of 2 or more, got {code_seq_len} of "
                f"{codebook_size}"
            )
        self.dim = dim
        self.quant_dim = quant_dim
        self.codebook_size = codebook_size
        self.image_size = image_size
        self.patch_size = patch_size
        self.spatial_depth = spatial_depth
        self.temporal_depth = temporal_depth
        self.dim_head = dim_head
        self.heads = heads
        self.code_seq_len = code_seq_len
        self.reference_axes = reference_axes
        self.own_codebooks = own_codebooks
        self.residual = residual
        super().__init__(**kwargs)

    @property
    def grid(self) -> int:
        """Patches along a side of the picture."""
        return int(self.image_size // self.patch_size)

    @property
    def codebooks(self) -> int:
        """How many there are."""
        return int(self.code_seq_len) if self.own_codebooks else 1

    @property
    def code_grid(self) -> tuple[int, int]:
        """Rows and columns in which the codes lie: as square as their number allows, rather tall.

        1 x 1, 2 x 1, 2 x 2, 4 x 4 as in the reference, which knows no others.
        """
        columns = math.isqrt(self.code_seq_len)
        while self.code_seq_len % columns:
            columns -= 1
        return self.code_seq_len // columns, columns
