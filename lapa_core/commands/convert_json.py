# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa convert finetune-json`: the reference's JSON of demonstrations -> its jsonl and csv."""

from __future__ import annotations

import argparse
from pathlib import Path

from lapa_core.data import reference_json

FORMAT = "finetune-json"


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Convert and say what came out."""
    parser.prog += f" {FORMAT}"
    parser.description = (
        "What the reference's finetune_preprocess.py makes of the same file, number for number; "
        "what it gets wrong in silence is refused, see docs/formats.md."
    )
    parser.add_argument("input", type=Path, help="JSON: a list of steps")
    parser.add_argument("--output", type=Path, required=True, help="jsonl to be written")
    parser.add_argument("--csv", type=Path, required=True, help="bin edges to be written")
    parser.add_argument("--bins", type=int, default=256, help="a dimension (default 256)")
    parser.add_argument(
        "--round-gripper",
        action="store_true",
        help="a gripper between 0 and 1 becomes the nearer of them, instead of being refused",
    )
    args = parser.parse_args(argv)
    count, bins = reference_json.preprocess_file(
        args.input, args.output, args.csv, args.bins, args.round_gripper
    )
    each = ", ".join(f"{name} {n}" for name, n in zip(bins.dimensions, bins.num_bins, strict=True))
    print(f"{args.output}: {count} steps; {args.csv}: bins {each}")
    return 0
