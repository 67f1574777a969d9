# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Real rclpy and DDS for the tests: a domain of their own, one context, real node processes.

Nothing is collected here where rclpy is missing; `test/conftest.py` says so.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HAVE_ROS = importlib.util.find_spec("rclpy") is not None
if not HAVE_ROS:
    collect_ignore_glob = ["test_*.py"]
else:
    from lapa_ros import environment

    os.environ["ROS_DOMAIN_ID"] = environment.own_domain()  # before the first participant
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("ROS_LOG_DIR", tempfile.mkdtemp(prefix="ros_log_"))
    os.environ.update(environment.dds_variables())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs ROS."""
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.fspath).parents:
            item.add_marker(pytest.mark.ros)


@pytest.fixture(scope="session")
def ros_context() -> Iterator[None]:
    """One initialised rclpy for the test process."""
    import rclpy

    from lapa_ros import environment

    environment.remove_dead_segments()  # 64 MB of every node that a test has killed
    rclpy.init()
    yield
    rclpy.try_shutdown()
    environment.remove_dead_segments()


@pytest.fixture(scope="session")
def posing_checkpoint(debug_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights that say they are trained, so that the demo gives them trials."""
    folder = tmp_path_factory.mktemp("posing") / "checkpoint"
    shutil.copytree(debug_checkpoint, folder)
    file = folder / "interface.json"
    text = file.read_text(encoding="utf-8")
    assert '"trained": false' in text
    file.write_text(text.replace('"trained": false', '"trained": true'), encoding="utf-8")
    return folder
