# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Arrays to serialised ROS 2 messages (CDR), without ROS, for bags that nobody has sent.

The way back is `lapa_core.data.messages`; with rclpy it is `lapa_ros.convert`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.recording.definitions import definition_of
from lapa_core.recording.jpeg import COMPRESSED, typestore
from lapa_core.recording.metadata import Qos, Topic
from lapa_core.types import ActionChunk, FloatArray

JOINT_STATE = "sensor_msgs/msg/JointState"
POSE = "geometry_msgs/msg/PoseStamped"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
STRING = "std_msgs/msg/String"
NUMBER = "std_msgs/msg/Float64"
JPEG_FORMAT = "rgb8; jpeg compressed bgr8"  # image_transport's words
NS = 1_000_000_000
LATCHED = Qos(depth=1, durability="transient_local")
_NONE: FloatArray = np.zeros(0)


@functools.cache
def topic(name: str, type_name: str, latched: bool = False) -> Topic:
    """A topic as it goes into a bag, as if a publisher of ours had offered it."""
    hash_ = str(typestore().hash_rihs01(type_name))
    return Topic(
        name, type_name, definition_of(type_name), (LATCHED if latched else Qos(),), hash_
    )


def jpeg(data: bytes, frame_id: str, stamp_ns: int) -> bytes:
    """A colour JPEG as `CompressedImage`."""
    flat = np.frombuffer(data, dtype=np.uint8)
    return _cdr(COMPRESSED, header=_header(stamp_ns, frame_id), format=JPEG_FORMAT, data=flat)


def joint_state(
    names: tuple[str, ...], position: FloatArray, velocity: FloatArray, stamp_ns: int
) -> bytes:
    """Measured joints."""
    return _cdr(
        JOINT_STATE,
        header=_header(stamp_ns, ""),
        name=list(names),
        position=np.asarray(position, dtype=np.float64),
        velocity=np.asarray(velocity, dtype=np.float64),
        effort=_NONE,
    )


def pose(of: Pose, frame_id: str, stamp_ns: int) -> bytes:
    """A pose in the frame `frame_id`."""
    w, x, y, z = of.quaternion_wxyz.tolist()
    px, py, pz = of.xyz_m.tolist()
    inside = _new(
        "geometry_msgs/msg/Pose",
        position=_new("geometry_msgs/msg/Point", x=px, y=py, z=pz),
        orientation=_new("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
    )
    return _cdr(POSE, header=_header(stamp_ns, frame_id), pose=inside)


def chunk(of: ActionChunk, stamp_ns: int) -> bytes:
    """End-effector deltas, stamped `stamp_ns`, as the one command message of the contract."""
    points = [
        _new(
            "trajectory_msgs/msg/JointTrajectoryPoint",
            positions=np.asarray(row, dtype=np.float64),
            velocities=_NONE,
            accelerations=_NONE,
            effort=_NONE,
            time_from_start=_time("Duration", round(float(due) * NS)),
        )
        for row, due in zip(of.deltas, of.due_s, strict=True)
    ]
    return _cdr(
        TRAJECTORY,
        header=_header(stamp_ns, of.frame_id),
        joint_names=list(of.names),
        points=points,
    )


def text(content: str) -> bytes:
    """A `String`."""
    return _cdr(STRING, data=content)


def number(value: float) -> bytes:
    """A `Float64`."""
    return _cdr(NUMBER, data=value)


def _header(stamp_ns: int, frame_id: str) -> Any:
    return _new("std_msgs/msg/Header", stamp=_time("Time", stamp_ns), frame_id=frame_id)


def _time(kind: str, ns: int) -> Any:
    return _new(f"builtin_interfaces/msg/{kind}", sec=ns // NS, nanosec=ns % NS)


def _new(type_name: str, **fields: Any) -> Any:
    return typestore().types[type_name](**fields)


def _cdr(type_name: str, **fields: Any) -> bytes:
    return bytes(typestore().serialize_cdr(_new(type_name, **fields), type_name))
