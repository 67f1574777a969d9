# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The gizmo at an arm's tool that a person drags. What a drag means is decided in `drag`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import mink
import numpy as np
import viser
from viser import _messages

from lapa_core.control.compose import Pose
from lapa_core.view.scene import ArmScene

SCALE_M = 0.12
# arm, phase ("start", "update", "end"), client, pose in the arm's base if it is one; where the
# handle has to go back to, None where it may stay
OnDrag = Callable[[str, str, int, "Pose | None"], "Pose | None"]
MIN_NORM = 1e-6  # of a quaternion


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
            if event.client_id is None:
                return
            back = on_drag(arm.arm.name, event.phase, event.client_id, self.pose)
            if back is not None:  # once viser has told the other pages where it was moved to
                asyncio.get_running_loop().call_soon(self._put_back, back)

    @property
    def pose(self) -> Pose | None:
        """Where it is, None where what a page has sent is no pose."""
        wxyz = np.asarray(self._gizmo.wxyz, dtype=np.float64)
        position, norm = np.array(self._gizmo.position, dtype=np.float64), np.linalg.norm(wxyz)
        if not (np.all(np.isfinite(position)) and np.isfinite(norm) and norm > MIN_NORM):
            return None
        return Pose(position, mink.SO3(wxyz / norm).as_matrix())

    @property
    def visible(self) -> bool:
        """Whether it is shown, and can be grabbed."""
        return bool(self._gizmo.visible)

    @visible.setter
    def visible(self, value: bool) -> None:
        self._gizmo.visible = value

    def follow(self, pose: Pose) -> None:
        """Go where the arm's tool is."""
        if self.visible:
            self._gizmo.position, self._gizmo.wxyz = pose.xyz_m, pose.quaternion_wxyz

    def _put_back(self, pose: Pose) -> None:
        """Go there on every page, also on the one that moved it, which viser leaves out."""
        self.follow(pose)
        name, queue = self._gizmo.name, self._gizmo._impl.api._queue_scene_message
        position, wxyz = pose.xyz_m.tolist(), pose.quaternion_wxyz.tolist()
        queue(_messages.SetPositionMessage(name, tuple(position)))
        queue(_messages.SetOrientationMessage(name, tuple(wxyz)))
