# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A Llama of Hugging Face and a VQGAN -> a checkpoint that latent pretraining begins with.

Its words and layers are kept. Tables and heads of pictures and latent codes are new, so it sees
nothing yet. Heads that share keys and values (grouped-query attention) get a copy each, which
gives the same numbers: `lapa.py` then has one way of attention. Read and written tensor by tensor.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from lapa_core.errors import CheckpointError
from lapa_core.model import checkpoint, headers, vocabulary
from lapa_core.model.configuration import LapaConfig, VqganConfig
from lapa_core.model.convert import shards
from lapa_core.model.convert.shards import Planned
from lapa_core.model.convert.vqgan import read_json
from lapa_core.model.drawn import codebook_rows
from lapa_core.model.interface import Interface
from lapa_core.model.lapa import LapaModel
from lapa_core.model.strict import check_tensors
from lapa_core.model.tokenizer import TextTokenizer
from lapa_core.model.vqgan import Vqgan

_IGNORED = "rotary_emb.inv_freq"  # older files store what is computed
_TYPES = {"BF16": "BF16", "F16": "F16", "F32": "F32"}
_DEFAULTS = {  # key of its config.json -> the only value that `lapa.py` computes
    "model_type": "llama", "hidden_act": "silu", "attention_bias": False, "mlp_bias": False,
}  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """What its `config.json` says.

    Attributes:
        lapa: the language model's sizes.
        groups: query heads that share a head of keys and values.
        tied: whether words are told by the table that they are read with.
    """

    lapa: LapaConfig
    groups: int
    tied: bool


