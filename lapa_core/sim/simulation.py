# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Runs the MuJoCo twin of a robot: commands in, joint states and pictures out.

The calls may come from several threads; each is atomic. Pictures are the exception that
MuJoCo makes: an OpenGL context belongs to the thread that made it, so every thread that
renders gets renderers of its own and closes them itself.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from lapa_core import description as descriptions
from lapa_core.control import gripper
from lapa_core.control.compose import Pose
from lapa_core.errors import ConfigError, DataError, unknown
from lapa_core.robot import Arm, Robot
from lapa_core.sim import placement, things, world
from lapa_core.sim.layout import layout
from lapa_core.sim.rendering import STATE, Renderers
from lapa_core.sim.things import Scene
from lapa_core.types import FloatArray, ImageArray


@dataclass(frozen=True)
class _Address:
    """Where one commanded joint stands in MuJoCo's arrays."""

    qpos: int
    dof: int
    actuator: int


class Simulation:
    """The twin of one robot. Deterministic: a seed and a series of calls give one outcome.

    Attributes:
        robot: the robot it was built from.
        timestep: seconds of one physics step.
        layout: where the table stands and the objects are put.
        scene: what stands on it.
    """

    def __init__(
        self,
        robot: Robot,
        seed: int = 0,
        timestep: float = 0.002,
        scene: Scene = things.BLOCKS,
    ) -> None:
        """Build the world and put the arms into their park pose.

        Raises:
            ConfigError: the robot's URDF or a camera cannot be used.
        """
        if not 0.0 < timestep <= 0.01:
            raise ConfigError(f"timestep must be above 0 and at most 0.01 s, got {timestep}")
        self.robot = robot
        self.timestep = timestep
        self._descriptions = {a.name: descriptions.for_arm(a) for a in robot.arms}
        self.layout = layout(robot)
        self.scene = scene
        try:
            spec = world.build(robot, self._descriptions, self.layout, timestep, scene)
            self._model = spec.compile()
        except ValueError as error:
            raise ConfigError(f"{robot.source}: MuJoCo cannot build it: {error}") from None
        self._data = mujoco.MjData(self._model)
        self._lock = threading.RLock()
        self._seed = seed
        self._renderers = Renderers(self._model)
        self._addresses = {
            (a.name, n): self._address(a, n) for a in robot.arms for n in self._commanded(a)
        }
        self._joints = {a.name: self._joint_names(a) for a in robot.arms}
        self.reset()

    @property
    def model(self) -> mujoco.MjModel:
        """The compiled model, to look at."""
        return self._model

    @property
    def data(self) -> mujoco.MjData:
        """The state of the physics, to look at; not guarded against a thread that steps it."""
        return self._data

    @property
    def time_s(self) -> float:
        """Simulated seconds since the last reset."""
        return float(self._data.time)

    def reset(
        self, seed: int | None = None, poses: Mapping[str, FloatArray] | None = None
    ) -> None:
        """Put the arms into their poses, open the grippers, place the things by the seed.

        Args:
            seed: of the places; None takes the last.
            poses: arm -> (n,) joint positions [rad]; park where none is given.
        """
        with self._lock:
            self._seed = self._seed if seed is None else seed
            mujoco.mj_resetData(self._model, self._data)
            for arm in self.robot.arms:
                at = (poses or {}).get(arm.name, arm.park_rad)
                targets = dict(zip(arm.joints, map(float, at), strict=True))
                targets[arm.gripper.joint] = arm.gripper.open
                for name in self._joints[arm.name]:
                    leader, scale, offset = self._descriptions[arm.name].leader(name)
                    if leader in targets:
                        value = scale * targets[leader] + offset
                        self._data.joint(f"{arm.name}/{name}").qpos[0] = value
                self.set_command(arm.name, targets)
            self._place(np.random.default_rng(self._seed))
            mujoco.mj_forward(self._model, self._data)

    def new_scene(self, seed: int) -> None:
        """Place the things anew by the seed, at rest; the arms stay as they are."""
        with self._lock:
            self._place(np.random.default_rng(seed))
            mujoco.mj_forward(self._model, self._data)

    def step(self, n: int = 1) -> None:
        """Advance by n physics steps."""
        with self._lock:
            mujoco.mj_step(self._model, self._data, nstep=n)

    def set_command(self, arm: str, targets: Mapping[str, float]) -> None:
        """Set position targets [rad or m]; those beyond a joint's limits stop at the limit.

        Raises:
            ConfigError: no such arm.
            DataError: no such joint, or a target that is not finite. Nothing is then set.
        """
        valid = self._commanded(self.robot.arm(arm))
        for joint, target in targets.items():
            if joint not in valid:
                raise DataError(unknown("joint", joint, valid, f"the command of {arm}"))
            if not math.isfinite(target):
                raise DataError(f"command of {arm}: target of {joint} is {target}")
        with self._lock:
            for joint, target in targets.items():
                self._data.ctrl[self._addresses[arm, joint].actuator] = target

    def command(self, arm: str) -> dict[str, float]:
        """The targets now in force [rad or m], by joint."""
        names = self._commanded(self.robot.arm(arm))
        with self._lock:
            ctrl = self._data.ctrl
            return {n: float(ctrl[self._addresses[arm, n].actuator]) for n in names}

    def joint_state(self, arm: str) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
        """Names, positions [rad or m] and velocities of an arm, in the driver's order.

        The gripper's motor angle is computed from the finger; its velocity is reported as 0,
        as is that of the fingers by the Interbotix driver.
        """
        owner, names = self.robot.arm(arm), self._joints[arm]
        description = self._descriptions[arm]
        linkage = description.linkage
        position, velocity = np.zeros(len(names)), np.zeros(len(names))
        with self._lock:
            for i, name in enumerate(names):
                if linkage is not None and name == linkage.joint:
                    position[i] = self._motor_angle(arm, linkage)
                    continue
                leader, scale, offset = description.leader(name)
                joint = self._data.joint(f"{arm}/{leader}")
                position[i] = scale * float(joint.qpos[0]) + offset
                if leader != owner.gripper.joint:
                    velocity[i] = scale * float(joint.qvel[0])
        return names, position, velocity

    def tool_pose(self, arm: str) -> Pose:
        """Pose of the arm's tool link in the arm's base frame, as the physics has it."""
        owner = self.robot.arm(arm)
        root = self._descriptions[arm].root
        with self._lock:
            tool = self._data.body(f"{arm}/{owner.tool_link}")
            base = self._data.body(f"{arm}/{root}")
            base_R, tool_R = base.xmat.reshape(3, 3), tool.xmat.reshape(3, 3)
            return Pose(base_R.T @ (tool.xpos - base.xpos), base_R.T @ tool_R)

    def camera_xyz_m(self, camera: str) -> FloatArray:
        """(3,) where a camera is in the world now."""
        self.robot.camera(camera)
        with self._lock:
            place: FloatArray = self._data.cam(camera).xpos.copy()
        return place

    def object_poses(self) -> dict[str, Pose]:
        """Poses of the bin and of everything that can be moved, in the world."""
        with self._lock:
            bodies = {n: self._data.body(n) for n in (*placement.names(self.scene), world.BIN)}
            return {n: Pose(b.xpos.copy(), b.xmat.reshape(3, 3).copy()) for n, b in bodies.items()}

    def contacts(self) -> list[tuple[str, str]]:
        """Pairs of touching bodies, each sorted, without repeats; the table counts as one.

        Links are named `<arm>/<link>`. Links of one arm count where their shapes must not
        overlap, which is everywhere but at the joints (`lapa_core.rigid`).
        """
        with self._lock:
            pairs = {
                tuple(sorted((self._touching(c.geom1), self._touching(c.geom2))))
                for c in self._data.contact[: self._data.ncon]
            }
        return sorted((a, b) for a, b in pairs)

    def violations(self) -> list[tuple[str, str]]:
        """The contacts that a robot must avoid: of an arm with itself, an arm or the table.

        Blocks and bin are there to be touched. A base on the table is no contact for the
        physics, as neither of them moves.
        """
        arms = {a.name for a in self.robot.arms}

        def must_not_touch(body: str) -> bool:
            return body == world.TABLE or body.partition("/")[0] in arms

        return [(a, b) for a, b in self.contacts() if must_not_touch(a) and must_not_touch(b)]

    def snapshot(self) -> FloatArray:
        """The whole state of the physics, for `render_snapshot`."""
        state = np.empty(mujoco.mj_stateSize(self._model, STATE))
        with self._lock:
            mujoco.mj_getState(self._model, self._data, state, STATE)
        return state

    def render(
        self, camera: str, width: int | None = None, height: int | None = None
    ) -> ImageArray:
        """Picture of a camera now, (H, W, 3) uint8 RGB; in its own size where none is given.

        Raises:
            ConfigError: no such camera, a size beyond the cameras', or no OpenGL.
        """
        view = self.robot.camera(camera)
        return self.render_snapshot(
            self.snapshot(),
            camera,
            view.width if width is None else width,
            view.height if height is None else height,
        )

    def render_snapshot(
        self, snapshot: FloatArray, camera: str, width: int, height: int
    ) -> ImageArray:
        """Picture of a camera at a snapshot; takes no lock, so the physics goes on meanwhile."""
        self.robot.camera(camera)
        return self._renderers.render(snapshot, camera, width, height)

    def close(self) -> None:
        """Free the renderers of the calling thread."""
        self._renderers.close()

    def _address(self, arm: Arm, joint: str) -> _Address:
        name = f"{arm.name}/{joint}"
        of_joint = self._model.joint(name)
        return _Address(
            int(of_joint.qposadr[0]), int(of_joint.dofadr[0]), self._model.actuator(name).id
        )

    def _place(self, rng: np.random.Generator) -> None:
        """Put everything that can be moved somewhere, at rest."""
        for name, qpos in placement.draw(self.scene, self.layout, rng).items():
            joint = self._data.joint(name)
            joint.qpos[:], joint.qvel[:] = qpos, 0.0

    def _motor_angle(self, arm: str, linkage: descriptions.Linkage) -> float:
        finger = float(self._data.joint(f"{arm}/{linkage.finger}").qpos[0])
        # Contacts push a finger a little past its soft limit; the real crank stops.
        ends = linkage.arm_m - linkage.horn_m, linkage.arm_m + linkage.horn_m
        return gripper.angle_from_finger(linkage, min(max(finger, ends[0]), ends[1]))

    def _touching(self, geom: int) -> str:
        body = int(self._model.geom_bodyid[geom])
        return str(self._model.body(body).name if body else self._model.geom(geom).name)

    def _commanded(self, arm: Arm) -> tuple[str, ...]:
        return (*arm.joints, arm.gripper.joint)

    def _joint_names(self, arm: Arm) -> tuple[str, ...]:
        """Arm joints, then the rest in the URDF's order: motor, left finger, right finger."""
        rest = [n for n in self._descriptions[arm.name].joints if n not in arm.joints]
        return (*arm.joints, *rest)
