# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where a point in the world is in a camera's picture, as the robot file says it stands.

An ideal pinhole without distortion; the picture may be a model's, of another shape and cut. Only
cameras fixed in the world have a place that does not move; the others see nothing here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lapa_core.data.images import CROP_ROWS, MODEL_SIZE
from lapa_core.errors import ConfigError
from lapa_core.robot import WORLD, Arm, Camera
from lapa_core.types import FloatArray


def camera_axes(forward: FloatArray) -> FloatArray:
    """(3, 3) columns right, up, back of an upright camera looking along `forward`.

    This is MuJoCo's and OpenGL's camera frame: it looks along its own -z.
    """
    norm = float(np.linalg.norm(forward))
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if norm == 0.0 or float(np.linalg.norm(right)) < 1e-6 * norm:
        raise ConfigError(f"camera forward {forward.tolist()} gives no upright view")
    back = -forward / norm
    right = right / np.linalg.norm(right)
    return np.column_stack([right, np.cross(back, right), back])


@dataclass(frozen=True)
class View:
    """A fixed camera's way of seeing, in a model's square picture.

    Attributes:
        camera: it.
        center_crop: whether the picture loses its upper and lower tenth first.
    """

    camera: Camera
    center_crop: bool = False

    @property
    def fixed(self) -> bool:
        """Whether the camera stands still in the world."""
        return bool(self.camera.attached_to == WORLD)

    def project(self, xyz_m: FloatArray) -> FloatArray:
        """(..., 3) points in the world -> (..., 2) column and row, 0 .. 1 within the picture.

        NaN where a point is behind the camera or no number, or the camera is carried about.
        """
        points = np.asarray(xyz_m, dtype=np.float64)
        if not self.fixed:
            return np.full((*points.shape[:-1], 2), np.nan)
        seen = (points - self.camera.position_m) @ camera_axes(np.array(self.camera.forward))
        depth = np.where(seen[..., 2] < 0, -seen[..., 2], np.nan)
        focal = 0.5 / math.tan(math.radians(self.camera.fovy_deg) / 2)  # in heights of a picture
        column = 0.5 + focal * seen[..., 0] / depth * self.camera.height / self.camera.width
        row = 0.5 - focal * seen[..., 1] / depth
        if self.center_crop:
            rows = CROP_ROWS.stop - CROP_ROWS.start
            row = (row * MODEL_SIZE - CROP_ROWS.start) / rows
        return np.stack([column, row], axis=-1)

    def cells(self, xyz_m: FloatArray, side: int) -> NDArray[np.int64]:
        """(...,) number of the cell of a `side` x `side` grid in raster order; -1 outside."""
        where = self.project(xyz_m)
        inside = np.all((where >= 0) & (where < 1), axis=-1)
        place = np.floor(np.where(inside[..., None], where, 0) * side).astype(np.int64)
        cells: NDArray[np.int64] = np.where(inside, place[..., 1] * side + place[..., 0], -1)
        return cells


def in_world(arm: Arm, xyz_m: FloatArray) -> FloatArray:
    """(..., 3) points in an arm's base frame -> in the world."""
    points: FloatArray = np.asarray(xyz_m) @ arm.base_rotation.T + arm.base_xyz_m
    return points
