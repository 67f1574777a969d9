# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Shared by all tests. Imports neither torch nor ROS, so that the core's tests need neither."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

os.environ.setdefault("MUJOCO_GL", "egl")

REPOSITORY = Path(__file__).resolve().parent.parent


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
