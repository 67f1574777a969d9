# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Message packages built for the tests: findable in this process and in its children.

Where ROS itself has a package (a sourced Interbotix or MoveIt workspace) that one is used and
ours is left out.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BUILDER = REPOSITORY / "tools" / "build_test_interfaces.py"


@functools.cache
def _load_builder():
    spec = importlib.util.spec_from_file_location("build_test_interfaces", BUILDER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _prefixes() -> list[Path]:
    builder = _load_builder()
    return [builder.prefix(p) for p in builder.packages() if builder.built(p)]


def _first(paths: list[str], old: str) -> str:
    """`old` with the paths put in front, each once."""
    rest = [p for p in old.split(os.pathsep) if p and p not in paths]
    return os.pathsep.join([*paths, *rest])


def environment() -> dict[str, str]:
    """Variables for a child process that shall find the built packages; {} where none is."""
    if not (prefixes := _prefixes()):
        return {}
    ours: dict[str, list[Path]] = {
        "PYTHONPATH": [d for p in prefixes for d in _python_folders(p)],
        "AMENT_PREFIX_PATH": list(prefixes),
        "LD_LIBRARY_PATH": [p / "lib" for p in prefixes],
    }
    return {
        name: _first([str(p) for p in paths], os.environ.get(name, ""))
        for name, paths in ours.items()
    }


def _python_folders(prefix: Path) -> list[Path]:
    """`site-packages` or Debian's `dist-packages`, wherever CMake has put it."""
    return sorted({p.parent.parent for p in prefix.rglob("*-packages/*/__init__.py")})


def install() -> None:
    """Make the built packages importable in this process and in those it starts.

    The type supports are opened here: ROS asks for them by bare name, the linker has read its
    `LD_LIBRARY_PATH` long ago, but a library that is open already it finds by name.
    """
    variables = environment()
    for name, value in variables.items():
        os.environ[name] = value
    for folder in reversed(variables.get("PYTHONPATH", "").split(os.pathsep)):
        if folder and folder not in sys.path:
            sys.path.insert(0, folder)
    for prefix in _prefixes():
        for library in sorted((prefix / "lib").glob("*__rosidl_typesupport_*.so")):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def python_path_without() -> str:
    """`PYTHONPATH` of a child process that shall not find the packages built for the tests."""
    ours = {str(folder) for prefix in _prefixes() for folder in _python_folders(prefix)}
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(p for p in paths if p not in ours)


def available(package: str) -> bool:
    """Whether a message package can be imported, ROS' own or the one built for the tests."""
    if importlib.util.find_spec(package) is None:
        install()
    return importlib.util.find_spec(package) is not None


def _needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not available(package),
        reason=f"{package} is not built: run tools/build_test_interfaces.py (needs a compiler)",
    )


needs_interbotix = _needs("interbotix_xs_msgs")
needs_moveit = _needs("moveit_msgs")
