# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""evaluate.launch.py: the evaluation, and on request its policy and page."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_robot_launch import executables, nodes_of


@pytest.mark.parametrize(
    ("arguments", "started"),
    [
        ({}, ["dashboard_node", "evaluate_node", "policy_node"]),
        ({"policy": "false", "dashboard": "false"}, ["evaluate_node"]),
    ],
)
def test_it_starts_what_an_evaluation_needs(
    arguments: dict[str, str], started: list[str], repository: Path
) -> None:
    path = repository / "launch" / "evaluate.launch.py"
    nodes, where = nodes_of(path, checkpoint="c", suite="s.yaml", **arguments)
    assert executables(nodes, where) == started
