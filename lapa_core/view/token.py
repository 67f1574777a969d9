# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where a page's token comes from, and where it may be written: nowhere others can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from lapa_core.errors import ConfigError
from lapa_core.view.admission import GENERATE

VARIABLE = "LAPA_DASHBOARD_TOKEN"


def given(parameter: str, file: str, environment: Mapping[str, str]) -> str:
    """The token that was given in one of three ways, `generate`, or "".

    Args:
        parameter: the node's parameter; a command line, which every user of the computer can see.
        file: path of a file that holds nothing else, or "".
        environment: where `VARIABLE` may stand.

    Raises:
        ConfigError: more than one is given, or the file is no secret or cannot be read.
    """
    variable = environment.get(VARIABLE, "")
    ways = {"token": parameter, "token_file": file, VARIABLE: variable}
    if len(named := [name for name, value in ways.items() if value]) > 1:
        raise ConfigError(f"{' and '.join(named)} are set; valid: one of them")
    return read(Path(file).expanduser()) if file else parameter or variable


def exposed(parameter: str) -> bool:
    """Whether a token stands where others can read it."""
    return parameter not in ("", GENERATE)


def read(file: Path) -> str:
    """The token in a file that only this user can open.

    Raises:
        ConfigError: it cannot be read, is empty, or belongs or is open to others.
    """
    try:
        with file.open(encoding="utf-8") as opened:
            found = os.fstat(opened.fileno())
            token = opened.read(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"token_file {file}: {error}") from None
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077 or found.st_uid != os.getuid():
        raise ConfigError(
            f"token_file {file} has mode {mode:04o} and owner {found.st_uid}; valid: a file of "
            f"user {os.getuid()} with mode 0600 (chmod 600 {file})"
        )
    if not token:
        raise ConfigError(f"token_file {file} is empty; valid: a token on its first line")
    return token


def write_secret(file: Path, text: str) -> None:
    """Write a new file that only this user can open."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
