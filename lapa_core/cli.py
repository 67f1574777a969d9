# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The `lapa` command: finds the sub-command and imports only that one.

A sub-command is a module with `run(parser, argv) -> int`. A `LapaError` becomes one line and
exit code 2.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from lapa_core import __version__
from lapa_core.errors import LapaError, unknown

# name -> (module, what it does); the order is that of `lapa --help`.
COMMANDS = {
    "demo": ("lapa_core.commands.demo", "a robot in simulation, from camera to motion"),
    "doctor": ("lapa_core.commands.doctor", "what is running, measured, and what to mend"),
    "replay": ("lapa_core.commands.replay", "a recorded episode again, simulated or for real"),
    "recover": ("lapa_core.commands.recover", "bags that a crash has cut -> whole ones"),
    "collect": ("lapa_core.commands.collect", "scripted demonstrations in simulation"),
    "eval": ("lapa_core.commands.eval", "how good a policy is, with error bars"),
    "finetune": ("lapa_core.commands.finetune", "demonstrations and a checkpoint -> a policy"),
    "pretrain": ("lapa_core.commands.pretrain", "pictures and video -> networks that see"),
    "label": ("lapa_core.commands.label", "latent actions for a corpus, into shards"),
    "codes": ("lapa_core.commands.codes", "what each latent code does to a picture"),
    "dream": ("lapa_core.commands.dream", "what a latent model thinks will come, drawn"),
    "infer": ("lapa_core.commands.infer", "one image and an instruction -> codes and action"),
    "info": ("lapa_core.commands.info", "what a checkpoint is and for which robot"),
    "inspect": ("lapa_core.commands.inspect", "what is wrong with a recording, anybody's"),
    "init": ("lapa_core.commands.init", "a runnable checkpoint with random weights"),
    "view": ("lapa_core.commands.view", "plays a recorded episode in the browser"),
    "export": ("lapa_core.commands.export", "demonstrations -> LeRobot, or the reference's JSON"),
    "convert": ("lapa_core.commands.convert", "released files -> a checkpoint"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns the exit code, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"lapa {__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        print(f"lapa: {unknown('command', name, COMMANDS, 'lapa')}", file=sys.stderr)
        return 2
    module, what = COMMANDS[name]
    parser = argparse.ArgumentParser(prog=f"lapa {name}", description=what)
    try:
        return int(importlib.import_module(module).run(parser, rest))
    except LapaError as error:
        print(f"lapa {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # where a command has not more to say of it
        print(f"lapa {name}: interrupted", file=sys.stderr)
        return 130


def usage() -> str:
    """Text of `lapa --help`."""
    lines = [f"  {name:<10}{what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        ["usage: lapa COMMAND ...", "", *lines, "", "`lapa COMMAND --help` lists its arguments."]
    )


if __name__ == "__main__":
    sys.exit(main())