def read_sizes(path: Path, vqgan: VqganConfig, codes: int) -> Sizes:
    """Sizes of the model to be made.

    Args:
        path: `config.json` of a Llama.
        vqgan: whose codes it will read.
        codes: different latent codes.

    Raises:
        CheckpointError: it is no Llama, or one with a part that is not computed here.
    """
    c = read_json(path)
    for key, valid in _DEFAULTS.items():
        if c.get(key, valid) != valid:
            raise CheckpointError(f"{path}: {key} is {c[key]!r}; valid: {valid!r}")
    angles = c.get("rope_parameters") or c.get("rope_scaling") or {}
    if (kind := angles.get("rope_type", angles.get("type", "default"))) != "default":
        raise CheckpointError(f"{path}: rotary angles are scaled ({kind}); valid: not scaled")
    parts, entries = vqgan.code_parts, vqgan.num_embeddings
    needed = vocabulary.end_of_vision(entries * parts) + 1
    try:
        heads = c["num_attention_heads"]
        shared = c.get("num_key_value_heads") or heads
        width = c["hidden_size"]
        lapa = LapaConfig(
            vocab_size=c["vocab_size"],
            vision_vocab_size=-(-needed // 64) * 64,
            vision_parts=parts,
            vision_entries=entries if parts > 1 else 0,
            latent_vocab_size=codes,
            hidden_size=width,
            intermediate_size=c["intermediate_size"],
            num_hidden_layers=c["num_hidden_layers"],
            num_attention_heads=heads,
            rms_norm_eps=c["rms_norm_eps"],
            rope_theta=angles.get("rope_theta", c.get("rope_theta", 1e4)),
            max_position_embeddings=c["max_position_embeddings"],
            initializer_range=c.get("initializer_range", 0.02),
            exact_angles=True,
        )
    except KeyError as error:
        raise CheckpointError(f"{path}: {error} is missing") from None
    if heads % shared or width % heads or c.get("head_dim") not in (None, width // heads):
        raise CheckpointError(
            f"{path}: {heads} heads, {shared} of keys and values, hidden_size {width}, head_dim "
            f"{c.get('head_dim')}: heads must divide it and be as wide as that"
        )
    return Sizes(lapa, heads // shared, bool(c.get("tie_word_embeddings", False)))


def convert(
    source: Path,
    vqgan: Vqgan,
    vqgan_folder: Path,
    out: Path,
    interface: Interface,
    *,
    codes: int,
    tokenizer: Path | None = None,
    seed: int = 0,
) -> None:
    """Write the checkpoint folder `out`.

    Args:
        source: folder with config.json, safetensors and tokenizer.model.
        vqgan, vqgan_folder: image tokenizer, read, and where its files are.
        interface: of the checkpoint.
        codes: different latent codes.
        tokenizer: sentencepiece model; None: that of `source`.
        seed: of what is drawn.

    Raises:
        CheckpointError: a part is missing, too much, or does not fit.
    """
    sizes = read_sizes(source / "config.json", vqgan.config, codes)
    words = TextTokenizer.from_file(_tokenizer(source, tokenizer))
    checkpoint.check_parts(interface, sizes.lapa, vqgan.config, words, None)
    stored = {n: s for n, s in headers.stored_shapes(source).items() if _IGNORED not in n}
    headers.check_names(expected(sizes), stored, str(source))
    with checkpoint.staged(out) as folder:
        sizes.lapa.architectures = [LapaModel.__name__]
        sizes.lapa.save_pretrained(folder)
        shards.write(folder, [*_kept(source, stored, sizes), *_new(sizes, vqgan, seed)])
        shutil.copytree(vqgan_folder, folder / checkpoint.VQGAN)
        checkpoint.write_small_files(folder, interface, words, None, {})
        check_tensors(LapaModel, sizes.lapa, folder)


def expected(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that such a Llama's files hold."""
    c = sizes.lapa
    width, inner, shared = c.hidden_size, c.intermediate_size, c.hidden_size // sizes.groups
    layer = {
        "self_attn.q_proj": (width, width), "self_attn.k_proj": (shared, width),
        "self_attn.v_proj": (shared, width), "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner), "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
    }  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (c.vocab_size, width), "model.norm.weight": (width,),
    }  # fmt: skip
    if not sizes.tied:
        shapes["lm_head.weight"] = (c.vocab_size, width)
    for i in range(c.num_hidden_layers):
        shapes |= {f"model.layers.{i}.{n}.weight": s for n, s in layer.items()}
    return shapes


def _kept(source: Path, stored: Mapping[str, tuple[int, ...]], sizes: Sizes) -> list[Planned]:
    """The Llama's own tensors."""
    files = headers.files_of(source)
    plan = []
    for name, shape in stored.items():
        grouped = sizes.groups > 1 and name.endswith(("k_proj.weight", "v_proj.weight"))
        wide = (shape[0] * sizes.groups, *shape[1:]) if grouped else shape
        groups = sizes.groups if grouped else 1
        plan.append(_planned(files[name], name, name, wide, groups, sizes.lapa.head_dim))
        if sizes.tied and name == "model.embed_tokens.weight":
            plan.append(_planned(files[name], name, "lm_head.weight", shape, 1, 0))
    return plan


def _planned(
    file: Path, old: str, new: str, shape: tuple[int, ...], groups: int, head: int
) -> Planned:
    with safe_open(file, framework="pt") as opened:
        dtype = opened.get_slice(old).get_dtype()
    if dtype not in _TYPES:
        raise CheckpointError(f"{file}: {old} is {dtype}; valid: {', '.join(_TYPES)}")

    def make() -> Any:
        with safe_open(file, framework="pt") as opened:
            tensor: Tensor = opened.get_tensor(old)
        if groups > 1:
            tensor = tensor.unflatten(0, (-1, head)).repeat_interleave(groups, 0).flatten(0, 1)
        return shards.bits(tensor, dtype)

    return Planned(new, dtype, shape, make)


def _new(sizes: Sizes, vqgan: Vqgan, seed: int) -> list[Planned]:
    """Tables and heads of pictures and codes: normal, as wide as its words' began.

    Those of pictures begin as the codebook: what looks alike begins alike.
    """
    c, generator = sizes.lapa, torch.Generator().manual_seed(seed)
    tables = {}
    for name, rows in (("vision", c.vision_vocab_size), ("latent", c.latent_vocab_size)):
        for part in ("embed", "head"):
            table = torch.empty(rows, c.hidden_size)
            table.normal_(std=c.initializer_range, generator=generator)
            tables[f"{name}_{part}.weight"] = table
    seen = codebook_rows(vqgan, c.hidden_size, c.initializer_range, seed)
    tables["vision_embed.weight"][: len(seen)] = seen
    return [
        Planned(n, "F32", tuple(t.shape), lambda t=t: shards.bits(t, "F32"))  # type: ignore[misc]
        for n, t in tables.items()
    ]


def _tokenizer(source: Path, given: Path | None) -> Path:
    found = given or source / checkpoint.TOKENIZER
    if given is None and not found.is_file() and (source / "tokenizer.json").is_file():
        raise CheckpointError(
            f"{source} has a tokenizer.json alone; valid: Llamas with a sentencepiece "
            "tokenizer.model (Llama 1 and 2, TinyLlama, Vicuna, OpenLLaMA), or --tokenizer"
        )
    return found
