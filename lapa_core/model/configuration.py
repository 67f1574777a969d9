# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Sizes of the two networks, and the presets. The defaults are the released LAPA-7B."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from transformers import LlamaConfig, PretrainedConfig

from lapa_core.errors import ConfigError, unknown

IMAGE_SIZE = 256  # pixels of a picture's side, as `data.images` resizes it


class VqganConfig(PretrainedConfig):
    """Sizes of the image tokenizer; the names are the reference's `VQGANConfig`.

    The reference has neither `code_parts` nor `patch`. With more than 1 part a code is made of as
    many, each of an own codebook of `num_embeddings` entries for its share of the latent (decision
    0063). With a patch of more than 1, squares of so many pixels are the channels that the first
    convolution sees and the last one draws: convolutions at full size are most of the work and
    see the least (decision 0064).
    """

    model_type = "lapa_vqgan"

    def __init__(
        self,
        hidden_channels: int = 128,
        channel_mult: tuple[int, ...] = (1, 2, 2, 4, 6),
        num_res_blocks: int = 2,
        num_channels: int = 3,
        z_channels: int = 64,
        num_embeddings: int = 8192,
        quantized_embed_dim: int = 64,
        num_groups: int = 32,
        code_parts: int = 1,
        patch: int = 1,
        **kwargs: Any,
    ) -> None:
        """Set the sizes; `num_groups` is 32 in every reference model."""
        self.hidden_channels = hidden_channels
        self.channel_mult = list(channel_mult)
        self.num_res_blocks = num_res_blocks
        self.num_channels = num_channels
        self.z_channels = z_channels
        self.num_embeddings = num_embeddings
        self.quantized_embed_dim = quantized_embed_dim
        self.num_groups = num_groups
        self.code_parts = code_parts
        self.patch = patch
        super().__init__(**kwargs)

    @property
    def num_codes(self) -> int:
        """Different codes that a cell can have."""
        return int(self.num_embeddings**self.code_parts)

    @property
    def cell_px(self) -> int:
        """Width in pixels of what one code stands for: all levels but the last double it."""
        return int(self.patch * 2 ** (len(self.channel_mult) - 1))

    @property
    def codes_per_image(self) -> int:
        """Codes of one picture of 256 rows and columns."""
        return (IMAGE_SIZE // self.cell_px) ** 2


class LapaConfig(PretrainedConfig):
    """Sizes of the language model; a table of 0 rows is absent, with its head."""

    model_type = "lapa"

    def __init__(
        self,
        vocab_size: int = 32000,
        vision_vocab_size: int = 8448,
        latent_vocab_size: int = 8,
        action_vocab_size: int = 0,
        state_vocab_size: int = 0,
        vision_positions: int = 0,
        vision_parts: int = 1,
        vision_entries: int = 0,
        vision_whole: bool = False,
        hidden_size: int = 4096,
        intermediate_size: int = 11008,
        num_hidden_layers: int = 32,
        num_attention_heads: int = 32,
        rms_norm_eps: float = 1e-6,
        rope_theta: float = 5e7,
        max_position_embeddings: int = 8192,
        initializer_range: float = 0.02,
        exact_angles: bool = False,
        **kwargs: Any,
    ) -> None:
        """Set the sizes.

        The reference has none of these; 0 and False leave them out, with nothing else changed:
        `state_vocab_size` rows of proprioception, and a learned vector for each of
        `vision_positions` places in the pictures, which a small model needs to know where a
        thing is (decision 0058). Where `vision_parts` is above 1, the vision table has a row for
        each of `vision_entries` entries of each part of a code, and then those of the marks; what
        an image token is read as is the sum of its parts' rows (decision 0063). `vision_whole`:
        image tokens see all of their pictures, also what comes later in raster order, as in a
        prefix LM (decision 0065). `exact_angles`: rotary angles are float32 in bfloat16 too, as a
        Llama of others learnt them; LAPA's own were rounded.
        """
        self.vocab_size = vocab_size
        self.vision_vocab_size = vision_vocab_size
        self.latent_vocab_size = latent_vocab_size
        self.action_vocab_size = action_vocab_size
        self.state_vocab_size = state_vocab_size
        self.vision_positions = vision_positions
        self.vision_parts, self.vision_entries = vision_parts, vision_entries
        self.vision_whole = vision_whole
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.rms_norm_eps = rms_norm_eps
        self.rope_theta = rope_theta
        self.max_position_embeddings = max_position_embeddings
        self.initializer_range = initializer_range
        self.exact_angles = exact_angles
        kwargs["tie_word_embeddings"] = False
        super().__init__(**kwargs)

    @property
    def vision_codes(self) -> int:
        """Ids of image tokens that are codes; 0: as many as the VQGAN says."""
        return int(self.vision_entries**self.vision_parts) if self.vision_parts > 1 else 0

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    def llama(self, attn_implementation: str) -> LlamaConfig:
        """The backbone's own configuration; its rotary settings stand in `rotary.py`."""
        return LlamaConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            rms_norm_eps=self.rms_norm_eps,
            initializer_range=self.initializer_range,
            max_position_embeddings=self.max_position_embeddings,
            pad_token_id=None,
            use_cache=False,
            tie_word_embeddings=False,
            attn_implementation=attn_implementation,
        )


