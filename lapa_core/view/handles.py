# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The gizmo at an arm's tool that a person drags. What a drag means is decided in `drag`."""

from __future__ import annotations

from collections.abc import Callable

import mink
import numpy as np
import viser

from lapa_core.control.compose import Pose
from lapa_core.view.scene import ArmScene

SCALE_M = 0.12
# arm, phase ("start", "update", "end"), client, pose in the arm's base
OnDrag = Callable[[str, str, int, Pose], None]


class DragHandle:
    """One arm's gizmo, below the arm's base: its pose is in the base, as goals are."""

    def __init__(self, scene: viser.SceneApi, arm: ArmScene, on_drag: OnDrag) -> None:
        self._gizmo = scene.add_transform_controls(
            f"{arm.root}/goal",
            scale=SCALE_M,
            depth_test=False,  # to be grabbed also where the gripper hides it
            visible=False,
        )

        @self._gizmo.on_update
        async def _(event: viser.TransformControlsEvent) -> None:
            # In the event loop, where start, updates and end keep their order.
            if event.client_id is not None:
                on_drag(arm.arm.name, event.phase, event.client_id, self.pose)

    @property
    def pose(self) -> Pose:
        """Where it is."""
        wxyz = np.asarray(self._gizmo.wxyz, dtype=np.float64)
        rotation = mink.SO3(wxyz / np.linalg.norm(wxyz)).as_matrix()
        return Pose(np.array(self._gizmo.position, dtype=np.float64), rotation)

    @property
    def visible(self) -> bool:
        """Whether it is shown, and can be grabbed."""
        return bool(self._gizmo.visible)

    @visible.setter
    def visible(self, value: bool) -> None:
        self._gizmo.visible = value

    def follow(self, pose: Pose) -> None:
        """Go where the arm's tool is; only while nobody holds it."""
        if self.visible:
            self._gizmo.position, self._gizmo.wxyz = pose.xyz_m, pose.quaternion_wxyz
