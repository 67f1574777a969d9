# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""ROS messages to arrays, once for the live robot, the recorder's bags and the tests.

Works on any object with the message's fields (rclpy's, or those of the `rosbags` reader), so
nothing here imports ROS. Whether a value is *sensible* is judged by `lapa_core.control`; here
a message only has to be well formed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lapa_core.data import images
from lapa_core.errors import DataError
from lapa_core.types import ActionChunk, FloatArray, ImageArray

NS_PER_S = 1_000_000_000


def stamp_ns(stamp: Any) -> int:
    """`builtin_interfaces/Time` or `Duration` as integer nanoseconds."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def image(msg: Any) -> ImageArray:
    """`sensor_msgs/Image` or `CompressedImage` as (H, W, 3) uint8 RGB.

    Raises:
        DataError: an encoding, size or step that does not decode.
    """
    if hasattr(msg, "encoding"):
        return images.decode(
            msg.data,
            height=msg.height,
            width=msg.width,
            step=msg.step,
            encoding=msg.encoding,
            is_bigendian=msg.is_bigendian,
        )
    return images.decode_compressed(msg.data, msg.format)


def joint_state(msg: Any) -> tuple[tuple[str, ...], FloatArray]:
    """Names and (n,) positions of a `sensor_msgs/JointState`.

    Velocity and effort may be empty (the Interbotix simulator leaves them so) and are not read.

    Raises:
        DataError: as many positions as names are not there, or a name stands twice.
    """
    names = tuple(msg.name)
    position = np.asarray(msg.position, dtype=np.float64)
    if len(names) != len(position):
        raise DataError(f"joint state has {len(names)} names but {len(position)} positions")
    if len(set(names)) != len(names):
        raise DataError(f"joint state names a joint twice: {', '.join(names)}")
    return names, position


def action_chunk(msg: Any) -> ActionChunk:
    """A `trajectory_msgs/JointTrajectory` used as an end-effector delta chunk.

    One without points is a chunk without steps: so teleoperation hands authority back.

    Raises:
        DataError: points of another length than the names, due times that do not increase.
    """
    names = tuple(msg.joint_names)
    lengths = sorted({len(p.positions) for p in msg.points})
    if lengths not in ([], [len(names)]):
        raise DataError(f"chunk has {len(names)} names but points of {lengths} positions")
    due_ns = np.array([stamp_ns(p.time_from_start) for p in msg.points], dtype=np.int64)
    if np.any(np.diff(due_ns) <= 0):
        raise DataError(f"due times must increase, got {(due_ns / NS_PER_S).tolist()} s")
    return ActionChunk(
        names=names,
        deltas=np.array([list(p.positions) for p in msg.points], dtype=np.float64).reshape(
            len(msg.points), len(names)
        ),
        due_s=due_ns / NS_PER_S,
        stamp_ns=stamp_ns(msg.header.stamp),
        frame_id=msg.header.frame_id,
    )
