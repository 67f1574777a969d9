# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The shapes of all arms of a robot in one model, and which pairs of them are kept apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product

import mink
import mujoco
import numpy as np
from numpy.typing import NDArray

from lapa_core import description as descriptions
from lapa_core.description import Description
from lapa_core.errors import ConfigError, unknown
from lapa_core.rigid import neighbours, rigid_groups
from lapa_core.robot import Arm, Robot
from lapa_core.rotation import rotation_from_rpy

TABLE = "table"
# Shapes nearer than their least distance plus this take part in the program.
DETECTION_M = 0.04
# Share of the distance left that one tick may use up: approaching shapes brake, they do not stop
# dead, and the program's linearisation errs on what is left.
APPROACH_GAIN = 0.3


@dataclass(frozen=True)
class Close:
    """Two shapes that are near each other.

    Attributes:
        pair: bodies they belong to, `<arm>/<link>`, or `TABLE`.
        distance_m: between them, negative where they overlap.
        least_m: what the robot file asks for.
    """

    pair: tuple[str, str]
    distance_m: float
    least_m: float

    @property
    def excess_m(self) -> float:
        """How much nearer they may still come."""
        return self.distance_m - self.least_m

    @property
    def now(self) -> str:
        """In words, for what is."""
        return self._words("is")

    def __str__(self) -> str:
        """In words, for what would be."""
        return self._words("would be")

    def _words(self, verb: str) -> str:
        return (
            f"{self.pair[0]} {verb} {self.distance_m * 1e3:.0f} mm from {self.pair[1]}, "
            f"at least {self.least_m * 1e3:.0f} mm are asked for"
        )


class Kind:
    """Pairs of shapes that share a least distance."""

    def __init__(
        self, model: mujoco.MjModel, pairs: list[tuple[int, int]], least_m: float
    ) -> None:
        self.least_m = least_m
        self.limit = mink.CollisionAvoidanceLimit(
            model,
            [([a], [b]) for a, b in pairs],
            gain=APPROACH_GAIN,
            minimum_distance_from_collisions=least_m,
            collision_detection_distance=least_m + DETECTION_M,
        )
        # mink leaves out what is fixed to the world together, such as two bases, and what turns
        # on something fixed to it: a shoulder and the other arm's base, or the table.
        kept: NDArray[np.int64] = np.array(self.limit.geom_id_pairs, dtype=int).reshape(-1, 2)
        self.names = {
            (a, b): (body(model, a), body(model, b)) for a, b in self.limit.geom_id_pairs
        }
        endless = (model.geom_rbound[kept] == 0).any(axis=1)
        self._pairs = kept[~endless]
        self._first, self._second = self._pairs.T
        self._radii = model.geom_rbound[self._pairs].sum(axis=1)
        # A plane has no bounding sphere, but every other shape has its height above it.
        self._over = kept[endless]
        is_plane = model.geom_type[self._over] == mujoco.mjtGeom.mjGEOM_PLANE
        if not np.all(is_plane.sum(axis=1) == 1):
            raise ConfigError(f"a shape without bounds that is no plane: {self._over.tolist()}")
        self._planes, self._others = self._over[is_plane], self._over[~is_plane]
        self._heights = model.geom_rbound[self._others]

    def survivors(self, data: mujoco.MjData, reach_m: float) -> list[tuple[int, int]]:
        """Pairs that are not apart by more than the reach by their bounding spheres alone."""
        near = []
        if len(self._pairs):
            apart = data.geom_xpos[self._first] - data.geom_xpos[self._second]
            bound = self._radii + reach_m
            near += self._pairs[np.einsum("ij,ij->i", apart, apart) <= bound * bound].tolist()
        if len(self._over):
            above = data.geom_xpos[self._others] - data.geom_xpos[self._planes]
            normals = data.geom_xmat[self._planes][:, 2::3]  # third column of each rotation
            height = np.einsum("ij,ij->i", above, normals)
            near += self._over[height <= self._heights + reach_m].tolist()
        return near


