# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa pretrain latent`: a model that tells latent actions, from the shards of `lapa label`."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from lapa_core.commands.telling import say
from lapa_core.errors import ConfigError
from lapa_core.train.loss import TEXT_WEIGHT
from lapa_core.train.presets import PRESETS, TrainOptions, resolve

TEXT = "a model that tells latent actions from a picture and words"
# Of the loop's options those that mean something here.
SHARED = (
    "steps", "batch", "accumulate", "lr", "schedule", "warmup", "weight_decay", "clip", "ema",
    "method", "lora_rank", "lora_alpha", "lora_dropout", "precision", "weights", "save_type",
    "gradient_checkpointing", "compile", "shard", "read_steps", "smooth_start", "point_weight",
    "point_layer", "pad_to", "word_noise",
    "validation", "validate_every", "validation_samples", "patience", "save_every", "keep",
    "log_every", "tracker", "threads", "seed",
)  # fmt: skip


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    flag, keep = parser.add_argument, argparse.BooleanOptionalAction
    flag(
        "shards",
        type=Path,
        nargs="+",
        metavar="SHARDS",
        help="folders of `lapa label`, or the reference's jsonl",
    )
    flag("--from", dest="source", required=True, metavar="CHECKPOINT", help="checkpoint folder, "
         "such as a converted LAPA, or `scratch`")  # fmt: skip
    flag("--output", type=Path, required=True, metavar="FOLDER", help="checkpoint to be written")
    flag("--preset", choices=PRESETS, default="7b", help="values of all options below")
    flag("--resume", action="store_true", help="go on from the newest saved state, if any")
    flag("--cpu", action="store_true", help="use no GPU even if there is one")
    flag("--vqgan", type=Path, help="with --from scratch: that of the shards, or a checkpoint's")
    flag("--codebook", action="store_true", help="with --from scratch: start the image tokens "
         "from the VQGAN's codebook")  # fmt: skip
    flag("--clean", action=keep, default=False, help="leave the text head out where codes stand, "
         "which the reference asks for id 0 there")  # fmt: skip
    flag("--text-weight", type=float, default=TEXT_WEIGHT, help="of the words' loss")
    group = parser.add_argument_group("training (default: as --preset says)")
    for each in fields(TrainOptions):
        if each.name not in SHARED:
            continue
        name = "--" + each.name.replace("_", "-")
        text = f"{each.metadata['help']} (default {each.default})".replace("%", "%%")
        if isinstance(each.default, bool):
            group.add_argument(name, action=keep, help=text)
        else:
            choices = each.metadata.get("choices")
            kind = type(each.default)
            group.add_argument(name, type=kind, choices=choices, help=text,
                               metavar=None if choices else kind.__name__.upper())  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Read the shards and train."""
    options = resolve(args.preset, **{name: getattr(args, name) for name in SHARED})
    if not 0.0 <= args.text_weight < 1.0:
        raise ConfigError(f"--text-weight must be 0 or more and below 1, got {args.text_weight:g}")
    from lapa_core.label.job import fingerprint
    from lapa_core.model.checkpoint import VQGAN
    from lapa_core.train.latent import recipe, shards
    from lapa_core.train.placing import make_accelerator
    from lapa_core.train.start import SCRATCH, Start, read_vqgan

    corpus = shards.read(args.shards)
    if corpus.silent:
        say(f"{corpus.silent} of {len(corpus)} examples have no words: {shards.SILENT!r} is said")
    if args.source == SCRATCH:
        if not args.vqgan:
            raise ConfigError("--from scratch needs the --vqgan of the shards")
        vqgan, words = read_vqgan(args.vqgan)
        inside = args.vqgan / VQGAN
        used = inside if inside.is_dir() else args.vqgan
        changes = {"latent_vocab_size": corpus.codes}
        if options.read_steps:
            changes["vision_positions"] = corpus.vision.shape[1] + 1
        start = Start.scratch(
            args.preset, vqgan=vqgan, tokenizer=words, sentences=corpus.texts,
            codebook=args.codebook, seed=options.seed,
            changes=changes,
        )  # fmt: skip
    else:
        if args.vqgan or args.codebook:
            raise ConfigError(f"--vqgan and --codebook would do nothing: --from {args.source} has "
                              "its own; valid with --from scratch")  # fmt: skip
        start = Start.checkpoint(args.source, options.weights)
        used = Path(args.source) / VQGAN
    if corpus.vqgan == shards.UNKNOWN:
        say(f"the lines do not say whose their picture tokens are: those of {used} are meant, of "
            "pictures that were not cropped, as the reference makes them")  # fmt: skip
        if (most := int(corpus.vision.max())) >= start.vqgan.num_codes:
            raise ConfigError(f"the lines have picture token {most}, {used} has "
                              f"{start.vqgan.num_codes}")  # fmt: skip
    elif fingerprint(used) != corpus.vqgan:
        raise ConfigError(f"the shards' picture tokens are not of the VQGAN in {used}")
    standing = recipe.pretrain(
        start, corpus, args.output, options, clean=args.clean, text_weight=args.text_weight,
        resume=args.resume, accelerator=make_accelerator(args.cpu), say=say,
    )  # fmt: skip
    print(args.output)
    if standing.best:
        print(f"after {standing.best['step']}: codes right "
              f"{100 * standing.best['accuracy']:.1f} %, loss "
              f"{standing.best['relative']:.2f} of guessing by frequency")  # fmt: skip
    return 0
