# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""An arm's URDF as plain shapes on links, and where each link is at given joint positions.

The shapes are those of `<collision>`, as in the simulation and in the collision checks: what
the page shows is what the safety layer believes. Knows no viewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np

from lapa_core import description as descriptions
from lapa_core.robot import Arm
from lapa_core.types import FloatArray

Kind = Literal["box", "cylinder", "sphere", "capsule", "mesh"]
_KINDS: dict[int, Kind] = {
    int(mujoco.mjtGeom.mjGEOM_BOX): "box",
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): "cylinder",
    int(mujoco.mjtGeom.mjGEOM_SPHERE): "sphere",
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): "capsule",
    int(mujoco.mjtGeom.mjGEOM_MESH): "mesh",
}


@dataclass(frozen=True)
class Shape:
    """One shape on a link, in the link's frame.

    Attributes:
        size_m: (3,) MuJoCo's: half edges of a box, radius and half length along z of a cylinder
            or capsule, radius of a sphere; unused for a mesh.
        colour: parts of 0 .. 1.
        vertices_m, faces: (v, 3) and (f, 3) of a mesh, else empty.
    """

    kind: Kind
    size_m: FloatArray
    xyz_m: FloatArray
    wxyz: FloatArray
    colour: tuple[float, float, float]
    vertices_m: FloatArray
    faces: FloatArray


@dataclass(frozen=True)
class Link:
    """A link: its place in the tree, and its shapes. `parent` is an index, -1 for the base."""

    name: str
    parent: int
    shapes: tuple[Shape, ...]


class ArmShapes:
    """The links of one arm. Not for use from two threads.

    Attributes:
        links: parents before children; the first is the base.
        joints: names of the joints whose positions matter.
    """

    def __init__(self, arm: Arm) -> None:
        description = descriptions.for_arm(arm)
        self._model = descriptions.to_spec(description).compile()
        self._data = mujoco.MjData(self._model)
        self._leaders = {
            name: description.leader(name)
            for name in description.joints
            if mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_JOINT, name) >= 0
        }
        self.joints = tuple(sorted({leader for leader, _, _ in self._leaders.values()}))
        self.links = tuple(self._link(i) for i in range(1, self._model.nbody))
        start = dict(zip(arm.joints, (float(v) for v in arm.start_rad), strict=True))
        self._position = {**dict.fromkeys(self.joints, 0.0), **start}
        self._position[arm.gripper.joint] = arm.gripper.open

    def place(self, joints: Mapping[str, float]) -> list[tuple[FloatArray, FloatArray]]:
        """(3,) position [m] and (4,) quaternion, w first, of every link in its parent's frame.

        Args:
            joints: positions [rad or m]; of joints it does not name the last one is kept, and
                joints this arm does not have are passed over.
        """
        self._position.update({n: v for n, v in joints.items() if n in self._position})
        model, data = self._model, self._data
        for name, (leader, multiplier, offset) in self._leaders.items():
            index = int(model.joint(name).qposadr[0])
            data.qpos[index] = multiplier * self._position.get(leader, 0.0) + offset
        mujoco.mj_kinematics(model, data)
        return [self._local(i) for i in range(1, model.nbody)]

    def _local(self, body: int) -> tuple[FloatArray, FloatArray]:
        parent = int(self._model.body_parentid[body])
        back, position, quaternion = np.empty(4), np.empty(3), np.empty(4)
        mujoco.mju_negQuat(back, self._data.xquat[parent])
        mujoco.mju_rotVecQuat(position, self._data.xpos[body] - self._data.xpos[parent], back)
        mujoco.mju_mulQuat(quaternion, back, self._data.xquat[body])
        return position, quaternion

    def _link(self, body: int) -> Link:
        model = self._model
        first, count = int(model.body_geomadr[body]), int(model.body_geomnum[body])
        shapes = tuple(
            self._shape(g)
            for g in range(first, first + count)
            if int(model.geom_type[g]) in _KINDS
        )
        return Link(model.body(body).name, int(model.body_parentid[body]) - 1, shapes)

    def _shape(self, geom: int) -> Shape:
        model = self._model
        kind = _KINDS[int(model.geom_type[geom])]
        vertices, faces = np.zeros((0, 3)), np.zeros((0, 3))
        if kind == "mesh":
            mesh = int(model.geom_dataid[geom])
            v, nv = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
            f, nf = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
            vertices, faces = (
                model.mesh_vert[v : v + nv].copy(),
                model.mesh_face[f : f + nf].copy(),
            )
        red, green, blue = (float(c) for c in model.geom_rgba[geom][:3])
        return Shape(
            kind=kind,
            size_m=model.geom_size[geom].copy(),
            xyz_m=model.geom_pos[geom].copy(),
            wxyz=model.geom_quat[geom].copy(),
            colour=(red, green, blue),
            vertices_m=vertices,
            faces=faces,
        )
