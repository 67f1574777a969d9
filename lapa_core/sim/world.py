# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The scene around a robot: table, blocks, bin, light, cameras and the servos of its arms.

Names: everything of an arm is prefixed `<arm>/`, as two arms have equal joint and link names.
World frame: z up; what stands where on the table is decided in `layout`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import mujoco
import numpy as np

from lapa_core import description as descriptions
from lapa_core.data.views import camera_axes
from lapa_core.description import Description
from lapa_core.errors import ConfigError, unknown
from lapa_core.rigid import neighbours, rigid_groups
from lapa_core.robot import WORLD, Arm, Camera, Robot
from lapa_core.sim import servos, things
from lapa_core.sim.layout import BIN_HALF_M, Layout
from lapa_core.sim.things import CUP, CUP_COLOUR, Cup, Scene, Thing

BLOCKS = tuple(t.name for t in things.BLOCKS.things)  # of the scene that is shown by default
TABLE = "table"
TABLE_HALF_THICKNESS_M = 0.02
BIN = "bin"
BIN_HEIGHT_M = 0.035

MIN_FRAME = (640, 480)  # pictures up to this size can be asked for, whatever the cameras have


def build(
    robot: Robot,
    arm_descriptions: Mapping[str, Description],
    layout: Layout,
    timestep_s: float,
    scene: Scene = things.BLOCKS,
) -> mujoco.MjSpec:
    """The whole scene of a robot, uncompiled.

    Raises:
        ConfigError: a URDF or camera of the robot cannot be used.
    """
    spec = mujoco.MjSpec()
    spec.modelname = robot.name
    spec.option.timestep = timestep_s
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC  # blocks slip less in the fingers
    spec.option.impratio = 10.0
    _look(spec, robot)
    _table(spec, layout)
    _bin(spec, layout)
    for thing in scene.things:
        _thing(spec, thing, layout)
    if scene.cup is not None:
        _cup(spec, scene.cup, layout)
    for arm in robot.arms:
        _arm(spec, arm, arm_descriptions[arm.name])
        _exclude(spec, arm, arm_descriptions[arm.name], robot.collision.ignore)
    for camera in robot.cameras:
        _camera(spec, camera, f"{robot.source}: camera {camera.name}")
    return spec


def _look(spec: mujoco.MjSpec, robot: Robot) -> None:
    """Light without shadows or reflections, for which a software renderer pays (decision 0024)."""
    spec.visual.headlight.ambient = [0.45, 0.45, 0.45]
    spec.visual.headlight.diffuse = [0.25, 0.25, 0.25]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 0
    spec.visual.global_.offwidth = max(MIN_FRAME[0], *(c.width for c in robot.cameras))
    spec.visual.global_.offheight = max(MIN_FRAME[1], *(c.height for c in robot.cameras))
    spec.visual.map.znear = 0.01
    spec.add_texture(  # a plain room: without it everything beyond the table is black
        name="room",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.78, 0.80, 0.82],
        rgb2=[0.45, 0.46, 0.48],
        width=32,
        height=192,
    )
    spec.stat.extent = 1.0
    spec.worldbody.add_light(
        name="lamp",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=[0.3, 0.3, 1.5],
        dir=[-0.2, -0.3, -1.0],
        diffuse=[0.45, 0.45, 0.42],
        castshadow=False,
    )


def _table(spec: mujoco.MjSpec, layout: Layout) -> None:
    middle, half = layout.table_lower + layout.table_upper, layout.table_upper - layout.table_lower
    spec.worldbody.add_geom(
        name=TABLE,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[*(half / 2), TABLE_HALF_THICKNESS_M],
        pos=[*(middle / 2), layout.table_z_m - TABLE_HALF_THICKNESS_M],
        rgba=[0.62, 0.50, 0.38, 1.0],
        friction=[0.8, 0.005, 0.0001],
    )


def _bin(spec: mujoco.MjSpec, layout: Layout) -> None:
    body = spec.worldbody.add_body(name=BIN, pos=[*layout.bin_xy, layout.table_z_m])
    wall, half, height = 0.003, BIN_HALF_M, BIN_HEIGHT_M
    parts = {
        "floor": ([half, half, wall], [0, 0, wall]),
        "left": ([half, wall, height / 2], [0, half, height / 2]),
        "right": ([half, wall, height / 2], [0, -half, height / 2]),
        "front": ([wall, half, height / 2], [half, 0, height / 2]),
        "back": ([wall, half, height / 2], [-half, 0, height / 2]),
    }
    for name, (size, pos) in parts.items():
        body.add_geom(
            name=f"{BIN}_{name}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=size,
            pos=pos,
            rgba=[0.85, 0.85, 0.82, 1.0],
        )


