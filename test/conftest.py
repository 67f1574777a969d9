# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Shared by all tests: checkpoints, made once a session, and what to skip.

Imports neither torch nor ROS at the top, so that the core's tests need neither.
"""

from __future__ import annotations

import importlib.util
import lzma
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

os.environ.setdefault("MUJOCO_GL", "egl")

REPOSITORY = Path(__file__).resolve().parent.parent
GOLDEN = Path(__file__).parent / "golden"
GOLDEN_MODELS = ("latent", "delta_llama_action", "llama_action")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, saying so, what needs a part that is not installed."""
    missing = {
        marker: module
        for marker, module in (("torch", "torch"), ("ros", "rclpy"))
        if importlib.util.find_spec(module) is None
    }
    for item in items:
        for marker, module in missing.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"{module} is not installed"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Top folder of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def golden() -> Path:
    """Numbers that the reference itself produced."""
    return GOLDEN


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The golden models as a user has the released files: `params`, `vqgan` and their configs."""
    folder = tmp_path_factory.mktemp("released")
    for packed in (GOLDEN / "models").glob("*.xz"):
        (folder / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    return SimpleNamespace(
        vqgan=folder / "vqgan",
        tokenizer=GOLDEN / "tokenizer.model",
        vqgan_config=GOLDEN / "vqgan_config.json",
        params={m: folder / f"{m}.params" for m in GOLDEN_MODELS},
        config={m: GOLDEN / "models" / f"{m}.config.json" for m in GOLDEN_MODELS},
    )


@pytest.fixture(scope="session")
def converted(
    released: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The golden models through `lapa convert`."""
    from lapa_core.cli import main

    folder = tmp_path_factory.mktemp("converted")
    for model in GOLDEN_MODELS:
        bins = [] if model == "latent" else ["--bins", str(GOLDEN / "bins" / "a.csv")]
        argv = ["convert", "lapa", str(folder), str(folder / model), *bins]
        for name in ("vqgan", "tokenizer", "vqgan_config"):
            argv += [f"--{name.replace('_', '-')}", str(getattr(released, name))]
        argv += ["--params", str(released.params[model])]
        assert main([*argv, "--config", str(released.config[model])]) == 0
    return {model: folder / model for model in GOLDEN_MODELS}


@pytest.fixture(scope="session")
def debug_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`lapa init --preset debug` for the WidowX; not to be changed by a test."""
    from lapa_core.cli import main

    out = tmp_path_factory.mktemp("debug") / "checkpoint"
    assert main(["init", str(out), "--preset", "debug", "--robot", "wx250s", "--seed", "1"]) == 0
    return out
