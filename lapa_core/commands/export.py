# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa export`: recorded demonstrations in the formats of others."""

from __future__ import annotations

import argparse
from pathlib import Path

from lapa_core.commands import export_latent
from lapa_core.commands.telling import counted
from lapa_core.data import labels
from lapa_core.data.cuts import AUTHORITIES, CutParams
from lapa_core.data.samples import SampleParams
from lapa_core.errors import ConfigError, unknown
from lapa_core.export import lerobot, reference
from lapa_core.export.source import open_source
from lapa_core.recording.episode import OUTCOMES

FORMATS = (lerobot.KIND, reference.KIND, export_latent.FORMAT)


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Export, and say what was left out."""
    if argv[:1] == [export_latent.FORMAT]:
        return export_latent.run(parser, argv[1:])
    parser.epilog = f"`lapa export {export_latent.FORMAT} --help`: what `lapa label` wrote."
    _add_arguments(parser)
    args = parser.parse_args(argv)
    if args.format not in FORMATS:
        raise ConfigError(unknown("format", args.format, FORMATS, "lapa export"))
    is_reference = args.format == reference.KIND
    source = open_source(
        args.demos,
        SampleParams(cameras=tuple(args.camera), labels=args.labels, state=not args.no_state),
        CutParams(authority=args.authority, max_idle_share=args.max_idle_share),
        args.outcome or ("success",),
        args.flagged,
        first_camera=is_reference,
    )
    progress = counted("", " episodes")
    if is_reference:
        report = reference.export(source, args.out, args.pictures, progress)
    else:
        report = lerobot.export(source, args.out, progress=progress)
    print(f"{args.out} is there already, whole and of the same data" if report is None else report)
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write the steps that training would read. A call that was interrupted goes on where it "
        "was; OUT gets its name when it is whole."
    )
    parser.add_argument("format", help=f"what to write: {', '.join(FORMATS)}")
    parser.add_argument("demos", type=Path, help="folder of recorded episodes, or one of them")
    parser.add_argument("out", type=Path, help="folder to be written")
    parser.add_argument(
        "--camera",
        action="append",
        default=[],
        metavar="NAME",
        help=f"may be repeated; default: all, for {reference.KIND} the robot's first",
    )
    parser.add_argument("--labels", choices=labels.SOURCES, default="commanded")
    parser.add_argument("--authority", choices=AUTHORITIES, default=CutParams.authority)
    parser.add_argument("--max-idle-share", type=float, default=CutParams.max_idle_share)
    parser.add_argument("--no-state", action="store_true", help="without the measured tool pose")
    parser.add_argument("--outcome", action="append", choices=OUTCOMES, help="default: success")
    parser.add_argument("--flagged", action="store_true", help="also with serious findings")
    parser.add_argument(
        "--pictures",
        choices=tuple(reference.PICTURES),
        default="jpg",
        help=f"of {reference.KIND}; png keeps every pixel",
    )
