# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The scripts behind the published figures run whole, in small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lapa_core import paths
from lapa_core.recording import episode, folders

pytestmark = [pytest.mark.sim, pytest.mark.torch]
ROOT = paths.share("runs").parent


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_the_small_policy_is_made_by_one_script(tmp_path: Path) -> None:
    """`runs/micro.sh FOLDER debug`, and what it left does not have to be made again."""
    from lapa_core.policy.policy import Policy

    def run() -> float:
        began = time.monotonic()
        subprocess.run(
            ["sh", str(ROOT / "runs/micro.sh"), str(tmp_path), "debug"],
            env={**os.environ, "PYTHON": sys.executable},
            check=True,
            timeout=240,
        )
        return time.monotonic() - began

    assert run() < 120.0
    policy = Policy.from_checkpoint(tmp_path / "lapa-micro")
    assert policy.trained and policy.robot == "wx250s"
    for number in (1, 2):
        for made in folders.episodes(tmp_path / f"corrections-{number}"):
            assert episode.read(made).checkpoint == str(tmp_path / f"policy-{number - 1}")
    options = json.loads((tmp_path / "policy-2.run/options.json").read_text("utf-8"))
    assert options["start"].endswith("policy-1")
    assert (tmp_path / "eval/table.md").is_file()
    assert run() < 60.0
