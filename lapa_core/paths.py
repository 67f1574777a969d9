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


def share_dirs() -> list[Path]:
    """Every existing folder that may hold shared files, the first one winning."""
    source = Path(__file__).resolve().parent.parent
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    candidates = [source] if (source / "package.xml").is_file() else []
    candidates += [Path(p) / "share" / PACKAGE for p in (*prefixes, sys.prefix)]
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
