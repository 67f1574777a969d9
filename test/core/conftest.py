# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Leaves out the tests of parts that are not installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

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
