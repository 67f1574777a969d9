# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A robot in viser's 3-D scene: arms, table, workspace, the commanded target, paths.

Everything of an arm hangs below a frame at its base, so that poses go in as they are published:
in the arm's base. Knows no messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import viser

from lapa_core.control.compose import Pose
from lapa_core.robot import Arm, Robot
from lapa_core.types import FloatArray
from lapa_core.view import space
from lapa_core.view.shapes import ArmShapes, Link, Shape

LINE_M = 0.002
TARGET_AXES_M, TARGET_RADIUS_M = 0.06, 0.003
TABLE_THICKNESS_M = 0.004
PREDICTED_COLOUR = (30, 190, 80)
MEASURED_COLOUR, COMMANDED_COLOUR = (230, 130, 20), (60, 120, 230)


class RobotScene:
    """The robot and what belongs to it. All methods may be called from one thread only."""

    def __init__(self, scene: viser.SceneApi, robot: Robot) -> None:
        self.robot = robot
        self._scene = scene
        _table(scene, robot)
        self.arms = {arm.name: ArmScene(scene, arm) for arm in robot.arms}

    def look_at(self, camera: viser.InitialCameraConfig) -> None:
        """Let a new page look at the workspaces from in front, the left and above."""
        lower, upper = space.table_extent(self.robot)
        middle = np.array([*(lower + upper) / 2, self.robot.table_z_m + 0.15])
        reach = float(np.linalg.norm(upper - lower))
        camera.look_at = tuple(middle.tolist())
        camera.position = tuple((middle + reach * np.array([0.75, 0.55, 0.55])).tolist())


class ArmScene:
    """One arm: its links follow the joints, a frame its target, lines its paths."""

    def __init__(self, scene: viser.SceneApi, arm: Arm) -> None:
        self.arm = arm
        self.root = f"/{arm.name}"
        self._shapes = ArmShapes(arm)
        base = Pose(arm.base_xyz_m, arm.base_rotation)
        scene.add_frame(self.root, show_axes=False, position=base.xyz_m, wxyz=base.quaternion_wxyz)
        paths: list[str] = []
        self._frames: list[viser.FrameHandle] = []
        for link in self._shapes.links:
            above = paths[link.parent] if link.parent >= 0 else self.root
            paths.append(f"{above}/{link.name}")
            self._frames.append(scene.add_frame(paths[-1], show_axes=False))
            _add_shapes(scene, paths[-1], link)
        edges = space.box_edges(arm).reshape(12, 2, 3)
        scene.add_line_segments(
            f"{self.root}/workspace",
            edges,
            space.byte_colour(space.BOX_COLOUR),
            thickness=LINE_M,
        )
        self._target = scene.add_frame(
            f"{self.root}/target",
            axes_length=TARGET_AXES_M,
            axes_radius=TARGET_RADIUS_M,
            visible=False,
        )
        self._lines = {
            name: scene.add_line_segments(
                f"{self.root}/{name}", np.zeros((1, 2, 3)), colour, thickness=LINE_M
            )
            for name, colour in (
                ("predicted", PREDICTED_COLOUR),
                ("measured", MEASURED_COLOUR),
                ("commanded", COMMANDED_COLOUR),
            )
        }
        self.set_joints({})

    def set_joints(self, joints: Mapping[str, float]) -> None:
        """Show the arm at these joint positions [rad or m]; viser passes on what has changed."""
        for frame, (position, wxyz) in zip(self._frames, self._shapes.place(joints), strict=True):
            frame.position, frame.wxyz = position, wxyz

    def set_target(self, pose: Pose | None) -> None:
        """Show the commanded tool pose, or nothing."""
        self._target.visible = pose is not None
        if pose is not None:
            self._target.position, self._target.wxyz = pose.xyz_m, pose.quaternion_wxyz

    def set_path(self, name: str, points_m: FloatArray | Sequence[FloatArray]) -> None:
        """Draw the path `predicted`, `measured` or `commanded` through (n, 3) points."""
        points = np.asarray(points_m, dtype=np.float32).reshape(-1, 3)
        if len(points) < 2:
            points = np.zeros((2, 3), dtype=np.float32)  # nothing to see
        self._lines[name].points = np.stack([points[:-1], points[1:]], axis=1)


def _table(scene: viser.SceneApi, robot: Robot) -> None:
    lower, upper = space.table_extent(robot)
    scene.add_box(
        "/table",
        color=space.byte_colour(space.TABLE_COLOUR),
        dimensions=np.append(upper - lower, TABLE_THICKNESS_M),
        # A little below its true height, or the base's own underside would flicker through it.
        position=(*((lower + upper) / 2), robot.table_z_m - TABLE_THICKNESS_M),
        opacity=0.6,
        cast_shadow=False,
    )


def _add_shapes(scene: viser.SceneApi, path: str, link: Link) -> None:
    for number, shape in enumerate(link.shapes):
        _add_shape(scene, f"{path}/shape_{number}", shape)


def _add_shape(scene: viser.SceneApi, name: str, shape: Shape) -> None:
    colour, at, turned = space.byte_colour(shape.colour), shape.xyz_m, shape.wxyz
    radius, half = float(shape.size_m[0]), float(shape.size_m[1])
    if shape.kind == "box":
        edges = 2.0 * shape.size_m
        scene.add_box(name, color=colour, dimensions=edges, position=at, wxyz=turned)
    elif shape.kind == "sphere":
        scene.add_icosphere(name, radius=radius, color=colour, position=at, wxyz=turned)
    elif shape.kind == "mesh":
        scene.add_mesh_simple(
            name, shape.vertices_m, shape.faces, color=colour, position=at, wxyz=turned
        )
    else:
        scene.add_cylinder(
            name, radius=radius, height=2 * half, color=colour, position=at, wxyz=turned
        )
        if shape.kind == "capsule":
            for end, z in (("upper", half), ("lower", -half)):
                scene.add_icosphere(
                    f"{name}/{end}", radius=radius, color=colour, position=(0, 0, z)
                )
