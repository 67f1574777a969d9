# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The benchmark runs and its JSON holds what a reader compares."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.torch


@pytest.mark.slow
def test_inference_benchmark_on_the_debug_preset(repository, tmp_path):
    script = repository / "benchmarks/inference.py"
    argv = ["--preset", "debug", "--repeats", "1", "--dtype", "float32", "--out", str(tmp_path)]
    subprocess.run(
        [sys.executable, str(script), *argv, "--threads", "1"],
        check=True,
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
    )
    (file,) = tmp_path.glob("inference-debug-cpu-*.json")
    result = json.loads(file.read_text())
    assert result["machine"] and result["date"] and result["threads"] == 1
    assert [run["kind"] for run in result["runs"]] == ["action", "latent"]
    for run in result["runs"]:
        assert run["median_ms"].keys() == run["floor_ms"].keys()
        assert run["median_ms"]["total"] >= run["floor_ms"]["vqgan"] > 0
