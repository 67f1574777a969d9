# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""From a model that knows pictures and words to one that can learn actions.

The image tokenizer has no part in it: it stays frozen, its codes are inputs. Knows nothing of
data or of training loops.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection

import torch
from torch import Tensor, nn

from lapa_core.errors import ConfigError
from lapa_core.model.drawn import codebook_rows, lecun_normal
from lapa_core.model.lapa import LapaModel
from lapa_core.model.vqgan import Vqgan

_LAYER_GAIN = 0.8  # of a unit vector through a new matrix of a narrow model
NEW_TABLES = ("action_embed.weight", "action_head.weight")


def add_action_head(
    source: LapaModel,
    num_action_rows: int,
    *,
    keep_latent: bool = False,
    keep_action: bool = False,
    state_rows: int = 0,
    vision_positions: int = 0,
    seed: int = 0,
) -> LapaModel:
    """An action model from a latent one, from LWM, or from an action model of other bins.

    Table and head of the actions are new, drawn as the reference draws what a checkpoint lacks
    (`lecun_normal`). All other tensors are those of `source` itself, not copies: use one of the
    two models, not both.

    Args:
        source: where the knowledge comes from.
        num_action_rows: bins of the dimension that has most, 256 in the reference.
        keep_latent: keep table and head of the latent codes, unused (the reference's
            `delta_llama_action`). Its `llama_action`, and this by default, drop them.
        keep_action: keep the source's own actions where it has as many rows: to go on with the
            same bins.
        state_rows: rows of a table of proprioception; the source's is kept if it has as many.
        vision_positions: places in the pictures that get a learned vector; the source's are kept
            if it has as many, new ones start at zero and change nothing at first.
        seed: of what is drawn.

    Raises:
        ConfigError: a number is negative or 0 where rows are needed, or actions cannot be kept.
    """
    old = source.config
    if num_action_rows < 2 or state_rows < 0 or vision_positions < 0:
        raise ConfigError(
            f"{num_action_rows} action rows, {state_rows} state rows, {vision_positions} vision "
            f"positions: needs at least 2, 0 and 0"
        )
    if keep_action and old.action_vocab_size != num_action_rows:
        raise ConfigError(
            f"cannot keep the actions: the source has {old.action_vocab_size} rows of them, "
            f"{num_action_rows} are asked for"
        )
    config = copy.deepcopy(old)
    config.action_vocab_size = num_action_rows
    config.latent_vocab_size = old.latent_vocab_size if keep_latent else 0
    config.state_vocab_size, config.vision_positions = state_rows, vision_positions
    with torch.device("meta"):
        model = LapaModel(config)
    shapes = {name: t.shape for name, t in model.state_dict().items()}
    tensors = {n: t for n, t in source.state_dict().items() if shapes.get(n) == t.shape}
    if not keep_action:
        tensors = {n: t for n, t in tensors.items() if n not in NEW_TABLES}
    generator = torch.Generator().manual_seed(seed)
    for name, shape in shapes.items():
        if name not in tensors:
            new = _new(name, shape, config.initializer_range, generator)
            tensors[name] = new.to(source.device, source.dtype)
    model.load_state_dict(tensors, assign=True, strict=True)
    model.model.rotary_emb = source.model.rotary_emb  # its tables are buffers, on no device yet
    return model.train(source.training).requires_grad_(True)


def _new(name: str, shape: torch.Size, scale: float, generator: torch.Generator) -> Tensor:
    """A tensor that the source lacks."""
    if name == "action_embed.weight":
        return lecun_normal(shape, shape[0], generator)
    if name == "action_head.weight":
        return lecun_normal(shape, shape[1], generator)
    if name == "state_embed.weight":
        return torch.empty(shape).normal_(std=scale, generator=generator)
    if name == "vision_position.weight":
        return torch.zeros(shape)
    raise ConfigError(f"the source lacks {name} of shape {tuple(shape)}, or has it in another")


