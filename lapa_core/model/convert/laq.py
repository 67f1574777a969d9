# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A `laq_openx.pt` of the reference -> a folder with our LAQ, and back.

The file is the reference's whole state dictionary: what it never uses in it (norms of a context
that self-attention does not have, keys and values of none) has to be there and is left out.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from lapa_core.errors import CheckpointError, ConfigError
from lapa_core.model import headers
from lapa_core.model.configuration import IMAGE_SIZE
from lapa_core.model.laq import Laq, LaqConfig

_BLOCK = {
    "position.conv": "0.dsconv",
    "attention": "1",
    "cross": "2",
    "feed_forward.norm": "3.0",
    "feed_forward.up": "3.1",
    "feed_forward.down": "3.4",
}
_TRANSFORMERS = {
    "spatial": "enc_spatial_transformer",
    "temporal": "enc_temporal_transformer",
    "decoder": "dec_spatial_transformer",
}
_OTHERS = {
    "patches.norm_in": "to_patch_emb_first_frame.1",
    "patches.linear": "to_patch_emb_first_frame.2",
    "patches.norm_out": "to_patch_emb_first_frame.3",
    "position_bias.layers.0": "spatial_rel_pos_bias.net.0.0",
    "position_bias.layers.1": "spatial_rel_pos_bias.net.1.0",
    "position_bias.layers.2": "spatial_rel_pos_bias.net.2",
    "quantiser.codebook": "vq.codebooks",
    "quantiser.project_in": "vq.project_in",
    "quantiser.project_out": "vq.project_out",
    "to_pixels": "to_pixels_first_frame.0",
}
_NORMS = {"weight": "gamma", "bias": "beta"}


def reference_name(name: str) -> str:
    """What the reference calls one of our tensors."""
    for ours, theirs in _OTHERS.items():
        if name == ours or name.startswith(f"{ours}."):
            return theirs + name[len(ours) :]
    if match := re.fullmatch(r"quantiser\.convolutions\.(\d+)\.(\w+)", name):
        return f"vq.cnn_encoder.{2 * int(match[1])}.{match[2]}"  # a ReLU stands between them
    ours, _, rest = name.partition(".")
    theirs = _TRANSFORMERS[ours]
    if rest.startswith("norm."):
        return f"{theirs}.norm_out.{_NORMS[rest[5:]]}"
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", rest)
    assert match, name
    for mine, yours in _BLOCK.items():
        if match[2].startswith(f"{mine}."):
            tail = match[2][len(mine) :]
            if "norm" in tail:
                tail = re.sub(r"\w+$", lambda m: _NORMS[m[0]], tail)
            return f"{theirs}.layers.{match[1]}.{yours}{tail}"
    raise AssertionError(name)


def read(path: Path) -> dict[str, Tensor]:
    """The file's tensors, by the reference's names, without `module.`; nothing in it is run.

    Raises:
        CheckpointError: no such file, or not one of tensors by name.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises whatever its readers do
        raise CheckpointError(f"cannot read {path}: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise CheckpointError(f"{path} is no state dictionary of tensors")
    return {k.removeprefix("module."): v for k, v in found.items()}


def sizes(tensors: dict[str, Tensor], path: Path) -> LaqConfig:
    """The sizes as the tensors tell them.

    Raises:
        CheckpointError: tensors that tell them are missing, or the windows are none of the
            reference's.
    """
    try:
        dim, patch = tensors["to_patch_emb_first_frame.2.weight"].shape
        codes, quant_dim = tensors["vq.codebooks"].shape
        heads = len(tensors["spatial_rel_pos_bias.net.2.weight"])
        dim_head = len(tensors["enc_spatial_transformer.layers.0.1.q_scale"])
        windows = [v.shape[-2:] for k, v in sorted(tensors.items())
                   if re.fullmatch(r"vq\.cnn_encoder\.\d\.weight", k)]  # fmt: skip
        windows[-1]  # there is at least one
    except KeyError as error:
        raise CheckpointError(f"{path} is no LAQ of the reference: it has no {error}") from None
    except (IndexError, ValueError):
        raise CheckpointError(
            f"{path} is no LAQ of the reference: its shapes are others"
        ) from None
    patch_size = round((patch / 3) ** 0.5)
    depth = {
        name: 1 + max((int(k.split(".")[2]) for k in tensors
                       if k.startswith(f"{name}.layers.")), default=-1)
        for name in _TRANSFORMERS.values()
    }  # fmt: skip
    return LaqConfig(
        dim=dim, quant_dim=quant_dim, codebook_size=codes, patch_size=patch_size,
        image_size=IMAGE_SIZE, spatial_depth=depth["enc_spatial_transformer"],
        temporal_depth=depth["enc_temporal_transformer"], dim_head=dim_head, heads=heads,
        code_seq_len=_code_length(windows, IMAGE_SIZE // patch_size, path),
    )  # fmt: skip


def _code_length(windows: list[torch.Size], grid: int, path: Path) -> int:
    """How many codes the convolutions lead to."""
    side = -(-grid // 2)
    rows, columns = windows[-1]
    if len(windows) == 1:
        return side * side
    if side <= 4 and rows <= side and columns <= side:
        return (side - rows + 1) * (side - columns + 1)
    if (rows, columns) == (3, 3):
        return (-(-side // 2)) ** 2
    raise CheckpointError(
        f"{path}: windows of {[tuple(w) for w in windows]} on {grid} x {grid} patches give no "
        "number of codes that the reference knows"
    )


def load(path: Path, config: LaqConfig | None = None) -> Laq:
    """The model in a file of the reference.

    Args:
        path: the file.
        config: its sizes; None: as its tensors tell.

    Raises:
        CheckpointError: cannot be read, or its tensors are not exactly those of such a model.
    """
    tensors = read(path)
    config = config or sizes(tensors, path)
    with torch.device("meta"):
        model = Laq(config)
    ours = {name: reference_name(name) for name in model.state_dict()}
    wanted = {ours[k]: tuple(v.shape) for k, v in model.state_dict().items()} | unused(config)
    headers.check_names(wanted, {k: tuple(v.shape) for k, v in tensors.items()}, str(path))
    state = {name: tensors[theirs].float() for name, theirs in ours.items()}
    model.load_state_dict(state, strict=True, assign=True)
    return model


def save(model: Laq, path: Path) -> None:
    """Write a file that the reference loads.

    Raises:
        ConfigError: a model with what the reference does not have.
    """
    c = model.config
    if c.own_codebooks or c.residual or not c.reference_axes or c.image_size != IMAGE_SIZE:
        raise ConfigError(
            f"the reference has one codebook for all places, its own order of axes, pictures of "
            f"{IMAGE_SIZE} pixels and draws all of a frame: this model does not"
        )
    state = {
        reference_name(k): v.detach().cpu().contiguous() for k, v in model.state_dict().items()
    }
    for name, shape in unused(model.config).items():
        state[name] = torch.ones(shape) if name.endswith("gamma") else torch.zeros(shape)
    torch.save(state, path)


def unused(config: LaqConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what the reference stores and does not use."""
    found: dict[str, tuple[int, ...]] = {}
    for ours, theirs in _TRANSFORMERS.items():
        depth = config.temporal_depth if ours == "temporal" else config.spatial_depth
        for layer in range(depth):
            here = f"{theirs}.layers.{layer}.1"
            found[f"{here}.null_kv"] = (config.heads, 0, config.dim_head)
            found[f"{here}.context_norm.gamma"] = (config.dim,)
            found[f"{here}.context_norm.beta"] = (config.dim,)
    return found
