# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa convert lapa` and `lwm`: the reference's released files -> a checkpoint.

`lapa convert finetune-json` (its JSON of demonstrations -> jsonl and csv) is `convert_json`,
`lapa convert llama` (a Llama of Hugging Face) `convert_llama`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lapa_core import robot
from lapa_core.commands import convert_json, convert_llama
from lapa_core.errors import ConfigError, unknown
from lapa_core.model.action_tokenizer import ActionTokenizer
from lapa_core.model.configuration import LapaConfig, VqganConfig
from lapa_core.model.convert import lapa, vqgan
from lapa_core.model.interface import NUM_LATENT_CODES, UNSTATED, Interface, for_robot
from lapa_core.model.vocabulary import KINDS
from lapa_core.types import AXES

LWM = "lwm"
OWN_ARGUMENTS = {f.FORMAT: f for f in (convert_json, convert_llama)}
FORMATS = ("lapa", LWM, *OWN_ARGUMENTS)
NUM_CODES = 8  # of LAPA's quantiser
BRIDGE_STEP_S = 0.2  # the rate of the data the released model saw


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Convert and say what came out."""
    if argv and argv[0] in OWN_ARGUMENTS:
        return OWN_ARGUMENTS[argv[0]].run(parser, argv[1:])
    parser.epilog = (
        f"lwm: LWM-Chat-1M, which LAPA was pretrained from; its latent table and head are new. "
        f"`lapa convert {convert_json.FORMAT} --help` and `{convert_llama.FORMAT} --help` list "
        "the arguments of those."
    )
    _add_arguments(parser)
    args = parser.parse_args(argv)
    if args.format not in FORMATS:
        raise ConfigError(unknown("format", args.format, FORMATS, "lapa convert"))
    sources = lapa.Sources(
        params=args.params or args.source / "params",
        vqgan=args.vqgan or args.source / "vqgan",
        tokenizer=args.tokenizer or args.source / "tokenizer.model",
    )
    config = lapa.read_lapa_config(args.config) if args.config else LapaConfig()
    sizes = vqgan.read_vqgan_config(args.vqgan_config) if args.vqgan_config else VqganConfig()
    if args.format == LWM:
        _as_lwm(args, config)
    made_for = _interface(args, config)
    bins = ActionTokenizer.from_csv(args.bins, made_for.dimensions) if args.bins else None
    lapa.convert(sources, args.out, config, sizes, made_for, bins, new_latent=args.format == LWM)
    print(f"{args.out}: {made_for.kind} checkpoint, robot {made_for.robot}")
    if made_for.kind == "action" and bins is None:
        print("without --bins its tokens cannot become actions")
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("format", help=f"what the files are: {', '.join(FORMATS)}")
    parser.add_argument("source", type=Path, help="folder with params, vqgan, tokenizer.model")
    parser.add_argument("out", type=Path, help="folder to be written")
    parser.add_argument("--config", type=Path, help="reference config.json; default: released 7B")
    parser.add_argument("--vqgan-config", type=Path, help="likewise of the VQGAN")
    parser.add_argument("--params", type=Path, help="default: SOURCE/params")
    parser.add_argument("--vqgan", type=Path, help="default: SOURCE/vqgan")
    parser.add_argument("--tokenizer", type=Path, help="default: SOURCE/tokenizer.model")
    parser.add_argument("--kind", choices=KINDS, help="default: action where there is a table")
    parser.add_argument("--robot", help="name in config/robots, or a YAML file")
    parser.add_argument("--bins", type=Path, help="CSV of the action bins")
    parser.add_argument(
        "--center-crop",
        action=argparse.BooleanOptionalAction,
        help="default: as the reference serves it, yes for actions and no for latent codes",
    )


def _as_lwm(args: argparse.Namespace, config: LapaConfig) -> None:
    """Refuse what means nothing for LWM, and give its sizes the latent codes it lacks."""
    wrong = [f"--{n}" for n in ("kind", "robot", "bins") if getattr(args, n)]
    if wrong or config.action_vocab_size:
        raise ConfigError(f"LWM knows no actions: {' and '.join(wrong) or 'its config'} would do "
                          "nothing; valid: lapa convert lapa")  # fmt: skip
    config.latent_vocab_size = config.latent_vocab_size or NUM_CODES


def _interface(args: argparse.Namespace, config: LapaConfig) -> Interface:
    kind = args.kind or ("action" if config.action_vocab_size else "latent")
    is_action = kind == "action"
    if args.bins and not is_action:
        raise ConfigError("--bins are of actions, but the files hold a latent model")
    facts = {
        "kind": kind,
        "center_crop": is_action if args.center_crop is None else args.center_crop,
        "trained": args.format != LWM,
        "origin": f"converted from {(args.params or args.source / 'params').name}",
    }
    if not is_action:
        facts |= {"dimensions": (), "num_tokens": NUM_LATENT_CODES, "gripper": UNSTATED}
    if args.robot:
        return for_robot(robot.load(args.robot), **facts)
    unstated = {
        "robot": UNSTATED, "dimensions": AXES, "cameras": ("front",), "chunk_length": 1,
        "num_tokens": len(AXES), "step_time_s": BRIDGE_STEP_S,
        "gripper": UNSTATED,
    }  # fmt: skip
    return Interface(**{**unstated, **facts})
