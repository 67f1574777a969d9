# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Checkpoints for the tests, made once a session; torch is imported only when one is asked for."""

from __future__ import annotations

import importlib.util
import lzma
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = Path(__file__).parent
collect_ignore = []
if importlib.util.find_spec("torch") is None:  # these import it at the top
    collect_ignore += [
        p.name
        for p in HERE.glob("test_*.py")
        if "\npytestmark = pytest.mark.torch" in p.read_text()
    ]
if importlib.util.find_spec("sentencepiece") is None:
    collect_ignore.append("test_vocabulary.py")

GOLDEN = HERE.parent / "golden"
GOLDEN_MODELS = ("latent", "delta_llama_action", "llama_action")


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
