# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What of a model learns: all of it, or low-rank adapters (LoRA) beside frozen weights.

Adapters sit on the seven products of every layer; new tables and heads learn whole, in float32.
QLoRA holds the frozen weights in 4 bits (NF4), which needs bitsandbytes and CUDA. Saved is a plain
model again, with the adapters' products added in (decision 0055).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from lapa_core.errors import ConfigError, TrainingError
from lapa_core.model.lapa import LapaModel
from lapa_core.train.presets import TrainOptions

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# Parts a source may lack: what is new has no frozen weights to adapt.
_NEW = {
    "action": ("action_embed", "action_head", "state_embed", "vision_position"),
    "latent": ("latent_embed", "latent_head", "vision_position"),
}
# A loss reads no score of these, so their gradient is none; the reference's is zero.
_UNUSED = {
    "action": ("lm_head", "vision_head", "latent_head", "latent_embed"),
    "latent": ("vision_head", "action_head", "action_embed"),
}
_ADAPTER = "default"


def adapt(
    model: LapaModel,
    options: TrainOptions,
    device: torch.device,
    kind: str = "action",
    words: bool = True,
) -> None:
    """Decide what learns, and make the adapters.

    Args:
        model: on any device.
        options: `method` and what belongs to it, `save_type`.
        device: where it will run.
        kind: what is learnt, "action" or "latent".
        words: of "latent": whether the words around the codes carry loss too.

    Raises:
        ConfigError: a part that the method needs is not installed, or not on this machine.
    """
    # As it will be served: see lapa_core.model.rotary.
    if options.save_type == "bfloat16" and not model.config.exact_angles:
        model.model.rotary_emb.angle_dtype = torch.bfloat16
    model.requires_grad_(True)
    for name in _UNUSED[kind] + ("lm_head",) * (not words):
        if hasattr(model, name):
            getattr(model, name).requires_grad_(False)
    if options.method == "full":
        return
    if options.method == "qlora":
        check_qlora(device)
        to_4_bits(model)
    model.requires_grad_(False)
    _inject(model, options)
    for name in _NEW[kind]:
        if hasattr(model, name):
            getattr(model, name).float().requires_grad_(True)


def check_qlora(device: torch.device) -> None:
    """Refuse 4-bit weights where they cannot be."""
    if device.type != "cuda":
        raise ConfigError(
            f"4-bit training (--method qlora) needs CUDA, this run is on {device.type}; "
            f"use --method lora"
        )
    try:
        import bitsandbytes  # noqa: F401 - only whether it is there
    except ImportError:
        raise ConfigError(
            "4-bit training (--method qlora) needs bitsandbytes: pip install 'lapa_ros[qlora]'"
        ) from None


def to_4_bits(model: LapaModel) -> None:
    """Replace the layers' products by 4-bit ones; they are cut down when they reach the GPU."""
    import bitsandbytes as bnb

    for layer in model.model.layers:
        for parent in (layer.self_attn, layer.mlp):
            for name, old in list(parent.named_children()):
                if name not in TARGETS:
                    continue
                new = bnb.nn.Linear4bit(
                    old.in_features,
                    old.out_features,
                    bias=False,
                    compute_dtype=torch.bfloat16,
                    quant_type="nf4",
                    device="meta",
                )
                new.weight = bnb.nn.Params4bit(
                    old.weight.data.to(torch.bfloat16), requires_grad=False, quant_type="nf4"
                )
                setattr(parent, name, new)
    model.is_loaded_in_4bit = True  # what peft asks


def _inject(model: LapaModel, options: TrainOptions) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise ConfigError(
            f"--method {options.method} needs peft: pip install 'lapa_ros[train]'"
        ) from None
    config = LoraConfig(
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=list(TARGETS),
        bias="none",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        inject_adapter_in_model(config, model, _ADAPTER)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:  # small steps would be lost in bfloat16
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)


@torch.no_grad()
def merged(model: nn.Module, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Weights of the plain model, adapters added in; on the CPU, one after the other.

    Every process of a sharded model must take all of them. A 4-bit weight is the one that the
    adapters learnt beside, cut down and all, not the one it was cut from.
    """
    adapters = {
        name: module for name, module in model.named_modules() if hasattr(module, "lora_A")
    }
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            continue
        whole = _whole(parameter).float()
        owner = name.removesuffix(".base_layer.weight")
        if owner in adapters:
            part = adapters[owner]
            up, down = (_whole(m[_ADAPTER].weight).float() for m in (part.lora_B, part.lora_A))
            whole = whole + part.scaling[_ADAPTER] * (up @ down)
        yield name.replace(".base_layer", ""), whole.to(dtype).cpu()


def _whole(parameter: Tensor) -> Tensor:
    """A weight gathered from its shards, or read back from its 4 bits."""
    if hasattr(parameter, "full_tensor"):
        return parameter.full_tensor()
    if getattr(parameter, "quant_state", None) is not None:
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(parameter.data, parameter.quant_state)
    return parameter.detach()


def plain(config: Any, weights: dict[str, Tensor]) -> LapaModel:
    """A model of these weights, which are not copied."""
    with torch.device("meta"):
        model = LapaModel(config)
    model.load_state_dict(weights, assign=True, strict=True)
    return model.eval()


def alone(model: LapaModel) -> dict[str, Tensor]:
    """What has learnt, by peft's names; every process of a sharded model must ask for it."""
    return {
        f"base_model.model.{name.replace(f'.{_ADAPTER}.', '.')}": _whole(p).cpu().contiguous()
        for name, p in model.named_parameters()
        if p.requires_grad
    }


def save_adapter(
    tensors: dict[str, Tensor], options: TrainOptions, source: str, folder: Path
) -> None:
    """Write the adapters alone, in peft's format, with the new tables and heads beside them.

    Args:
        tensors: as `alone` gives them.
        source: folder of the checkpoint that they belong to.

    Raises:
        TrainingError: they cannot be written; older ones are as they were.
    """
    from peft import LoraConfig

    config = LoraConfig(
        base_model_name_or_path=source,
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,
        target_modules=list(TARGETS),
    )
    weights = folder / "adapter_model.safetensors"
    half = weights.with_name(f".{weights.name}.partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, half)
        half.replace(weights)
        config.save_pretrained(folder)
    except (OSError, SafetensorError) as error:  # the latter hides an OSError of its own
        raise TrainingError(f"cannot write {folder}: {error}") from None
    finally:
        half.unlink(missing_ok=True)
