# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa dream`: what a latent model thinks will come, drawn (the paper's neural rollouts)."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from lapa_core.commands.infer import read_image
from lapa_core.errors import CheckpointError, ConfigError
from lapa_core.film import Film
from lapa_core.types import ImageArray


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Roll the model out in pictures and write a strip and a film."""
    add = parser.add_argument
    add("checkpoint", help="latent checkpoint folder")
    add(
        "--laq", type=Path, required=True, help="whose codes it tells: folder, or reference's file"
    )
    add("--image", type=Path, required=True, help="where it begins")
    add("--instruction", required=True, help="what is done, in words")
    add("--steps", type=int, default=8, help="latent actions")
    add("--output", type=Path, default=Path("dream"), metavar="NAME", help="NAME.png and NAME.mp4")
    add("--sample", action="store_true", help="draw codes (top 50)")
    add("--seed", type=int, default=0, help="of the draw")
    add("--hz", type=float, default=3.0, help="of the film")
    add("--device", default="cpu", help="a torch device, such as cuda")
    args = parser.parse_args(argv)
    from lapa_core.model.laq import load
    from lapa_core.model.laq.rollout import dream
    from lapa_core.policy import Policy

    policy = Policy.from_checkpoint(
        args.checkpoint, device=args.device, sample=args.sample, seed=args.seed
    )
    if policy.kind != "latent":
        raise CheckpointError(f"{args.checkpoint} tells actions: a dream needs "
                              "a latent model")  # fmt: skip
    laq = load(args.laq).to(args.device).eval()
    wanted = (
        policy.checkpoint.interface.num_tokens,
        policy.checkpoint.lapa.config.latent_vocab_size,
    )
    has = laq.config.code_seq_len, laq.config.codebook_size
    if has[0] != wanted[0] or has[1] > wanted[1]:
        raise ConfigError(f"{args.laq} has {has[0]} codes of {has[1]}, {args.checkpoint} tells "
                          f"{wanted[0]} of {wanted[1]}")  # fmt: skip

    def choose(frame: ImageArray) -> np.ndarray:
        codes = policy.predict(frame, args.instruction).tokens
        return np.minimum(codes, has[1] - 1)

    frames, actions = dream(laq, read_image(args.image), args.steps, choose)
    strip, film = (args.output.with_name(args.output.name + s) for s in (".png", ".mp4"))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(strip), np.concatenate(frames, axis=1)[..., ::-1])
    _film(film, frames, args.hz)
    for number, action in enumerate(actions, 1):
        print(f"{number:3}  {' '.join(map(str, action.tolist()))}")
    print(f"{strip}\n{film}")
    return 0


def _film(path: Path, frames: list[ImageArray], rate_hz: float) -> None:
    film = Film(path, rate_hz)
    try:
        for frame in frames:
            film.add(frame)
    finally:
        film.close()
