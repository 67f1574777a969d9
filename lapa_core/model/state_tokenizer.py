# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Proprioception -> tokens: equal bins over the range of each value, one block of ids a value.

The values are those of `Observation.state` (`lapa_core.data.state`): tool pose and gripper. Each
has ids of its own, so that one table of embeddings tells them apart. The reference has no state.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapa_core.errors import CheckpointError, DataError, StaleInput, unknown
from lapa_core.types import FloatArray

HEADER = ("name", "lower", "upper", "bins")
MARGIN = 0.05  # of the range seen in training, added at both ends


@dataclass(frozen=True)
class StateTokenizer:
    """Equal bins of every value.

    Attributes:
        names: (s,) names in `Observation.state`, in the order of their tokens.
        lower, upper: (s,) ends of the bins; a value beyond one falls into the last bin there.
        num_bins: of each value.
    """

    names: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    num_bins: int

    def __post_init__(self) -> None:
        """Refuse ranges that are none."""
        if not len(self.names) == len(self.lower) == len(self.upper) or self.num_bins < 2:
            raise CheckpointError(
                f"state bins need a range for each of {len(self.names)} names and 2 or more bins, "
                f"got {len(self.lower)}, {len(self.upper)} and {self.num_bins}"
            )
        for name, lower, upper in zip(self.names, self.lower, self.upper, strict=True):
            if not (np.isfinite(lower) and np.isfinite(upper) and lower < upper):
                raise CheckpointError(f"state bins of {name}: no range, {lower} to {upper}")

    @property
    def num_ids(self) -> int:
        """Rows the table of embeddings needs."""
        return len(self.names) * self.num_bins

    def encode(self, values: FloatArray) -> NDArray[np.int64]:
        """(..., s) values -> ids of the same shape.

        Raises:
            DataError: a value is not finite, or there are more or fewer than names.
        """
        if values.shape[-1] != len(self.names):
            raise DataError(
                f"a state of {values.shape[-1]} values; valid: {', '.join(self.names)}"
            )
        if not np.all(np.isfinite(values)):
            raise DataError(f"a state holds a number that is not finite: {values.tolist()}")
        lower, upper = np.array(self.lower), np.array(self.upper)
        share = (values - lower) / (upper - lower) * self.num_bins
        found = np.clip(np.floor(share), 0, self.num_bins - 1).astype(np.int64)
        ids: NDArray[np.int64] = found + self.num_bins * np.arange(len(self.names))
        return ids

    def tokens(self, state: Mapping[str, float]) -> NDArray[np.int64]:
        """(s,) ids of an observation's state.

        Raises:
            StaleInput: a value is missing.
        """
        for name in self.names:
            if name not in state:
                raise StaleInput(unknown("state", name, state, "the observation"))
        return self.encode(np.array([state[name] for name in self.names]))

    @classmethod
    def from_samples(
        cls, names: Sequence[str], samples: FloatArray, num_bins: int
    ) -> StateTokenizer:
        """Bins over what (n, s) samples cover and a little more; at least 1e-3 at both ends."""
        low, high = samples.min(axis=0), samples.max(axis=0)
        margin = np.maximum(MARGIN * (high - low), 1e-3)
        lower, upper = (low - margin).tolist(), (high + margin).tolist()
        return cls(tuple(names), tuple(lower), tuple(upper), num_bins)

    @classmethod
    def from_csv(cls, path: str | Path) -> StateTokenizer:
        """Read what `to_csv` wrote."""
        try:
            with Path(path).open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            bins = {int(row["bins"]) for row in rows}
            names = tuple(row["name"] for row in rows)
            ends = [(float(row["lower"]), float(row["upper"])) for row in rows]
        except OSError as error:
            raise CheckpointError(f"cannot read state bins {path}: {error.strerror}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is no table of state bins: {error}") from None
        if len(bins) != 1:
            raise CheckpointError(f"{path}: every value needs the same number of bins, got {bins}")
        return cls(names, tuple(e[0] for e in ends), tuple(e[1] for e in ends), bins.pop())

    def to_csv(self) -> str:
        """One line a value; every number is written so that it reads back exactly."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(HEADER)
        for name, lower, upper in zip(self.names, self.lower, self.upper, strict=True):
            writer.writerow((name, repr(float(lower)), repr(float(upper)), self.num_bins))
        return text.getvalue()
