# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Definitions are complete, from the robot's packages first, and others parse them."""

from __future__ import annotations

from pathlib import Path

import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from lapa_core.errors import RecordingError
from lapa_core.recording.definitions import definition_of

JAZZY = get_typestore(Stores.ROS2_JAZZY)
TYPES = (
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
    "sensor_msgs/msg/JointState",
    "trajectory_msgs/msg/JointTrajectory",
    "diagnostic_msgs/msg/DiagnosticArray",
    "geometry_msgs/msg/TwistStamped",
    "std_msgs/msg/String",
)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("installed", [True, False])
def test_a_definition_says_the_same_as_the_type(name, installed, monkeypatch, tmp_path):
    """The hash of a type is over all its fields: equal hashes, equal types."""
    if not installed:
        monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
        monkeypatch.setattr("sys.prefix", str(tmp_path))
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(definition_of(name), name))
    assert store.hash_rihs01(name) == JAZZY.hash_rihs01(name)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with two packages of its own, before the others."""
    for name, text in {
        "arm_msgs/msg/Grip": "# how\nuint8 OPEN=1 # one\nFinger[<=2] fingers\nstring<=9 by\n",
        "arm_msgs/msg/Finger": "wstring name\nother_msgs/msg/Force force\nFinger2 next\n",
        "arm_msgs/msg/Finger2": "other_msgs/Force force\nfloat64[3] at\n",
        "other_msgs/msg/Force": "std_msgs/Header header\nfloat64 newton\n",
        "std_msgs/msg/Header": "uint8 mine\n",
        "arm_msgs/msg/Broken": "nowhere_msgs/Thing thing\n",
    }.items():
        path = tmp_path / "share" / f"{name}.msg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}:/nowhere")
    return tmp_path


def test_the_robots_own_packages_come_first_and_each_part_once(workspace):
    text = definition_of("arm_msgs/msg/Grip")
    line = "=" * 80
    parts = [p.partition("\n")[0] for p in text.split(f"\n{line}\nMSG: ")[1:]]
    assert parts == [
        "arm_msgs/Finger",
        "arm_msgs/Finger2",
        "other_msgs/Force",
        "std_msgs/Header",
    ]
    assert text.startswith("# how\nuint8 OPEN=1") and "uint8 mine" in text
    assert get_types_from_msg(text, "arm_msgs/msg/Grip").keys() == {
        "arm_msgs/msg/Grip",
        *(f"{p.split('/')[0]}/msg/{p.split('/')[1]}" for p in parts),
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("arm_msgs/msg/Missing", "no definition of arm_msgs/msg/Missing: no share/arm_msgs"),
        ("arm_msgs/msg/Broken", "no share/nowhere_msgs/msg/Thing.msg"),
        ("arm_msgs/srv/Grip", "is no message type"),
        ("Image", "is no message type"),
        ("../msg/Image", "is no message type"),
    ],
)
def test_what_nobody_defines_is_refused(workspace, name, said):
    with pytest.raises(RecordingError, match=said):
        definition_of(name)
