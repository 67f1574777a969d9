# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a person sees in RViz beside the robot itself: predicted path, workspace, authority.

Numbers and robot files to visual messages; no node, no topics.
"""

from __future__ import annotations

from collections.abc import Sequence

import mink
import numpy as np
from geometry_msgs.msg import Point, PoseStamped
from nav_msgs.msg import Path
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from lapa_core.control.compose import Pose
from lapa_core.robot import Arm, Robot
from lapa_core.view.space import (
    BOX_COLOUR,
    COLOURS,
    TABLE_COLOUR,
    UNKNOWN,
    box_edges,
    predicted,
    table_extent,
)
from lapa_ros import convert

__all__ = ["COLOURS", "box_edges", "path_msg", "pose", "predicted", "scene"]

TABLE_THICKNESS_M = 0.002
TEXT_ABOVE_M = 0.3  # over the workspace, clear of a raised elbow


def pose(msg: PoseStamped) -> Pose:
    """Position [m] and rotation of a message, in its own frame."""
    p, q = msg.pose.position, msg.pose.orientation
    rotation = mink.SO3(np.array([q.w, q.x, q.y, q.z])).as_matrix()
    return Pose(np.array([p.x, p.y, p.z]), rotation)


def path_msg(poses: Sequence[Pose], frame_id: str, stamp_ns: int) -> Path:
    """Poses as a path in one frame."""
    msg = Path()
    msg.header.frame_id, msg.header.stamp = frame_id, convert.time_msg(stamp_ns)
    msg.poses = [convert.pose_msg(p.xyz_m, p.quaternion_wxyz, frame_id, stamp_ns) for p in poses]
    return msg


def scene(
    robot: Robot, state: str, reason: str, line_width_m: float, text_height_m: float
) -> MarkerArray:
    """All markers of a robot: every workspace box, the table, and the authority over each base.

    Stamps are zero, which RViz takes as "with the newest transform".
    """
    markers = [_table(robot)]
    for arm in robot.arms:
        markers += [_box(arm, line_width_m), _authority(arm, state, reason, text_height_m)]
    return MarkerArray(markers=markers)


def _marker(frame_id: str, namespace: str, kind: int, colour: tuple[float, ...]) -> Marker:
    marker = Marker(ns=namespace, type=kind, action=Marker.ADD)
    marker.header.frame_id = frame_id
    marker.pose.orientation.w = 1.0
    red, green, blue, *alpha = colour
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=alpha[0] if alpha else 1.0)
    return marker


def _box(arm: Arm, line_width_m: float) -> Marker:
    marker = _marker(arm.base_frame, f"{arm.name}/workspace", Marker.LINE_LIST, BOX_COLOUR)
    marker.scale.x = line_width_m
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in box_edges(arm).tolist()]
    return marker


def _authority(arm: Arm, state: str, reason: str, height_m: float) -> Marker:
    colour = COLOURS.get(state, UNKNOWN)
    marker = _marker(arm.base_frame, f"{arm.name}/authority", Marker.TEXT_VIEW_FACING, colour)
    marker.pose.position.z = float(arm.workspace_upper_m[2]) + TEXT_ABOVE_M
    marker.scale.z = height_m
    marker.text = f"{arm.name}: {state}\n{reason}" if state else f"{arm.name}: no arm node heard"
    return marker


def _table(robot: Robot) -> Marker:
    """The table's top under all bases and workspaces, in the world."""
    lower, upper = table_extent(robot)
    marker = _marker(robot.world_frame, "table", Marker.CUBE, (*TABLE_COLOUR, 0.5))
    marker.scale.x, marker.scale.y = (float(s) for s in upper - lower)
    marker.scale.z = TABLE_THICKNESS_M
    position = marker.pose.position
    position.x, position.y = (float(c) for c in (upper + lower) / 2)
    position.z = robot.table_z_m - TABLE_THICKNESS_M / 2
    return marker
