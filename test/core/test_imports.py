# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Who may import what: no ROS in the core, no torch at its lower level, nothing at import time."""

from __future__ import annotations

import ast
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import lapa_core

ROS = ("rclpy", "lapa_ros", "launch", "launch_ros", "cv_bridge", "ament_index_python")
TORCH = ("torch", "transformers", "safetensors")
TORCH_FREE = (
    "errors",
    "paths",
    "types",
    "robot",
    "yaml_section",
    "description",
    "data",
    "audit",
    "control",
    "recording",
    "teleop",
    "evaluate",
    "view",
)
CORE = Path(lapa_core.__file__).parent


def modules(prefix: str) -> list[str]:
    """All modules of lapa_core at or below `lapa_core.<prefix>`."""
    found = [m.name for m in pkgutil.walk_packages([str(CORE)], "lapa_core.")]
    if not prefix:
        return found
    full = f"lapa_core.{prefix}"
    return [m for m in found if m == full or m.startswith(full + ".")]


def loaded_after_importing(names: list[str], repository: Path) -> set[str]:
    """Top-level packages a clean interpreter has loaded after importing `names`."""
    code = f"import sys\nfor n in {names!r}: __import__(n)\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=repository,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    return {name.partition(".")[0] for name in result.stdout.split()}


@pytest.mark.parametrize("prefix", TORCH_FREE)
def test_the_lower_level_loads_neither_torch_nor_ros(prefix: str, repository: Path) -> None:
    """errors, types, robot, data and control work on a robot computer without torch."""
    names = modules(prefix)
    assert names, f"no module lapa_core.{prefix}"
    loaded = loaded_after_importing(names, repository)
    assert not loaded & set(ROS + TORCH)
    assert not {m for m in loaded if m.endswith("_msgs")}


@pytest.mark.torch
def test_no_module_of_the_core_loads_ros(repository: Path) -> None:
    """Everything in lapa_core runs where no ROS is installed."""
    loaded = loaded_after_importing(modules(""), repository)
    assert not loaded & set(ROS)
    assert not {m for m in loaded if m.endswith("_msgs")}


def test_no_source_of_the_core_names_a_ros_module() -> None:
    """Lazy imports inside functions count too."""
    offenders = []
    for path in CORE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            top = {n.partition(".")[0] for n in names}
            if top & set(ROS) or any(t.endswith("_msgs") for t in top):
                offenders.append(f"{path.name}:{node.lineno}")
    assert not offenders
