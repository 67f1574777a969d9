# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a training step needs of a GPU's memory, on paper, before one is rented.

Formulas and where their numbers come from stand in docs/finetune.md. Counts bytes only: nothing
is allocated. GB are 1e9 bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lapa_core.model.configuration import LapaConfig
from lapa_core.train.presets import TrainOptions, resolve

# Bytes of a weight in NF4: 4 bits, a byte of scale for 64 weights, 4 bytes for 256 of those
# (double quantisation, Dettmers et al. 2023).
_NF4 = 0.5 + 1 / 64 + 4 / 64 / 256
# Bytes a token and layer kept for the way back, times hidden size and intermediate size. Counted
# in this model with `torch.autograd.graph.saved_tensors_hooks`, float32 stream, bfloat16 products.
_KEPT = {"full": (34.0, 8.0), "lora": (28.0, 8.0), "qlora": (28.0, 8.0)}
_KEPT_INPUT = 4.0  # with checkpointing: a layer's input alone, float32
_CONTEXT_GB = 0.8  # CUDA's own, cuBLAS' workspaces
_FRAGMENTS = 0.05  # of all else: what the allocator cannot use
PROMPT_TOKENS = 60  # words of a usual instruction with those around it


@dataclass(frozen=True)
class Need:
    """GB of each part of one way to train."""

    name: str
    weights: float
    gradients: float
    optimizer: float
    activations: float
    scores: float
    context: float = _CONTEXT_GB

    @property
    def total(self) -> float:
        """GB of all parts together."""
        parts = self.weights + self.gradients + self.optimizer + self.activations + self.scores
        return parts * (1 + _FRAGMENTS) + self.context


def parameters(config: LapaConfig) -> tuple[int, int, int]:
    """Weights in the layers' products, in text and vision tables and norms, and of actions."""
    h, f, n = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    layers = n * (4 * h * h + 3 * h * f)
    rows = config.vocab_size + config.vision_vocab_size + config.latent_vocab_size
    tables = 2 * rows * h + (2 * n + 1) * h
    actions = 2 * config.action_vocab_size * h
    return layers, tables, actions


def adapters(config: LapaConfig, rank: int) -> int:
    """Weights of the adapters on the seven products of every layer."""
    h, f, n = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    return n * rank * (4 * (h + h) + 3 * (h + f))


def sequence_length(config: LapaConfig, chunk: int, cameras: int = 1, dimensions: int = 7) -> int:
    """Tokens of a usual example: words, pictures of 256 codes, actions."""
    del config
    return PROMPT_TOKENS + cameras * 257 + 8 + chunk * dimensions


def need(config: LapaConfig, options: TrainOptions, cameras: int = 1) -> Need:
    """Memory of one update on one GPU."""
    layers, tables, actions = parameters(config)
    everything = layers + tables + actions
    held = 2.0 if options.weights == "bfloat16" else 4.0
    copies = 2.0 if held == 4.0 and options.precision != "float32" else 0.0  # of autocast
    if options.method == "full":
        unused = (config.vocab_size + config.vision_vocab_size) * config.hidden_size
        learning = everything - unused  # heads of words and pictures
        weights, gradients = held * everything + copies * layers, held * learning
        optimizer = 2 * held * learning
    else:
        learning = adapters(config, options.lora_rank) + actions
        frozen = (_NF4 if options.method == "qlora" else held) * layers + held * tables
        weights, gradients, optimizer = frozen + 4.0 * learning, 4.0 * learning, 8.0 * learning
    tokens = options.batch * sequence_length(config, options.chunk, cameras)
    wide, inner = _KEPT[options.method]
    one = tokens * (wide * config.hidden_size + inner * config.intermediate_size)
    activations = one * config.num_hidden_layers
    if options.gradient_checkpointing:
        inputs = tokens * _KEPT_INPUT * config.hidden_size * config.num_hidden_layers
        activations = inputs + one  # and one layer's, computed anew
    asked = options.batch * options.chunk * 7
    scores = 3 * 4.0 * asked * config.action_vocab_size  # scores, their softmax, their gradient
    parts = (weights, gradients, optimizer, activations, scores)
    checkpointing = ", checkpointing" if options.gradient_checkpointing else ""
    names = {
        "full": f"full, {options.weights} weights",
        "lora": f"LoRA {options.lora_rank}, {options.weights} weights",
        "qlora": f"QLoRA {options.lora_rank}, 4 bits",
    }
    return Need(names[options.method] + checkpointing, *(p / 1e9 for p in parts))


def plan(config: LapaConfig, options: TrainOptions, gpu_gb: float, cameras: int = 1) -> str:
    """A table of the usual ways to train this model, and which of them fit."""
    ways = [
        {"method": method, "weights": weights, "gradient_checkpointing": checkpointing}
        for method, weights in (
            ("full", "float32"), ("full", "bfloat16"), ("lora", "bfloat16"), ("qlora", "bfloat16")
        )
        for checkpointing in (False, True)
    ]  # fmt: skip
    common = {"precision": "bfloat16", "batch": options.batch, "chunk": options.chunk,
              "lora_rank": options.lora_rank}  # fmt: skip
    needs = [need(config, resolve("7b", **common, **way), cameras) for way in ways]
    layers, tables, actions = parameters(config)
    length = sequence_length(config, options.chunk, cameras)
    lines = [
        f"{(layers + tables + actions) / 1e9:.2f} G weights, batch {options.batch} x {length} "
        f"tokens, a GPU of {gpu_gb:g} GB; GB (1e9 bytes):",
        f"{'':<40}{'weights':>9}{'gradient':>9}{'AdamW':>8}{'activ.':>8}{'scores':>8}{'total':>8}",
    ]
    for each in needs:
        fits = (
            "fits" if each.total <= gpu_gb else f"{math.ceil(each.total / gpu_gb)} GPUs, sharded"
        )
        lines.append(
            f"{each.name:<40}{each.weights:>9.1f}{each.gradients:>9.1f}{each.optimizer:>8.1f}"
            f"{each.activations:>8.1f}{each.scores:>8.2f}{each.total:>8.1f}  {fits}"
        )
    lines.append(
        f"total: parts and {100 * _FRAGMENTS:.0f} % for what the allocator cannot use, "
        f"{_CONTEXT_GB} GB for CUDA"
    )
    return "\n".join(lines)
