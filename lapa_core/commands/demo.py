# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa demo`: hands over to the ROS package, which lapa_core never imports."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from lapa_core.errors import ConfigError


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Become `lapa_ros.demo` with the same arguments."""
    del parser  # the demo has its own
    if importlib.util.find_spec("lapa_ros") is None:
        raise ConfigError("the demo needs lapa_ros beside lapa_core: is the package installed?")
    # Replaced, not started: a parent waiting here would kill the demo a quarter of a second
    # after Ctrl-C, before it has ended its nodes.
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "lapa_ros.demo", *argv])
