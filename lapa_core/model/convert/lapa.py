# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Released LAPA or LWM files (`params`, `vqgan`, `tokenizer.model`) -> a checkpoint folder.

flax stores a dense kernel as (in, out) and stacks the layers on a first axis; torch wants
(out, in) a layer. Tensors are read, turned and written one layer at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from lapa_core.errors import CheckpointError
from lapa_core.model import checkpoint, headers
from lapa_core.model.action_tokenizer import ActionTokenizer
from lapa_core.model.configuration import LapaConfig, VqganConfig
from lapa_core.model.convert import shards, streaming, vqgan
from lapa_core.model.convert.shards import Planned
from lapa_core.model.convert.streaming import StoredTensor
from lapa_core.model.convert.vqgan import read_json
from lapa_core.model.drawn import lecun_normal
from lapa_core.model.interface import Interface
from lapa_core.model.lapa import LapaModel
from lapa_core.model.strict import check_tensors
from lapa_core.model.tokenizer import TextTokenizer

Array = NDArray[Any]

_TOP = {
    "transformer/wte/embedding": "model.embed_tokens.weight",
    "transformer/vte/embedding": "vision_embed.weight",
    "transformer/dte/embedding": "latent_embed.weight",
    "transformer/ate/embedding": "action_embed.weight",
    "transformer/ln_f/kernel": "model.norm.weight",
    "lm_head/kernel": "lm_head.weight",
    "vision_head/kernel": "vision_head.weight",
    "delta_head/kernel": "latent_head.weight",
    "action_head/kernel": "action_head.weight",
}
_LAYER = {
    "attention/wq/kernel": "self_attn.q_proj.weight",
    "attention/wk/kernel": "self_attn.k_proj.weight",
    "attention/wv/kernel": "self_attn.v_proj.weight",
    "attention/wo/kernel": "self_attn.o_proj.weight",
    "feed_forward/w1/kernel": "mlp.gate_proj.weight",
    "feed_forward/w2/kernel": "mlp.down_proj.weight",
    "feed_forward/w3/kernel": "mlp.up_proj.weight",
    "attention_norm/kernel": "input_layernorm.weight",
    "ffn_norm/kernel": "post_attention_layernorm.weight",
}
_STACK = "transformer/h/scan_decoder"
LATENT_TABLES = ("transformer/dte/embedding", "delta_head/kernel")


@dataclass(frozen=True)
class Sources:
    """The files to be converted."""

    params: Path
    vqgan: Path
    tokenizer: Path


def read_lapa_config(path: Path) -> LapaConfig:
    """Sizes from the reference's `config.json` of the language model."""
    c = read_json(path)
    if not c.get("scan_layers", True):
        raise CheckpointError(f"{path}: scan_layers false is not supported, only stacked layers")
    try:
        return LapaConfig(
            vocab_size=c["vocab_size"],
            vision_vocab_size=c["vision_vocab_size"],
            latent_vocab_size=c.get("delta_vocab_size", 0),
            action_vocab_size=c.get("action_vocab_size", 0),
            hidden_size=c["hidden_size"],
            intermediate_size=c["intermediate_size"],
            num_hidden_layers=c["num_hidden_layers"],
            num_attention_heads=c["num_attention_heads"],
            rms_norm_eps=c["rms_norm_eps"],
            rope_theta=c["theta"],
            max_position_embeddings=c["max_sequence_length"],
        )
    except KeyError as error:
        raise CheckpointError(f"{path}: {error} is missing") from None


