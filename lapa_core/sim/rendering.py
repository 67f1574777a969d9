# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Pictures of a MuJoCo model, from any thread.

An OpenGL context belongs to the thread that made it, so every thread that renders gets contexts
of its own, one a size, and closes them itself.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import mujoco

from lapa_core.errors import ConfigError
from lapa_core.types import FloatArray, ImageArray

STATE = mujoco.mjtState.mjSTATE_INTEGRATION  # what a snapshot holds


@dataclass(frozen=True)
class _Renderer:
    """An OpenGL context of one size, and the state it draws."""

    renderer: mujoco.Renderer
    data: mujoco.MjData


class Renderers:
    """The contexts of all threads, for one model."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._made: dict[tuple[int, int, int], _Renderer] = {}

    def render(self, snapshot: FloatArray, camera: str, width: int, height: int) -> ImageArray:
        """Picture (height, width, 3) uint8 RGB of a camera of the model at a snapshot.

        Raises:
            ConfigError: a size beyond the model's, or no OpenGL.
        """
        own = self._of_this_thread(width, height)
        mujoco.mj_setState(self._model, own.data, snapshot, STATE)
        mujoco.mj_kinematics(self._model, own.data)
        mujoco.mj_camlight(self._model, own.data)
        own.renderer.update_scene(own.data, camera=camera)
        image: ImageArray = own.renderer.render()
        return image

    def close(self) -> None:
        """Free the contexts of the calling thread."""
        for key in [k for k in self._made if k[0] == threading.get_ident()]:
            self._made.pop(key).renderer.close()

    def _of_this_thread(self, width: int, height: int) -> _Renderer:
        key = (threading.get_ident(), width, height)
        if key not in self._made:
            limit = self._model.vis.global_
            if not (0 < width <= limit.offwidth and 0 < height <= limit.offheight):
                raise ConfigError(
                    f"cannot render {width}x{height}; at most "
                    f"{limit.offwidth}x{limit.offheight}, see lapa_core/sim/world.py"
                )
            try:
                renderer = mujoco.Renderer(self._model, height=height, width=width)
            except Exception as error:  # each GL backend raises its own kinds
                raise ConfigError(
                    f"no OpenGL for rendering ({error}); set MUJOCO_GL=egl (or osmesa, glfw) "
                    "before Python starts"
                ) from error
            self._made[key] = _Renderer(renderer, mujoco.MjData(self._model))
        return self._made[key]
