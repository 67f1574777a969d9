# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""record.launch.py: recorder, teleoperation and page; and the nodes take what it gives them."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_robot_launch import executables, nodes_of


@pytest.mark.parametrize(
    ("arguments", "started"),
    [
        ({}, ["dashboard_node", "recorder_node", "teleop_node"]),
        ({"device": "gamepad"}, ["dashboard_node", "recorder_node", "teleop_node"]),
        ({"device": "none", "dashboard": "false"}, ["recorder_node"]),
    ],
)
def test_it_starts_what_a_session_needs(
    arguments: dict[str, str], started: list[str], repository: Path
) -> None:
    nodes, where = nodes_of(repository / "launch" / "record.launch.py", **arguments)
    assert executables(nodes, where) == started
