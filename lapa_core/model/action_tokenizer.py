# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Actions <-> tokens: quantile bins per dimension, decoded to their midpoints.

The CSV is the reference's (`finetune_preprocess.py`): a header 0,1,2,..., then the bin edges of
one dimension a row, blank cells at the end of shorter rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapa_core.errors import CheckpointError, DataError, DecodeError
from lapa_core.types import FloatArray

# 0 -> closed, 1 -> open; the reference writes this row for the gripper whatever the data.
GRIPPER_EDGES = np.array([-0.5, 0.5, 1.5])


def is_gripper(dimension: str) -> bool:
    """Whether a dimension is a gripper's opening."""
    return dimension.rsplit("/", 1)[-1] == "gripper"


@dataclass(frozen=True)
class ActionTokenizer:
    """Bins of every dimension of one step.

    Attributes:
        dimensions: (d,) names, in the order of the tokens.
        edges: d rows of increasing bin edges; row i has one edge more than it has tokens.
    """

    dimensions: tuple[str, ...]
    edges: tuple[FloatArray, ...]

    def __post_init__(self) -> None:
        """Refuse rows that are no bins."""
        if len(self.edges) != len(self.dimensions):
            raise CheckpointError(
                f"{len(self.edges)} rows of action bins for {len(self.dimensions)} dimensions: "
                f"{', '.join(self.dimensions)}"
            )
        for name, row in zip(self.dimensions, self.edges, strict=True):
            if len(row) < 2 or not np.all(np.isfinite(row)) or not np.all(np.diff(row) > 0):
                raise CheckpointError(
                    f"action bins of {name}: need 2 or more finite, increasing edges, "
                    f"got {len(row)}"
                )

    @property
    def num_bins(self) -> tuple[int, ...]:
        """(d,) number of valid tokens of each dimension."""
        return tuple(len(row) - 1 for row in self.edges)

    def encode(self, values: FloatArray) -> NDArray[np.int64]:
        """(k, d) or (d,) values -> tokens of the same shape; beyond the edges the last bin.

        Raises:
            DataError: a value is not finite, or the number of dimensions is another.
        """
        self._check_width(values, DataError)
        if not np.all(np.isfinite(values)):
            raise DataError(f"an action holds a number that is not finite: {values.tolist()}")
        tokens = np.empty(values.shape, dtype=np.int64)
        for i, row in enumerate(self.edges):
            found = np.searchsorted(row, values[..., i], side="right") - 1
            tokens[..., i] = np.clip(found, 0, len(row) - 2)
        return tokens

    def decode(self, tokens: NDArray[np.int64]) -> FloatArray:
        """(k, d) or (d,) tokens -> midpoints of their bins.

        Raises:
            DecodeError: a token has no bin. (The reference answers 1 metre, or radian, there.)
        """
        self._check_width(tokens, DecodeError)
        values = np.empty(tokens.shape, dtype=np.float64)
        for i, (name, row) in enumerate(zip(self.dimensions, self.edges, strict=True)):
            column = tokens[..., i]
            bad = (column < 0) | (column > len(row) - 2)
            if np.any(bad):
                raise DecodeError(
                    f"token {int(np.asarray(column)[bad].flat[0])} of {name} has no bin; "
                    f"valid: 0 to {len(row) - 2}"
                )
            values[..., i] = (row[column] + row[column + 1]) / 2
        return values

    def _check_width(
        self, array: NDArray[np.generic], error: type[DataError] | type[DecodeError]
    ) -> None:
        if array.ndim == 0 or array.shape[-1] != len(self.dimensions):
            raise error(
                f"an action of shape {array.shape} does not fit the dimensions "
                f"{', '.join(self.dimensions)}"
            )

    @classmethod
    def from_samples(
        cls, dimensions: Sequence[str], samples: FloatArray, num_bins: int
    ) -> ActionTokenizer:
        """Quantile bins of (n, d) samples, equal edges merged, as `pandas.qcut` makes them.

        Raises:
            DataError: a dimension never changes, so that it has no bins.
        """
        edges = []
        for i, name in enumerate(dimensions):
            if is_gripper(name):
                edges.append(GRIPPER_EDGES)
                continue
            row = np.unique(np.percentile(samples[:, i], np.linspace(0, 1, num_bins + 1) * 100))
            if len(row) < 2:
                raise DataError(
                    f"{name} has the same value {row[0]} in all {len(samples)} samples"
                )
            edges.append(row)
        return cls(tuple(dimensions), tuple(edges))

    @classmethod
    def from_csv(cls, path: str | Path, dimensions: Sequence[str]) -> ActionTokenizer:
        """Read the reference's CSV of bin edges."""
        try:
            with Path(path).open(newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))[1:]
            edges = [np.array([float(c) for c in row if c.strip()]) for row in rows if row]
        except OSError as error:
            raise CheckpointError(f"cannot read action bins {path}: {error.strerror}") from None
        except ValueError as error:
            raise CheckpointError(f"{path} is no table of bin edges: {error}") from None
        return cls(tuple(dimensions), tuple(edges))

    def to_csv(self) -> str:
        """The reference's CSV; every edge is written so that it reads back exactly."""
        width = max(len(row) for row in self.edges)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(range(width))
        for row in self.edges:
            writer.writerow([*(repr(float(e)) for e in row), *[""] * (width - len(row))])
        return text.getvalue()
