# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa export latent-jsonl`: shards of `lapa label` -> the reference's jsonl."""

from __future__ import annotations

import argparse
from pathlib import Path

from lapa_core.errors import AccessError

FORMAT = "latent-jsonl"


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Export, and say how many."""
    parser.prog += f" {FORMAT}"
    parser.description = (
        "What the reference's latent pretraining reads; the other way, "
        "`lapa pretrain latent` takes such a file for SHARDS."
    )
    parser.add_argument("shards", type=Path, help="folder of `lapa label`, whole")
    parser.add_argument("out", type=Path, help="jsonl to be written")
    args = parser.parse_args(argv)
    from lapa_core.label import lines
    from lapa_core.train.latent import shards

    files = shards.files(args.shards)
    if args.out.exists():
        raise AccessError(f"{args.out} is there already; remove it or choose another")
    print(f"{args.out}: {lines.write(files, args.out)} examples")
    return 0
