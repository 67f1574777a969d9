# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The parquet files of a LeRobot dataset, through pyarrow; the types are those LeRobot writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from lapa_core.errors import ConfigError

# LeRobot finds tasks by the words: they are the table's pandas index. Written by hand, as pandas
# is not needed for anything else.
_PANDAS = {
    "index_columns": ["task"],
    "column_indexes": [
        {
            "name": None,
            "field_name": None,
            "pandas_type": "unicode",
            "numpy_type": "object",
            "metadata": {"encoding": "UTF-8"},
        }
    ],
    "columns": [
        {
            "name": name,
            "field_name": name,
            "pandas_type": kind,
            "numpy_type": numpy_type,
            "metadata": None,
        }
        for name, kind, numpy_type in (
            ("task_index", "int64", "int64"),
            ("task", "unicode", "object"),
        )
    ],
    "creator": {"library": "pyarrow", "version": "25.0.1"},
    "pandas_version": "2.2.0",
}


def require() -> None:
    """Refuse, with a `ConfigError`, to begin without pyarrow."""
    _arrow()


def frames(columns: Mapping[str, Any]) -> Any:
    """A table of frames: (n,) whole numbers as int64, others and (n, d) vectors as float32."""
    pa = _arrow()
    return pa.table({name: _column(pa, np.asarray(v)) for name, v in columns.items()})


def write(path: Path, tables: Iterable[Any]) -> None:
    """Write tables of one schema one after the other, a row group each."""
    _arrow()
    import pyarrow.parquet as parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    writer: Any = None
    for table in tables:
        if writer is None:
            writer = parquet.ParquetWriter(path, table.schema, compression="snappy")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def rows(values: Sequence[Mapping[str, Any]]) -> Any:
    """A table of plain rows."""
    return _arrow().Table.from_pylist(list(values))


def tasks(words: Sequence[str]) -> Any:
    """The table of tasks, number by words."""
    pa = _arrow()
    table = pa.table(
        {
            "task_index": pa.array(range(len(words)), pa.int64()),
            "task": pa.array(words, pa.string()),
        }
    )
    return table.replace_schema_metadata({"pandas": json.dumps(_PANDAS)})


def _column(pa: ModuleType, values: Any) -> Any:
    if values.ndim == 1:
        kind = pa.int64() if np.issubdtype(values.dtype, np.integer) else pa.float32()
        return pa.array(values, kind)
    flat = pa.array(values.astype(np.float32).reshape(-1), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _arrow() -> ModuleType:
    try:
        import pyarrow
    except ImportError:
        raise ConfigError(
            "a LeRobot dataset is made of parquet files, which need pyarrow: "
            "pip install 'lapa_ros[export]'"
        ) from None
    module: ModuleType = pyarrow
    return module
