# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Writes safetensors files one tensor at a time, in shards, with the index transformers reads."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ITEM_BYTES = {"BF16": 2, "F16": 2, "F32": 4}
SHARD_BYTES = 4 * 10**9


@dataclass(frozen=True)
class Planned:
    """A tensor to be written.

    Attributes:
        dtype: safetensors' name of the type.
        make: gives the array (bfloat16 as uint16) when its turn comes; it is dropped after.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], NDArray[Any]]

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return math.prod(self.shape) * _ITEM_BYTES[self.dtype]


_BITS = {"BF16": (torch.bfloat16, torch.int16), "F16": (torch.float16, torch.int16),
         "F32": (torch.float32, torch.int32)}  # fmt: skip


def bits(tensor: Tensor, dtype: str) -> NDArray[Any]:
    """A tensor's numbers in a type of safetensors, as integers of its width."""
    kind, carrier = _BITS[dtype]
    return np.asarray(tensor.to(kind).contiguous().view(carrier).numpy())


def write(folder: Path, tensors: Sequence[Planned], shard_bytes: int = SHARD_BYTES) -> None:
    """Write `model.safetensors`, or shards of it and their index, into the folder."""
    shards: list[list[Planned]] = [[]]
    for tensor in tensors:
        if shards[-1] and sum(t.nbytes for t in shards[-1]) + tensor.nbytes > shard_bytes:
            shards.append([])
        shards[-1].append(tensor)
    if len(shards) == 1:
        _write_file(folder / "model.safetensors", shards[0])
        return
    weight_map = {}
    for i, shard in enumerate(shards, start=1):
        name = f"model-{i:05d}-of-{len(shards):05d}.safetensors"
        _write_file(folder / name, shard)
        weight_map.update({t.name: name for t in shard})
    total = {"total_size": sum(t.nbytes for t in tensors)}
    content = json.dumps({"metadata": total, "weight_map": weight_map}, indent=1)
    (folder / "model.safetensors.index.json").write_text(content, encoding="utf-8")


def _write_file(path: Path, tensors: Sequence[Planned]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for t in tensors:
        ends = [offset, offset + t.nbytes]
        header[t.name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": ends}
        offset = ends[1]
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for t in tensors:
            array = np.ascontiguousarray(t.make())
            assert array.shape == t.shape and array.nbytes == t.nbytes, t.name
            file.write(memoryview(array.reshape(-1)).cast("B"))
