# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Launch files run only where `ros2 launch` and an installed lapa_ros are found; else they skip.

Install: `colcon build` (then source it), or `pip install .` into the same Python.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ros"))


def why_not() -> str:
    """What is missing for launching, or nothing."""
    for module in ("rclpy", "launch", "launch_ros", "ament_index_python"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed (it comes with an apt install of ROS 2)"
    from ament_index_python import PackageNotFoundError, get_package_prefix

    try:
        get_package_prefix("lapa_ros")
    except PackageNotFoundError:
        return "lapa_ros is not installed in the ament index: colcon build, or pip install ."
    return ""


REASON = why_not()
if importlib.util.find_spec("rclpy") is not None:
    from lapa_ros import environment

    os.environ["ROS_DOMAIN_ID"] = environment.own_domain()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("ROS_LOG_DIR", tempfile.mkdtemp(prefix="ros_log_"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this folder's tests, and skip them with the reason where they cannot run."""
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.fspath).parents:
            item.add_marker(pytest.mark.ros)
            if REASON:
                item.add_marker(pytest.mark.skip(reason=REASON))
