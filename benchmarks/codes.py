# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What became of the codes of several trained latent action quantisers, as a table and JSON.

    python benchmarks/codes.py laq-1 laq-2 ...

Nothing is measured anew: each folder's `training.json` has the figures of the weights it holds, on
the clips held back.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from common import RESULTS, processor, write_result

HEAD = (
    "| model | updates | codes used | perplexity | dead | different actions "
    "| error of repeating's | nearer the future | R2 of motion | verdict |"
)


def main() -> None:
    """Read, print, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", help="folders of lapa pretrain laq")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON")
    args = parser.parse_args()
    found = {folder.name: read(folder) for folder in sorted(args.models, key=recipe_of)}
    print(table(found))
    write_result("codes", {"processor": processor(), "models": found}, args.out)


def recipe_of(folder: Path) -> tuple[str, str]:
    """What the table is sorted by; ours first."""
    return str(read(folder)["codes"]["quantiser"] != "steady"), folder.name


def read(folder: Path) -> dict[str, Any]:
    """How one was trained, and its figures.

    Raises:
        SystemExit: the folder holds no quantiser.
    """
    try:
        told = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        size = json.loads((folder / "config.json").read_text(encoding="utf-8"))["codebook_size"]
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"{folder} is no folder of lapa pretrain laq: {error}") from None
    kept = {k: told[k] for k in ("updates", "codes", "data", "validation")}
    return {**kept, "seed": told["options"]["seed"], "codebook_size": size,
            "verdict": told.get("verdict", "not validated")}  # fmt: skip


def table(found: dict[str, dict[str, Any]]) -> str:
    """A row a model; codes and perplexity are those of the place that has fewest."""
    lines = [HEAD, "| --- " + "| ---: " * 8 + "| --- |"]
    for name, each in found.items():
        judged, size = each["validation"], each["codebook_size"]
        probe = f"{judged['probe']:.2f}" if "probe" in judged else ""
        lines.append(
            f"| {name} | {each['updates']} | {judged['used']:.0f} of {size} | "
            f"{judged['perplexity']:.1f} | {judged['dead']:.0f} | {judged['joint']:.0f} | "
            f"{judged['relative']:.2f} | {100 * judged['nearer']:.0f} % | {probe} | "
            f"{each['verdict']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
