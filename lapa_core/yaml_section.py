# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Typed reading of one mapping of a YAML file; every error names its place.

Keys are taken one by one; `finish` then refuses the keys nobody asked for, so that a
misspelt key never turns into a default.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np

from lapa_core.errors import ConfigError, unknown
from lapa_core.types import FloatArray

Word = TypeVar("Word", bound=str)


class Section:
    """A mapping and where it stands in its file."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, Mapping):
            raise ConfigError(f"{where} must be a mapping, got {type(content).__name__}")
        self.where = where
        self._content = content
        self._taken: set[str] = set()

    def _take(self, key: str) -> object:
        self._taken.add(key)
        if key not in self._content:
            present = ", ".join(repr(str(k)) for k in self._content)
            raise ConfigError(f"{self.where}: {key!r} is missing (present: {present})")
        return self._content[key]

    def text(self, key: str) -> str:
        """A non-empty string."""
        value = self._take(key)
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{self.where}: {key} must be text, got {value!r}")
        return value

    def choice(self, key: str, valid: Iterable[Word]) -> Word:
        """One of the valid strings."""
        value, listed = self.text(key), list(valid)
        if value not in listed:
            raise ConfigError(unknown(key, value, listed, self.where))
        return listed[listed.index(value)]

    def number(self, key: str) -> float:
        """A finite number."""
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(f"{self.where}: {key} must be a number, got {value!r}")
        if not math.isfinite(value):
            raise ConfigError(f"{self.where}: {key} must be finite, got {value!r}")
        return float(value)

    def positive(self, key: str) -> float:
        """A finite number above zero."""
        value = self.number(key)
        if value <= 0:
            raise ConfigError(f"{self.where}: {key} must be above 0, got {value!r}")
        return value

    def integer(self, key: str, minimum: int | None = None) -> int:
        """A whole number, at least `minimum` where given."""
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"{self.where}: {key} must be a whole number, got {value!r}")
        if minimum is not None and value < minimum:
            raise ConfigError(f"{self.where}: {key} must be at least {minimum}, got {value}")
        return value

    def vector(self, key: str, length: int) -> FloatArray:
        """(length,) finite float64, read-only."""
        value = self._take(key)
        if not isinstance(value, list) or len(value) != length:
            raise ConfigError(f"{self.where}: {key} must list {length} numbers, got {value!r}")
        numbers = Section(dict(enumerate(value)), f"{self.where}: {key}")
        array = np.array([numbers.number(i) for i in range(length)])  # type: ignore[arg-type]
        array.setflags(write=False)
        return array

    def names(self, key: str) -> tuple[str, ...]:
        """A non-empty list of different strings."""
        value = self._take(key)
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise ConfigError(f"{self.where}: {key} must list names, got {value!r}")
        if len(set(value)) != len(value):
            raise ConfigError(f"{self.where}: {key} has a name twice: {value!r}")
        return tuple(value)

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """A list, possibly empty, of pairs of different strings."""
        value = self._take(key)
        if not isinstance(value, list):
            raise ConfigError(f"{self.where}: {key} must list pairs of names, got {value!r}")
        numbered = Section({str(i): v for i, v in enumerate(value)}, f"{self.where}: {key}")
        pairs = [numbered.names(str(i)) for i in range(len(value))]
        for pair in pairs:
            if len(pair) != 2:
                raise ConfigError(f"{self.where}: {key} must list pairs, got {list(pair)}")
        return tuple((a, b) for a, b in pairs)

    def has(self, key: str) -> bool:
        """Whether the mapping has this key."""
        return key in self._content

    def section(self, key: str) -> Section:
        """The mapping under `key`."""
        return Section(self._take(key), f"{self.where}: {key}")

    def sections(self, key: str) -> list[Section]:
        """The mappings of the list under `key`, at least one."""
        value = self._take(key)
        if not isinstance(value, list) or not value:
            raise ConfigError(f"{self.where}: {key} must list at least one mapping")
        return [Section(v, f"{self.where}: {key}[{i}]") for i, v in enumerate(value)]

    def finish(self, optional: Iterable[str] = ()) -> None:
        """Refuse keys that nothing has read; `optional` ones are named as valid too."""
        extra = [str(k) for k in self._content if k not in self._taken]
        if extra:
            valid = sorted(self._taken.union(optional))
            raise ConfigError(unknown("key", extra[0], valid, self.where))