@dataclass(frozen=True)
class Preset:
    """A named pair of sizes.

    Attributes:
        what: one clause for `--help`.
        lapa, vqgan: arguments that differ from the defaults.
    """

    what: str
    lapa: dict[str, Any] = field(default_factory=dict)
    vqgan: dict[str, Any] = field(default_factory=dict)

    def lapa_config(self, **changes: Any) -> LapaConfig:
        """The language model's sizes, with changes."""
        return LapaConfig(**{**self.lapa, **changes})

    def vqgan_config(self) -> VqganConfig:
        """The image tokenizer's sizes."""
        return VqganConfig(**self.vqgan)


_SMALL_TABLES = {"vocab_size": 512, "vision_vocab_size": 576, "action_vocab_size": 256}
_SMALL_VQGAN = {
    "hidden_channels": 16,
    "channel_mult": (1, 1, 2, 2, 4),
    "num_res_blocks": 1,
    "z_channels": 16,
    "num_embeddings": 512,
    "quantized_embed_dim": 16,
    "num_groups": 8,
}
# Sees four blocks of 12 pixels and the fingers in 256x256 (docs/image_tokenizer.md).
_MICRO_VQGAN = {
    "hidden_channels": 32,
    "channel_mult": (1, 2, 3, 3),
    "num_res_blocks": 1,
    "z_channels": 64,
    "num_embeddings": 256,
    "code_parts": 4,
    "patch": 4,
    "quantized_embed_dim": 64,
    "num_groups": 8,
}

PRESETS = {
    "7b": Preset("the released LAPA-7B", {"action_vocab_size": 256}),
    "200m": Preset(
        "the reference's `200m`, with the full VQGAN",
        {
            "hidden_size": 1024,
            "intermediate_size": 2048,
            "num_hidden_layers": 14,
            "num_attention_heads": 8,
            "action_vocab_size": 256,
        },
    ),
    "micro": Preset(
        "a few million parameters, fast on one CPU core",
        {
            **_SMALL_TABLES,
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "vision_vocab_size": 1088,
            "vision_parts": 4,
            "vision_entries": 256,
            "vision_whole": True,
            "rope_theta": 1e4,  # a prompt has some 95 tokens
        },
        _MICRO_VQGAN,
    ),
    "debug": Preset(
        "as small as it goes, for tests",
        {
            **_SMALL_TABLES,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        },
        {**_SMALL_VQGAN, "hidden_channels": 8, "channel_mult": (1, 1, 1, 1, 1)},
    ),
}


def preset(name: str) -> Preset:
    """The preset of that name, or a `ConfigError` that lists the valid ones."""
    if name not in PRESETS:
        raise ConfigError(unknown("preset", name, PRESETS, "lapa_core.model.configuration"))
    return PRESETS[name]