def build(robot: Robot, arm_descriptions: Mapping[str, Description]) -> mujoco.MjModel:
    """All arms at their bases, and the table's top as an endless plane."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(
        name=TABLE,
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[1.0, 1.0, 0.1],
        pos=[0.0, 0.0, robot.table_z_m],
    )
    for arm in robot.arms:
        description = arm_descriptions[arm.name]
        child = descriptions.to_spec(description)
        for equality in list(child.equalities):
            child.delete(equality)
        if description.linkage is not None:
            child.delete(child.joint(description.linkage.joint))
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, rotation_from_rpy(*map(float, arm.base_rpy_rad)).ravel())
        frame = spec.worldbody.add_frame(pos=arm.base_xyz_m, quat=quaternion)
        spec.attach(child, prefix=f"{arm.name}/", frame=frame)
    return spec.compile()


def kinds(
    robot: Robot, arm_descriptions: Mapping[str, Description], model: mujoco.MjModel
) -> list[Kind]:
    """Which shapes are kept apart, and by how much."""
    table = model.geom(TABLE).id
    by_arm = {a.name: _shapes(model, a.name) for a in robot.arms}
    of_self, of_table = [], []
    for arm in robot.arms:
        description = arm_descriptions[arm.name]
        groups = rigid_groups(description)
        near = neighbours(description)
        apart = near | _ignored(robot, arm, groups)
        base = groups[description.root]
        shapes = [(g, groups[link]) for g, link in by_arm[arm.name]]
        of_self += [
            (a, b)
            for (a, one), (b, two) in combinations(shapes, 2)
            if one != two and frozenset((one, two)) not in apart
        ]
        # The base stands on the table; what turns on it is as high in every position.
        first = {base, *(g for pair in near if base in pair for g in pair)}
        of_table += [(table, g) for g, group in shapes if group not in first]
    of_arms = [
        (a, b)
        for one, two in combinations(by_arm.values(), 2)
        for (a, _), (b, _) in product(one, two)
    ]
    c = robot.collision
    wanted = ((of_self, c.self_m), (of_arms, c.arms_m), (of_table, c.table_m))
    return [Kind(model, pairs, least_m) for pairs, least_m in wanted if pairs]


def _shapes(model: mujoco.MjModel, arm: str) -> list[tuple[int, str]]:
    """Collision shapes of an arm, each with the link it belongs to."""
    shapes = []
    for geom in range(model.ngeom):
        owner, _, link = body(model, geom).partition("/")
        if owner == arm and link and model.geom_contype[geom]:
            shapes.append((geom, link))
    return shapes


def _ignored(robot: Robot, arm: Arm, groups: Mapping[str, str]) -> set[frozenset[str]]:
    """The robot file's exceptions, as pairs of rigid groups."""
    where = f"{robot.source}: collision: ignore"
    for pair in robot.collision.ignore:
        for link in pair:
            if link not in groups:
                raise ConfigError(unknown("link", link, groups, f"{where}, arm {arm.name}"))
    return {frozenset(groups[link] for link in pair) for pair in robot.collision.ignore}


def fingers(
    model: mujoco.MjModel, arm: Arm, description: Description
) -> list[tuple[int, float, float]]:
    """Address, multiplier and offset of the gripper's joint and of every one that follows it."""
    present = {model.joint(i).name: int(model.joint(i).qposadr[0]) for i in range(model.njnt)}
    found = []
    for joint in description.joints:
        leader, multiplier, offset = description.leader(joint)
        if leader == arm.gripper.joint and f"{arm.name}/{joint}" in present:
            found.append((present[f"{arm.name}/{joint}"], multiplier, offset))
    return found


def body(model: mujoco.MjModel, geom: int) -> str:
    """Name of the body a shape belongs to; the table is a shape of the world."""
    body = int(model.geom_bodyid[geom])
    return str(model.body(body).name) if body else TABLE