def _thing(spec: mujoco.MjSpec, thing: Thing, layout: Layout) -> None:
    """A thing that can be moved, somewhere; `Simulation` places it."""
    half, height = thing.edge_m / 2, thing.height_m / 2
    middle = (layout.blocks_lower + layout.blocks_upper) / 2
    body = spec.worldbody.add_body(name=thing.name, pos=[*middle, layout.table_z_m + height])
    body.add_freejoint(name=thing.name)
    body.add_geom(
        name=thing.name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[half, half, height],
        mass=thing.mass_kg,
        rgba=list(thing.rgba),
        friction=[1.0, 0.01, 0.0001],
        condim=4,
    )


def _cup(spec: mujoco.MjSpec, cup: Cup, layout: Layout) -> None:
    """The cup, its frame in the middle of its rim."""
    body = spec.worldbody.add_body(name=CUP, pos=[*layout.bin_xy, layout.table_z_m + 1.0])
    body.add_freejoint(name=CUP)
    wall, half = cup.wall_m / 2, cup.inner_m / 2 + cup.wall_m / 2
    middle, knob = cup.height_m / 2, cup.knob_m / 2
    parts = {
        "left": ([half + wall, wall, middle], [0, half, middle]),
        "right": ([half + wall, wall, middle], [0, -half, middle]),
        "front": ([wall, half - wall, middle], [half, 0, middle]),
        "back": ([wall, half - wall, middle], [-half, 0, middle]),
        "top": ([half - wall, half - wall, wall], [0, 0, cup.height_m - wall]),
        "knob": ([knob, knob, cup.knob_height_m / 2], [0, 0, cup.hold_m]),
    }
    for name, (size, pos) in parts.items():
        body.add_geom(
            name=f"{CUP}_{name}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=size,
            pos=pos,
            mass=cup.mass_kg / len(parts),
            rgba=list(CUP_COLOUR),
            friction=[1.0, 0.01, 0.0001],
            condim=4,
        )


def _camera(spec: mujoco.MjSpec, camera: Camera, where: str) -> None:
    """A camera in the world, or carried by a link, whose axes its pose is then given in."""
    body = spec.worldbody
    if camera.attached_to != WORLD:
        body = spec.body(camera.attached_to)
        if body is None:
            links = [b.name for b in spec.bodies if "/" in b.name]
            raise ConfigError(unknown("attached_to", camera.attached_to, [WORLD, *links], where))
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, camera_axes(camera.forward).ravel())
    body.add_camera(name=camera.name, pos=camera.position_m, quat=quat, fovy=camera.fovy_deg)


def _arm(spec: mujoco.MjSpec, arm: Arm, description: Description) -> None:
    child = descriptions.to_spec(description)
    if description.linkage is not None:
        # The motor's angle follows from the finger by the linkage; a joint of its own would spin.
        child.delete(child.joint(description.linkage.joint))
    for geom in child.geoms:
        geom.friction = [1.2, 0.01, 0.0001]
        geom.condim = 4
    for body in child.bodies[1:]:
        body.gravcomp = 1.0  # no sag: see docs/decisions/0025
    for joint in child.joints:
        turning = joint.type == mujoco.mjtJoint.mjJNT_HINGE
        joint.armature = servos.ARMATURE if turning else servos.FINGER_ARMATURE
    stiffness = servos.stiffness(child, arm)
    roll, pitch, yaw = (float(v) for v in arm.base_rpy_rad)
    quat = np.empty(4)
    mujoco.mju_euler2Quat(quat, np.array([roll, pitch, yaw]), "XYZ")  # fixed axes, as URDF's rpy
    frame = spec.worldbody.add_frame(pos=arm.base_xyz_m, quat=quat)
    spec.attach(child, prefix=f"{arm.name}/", frame=frame)
    for name in (*arm.joints, arm.gripper.joint):
        servos.add(spec, f"{arm.name}/{name}", description.joints[name], stiffness.get(name))


def _exclude(
    spec: mujoco.MjSpec,
    arm: Arm,
    description: Description,
    ignore: tuple[tuple[str, str], ...],
) -> None:
    """Let the shapes of neighbouring links overlap: at the joints the real covers meet.

    All other links of an arm touch each other, as they touch the world and other arms.
    """
    groups, near = rigid_groups(description), neighbours(description)
    near |= {frozenset((groups[a], groups[b])) for a, b in ignore if {a, b} <= set(groups)}
    for one, other in combinations(description.links, 2):
        ends = frozenset((groups[one], groups[other]))
        if len(ends) == 1 or ends in near:
            spec.add_exclude(bodyname1=f"{arm.name}/{one}", bodyname2=f"{arm.name}/{other}")
