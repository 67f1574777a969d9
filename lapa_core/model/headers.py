# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Names and shapes of tensors, read from the headers of safetensors files, and compared.

Nothing is loaded, so the answer for a model of many gigabytes comes at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lapa_core.errors import CheckpointError


def check_names(
    wanted: Mapping[str, tuple[int, ...]], stored: Mapping[str, tuple[int, ...]], source: str
) -> None:
    """Raise a `CheckpointError` that names missing, extra and misshapen tensors."""
    problems = [f"missing {n}" for n in wanted if n not in stored]
    problems += [f"extra {n}" for n in stored if n not in wanted]
    problems += [
        f"{n} is {stored[n]} instead of {shape}"
        for n, shape in wanted.items()
        if n in stored and stored[n] != shape
    ]
    if problems:
        more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise CheckpointError(f"{source}: tensors do not fit: {'; '.join(problems[:8])}{more}")


def stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor in the folder's safetensors files, from their headers."""
    shapes: dict[str, tuple[int, ...]] = {}
    for file in _files(folder):
        shapes |= {tensor: tuple(e["shape"]) for tensor, e in _header(file).items()}
    return shapes


def files_of(folder: Path) -> dict[str, Path]:
    """The file that each tensor of the folder is in."""
    return {tensor: file for file in _files(folder) for tensor in _header(file)}


def _files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    names = set(_index(index)["weight_map"].values()) if index.exists() else {"model.safetensors"}
    return [folder / name for name in sorted(names)]


def _header(path: Path) -> dict[str, Any]:
    """Header of a safetensors file: 8 bytes of length, then JSON; the data must be whole."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            if length > size:
                raise CheckpointError(f"{path} is no safetensors file, or cut short")
            header = json.loads(file.read(length))
    except OSError as error:
        raise CheckpointError(f"cannot read weights {path}: {error.strerror}") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is no safetensors file: {error}") from None
    header.pop("__metadata__", None)
    end = 8 + length + max((e["data_offsets"][1] for e in header.values()), default=0)
    if end != size:
        raise CheckpointError(f"{path} has {size} bytes, its header tells of {end}")
    return dict(header)


def _index(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read the index of weights {path}: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("weight_map"), dict):
        raise CheckpointError(f"{path} has no weight_map")
    return content
