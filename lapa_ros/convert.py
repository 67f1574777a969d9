# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Arrays to messages. The way back is `lapa_core.data.messages`, which needs no ROS."""

from __future__ import annotations

import array

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lapa_core.data.messages import NS_PER_S
from lapa_core.types import ActionChunk, FloatArray, ImageArray


def time_msg(ns: int) -> Time:
    """Integer nanoseconds as `builtin_interfaces/Time`."""
    return Time(sec=ns // NS_PER_S, nanosec=ns % NS_PER_S)


def duration_msg(seconds: float) -> Duration:
    """Seconds (>= 0) as `builtin_interfaces/Duration`."""
    ns = round(seconds * NS_PER_S)
    return Duration(sec=ns // NS_PER_S, nanosec=ns % NS_PER_S)


def chunk_msg(chunk: ActionChunk) -> JointTrajectory:
    """A chunk as the one command message of the contract."""
    msg = JointTrajectory()
    msg.header.stamp = time_msg(chunk.stamp_ns)
    msg.header.frame_id = chunk.frame_id
    msg.joint_names = list(chunk.names)
    msg.points = [
        JointTrajectoryPoint(positions=row.tolist(), time_from_start=duration_msg(float(due)))
        for row, due in zip(chunk.deltas, chunk.due_s, strict=True)
    ]
    return msg


def joint_target_msg(
    names: tuple[str, ...], position: FloatArray, reach_in_s: float
) -> JointTrajectory:
    """One joint target, to be reached `reach_in_s` after arrival.

    The stamp stays zero, which a joint trajectory controller reads as "start now".
    """
    point = JointTrajectoryPoint(
        positions=[float(p) for p in position], time_from_start=duration_msg(reach_in_s)
    )
    return JointTrajectory(joint_names=list(names), points=[point])


def joint_state_msg(
    names: tuple[str, ...], position: FloatArray, velocity: FloatArray, stamp_ns: int
) -> JointState:
    """Measured joints."""
    msg = JointState(name=list(names), position=position.tolist(), velocity=velocity.tolist())
    msg.header.stamp = time_msg(stamp_ns)
    return msg


def image_msg(rgb: ImageArray, frame_id: str, stamp_ns: int) -> Image:
    """(H, W, 3) uint8 RGB as an `rgb8` image."""
    height, width, _ = rgb.shape
    msg = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    msg.header.stamp = time_msg(stamp_ns)
    msg.header.frame_id = frame_id
    # An ndarray or list here is copied element by element (39 ms at 640x480); an
    # array.array filled from the buffer takes 0.03 ms.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(rgb).data.cast("B"))
    msg.data = data
    return msg


def pose_msg(
    xyz_m: FloatArray, quaternion_wxyz: FloatArray, frame_id: str, stamp_ns: int
) -> PoseStamped:
    """A pose; the quaternion is given scalar first, as MuJoCo and mink keep it."""
    msg = PoseStamped()
    msg.header.stamp = time_msg(stamp_ns)
    msg.header.frame_id = frame_id
    position, orientation = msg.pose.position, msg.pose.orientation
    position.x, position.y, position.z = (float(v) for v in xyz_m)
    orientation.w, orientation.x, orientation.y, orientation.z = (
        float(v) for v in quaternion_wxyz
    )
    return msg
