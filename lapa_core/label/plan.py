# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which clips make which shard, fixed before the first is labelled.

A shard is whole or absent, and what belongs in it never changes: so each example is there exactly
once, whatever stopped the job and however often, and on however many machines it runs.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lapa_core.data.footage.clips import Clip, mark
from lapa_core.errors import AccessError, ConfigError, DataError

MANIFEST = "labels.json"
FORMAT = 1
PART = ".part"  # of a file that is being written


@dataclass(frozen=True)
class Plan:
    """What is to be made.

    Attributes:
        folder: of the shards.
        clips: all, in their order.
        shards: places in `clips` of each shard.
    """

    folder: Path
    clips: tuple[Clip, ...]
    shards: tuple[tuple[int, ...], ...]

    def file(self, shard: int) -> Path:
        """A shard's file."""
        return self.folder / f"shard-{shard:05d}.parquet"

    def missing(self) -> list[int]:
        """Shards that are not made yet."""
        return [s for s in range(len(self.shards)) if not self.file(s).is_file()]


def open_plan(
    folder: Path, clips: Sequence[Clip], facts: Mapping[str, Any], per_shard: int
) -> Plan:
    """Begin a folder of shards, or go on with it.

    Args:
        folder: of the shards.
        clips: all of the footage.
        facts: what labels depend on: models, gap and the like.
        per_shard: clips of a shard.

    Raises:
        ConfigError: the folder is of other footage or models, or holds something else.
        DataError: two clips of one name, or a manifest that is damaged.
        AccessError: a clip cannot be read, or the disk refuses.
    """
    if per_shard < 1:
        raise ConfigError(f"a shard needs 1 clip or more, got {per_shard}")
    names = [c.name for c in clips]
    if doubled := sorted(n for n, count in Counter(names).items() if count > 1):
        raise DataError(f"several clips are called {', '.join(doubled[:3])}: label their folders "
                        "one by one, or their common parent")  # fmt: skip
    shards = tuple(
        tuple(range(i, min(i + per_shard, len(clips)))) for i in range(0, len(clips), per_shard)
    )
    marked = [f"{c.name} {mark(c)}" for c in clips]
    wanted = {"format": FORMAT, **facts, "shards": [[marked[i] for i in s] for s in shards]}
    wanted = json.loads(json.dumps(wanted))
    manifest = folder / MANIFEST
    try:
        inside = [p for p in folder.iterdir() if p.suffix != PART] if folder.exists() else []
        _clear(folder)
    except OSError as error:
        raise AccessError(f"cannot use {folder}: {error.strerror}") from None
    if manifest.is_file():
        known = read_manifest(folder)
        if wrong := [k for k in wanted if known.get(k) != wanted[k]]:
            raise ConfigError(
                f"{folder} was begun with another {', '.join(wrong)}; choose another --output"
            )
    elif inside:
        raise ConfigError(f"{folder} holds something else; choose another --output")
    else:
        _write(manifest, json.dumps(wanted, indent=1) + "\n")
    return Plan(folder, tuple(clips), shards)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a folder of shards is.

    Raises:
        DataError: it is none, or its manifest is damaged.
    """
    try:
        known = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError:
        raise DataError(f"{folder} is no folder of shards: `lapa label` makes one") from None
    except ValueError as error:
        raise DataError(f"{folder / MANIFEST} is damaged: {error}") from None
    if not isinstance(known, dict) or not isinstance(known.get("shards"), list):
        raise DataError(f"{folder / MANIFEST} holds no list of shards")
    return known


def _clear(folder: Path) -> None:
    """Remove what was begun and never finished."""
    for part in folder.glob(f"*{PART}"):
        part.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(PART)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise AccessError(f"cannot write {path}: {error.strerror}") from None
