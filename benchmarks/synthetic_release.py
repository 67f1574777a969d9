# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Files in the released formats and sizes with made-up numbers: what cannot be downloaded in a
test can still be converted, loaded and run at its full size.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import msgpack
import numpy as np
import torch

from lapa_core.model.configuration import LapaConfig, VqganConfig
from lapa_core.model.convert.lapa import expected
from lapa_core.model.vqgan import Vqgan

CHUNK = 2**30  # flax writes larger arrays in pieces of this many bytes
BLOCK = 2**21  # bytes that are repeated

_VQGAN_PARTS = {
    "conv_in": "Conv_0",
    "conv_out": "Conv_1",
    "norm_out": "GroupNorm_0",
    "mid": "MidBlock_0/ResnetBlock_",
    "levels": "samplingBlock_",
    "blocks": "ResnetBlock_",
    "down": "Downsample_0/Conv_0",
    "up": "Upsample_0/Conv_0",
    "norm1": "GroupNorm_0",
    "norm2": "GroupNorm_1",
    "conv1": "Conv_0",
    "conv2": "Conv_1",
    "shortcut": "Conv_2",
}


def write_params(path: Path, config: LapaConfig, block: bytes) -> int:
    """Write streaming msgpack as flax would, bfloat16, `block` repeated; norms are all ones.

    Returns:
        bytes of the largest tensor.
    """
    largest = 0
    ones = np.full(len(block) // 2, 0x3F80, dtype=np.uint16).tobytes()  # 1.0 in bfloat16
    with path.open("wb") as file:
        for name, shape in expected(config).items():
            nbytes = 2 * int(np.prod(shape))
            largest = max(largest, nbytes)
            pieces = [min(CHUNK, nbytes - i) for i in range(0, nbytes, CHUNK)]
            norm = name.endswith(("norm/kernel", "ln_f/kernel"))
            _write_record(file, name, shape, pieces, ones if norm else block)
    return largest


def normal_block(std: float, seed: int = 0) -> bytes:
    """`BLOCK` bytes of bfloat16 numbers drawn from a normal distribution."""
    values = np.random.default_rng(seed).normal(scale=std, size=BLOCK // 2).astype(np.float32)
    return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def write_vqgan(path: Path, config: VqganConfig, seed: int = 0) -> None:
    """Write the pickled tree of a VQGAN with random weights, scaled by their fan-in."""
    rng = np.random.default_rng(seed)
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in Vqgan(config).state_dict().items()}
    tree: dict[str, Any] = {}
    for name, shape in shapes.items():
        *folders, leaf = flax_name(name, len(shape)).split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        if leaf in ("bias", "scale"):
            node[leaf] = np.full(shape, float(leaf == "scale"), dtype=np.float32)
            continue
        turned = tuple(shape[i] for i in (2, 3, 1, 0)) if len(shape) == 4 else shape  # HWIO
        scale = 1.0 / np.sqrt(np.prod(turned[:-1])) if len(shape) == 4 else 1.0
        node[leaf] = rng.normal(scale=scale, size=turned).astype(np.float32)
    with path.open("wb") as file:
        pickle.dump(tree, file, protocol=4)


def flax_name(name: str, num_axes: int) -> str:
    """The reference's name of one of our VQGAN's tensors."""
    if name == "codebook.weight":
        return "quantize/embeddings"
    *parts, leaf = name.split(".")
    out: list[str] = []
    for part in parts:
        if part.isdigit():
            out[-1] += part
        elif part == "levels":
            out.append(("Down" if parts[0] == "encoder" else "Up") + _VQGAN_PARTS[part])
        else:
            out.append(_VQGAN_PARTS.get(part, part))
    weight = "kernel" if num_axes == 4 else "scale"
    return "/".join([*out, weight if leaf == "weight" else leaf])


def _write_record(
    file: BinaryIO, name: str, shape: tuple[int, ...], pieces: list[int], block: bytes
) -> None:
    """One record by hand: a value of several GB does not fit through a library."""

    def ext_head(piece_shape: tuple[int, ...], size: int) -> bytes:
        inner = b"\x93" + msgpack.packb(list(piece_shape)) + msgpack.packb("bfloat16")
        inner += b"\xc6" + size.to_bytes(4, "big")
        return b"\xc9" + (len(inner) + size).to_bytes(4, "big") + b"\x01" + inner

    heads: list[bytes] = []
    if len(pieces) == 1:
        heads.append(ext_head(shape, pieces[0]))
    else:
        start = b"\x83" + msgpack.packb("__msgpack_chunked_array__") + b"\xc3"
        start += msgpack.packb("shape") + msgpack.packb({str(i): n for i, n in enumerate(shape)})
        start += msgpack.packb("chunks") + bytes([0x80 + len(pieces)])
        for i, size in enumerate(pieces):
            head = msgpack.packb(str(i)) + ext_head((size // 2,), size)
            heads.append(start + head if i == 0 else head)
    total = sum(map(len, heads)) + sum(pieces)
    file.write(b"\x92" + msgpack.packb(name.split("/")) + b"\xc6" + total.to_bytes(4, "big"))
    for head, size in zip(heads, pieces, strict=True):
        file.write(head)
        for i in range(0, size, len(block)):
            file.write(block[: min(len(block), size - i)])
