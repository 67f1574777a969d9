# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The reference's jsonl of latent actions, read and written.

A line an example: {"image", "vision": picture tokens, "instruction": the words as its prompt has
them, "delta": codes, as text or numbers, "fields"}. It names neither networks nor crop.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lapa_core.data import reference_json
from lapa_core.errors import AccessError, DataError
from lapa_core.label import shard
from lapa_core.label.plan import PART
from lapa_core.label.words import SILENT

FIELDS = "[instruction],[vision],delta"
SUFFIX = ".jsonl"


def line(example: Mapping[str, Any]) -> str:
    """An example of a shard as the reference has it."""
    name = f"{example['clip']}/{example['time_s']:.3f}"
    said = example["instruction"].strip() or SILENT
    asked = reference_json.addressed(reference_json.question(said))
    return json.dumps(
        {
            "id": name,
            "image": name,
            "vision": list(example["vision"]),
            "instruction": asked,
            "delta": [str(c) for c in example["latent"]],
            "fields": FIELDS,
        }
    )


def write(files: list[Path], out: Path) -> int:
    """Write all examples of some shards, whole or not at all; how many.

    Raises:
        DataError: a shard cannot be read.
        AccessError: the disk refuses.
    """
    part, count = out.with_name(out.name + PART), 0
    try:
        with part.open("w", encoding="utf-8") as stream:
            for file in files:
                for example in shard.read(file):
                    stream.write(line(example) + "\n")
                    count += 1
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(out)
    except OSError as error:
        raise AccessError(f"cannot write {out}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    return count


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The examples of such a file, as `shard.read` gives them but for `time_s`.

    What stands before the last "/" of a line's picture names its clip.

    Raises:
        DataError: it cannot be read, or a line is no latent action.
    """
    for number, record in enumerate(reference_json.records(path), 1):
        where = f"{path}: line {number}"
        yield {
            "clip": str(record.get("image", record.get("id", ""))).rpartition("/")[0],
            "instruction": reference_json.instruction(record, where),
            "latent": _numbers(record, "delta", where),
            "vision": _numbers(record, "vision", where),
        }


def _numbers(record: Mapping[str, Any], key: str, where: str) -> list[int]:
    try:
        found = [int(n) for n in record[key]]
    except (KeyError, TypeError, ValueError):
        found = []
    if not found or min(found) < 0:
        raise DataError(f"{where}: {key} must be whole numbers of 0 or more")
    return found
