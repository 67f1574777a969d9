# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a robot is made of: arms, grippers, limits, workspace, table, cameras.

Kinematics and joint limits are not here: they stand once, in the URDF the robot file names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lapa_core.errors import ConfigError, unknown
from lapa_core.robot.drivers import BACKENDS, Drivers, require
from lapa_core.rotation import rotation_from_rpy
from lapa_core.types import FloatArray, dimension_names

WORLD = "world"  # what a camera that no arm carries is attached to
Polarity = Literal["open_is_one", "open_is_zero"]
POLARITIES: tuple[Polarity, ...] = ("open_is_one", "open_is_zero")


@dataclass(frozen=True)
class Gripper:
    """A gripper commanded through one joint.

    Attributes:
        joint: name of the joint in `joint_states`.
        closed: joint position at opening 0 [m or rad].
        open: joint position at opening 1 [m or rad].
        max_velocity: of the joint [m/s or rad/s].
        polarity: what the gripper's number means in the data policies of this robot learn from.
            Messages and commands always have 1 for open, whatever stands here.
    """

    joint: str
    closed: float
    open: float
    max_velocity: float
    polarity: Polarity

    def joint_position(self, opening: float) -> float:
        """Joint position of an opening between 0 (closed) and 1 (open)."""
        return self.closed + opening * (self.open - self.closed)

    def opening(self, joint_position: float) -> float:
        """Opening of a joint position; may lie a little outside 0 .. 1."""
        return (joint_position - self.closed) / (self.open - self.closed)


@dataclass(frozen=True)
class Arm:
    """One arm. Lengths in metres, angles in radians, frames as named.

    Attributes:
        name: prefix of its dimensions, and of its topics here.
        urdf: file (xacro or plain URDF) beside the robot file or in `urdf/`, an absolute path, or
            `package://<package>/<path>`.
        joint_states: topic of its measured joints, relative to the robot's namespace.
        base_frame: TF frame its deltas and poses are given in.
        base_xyz_m, base_rpy_rad: (3,) pose of the base in the world.
        tool_link: URDF link whose origin is the tool point.
        joints: arm joints in command order, without the gripper.
        max_acceleration_rad_s2: bound on each joint's acceleration.
        workspace_lower_m, workspace_upper_m: (3,) box of the tool point in the base frame.
        max_translation_m, max_rotation_rad: bound on one policy step.
        start_rad, park_rad: (n,) joint positions.
        drivers: how each kind of driver reaches this arm.
    """

    name: str
    urdf: str
    joint_states: str
    base_frame: str
    base_xyz_m: FloatArray
    base_rpy_rad: FloatArray
    tool_link: str
    joints: tuple[str, ...]
    max_acceleration_rad_s2: float
    gripper: Gripper
    workspace_lower_m: FloatArray
    workspace_upper_m: FloatArray
    max_translation_m: float
    max_rotation_rad: float
    start_rad: FloatArray
    park_rad: FloatArray
    drivers: Drivers

    @property
    def base_rotation(self) -> FloatArray:
        """(3, 3) that turns vectors in the base's axes into vectors in the world's."""
        roll, pitch, yaw = (float(v) for v in self.base_rpy_rad)
        return rotation_from_rpy(roll, pitch, yaw)


@dataclass(frozen=True)
class Camera:
    """One camera stream and where the camera stands.

    Attributes:
        name: the name a policy asks for.
        topic: image topic, relative to the robot's namespace.
        width, height: pixels of its images.
        rate_hz: nominal rate.
        frame_id: TF frame of its optical centre.
        attached_to: `WORLD`, or `<arm>/<link>` of the link that carries it.
        position_m, forward: (3,) in the world or in that link; z up there is up in the picture.
        fovy_deg: vertical field of view.
    """

    name: str
    topic: str
    width: int
    height: int
    rate_hz: float
    frame_id: str
    attached_to: str
    position_m: FloatArray
    forward: FloatArray
    fovy_deg: float


@dataclass(frozen=True)
class Collision:
    """How near shapes may come to each other. All in metres, between URDF collision shapes.

    Attributes:
        self_m: two links of one arm that are not neighbours.
        arms_m: links of two different arms.
        table_m: a link and the table's top.
        ignore: pairs of links of one arm that are never checked.
    """

    self_m: float
    arms_m: float
    table_m: float
    ignore: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Robot:
    """A robot: one or more arms moved by one policy, its table and its cameras.

    Attributes:
        backend: the kind of driver that moves it, one of `drivers.BACKENDS`.
        step_time_s: between two steps of a policy.
        world_frame: TF frame of the arms' `base_xyz_m`, the table and the cameras.
        table_z_m: height of the table's top in the world.
        source: where all this was read, for errors.
    """

    name: str
    description: str
    backend: str
    step_time_s: float
    world_frame: str
    table_z_m: float
    arms: tuple[Arm, ...]
    collision: Collision
    cameras: tuple[Camera, ...]
    source: str

    @property
    def base_frame(self) -> str:
        """`frame_id` of a chunk whose deltas are in the axes of each arm's own base."""
        return "+".join(a.base_frame for a in self.arms)

    def with_backend(self, backend: str) -> Robot:
        """The same robot reached through another kind of driver, or a `ConfigError`."""
        if backend not in BACKENDS:
            raise ConfigError(unknown("backend", backend, BACKENDS, self.source))
        for arm in self.arms:
            require(arm.drivers, backend, f"{self.source}: arm {arm.name}")
        return replace(self, backend=backend)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the action's dimensions, seven an arm."""
        return dimension_names(tuple(a.name for a in self.arms))

    def arm(self, name: str) -> Arm:
        """The arm of that name, or a `ConfigError` that lists the valid ones."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise ConfigError(unknown("arm", name, [a.name for a in self.arms], self.source))

    def camera(self, name: str) -> Camera:
        """The camera of that name, or a `ConfigError` that lists the valid ones."""
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise ConfigError(unknown("camera", name, [c.name for c in self.cameras], self.source))
