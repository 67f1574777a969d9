# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where the shared files lie: robots, URDFs, models, DDS profile.

Three homes are looked at in order: the source tree (a clone, or `pip install -e`), every
prefix of the ament index (a colcon workspace), and the Python prefix (`pip install .`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lapa_core.errors import ConfigError

PACKAGE = "lapa_ros"
IN_PACKAGE = "package://"


def share_dirs() -> list[Path]:
    """Every existing folder that may hold shared files, the first one winning."""
    source = Path(__file__).resolve().parent.parent
    candidates = [source] if (source / "package.xml").is_file() else []
    candidates += [Path(p) / "share" / PACKAGE for p in (*_prefixes(), sys.prefix)]
    return [c for c in candidates if c.is_dir()]


def share(relative: str) -> Path:
    """Path of a shared file or folder such as `config/robots/wx250s.yaml`.

    Raises:
        ConfigError: it is in none of the homes; the message lists them.
    """
    homes = share_dirs()
    for home in homes:
        if (home / relative).exists():
            return home / relative
    raise ConfigError(
        f"{relative} not found in {', '.join(map(str, homes)) or 'any share folder'}: "
        f"is {PACKAGE} installed, or its workspace sourced?"
    )


def names(relative: str, suffix: str) -> list[str]:
    """Names (without suffix) of the shared files in folder `relative`, over all homes."""
    found = {p.stem for home in share_dirs() for p in (home / relative).glob(f"*{suffix}")}
    return sorted(found)


def in_package(url: str, where: str) -> Path:
    """The file that `package://<package>/<path>` names, as ROS finds it; needs no ROS.

    Raises:
        ConfigError: no such package; the file itself is not looked for. `where` is named.
    """
    package, _, path = url.removeprefix(IN_PACKAGE).partition("/")
    for prefix in _prefixes():
        home = Path(prefix) / "share" / package
        if home.is_dir():
            return home / path
    raise ConfigError(
        f"{where}: no package {package!r} in AMENT_PREFIX_PATH "
        f"({', '.join(_prefixes()) or 'which is empty'}); source the workspace that has it"
    )


def _prefixes() -> list[str]:
    return [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
