# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Opens a pickled tree of arrays and runs nothing that is in it.

A pickle may name any function to be called. Here the few names that numpy, flax and jax write
for arrays lead to functions of our own; every other name is an error before anything is called.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapa_core.errors import CheckpointError


def _new_array(*_: Any) -> NDArray[Any]:
    """An empty array, whose content the pickle then sets."""
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def _jax_array(build: Callable[..., Any], args: Any, state: Any, _: Any = None) -> NDArray[Any]:
    """The numpy array inside a jax array."""
    array = _new_array(*args) if build is _new_array else build(*args)
    array.__setstate__(state)
    return array  # type: ignore[no-any-return]


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 and older write bytes."""
    if encoding != "latin1":
        raise CheckpointError(f"a pickle of arrays has no use for the codec {encoding!r}")
    return text.encode("latin1")


def _dtype(*args: Any) -> np.dtype[Any]:
    return np.dtype(*args)


def _frombuffer(
    buffer: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: str, *_: Any
) -> NDArray[Any]:
    """How protocol 5 writes an array."""
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _new_array,
    ("numpy", "dtype"): _dtype,
    ("collections", "OrderedDict"): dict,
    ("flax.core.frozen_dict", "FrozenDict"): dict,
    ("flax.core", "FrozenDict"): dict,
    ("jax._src.array", "_reconstruct_array"): _jax_array,
    ("jax._src.device_array", "reconstruct_device_array"): _jax_array,
    ("_codecs", "encode"): _latin1,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _new_array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Our stand-in for one of the known names."""
        if (module, name) not in _ALLOWED:
            raise CheckpointError(
                f"refused: the pickle wants {module}.{name}; only arrays and dicts are opened"
            )
        return _ALLOWED[module, name]


def load_tree(path: str | Path) -> dict[str, NDArray[Any]]:
    """Arrays of a pickled nested dict, by their keys joined with "/".

    Raises:
        CheckpointError: no pickle, or one that holds anything but arrays in dicts.
    """
    try:
        with Path(path).open("rb") as file:
            tree = _ArraysOnly(file).load()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except Exception as error:  # a broken pickle raises almost anything
        raise CheckpointError(f"{path} is no readable pickle: {error}") from error
    if isinstance(tree, Mapping) and set(tree) == {"params"}:
        tree = tree["params"]
    found: dict[str, NDArray[Any]] = {}
    _flatten(tree, "", found, str(path))
    return found


def _flatten(node: object, name: str, found: dict[str, NDArray[Any]], source: str) -> None:
    if isinstance(node, Mapping):
        for key, child in node.items():
            _flatten(child, f"{name}/{key}" if name else str(key), found, source)
    elif isinstance(node, np.ndarray) and node.dtype != object:
        found[name] = node
    else:
        raise CheckpointError(f"{source}: {name or 'the root'} is {type(node).__name__}, no array")