def convert(
    sources: Sources,
    out: str | Path,
    lapa_config: LapaConfig,
    vqgan_config: VqganConfig,
    interface: Interface,
    actions: ActionTokenizer | None,
    *,
    new_latent: bool = False,
    seed: int = 0,
) -> None:
    """Write the checkpoint folder `out`.

    Args:
        new_latent: the files know no latent codes (LWM): their table and head are drawn, as the
            reference does when it goes on from LWM.
        seed: of what is drawn.

    Raises:
        CheckpointError: a file is broken, or a tensor is missing, too much or misshapen.
    """
    tokenizer = TextTokenizer.from_file(sources.tokenizer)
    checkpoint.check_parts(interface, lapa_config, vqgan_config, tokenizer, actions)
    tensors = streaming.index(sources.params)
    shapes = {t.name: t.shape for t in tensors.values()}
    wanted = expected(lapa_config)
    drawn = {n: wanted.pop(n) for n in LATENT_TABLES} if new_latent else {}
    headers.check_names(wanted, shapes, str(sources.params))
    with checkpoint.staged(out) as folder, sources.params.open("rb") as file:
        lapa_config.architectures = [LapaModel.__name__]
        lapa_config.save_pretrained(folder)
        plan = list(_plan(file, tensors, lapa_config))
        plan += [_drawn(name, shape, plan[0].dtype, seed) for name, shape in drawn.items()]
        shards.write(folder, plan)
        vqgan.convert(sources.vqgan, vqgan_config, folder / checkpoint.VQGAN)
        checkpoint.write_small_files(folder, interface, tokenizer, actions, {})
        check_tensors(LapaModel, lapa_config, folder)


def expected(config: LapaConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a reference file of these sizes holds."""
    width, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    shapes: dict[str, tuple[int, ...]] = {"transformer/ln_f/kernel": (width,)}
    for letter, head, rows in (
        ("w", "lm_head", config.vocab_size),
        ("v", "vision_head", config.vision_vocab_size),
        ("d", "delta_head", config.latent_vocab_size),
        ("a", "action_head", config.action_vocab_size),
    ):
        if rows:
            shapes[f"transformer/{letter}te/embedding"] = (rows, width)
            shapes[f"{head}/kernel"] = (width, rows)
    one_layer = {
        **{f"attention/w{x}/kernel": (width, width) for x in "qkvo"},
        "feed_forward/w1/kernel": (width, inner),
        "feed_forward/w2/kernel": (inner, width),
        "feed_forward/w3/kernel": (width, inner),
        "attention_norm/kernel": (width,),
        "ffn_norm/kernel": (width,),
    }
    shapes.update({f"{_STACK}/{n}": (layers, *shape) for n, shape in one_layer.items()})
    return shapes


def _plan(
    file: BinaryIO, tensors: dict[str, StoredTensor], config: LapaConfig
) -> Iterator[Planned]:
    for old, new in _TOP.items():
        if old in tensors:
            turn = np.transpose if old.endswith("head/kernel") else _same
            yield _planned(file, tensors[old], new, None, turn)
    for layer in range(config.num_hidden_layers):
        for old, new in _LAYER.items():
            turn = _same if old.endswith("norm/kernel") else np.transpose
            if old in ("attention/wq/kernel", "attention/wk/kernel"):
                turn = _half_split(config.num_attention_heads)
            stored = tensors[f"{_STACK}/{old}"]
            yield _planned(file, stored, f"model.layers.{layer}.{new}", layer, turn)


def _drawn(old: str, shape: tuple[int, ...], dtype: str, seed: int) -> Planned:
    """A tensor that the file lacks; its first stored axis counts as the inputs."""
    new = _TOP[old]
    shape_ = shape[::-1] if old.endswith("head/kernel") else shape
    generator = torch.Generator().manual_seed(seed + LATENT_TABLES.index(old))  # not alike

    def make() -> Array:
        return shards.bits(lecun_normal(torch.Size(shape_), shape[0], generator), dtype)

    return Planned(new, dtype, shape_, make)


def _planned(
    file: BinaryIO,
    stored: StoredTensor,
    name: str,
    layer: int | None,
    turn: Callable[[Array], Array],
) -> Planned:
    shape = stored.shape if layer is None else stored.shape[1:]
    shape = shape if turn is _same else shape[::-1]
    dtype = streaming.DTYPES[stored.dtype][1]
    return Planned(name, dtype, shape, lambda: turn(stored.read(file, layer)))


def _same(array: Array) -> Array:
    return array


def _half_split(num_heads: int) -> Callable[[Array], Array]:
    """Turn (in, out) and reorder each head's outputs for rotation by halves.

    The reference rotates neighbours (0, 1), (2, 3), ...; Llama in transformers rotates
    (0, d/2), (1, d/2 + 1), ... Queries and keys move alike, so their products stay.
    """

    def turn(kernel: Array) -> Array:
        inner, outer = kernel.shape
        pairs = kernel.T.reshape(num_heads, outer // num_heads // 2, 2, inner)
        return pairs.transpose(0, 2, 1, 3).reshape(outer, inner)

    return turn
