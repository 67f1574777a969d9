# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The released `vqgan` pickle -> the VQGAN's part of a checkpoint folder.

flax stores convolution kernels as (height, width, in, out); torch wants (out, in, height, width).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from lapa_core.errors import CheckpointError
from lapa_core.model import headers
from lapa_core.model.configuration import VqganConfig
from lapa_core.model.convert import pickles, shards
from lapa_core.model.convert.shards import Planned
from lapa_core.model.vqgan import Vqgan


def read_vqgan_config(path: Path) -> VqganConfig:
    """Sizes from the reference's `VQGANConfig`, or the changes made to it."""
    c = read_json(path)
    if c.get("attn_resolutions") or not c.get("no_attn_mid_block", True):
        raise CheckpointError(f"{path}: attention blocks in the VQGAN are not supported")
    known = ("hidden_channels", "channel_mult", "num_res_blocks", "num_channels", "z_channels",
             "num_embeddings", "quantized_embed_dim")  # fmt: skip
    return VqganConfig(**{k: c[k] for k in known if k in c})


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds a mapping."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from None


def convert(path: Path, config: VqganConfig, folder: Path) -> None:
    """Write config.json and the weights into `folder`, which must not exist.

    Raises:
        CheckpointError: the pickle is unsafe or broken, or tensors do not fit the sizes.
    """
    tree = pickles.load_tree(path)
    wanted = {_vqgan_name(n): n for n in tree}
    if len(wanted) != len(tree):
        raise CheckpointError(f"{path}: two of its tensors would get the same name")
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in Vqgan(config).state_dict().items()}
    turned = {n: _turned_shape(tree[old].shape) for n, old in wanted.items()}
    headers.check_names(shapes, turned, str(path))
    folder.mkdir()
    config.architectures = [Vqgan.__name__]
    config.save_pretrained(folder)

    def array_of(name: str) -> Callable[[], NDArray[Any]]:
        def make() -> NDArray[Any]:
            array = tree[wanted[name]].astype("<f4")
            return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array

        return make

    plan = [Planned(name, "F32", shape, array_of(name)) for name, shape in shapes.items()]
    shards.write(folder, plan)


def _turned_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """HWIO -> OIHW; everything else keeps its axes."""
    return (shape[3], shape[2], shape[0], shape[1]) if len(shape) == 4 else shape


# flax numbers modules by type in order of use: Conv_0 is the first convolution of its parent.
_VQGAN_NAMES = (
    (r"^(encoder|decoder)/Conv_0/", r"\1.conv_in."),
    (r"^(encoder|decoder)/Conv_1/", r"\1.conv_out."),
    (r"^(encoder|decoder)/GroupNorm_0/", r"\1.norm_out."),
    (r"^(encoder|decoder)/MidBlock_0/ResnetBlock_(\d+)/", r"\1.mid.\2."),
    (r"/(?:Down|Up)samplingBlock_(\d+)/", r".levels.\1."),
    (r"ResnetBlock_(\d+)/", r"blocks.\1."),
    (r"Downsample_0/Conv_0/", "down."),
    (r"Upsample_0/Conv_0/", "up."),
    (r"GroupNorm_0/", "norm1."),
    (r"GroupNorm_1/", "norm2."),
    (r"Conv_0/", "conv1."),
    (r"Conv_1/", "conv2."),
    (r"Conv_2/", "shortcut."),
    (r"^quantize/embeddings$", "codebook.weight"),
    (r"(kernel|scale)$", "weight"),
    (r"/", "."),
)


def _vqgan_name(name: str) -> str:
    for pattern, new in _VQGAN_NAMES:
        name = re.sub(pattern, new, name)
    return name
