# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa info`: what a checkpoint is, read from its small files and headers."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from lapa_core.model import checkpoint, headers
from lapa_core.model.action_tokenizer import ActionTokenizer
from lapa_core.model.configuration import LapaConfig


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Print the facts, one a line."""
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    facts = describe(args.checkpoint)
    if args.json:
        print(json.dumps(facts, indent=2))
        return 0
    width = max(map(len, facts))
    for name, value in facts.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        print(f"{name:<{width}}  {shown}")
    if not facts["trained"]:
        print("\nRandom weights: good for trying the software, never for moving a real robot.")
    return 0


def describe(folder: Path) -> dict[str, object]:
    """The facts by name."""
    interface = checkpoint.read_interface(folder)
    shapes = headers.stored_shapes(folder)
    images = headers.stored_shapes(folder / checkpoint.VQGAN)
    config = LapaConfig.from_pretrained(folder)
    bins: list[int] = []
    if (folder / checkpoint.BINS).exists():
        table = ActionTokenizer.from_csv(folder / checkpoint.BINS, interface.dimensions)
        bins = list(table.num_bins)
    return {
        "kind": interface.kind,
        "trained": interface.trained,
        "origin": interface.origin,
        "robot": interface.robot,
        "dimensions": list(interface.dimensions),
        "action bins": bins or "none",
        "gripper": interface.gripper,
        "cameras": list(interface.cameras),
        "state": list(interface.state) or "none",
        "aim": list(interface.aim) or "none",
        "step time [s]": interface.step_time_s,
        "steps a chunk": interface.chunk_length,
        "tokens a chunk": interface.num_tokens,
        "center crop": interface.center_crop,
        "layers": config.num_hidden_layers,
        "hidden size": config.hidden_size,
        "parameters": sum(map(math.prod, shapes.values())),
        "VQGAN parameters": sum(map(math.prod, images.values())),
    }
