# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What is done in a clip, in words: of our recordings, of a text beside a video, or of a list."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from lapa_core.data.episodes import open_episode
from lapa_core.data.footage.clips import BAG, FRAMES, Clip
from lapa_core.data.labels import Timeline
from lapa_core.data.tracks import read as read_tracks
from lapa_core.errors import ConfigError, LapaError

# What is said of a clip of which nobody says anything; a prompt needs words.
SILENT = "do something"


def of(clip: Clip, time_s: float, listed: Mapping[str, str]) -> str:
    """What is done at a time; "" where nobody says.

    A list comes first, then what our recorder wrote into the bag, then `clip.txt` beside
    `clip.mp4`, or `words.txt` in a folder of frames.
    """
    name = clip.name.partition(":")[0]
    if name in listed:
        return listed[name]
    if clip.kind == BAG:
        spoken = _spoken(clip.path)
        return str(spoken.at(round(1e9 * time_s)) or "") if spoken else ""
    beside = clip.path / "words.txt" if clip.kind == FRAMES else clip.path.with_suffix(".txt")
    return _text(beside)


@lru_cache(maxsize=8)
def _spoken(folder: Path) -> Timeline | None:
    try:
        return read_tracks(open_episode(folder)).instruction
    except LapaError:
        return None


@lru_cache(maxsize=8)
def _text(path: Path) -> str:
    try:
        return " ".join(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        return ""


def fingerprint(path: Path) -> str:
    """Of a list: labels of another one must not be mixed in."""
    return hashlib.sha256(repr(sorted(read_list(path).items())).encode()).hexdigest()[:16]


def read_list(path: Path) -> dict[str, str]:
    """Name of a clip -> words, of a CSV file with the columns `clip` and `instruction`.

    Raises:
        ConfigError: it cannot be read, or has other columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {"clip", "instruction"} <= set(reader.fieldnames or ()):
                raise ConfigError(f"{path}: needs the columns clip and instruction")
            return {row["clip"]: row["instruction"] or "" for row in reader if row["clip"]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
