# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Install rules: one list of executables and shared files for `pip install` and `colcon build`.

`ros2 run` and launch look for executables in `<prefix>/lib/lapa_ros/`. colcon puts them there
(setup.cfg); a wheel puts them in `bin/`, so it carries small starters beside them.
"""

import sys
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "lapa_ros"
NODES = [
    "arm_node",
    "dashboard_node",
    "evaluate_node",
    "policy_node",
    "recorder_node",
    "sim_node",
    "teleop_node",
    "viz_node",
]
SHARED = ["launch", "config", "urdf", "rviz"]
MODELS = ["lapa-micro"]  # by name: others in `models/` are their owner's
# What a policy reads, and not what a training may have left beside it.
MODEL_FILES = ["*config.json", "interface.json", "*_statistics.json", "*_bins.csv"]
MODEL_FILES += ["tokenizer.model", "model.safetensors", "README.md"]


def shared_files():
    """Every file of the shared folders, with the place it is installed to."""
    found = [
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *model_files(),
    ]
    for folder in sorted({p.parent for top in SHARED for p in Path(top).rglob("*.*")}):
        files = sorted(str(p) for p in folder.iterdir() if p.is_file())
        found.append((f"share/{PACKAGE}/{folder}", files))
    return found


def model_files():
    """The shipped checkpoints; a model's image tokenizer has a folder of its own in it."""
    found = []
    for top in MODELS:
        for folder in (Path("models", top), Path("models", top, "vqgan")):
            files = sorted(str(p) for pattern in MODEL_FILES for p in folder.glob(pattern))
            found.append((f"share/{PACKAGE}/{folder}", files))
    return [(place, files) for place, files in found if files]


def starters():
    """Wheels only: `lib/lapa_ros/<node>` starts `bin/<node>`. colcon calls `install`/`develop`."""
    if {"install", "develop"} & set(sys.argv):
        return []
    return [(f"lib/{PACKAGE}", sorted(str(p) for p in Path("tools/starters").iterdir()))]


setup(
    packages=find_packages(include=["lapa_core*", "lapa_ros*"]),
    data_files=shared_files() + starters(),
    entry_points={
        "console_scripts": ["lapa = lapa_core.cli:main"]
        + [f"{node} = {PACKAGE}.{node}:main" for node in NODES],
    },
)