@torch.no_grad()
def vision_from_codebook(model: LapaModel, vqgan: Vqgan, seed: int = 0) -> None:
    """Start the image tokens from the codebook's vectors, for training from scratch.

    Codes that look alike then begin alike, which a table of random rows would have to learn code
    by code. Rows that are no codes (the marks after pictures) stay.

    Raises:
        ConfigError: the model's table has fewer rows than the codebook.
    """
    rows, width = model.vision_embed.weight.shape
    if (entries := len(vqgan.codebook.weight)) > rows:
        raise ConfigError(f"{entries} codes do not fit a vision table of {rows} rows")
    spread = codebook_rows(vqgan, width, model.config.initializer_range, seed)
    model.vision_embed.weight[:entries] = spread.to(model.vision_embed.weight)


@torch.no_grad()
def widen_layers(model: LapaModel) -> None:
    """Enlarge the new matrices of a narrow model's layers, for training from scratch.

    The reference's `initializer_range` of 0.02 fits a width of 4096. In a narrow model it leaves
    all attention uniform at first, and the tie between a word and what is seen, a product of two
    such small numbers, is not found for thousands of updates (docs/log.md, rung 9). As wide
    matrices are, so narrow ones shall be: 0.8 / sqrt(width), where that is more. Tables and heads
    stay small, so that they learn fast.
    """
    config = model.config
    factor = _LAYER_GAIN / math.sqrt(config.hidden_size) / config.initializer_range
    for module in model.model.layers.modules() if factor > 1 else ():
        if isinstance(module, nn.Linear):
            module.weight.mul_(factor)


@torch.no_grad()
def smooth_tables(
    model: LapaModel,
    state_bins: int = 0,
    pictures: int = 1,
    seed: int = 0,
    *,
    learnt: Collection[str] = (),
) -> None:
    """Start the tables of things that have an order as smooth curves, for training from scratch.

    Neighbouring places of a picture, bins of a number and bins of an action begin alike, which
    rows drawn at random would have to learn one by one. Sines and cosines of periods from twice
    the range down to two places, or an eighth of the bins, scaled to `initializer_range`; places
    twice that.

    Args:
        model: of actions, or of latent actions alone.
        state_bins: bins of each number of the state; 0 without.
        pictures: of a prompt, which share the places' rows.
        seed: of what tells the numbers of the state, and the pictures, apart.
        learnt: names of tables that know something already, and are left as they are.
    """
    scale, width = model.config.initializer_range, model.config.hidden_size
    generator = torch.Generator().manual_seed(seed)
    if model.config.action_vocab_size and "action_embed.weight" not in learnt:
        model.action_embed.weight.copy_(scale * _waves(len(model.action_embed.weight), width, 4))
    if model.config.state_vocab_size and "state_embed.weight" not in learnt:
        rows = _waves(state_bins, width, 4)
        for block in model.state_embed.weight.split(state_bins):
            own = torch.empty(width).normal_(generator=generator)
            block.copy_(scale * (rows[: len(block)] + own))
    if model.config.vision_positions and "vision_position.weight" not in learnt:
        each = model.config.vision_positions // pictures
        side = math.isqrt(each - 1)
        waves = _waves(side, width // 2, math.log2(side) - 1)
        places = torch.cat([waves.repeat_interleave(side, 0), waves.repeat(side, 1)], dim=1)
        places = 2 * (places - places.mean(0)) / places.std()
        for number, block in enumerate(model.vision_position.weight.split(each)[:pictures]):
            own = torch.empty(width).normal_(generator=generator) if number else torch.zeros(width)
            block[: side * side].copy_(scale * (places + own))


def _waves(count: int, width: int, octaves: float) -> Tensor:
    """(count, width) sines and cosines: from half a period over the range to `octaves` above 1."""
    period = 2.0 ** torch.linspace(-1, octaves, -(-width // 2))
    angle = math.pi * torch.arange(count)[:, None] * period / count
    return torch.cat([angle.sin(), angle.cos()], dim=1)[:, :width]
