# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa replay`: hands over to the ROS package, which lapa_core never imports."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from lapa_core.errors import ConfigError


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Become `lapa_ros.replay` with the same arguments."""
    del parser  # the replay has its own
    if importlib.util.find_spec("lapa_ros") is None:
        raise ConfigError("replay needs lapa_ros beside lapa_core: is the package installed?")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "lapa_ros.replay", *argv])
