# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""teleop.launch.py: what it would start, with which arguments; no device's package is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_robot_launch import executables, nodes_of


def test_the_teleop_node_starts_alone_with_its_device(repository: Path) -> None:
    nodes, where = nodes_of(
        repository / "launch" / "teleop.launch.py", device="leader", robot="aloha"
    )
    assert executables(nodes, where) == ["teleop_node"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"device": "leader"}, "leader has none"),
        ({"device": "gamepad", "layout": "gamepad_ps5"}, "needs the package joy"),
        ({"device": "spacemouse"}, "needs the package spacenav"),
    ],
)
def test_a_driver_that_cannot_be_started_is_refused(
    arguments: dict[str, str], said: str, repository: Path
) -> None:
    from ament_index_python import get_packages_with_prefixes

    from lapa_core.errors import ConfigError

    if said.rpartition(" ")[2] in get_packages_with_prefixes():
        pytest.skip(f"{said.rpartition(' ')[2]} is installed here")
    with pytest.raises(ConfigError, match=said):
        nodes_of(repository / "launch" / "teleop.launch.py", driver="true", **arguments)
