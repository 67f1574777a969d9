# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Examples on disk: parquet shards."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from lapa_core.errors import AccessError, ConfigError, DataError

if TYPE_CHECKING:  # it brings torch, which whoever reads shards does not need
    from lapa_core.label.clip import Labelled


def write(path: Path, labelled: Sequence[Labelled]) -> int:
    """Write a shard, whole or not at all; how many examples.

    Raises:
        AccessError: the disk refuses.
        ConfigError: pyarrow is missing.
    """
    pa = arrow()
    rows = [x for x in labelled if len(x.words)]
    table = pa.table(
        {
            "clip": pa.array([x.clip for x in rows for _ in x.words], pa.string()),
            "time_s": pa.array([t for x in rows for t in x.times_s.tolist()], pa.float64()),
            "instruction": pa.array([w for x in rows for w in x.words], pa.string()),
            "latent": _lists(pa, [x.latent for x in rows], pa.uint16()),
            "vision": _lists(pa, [x.vision for x in rows], pa.int64()),
        }
    )
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        pa.parquet.write_table(table, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise AccessError(f"cannot write {path}: {error}") from None
    finally:
        part.unlink(missing_ok=True)
    return int(table.num_rows)


def _lists(pa: ModuleType, arrays: Sequence[Any], kind: Any) -> Any:
    if not arrays:
        return pa.array([], pa.list_(kind))
    flat = np.concatenate([a.reshape(-1) for a in arrays])
    width = arrays[0].shape[1]
    ends = np.arange(0, len(flat) + 1, width)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(flat, kind))


def read(path: Path) -> list[dict[str, Any]]:
    """The examples of a shard.

    Raises:
        DataError: it cannot be read.
        ConfigError: pyarrow is missing.
    """
    pa = arrow()
    try:
        return list(pa.parquet.read_table(path).to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot read {path}: {error}") from None


def arrow() -> ModuleType:
    """The library, with what reads parquet; a `ConfigError` where it is missing."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(
            "shards are parquet files, which need pyarrow: pip install 'lapa_ros[export]'"
        ) from None
    module: ModuleType = pyarrow
    return module
