# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa convert llama`: a Llama of Hugging Face and an image tokenizer -> a start of stage 2."""

from __future__ import annotations

import argparse
from pathlib import Path

from lapa_core.errors import ConfigError
from lapa_core.model.convert import llama
from lapa_core.model.interface import NUM_LATENT_CODES, latent

FORMAT = "llama"


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Convert and say what came out."""
    parser.prog += f" {FORMAT}"
    parser.description = (
        "A language model that has never seen a picture, as a start of `lapa pretrain latent`: "
        "its words and layers are kept, tables and heads of pictures and codes are new."
    )
    parser.add_argument("source", type=Path, help="config.json, safetensors, tokenizer.model")
    parser.add_argument("out", type=Path, help="folder to be written")
    parser.add_argument("--vqgan", type=Path, required=True,
                        help="that of the shards: its folder, or a checkpoint's")  # fmt: skip
    parser.add_argument("--tokenizer", type=Path, help="default: SOURCE/tokenizer.model")
    parser.add_argument("--codes", type=int, default=8, help="different latent codes (default 8)")
    parser.add_argument("--seed", type=int, default=0, help="of what is new (default 0)")
    args = parser.parse_args(argv)
    if args.codes < 2:
        raise ConfigError(f"--codes must be 2 or more, got {args.codes}")
    from lapa_core.model.checkpoint import VQGAN
    from lapa_core.train.start import read_vqgan

    inside = args.vqgan / VQGAN
    folder = inside if inside.is_dir() else args.vqgan
    vqgan, _ = read_vqgan(args.vqgan)
    made_for = latent(NUM_LATENT_CODES, f"{args.source.name}; sees nothing yet", trained=False)
    llama.convert(args.source, vqgan, folder, args.out, made_for, codes=args.codes,
                  tokenizer=args.tokenizer, seed=args.seed)  # fmt: skip
    print(f"{args.out}: for `lapa pretrain latent SHARDS --from {args.out}`")
    return 0
