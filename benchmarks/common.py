# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where results go and what machine they are of: every result file carries both."""

from __future__ import annotations

import datetime
import json
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def processor() -> str:
    """Name of this machine's processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write_result(name: str, content: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write `<name>-<date>.json` with the date in it; returns its path."""
    today = datetime.date.today().isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{today}.json"
    path.write_text(json.dumps({"date": today, **content}, indent=1) + "\n", encoding="utf-8")
    return path
