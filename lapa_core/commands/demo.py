# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa demo`: hands over to the ROS package, which lapa_core never imports."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys

from lapa_core.errors import ConfigError


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Run `lapa_ros.demo` in a process of its own with the same arguments."""
    del parser  # the demo has its own
    if importlib.util.find_spec("lapa_ros") is None:
        raise ConfigError("the demo needs lapa_ros beside lapa_core: is the package installed?")
    return subprocess.run([sys.executable, "-m", "lapa_ros.demo", *argv], check=False).returncode
