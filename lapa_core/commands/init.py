# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa init`: writes a complete checkpoint with random weights."""

from __future__ import annotations

import argparse

from lapa_core import robot
from lapa_core.model import fresh
from lapa_core.model.checkpoint import DTYPES
from lapa_core.model.configuration import PRESETS
from lapa_core.model.tokenizer import TextTokenizer


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Make and save the checkpoint."""
    sizes = "; ".join(f"{name}: {p.what}" for name, p in PRESETS.items())
    parser.add_argument("out", help="folder to be written")
    parser.add_argument("--preset", choices=PRESETS, default="micro", help=sizes)
    parser.add_argument("--robot", required=True, help="name in config/robots, or a YAML file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokenizer", help="a tokenizer.model instead of a small trained one")
    parser.add_argument("--dtype", choices=DTYPES, help="default: bfloat16 for 7b, else float32")
    args = parser.parse_args(argv)
    tokenizer = TextTokenizer.from_file(args.tokenizer) if args.tokenizer else None
    dtype = DTYPES[args.dtype or ("bfloat16" if args.preset == "7b" else "float32")]
    made = fresh.checkpoint(
        args.preset, robot.load(args.robot), seed=args.seed, tokenizer=tokenizer, dtype=dtype
    )
    made.save_pretrained(args.out)
    count = sum(p.numel() for m in (made.lapa, made.vqgan) for p in m.parameters())
    print(f"{args.out}: {args.preset}, {count:,} parameters, random weights (not trained)")
    return 0
