# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the interbotix backend makes of a driver's answers, and of missing messages."""

from __future__ import annotations

from pathlib import Path

import interfaces
import pytest

from lapa_core import robot as robots
from lapa_core.errors import ConfigError
from lapa_ros.backends import interbotix_checks as checks
from lapa_ros.processes import NodeProcess

if interfaces.available("interbotix_xs_msgs"):
    from interbotix_xs_msgs.srv import RobotInfo

pytestmark = interfaces.needs_interbotix


def test_without_the_messages_the_error_says_where_they_come_from(tmp_path: Path) -> None:
    """Runs in an environment without them, whatever this process can import."""
    node = NodeProcess(
        "arm_node",
        {"robot": "wx250s", "backend": "interbotix"},
        tmp_path / "log",
        extra_environment={"PYTHONPATH": interfaces.python_path_without()},
    )
    assert node.process.wait(timeout=30) == 2
    said = node.last_lines()
    for words in ("ConfigError", "interbotix_xs_msgs", "install script", "backend:=ros2_control"):
        assert words in said


def robot_info(**fields: object) -> object:
    """What a healthy driver answers for the arm's group, changed in some fields."""
    arm = robots.load("wx250s").arms[0]
    healthy: dict[str, object] = {
        "mode": "position",
        "profile_type": "time",
        "joint_names": list(arm.joints),
        "joint_lower_limits": [-3.0] * len(arm.joints),
        "joint_upper_limits": [3.0] * len(arm.joints),
    }
    return RobotInfo.Response(**{**healthy, **fields})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"joint_names": []}, "no group 'arm'"),
        ({"joint_names": ["waist"]}, "names and order"),
        ({"joint_lower_limits": []}, "no limits"),
        ({"mode": "pwm"}, "operating_mode: position"),
        ({"profile_type": "velocity"}, "profile_type: time"),
        ({"joint_lower_limits": [-3.0, -1.0, -3.0, -3.0, -3.0, -3.0]}, "park_rad.*shoulder"),
    ],
)
def test_what_a_driver_may_answer(fields: dict[str, object], words: str) -> None:
    arm = robots.load("wx250s").arms[0]
    driver = arm.drivers.interbotix
    checks.check_group(robot_info(), arm, driver, "the driver /wx250s")
    with pytest.raises(ConfigError, match=words):
        checks.check_group(robot_info(**fields), arm, driver, "the driver /wx250s")


def test_error_bits_are_words() -> None:
    """Bits as in the Dynamixel X series manual."""
    assert checks.hardware_errors(("a", "b"), [0, 0]) == ""
    text = checks.hardware_errors(("a", "b"), [0x20, 0x43])
    assert "a reports overload (Hardware_Error_Status 0x20)" in text
    assert "b reports input voltage, unknown bits 0x42" in text
