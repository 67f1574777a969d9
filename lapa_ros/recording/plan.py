# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which topics an episode of a robot holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lapa_core.errors import ConfigError, unknown
from lapa_core.recording.jpeg import SUFFIX
from lapa_core.robot import Robot
from lapa_ros import interface

Kind = Literal["camera", "joints", "event", "latched", "other"]
# auto: the driver's own JPEG where it offers it, else compressed here; raw: as it comes.
Images = Literal["auto", "jpeg", "raw"]
IMAGES: tuple[Images, ...] = ("auto", "jpeg", "raw")


@dataclass(frozen=True)
class Wanted:
    """A topic to record.

    Attributes:
        topic: relative to the robot's namespace, as in the robot file.
        kind: what it is to the audit; of a `latched` one the last message opens every episode.
        expected_hz: 0 where nothing is expected.
        required: whether an episode without it is refused.
        jpeg: whether raw images are to be compressed.
        keep: how many messages of a latched topic open an episode: one a publisher.
        instead: a topic that is recorded in place of this one where it is offered.
    """

    topic: str
    kind: Kind
    expected_hz: float = 0.0
    required: bool = False
    jpeg: bool = False
    keep: int = 1
    instead: str = ""


def topics(robot: Robot, images: Images, extra: Sequence[str] = ()) -> tuple[Wanted, ...]:
    """Everything that says what was seen, asked for, done and why.

    Args:
        robot: whose cameras and arms.
        images: how raw images are kept.
        extra: more topics, of any type.

    Raises:
        ConfigError: no such way to keep images.
    """
    if images not in IMAGES:
        raise ConfigError(unknown("images", images, IMAGES, "the recorder's parameters"))
    found = [_camera(c.topic, c.rate_hz, images) for c in robot.cameras]
    found += [
        Wanted(f"{c.topic.removesuffix(SUFFIX).rpartition('/')[0]}/camera_info", "event")
        for c in robot.cameras
    ]
    found += [
        Wanted(t, "joints", required=True)
        for t in dict.fromkeys(a.joint_states for a in robot.arms)
    ]
    for arm in robot.arms:
        found += [Wanted(interface.ee_pose(arm.name), "other")]
        found += [Wanted(interface.ee_target(arm.name), "other")]
    found += [
        Wanted(t, "event")
        for t in (
            interface.POLICY_EE_DELTA,
            interface.TELEOP_EE_DELTA,
            interface.EXECUTED_EE_DELTA,
        )
    ]
    found += [
        Wanted(t, "latched")
        for t in (
            interface.AUTHORITY,
            interface.INSTRUCTION,
            interface.POLICY_STATUS,
            interface.TELEOP_STATUS,
        )
    ]
    found += [Wanted(interface.DIAGNOSTICS, "event"), Wanted("/tf", "event")]
    found += [Wanted("/tf_static", "latched", keep=50)]
    known = {w.topic for w in found}
    return (*found, *(Wanted(t, "event") for t in extra if t not in known))


def _camera(topic: str, rate_hz: float, images: Images) -> Wanted:
    driver_compresses = topic.endswith(SUFFIX)
    return Wanted(
        topic,
        "camera",
        rate_hz,
        required=True,
        jpeg=images != "raw" and not driver_compresses,
        instead=topic + SUFFIX if images == "auto" and not driver_compresses else "",
    )
