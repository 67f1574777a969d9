# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a recording is expected to hold: from a robot file, or from what a bag itself suggests."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from lapa_core.data.bags import Bag
from lapa_core.robot import WORLD, Robot

Kind = Literal["camera", "joints", "other"]
CAMERA_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
JOINTS_TYPE = "sensor_msgs/msg/JointState"
# One step of a policy that decides at 5 Hz: a picture this far from its joint positions belongs
# to another action. Drivers stamp cameras wrongly by up to a second (usb_cam issue 385).
MAX_SKEW_S = 0.2
_TRANSPORTS = ("", "/compressed")
_GRIPPER_WORDS = ("finger", "gripper")


@dataclass(frozen=True)
class StreamPlan:
    """What is expected of one topic.

    Attributes:
        topic: as in the bag.
        kind: which checks apply; `other` is counted only.
        expected_hz: its rate; 0 means that the audit learns it from the stream.
        required: a recording without it is faulty.
        sees: joint topics of the arms whose motion must change this camera's picture; empty:
            any arm's.
    """

    topic: str
    kind: Kind
    expected_hz: float = 0.0
    required: bool = False
    sees: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is expected of a recording.

    Attributes:
        gripper_joints: (joint, position closed, position open) of every gripper [m or rad];
            closed and open are equal where they are not known.
        max_velocity: joint -> the fastest it can turn [rad/s, m/s]; others are judged by
            `motion.ANY_JOINT_RAD_S`.
        max_skew_s: how far the stamps of two streams may be apart.
        compare_cameras: judge the cameras' rates against each other, as nobody has said what
            they should be.
    """

    streams: tuple[StreamPlan, ...]
    gripper_joints: tuple[tuple[str, float, float], ...] = ()
    max_velocity: Mapping[str, float] = field(default_factory=dict)
    max_skew_s: float = MAX_SKEW_S
    compare_cameras: bool = False


def plan_for(
    robot: Robot,
    topics: Iterable[str] = (),
    max_velocity: Mapping[str, float] | None = None,
) -> Plan:
    """What a recording of this robot must hold: every camera and every arm's joint states.

    Args:
        robot: from its file.
        topics: those of the recording. The robot's are looked up among them, also under a
            namespace or as `<camera>/compressed`; what is not there keeps the robot's name.
        max_velocity: instead of the velocities in the robot's URDFs.

    Raises:
        ConfigError: a URDF cannot be read.
    """
    have = tuple(topics)
    joints = {a.name: _find(a.joint_states, have, ("",)) for a in robot.arms}
    cameras = tuple(
        StreamPlan(
            _find(camera.topic, have, _TRANSPORTS),
            "camera",
            camera.rate_hz,
            required=True,
            sees=()
            if camera.attached_to == WORLD
            else (joints[camera.attached_to.partition("/")[0]],),
        )
        for camera in robot.cameras
    )
    arms = tuple(StreamPlan(t, "joints", required=True) for t in dict.fromkeys(joints.values()))
    return Plan(
        streams=cameras + arms,
        gripper_joints=tuple(
            dict.fromkeys((a.gripper.joint, a.gripper.closed, a.gripper.open) for a in robot.arms)
        ),
        max_velocity=_velocities(robot) if max_velocity is None else max_velocity,
    )


def plan_for_bag(bag: Bag) -> Plan:
    """What a bag of anybody's suggests: its types say what is a camera and what is an arm.

    Rates are judged against the streams' own usual ones, and the cameras' against each other.
    """
    streams = []
    for topic in bag.topics:
        if topic.type in CAMERA_TYPES:
            streams.append(StreamPlan(topic.name, "camera", required=True))
        elif topic.type == JOINTS_TYPE:
            streams.append(StreamPlan(topic.name, "joints", required=True))
        else:
            streams.append(StreamPlan(topic.name, "other"))
    return Plan(tuple(streams), compare_cameras=True)


def is_gripper(joint: str) -> bool:
    """Whether a joint's name says that it is one of a gripper."""
    return any(word in joint.lower() for word in _GRIPPER_WORDS)


def _find(name: str, topics: tuple[str, ...], endings: tuple[str, ...]) -> str:
    """The topic that carries the robot's `name`, or the name itself."""
    for ending in endings:
        wanted = name.strip("/") + ending
        for topic in sorted(topics, key=len):
            if topic.strip("/") == wanted or topic.endswith("/" + wanted):
                return topic
    return name


def _velocities(robot: Robot) -> dict[str, float]:
    from lapa_core import description  # MuJoCo and xacro: only where a URDF is read

    found: dict[str, float] = {}
    for arm in robot.arms:
        for name, joint in description.for_arm(arm).joints.items():
            if math.isfinite(joint.velocity):
                found[name] = max(found.get(name, 0.0), joint.velocity)
    return found
