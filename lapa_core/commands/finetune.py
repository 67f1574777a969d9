# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa finetune`: recorded demonstrations and a checkpoint -> a policy."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from lapa_core.commands import finetune_inputs as inputs
from lapa_core.commands.telling import say
from lapa_core.errors import ConfigError
from lapa_core.train.presets import PRESETS, TrainOptions, resolve


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Train, or say what training would need."""
    _add_arguments(parser)
    args = parser.parse_args(argv)
    options = resolve(args.preset, **{f.name: getattr(args, f.name) for f in fields(TrainOptions)})
    if args.plan:
        print(_plan(args, options))
        return 0
    if args.demos is None or args.source is None or args.output is None:
        raise ConfigError("a training needs DEMOS, --from CHECKPOINT and --output FOLDER")
    _refuse_unused(parser, args)
    # Of "." and ".." there is no name that others could be made of.
    args.demos, args.output, *args.also = (
        p.resolve() if p.name in ("", "..") else p for p in (args.demos, args.output, *args.also)
    )
    folders = [p.resolve() for p in (args.demos, *args.also)]
    if doubled := [p for p in args.also if folders.count(p.resolve()) > 1]:
        raise ConfigError(f"{doubled[0]} is given twice; its episodes would count twice")
    return _train(args, options)


# What has no meaning for each kind of demonstrations, and for weights that are there already.
_OF_SCRATCH = ("size", "vqgan", "codebook", "model")
_OF_FILES = ("robot", "images")
_OF_RECORDINGS = (
    "labels", "authority", "max_idle_share", "outcomes", "flagged", "mapping", "also",
    "also_times",
)  # fmt: skip
_OF_OURS = ("outcomes", "flagged")


def _refuse_unused(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Say which options the demonstrations or the start make no use of.

    Raises:
        ConfigError: such an option was given.
    """
    from lapa_core.train.step_files import is_step_file

    rules = [
        (args.source != "scratch", _OF_SCRATCH, f"--from {args.source} has its own; valid with "
                                                "--from scratch"),
        (is_step_file(args.demos), _OF_RECORDINGS, f"{args.demos} does not say such things; valid "
                                                   "with recorded episodes or bags"),
        (not is_step_file(args.demos), _OF_FILES, "valid with a JSON or jsonl file"),
        (not args.also, ("also_times",), "valid with --also"),
        (args.mapping is not None, _OF_OURS, "mapped bags do not say such things"),
    ]  # fmt: skip
    for applies, names, why in rules:
        wrong = [n for n in names if getattr(args, n) != parser.get_default(n)] if applies else []
        if wrong:
            flags = ", ".join("--" + n.replace("_", "-") for n in wrong)
            raise ConfigError(f"{flags} would do nothing: {why}")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Turn demonstrations into a policy. The same command runs on several GPUs or machines "
        "under `accelerate launch` or `torchrun`."
    )
    add = parser.add_argument
    add(
        "demos",
        type=Path,
        nargs="?",
        metavar="DEMOS",
        help="recorded episodes, bags, or the reference's JSON or jsonl",
    )
    add("--from", dest="source", metavar="CHECKPOINT", help="checkpoint folder, or `scratch`")
    add("--output", type=Path, metavar="FOLDER", help="checkpoint to be written")
    add("--preset", choices=PRESETS, default="7b", help="values of all options below")
    add("--resume", action="store_true", help="go on from the newest saved state, if any")
    add("--cpu", action="store_true", help="use no GPU even if there is one")
    add("--keep-adapter", action="store_true", help="save LoRA's adapters alone as well")
    add("--plan", action="store_true", help="print the memory that each method needs, and end")
    add("--gpu-memory", type=float, default=24.0, metavar="GB", help="of the GPU in --plan")
    scratch = parser.add_argument_group("with --from scratch")
    scratch.add_argument("--size", help="preset of the model's sizes; default: as --preset")
    scratch.add_argument("--vqgan", type=Path, help="folder of a trained VQGAN, or a checkpoint")
    scratch.add_argument("--codebook", action="store_true",
                         help="start the image tokens from the VQGAN's codebook")  # fmt: skip
    scratch.add_argument("--model", action="append", default=[], metavar="NAME=NUMBER",
                         help="another size of the model, such as hidden_size=256")  # fmt: skip
    _add_data(parser)
    group = parser.add_argument_group("training (default: as --preset says)")
    for each in fields(TrainOptions):
        flag = "--" + each.name.replace("_", "-")
        text = f"{each.metadata['help']} (default {each.default})".replace("%", "%%")
        if isinstance(each.default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
        else:
            choices = each.metadata.get("choices")
            kind = type(each.default)
            group.add_argument(flag, type=kind, choices=choices, help=text, metavar=None
                               if choices else kind.__name__.upper())  # fmt: skip


def _add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("demonstrations")
    add = data.add_argument
    like = "as a policy given with --from reads, else"
    add("--cameras", nargs="+", default=[], help=f"in order; default: {like} the robot's first")
    add(
        "--state",
        nargs="+",
        default=[],
        help=f"names of state fed as tokens, or `none`; default: {like} none",
    )
    add("--labels", default="commanded", help="commanded, executed or reached")
    add("--authority", default="teleop", help="whose steps: teleop, all or corrections")
    add("--max-idle-share", type=float, default=1.0, help="idle steps kept, share of an episode")
    keep = argparse.BooleanOptionalAction
    add("--cuts", action=keep, default=True, help="leave out steps across a cut of a camera")
    add("--frozen", action=keep, default=True, help="leave out steps with a frozen camera")
    add("--outcomes", nargs="+", default=["success"], help="how a wanted episode has ended")
    add("--flagged", action="store_true", help="also episodes with a serious finding")
    add("--variants", type=int, default=4, help="looks of each picture, the plain one included")
    add("--mapping", type=Path, metavar="YAML", help="what the topics of foreign bags mean")
    add("--robot", help="whose demonstrations a JSON or jsonl file has; it does not say")
    add(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="what the pictures in a JSON or jsonl are relative to; default: its folder",
    )
    more = "more episodes of the same robot, such as corrections of an earlier policy"
    add("--also", type=Path, nargs="+", default=[], metavar="DEMOS", help=more)
    often = "how often an epoch has these (default 1)"
    add("--also-times", type=int, default=1, metavar="N", help=often)
    add("--strict", action="store_true", help="refuse all if one episode cannot be used")
    add("--paraphrases", type=Path, metavar="FILE", help="lines `instruction -> other | other`")
    crop = "cut the pictures' upper and lower tenth; default: as --from, from scratch yes"
    add("--center-crop", action=keep, help=crop)
    add("--cache", type=Path, help="folder of the encoded pictures; default: beside DEMOS")
    add("--workers", type=int, default=1, help="processes that encode pictures")


def _plan(args: argparse.Namespace, options: TrainOptions) -> str:
    from lapa_core.model.checkpoint import read_interface
    from lapa_core.model.configuration import LapaConfig, preset
    from lapa_core.train import memory

    if not 0 < args.gpu_memory < float("inf"):
        raise ConfigError(f"--gpu-memory must be above 0, got {args.gpu_memory:g}")
    if args.source and args.source != "scratch":
        read_interface(args.source)
        config = LapaConfig.from_pretrained(args.source)
    else:
        config = preset(args.size or args.preset).lapa_config()
    config.action_vocab_size, config.latent_vocab_size = options.num_bins, 0
    return memory.plan(config, options, args.gpu_memory, max(len(args.cameras), 1))


def _train(args: argparse.Namespace, options: TrainOptions) -> int:
    from lapa_core.train import placing
    from lapa_core.train.finetune import finetune, read_paraphrases
    from lapa_core.train.opening import check_output

    check_output(args.output, args.source, args.resume)
    accelerator = placing.make_accelerator(args.cpu)
    if options.method == "qlora":  # before the demonstrations are encoded for nothing
        from lapa_core.train.adapters import check_qlora

        check_qlora(accelerator.device)
    first = accelerator.is_main_process
    start, demos = inputs.start_and_demos(args, options, accelerator)
    said = {i for d in demos.demos for i in d.instructions}
    others = read_paraphrases(args.paraphrases, said) if args.paraphrases else {}
    if first:
        say(str(demos.report))
    ended = finetune(
        start,
        demos,
        args.output,
        options,
        paraphrases=others,
        resume=args.resume,
        keep_adapter=args.keep_adapter,
        robot=inputs.robot_of(args, options, demos),
        accelerator=accelerator,
        say=say,
    )
    if first:
        why = f" ({ended.ended})" if ended.ended else ""
        best = f", the best after {ended.best['step']}" if ended.best else ""
        print(f"{args.output}: {ended.step} updates{why}{best}; curves in {args.output}.run")
    accelerator.end_training()
    return 0
