# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Messages of somebody else's robot as ours: poses, grippers, and what was commanded.

A pose comes from a `PoseStamped` of the tool in the arm's base, or by kinematics from joint
positions; an opening from a joint or a number. Reads no files; see `mapped_bag`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from lapa_core import description
from lapa_core.control.compose import Pose
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.data import messages
from lapa_core.data.labels import SAME_TICK_NS
from lapa_core.errors import DataError, unknown
from lapa_core.robot import Arm
from lapa_core.types import NUM_AXES

POSE = "geometry_msgs/msg/PoseStamped"
JOINTS = "sensor_msgs/msg/JointState"
STRING = "std_msgs/msg/String"
NUMBERS = ("std_msgs/msg/Float64", "std_msgs/msg/Float32")
# More often than this nothing is gained for labels, and each costs a tenth of a millisecond.
LEAST_NS = 8_000_000
_KINEMATICS: dict[tuple[object, ...], ArmKinematics] = {}  # of this process, by robot


class Decoder(Protocol):
    """What is asked of a bag, see `bags.Bag`."""

    def decode(self, type: str, raw: bytes) -> Any:
        """The message."""


@dataclass(frozen=True)
class PoseMap:
    """Where a tool's pose comes from: a `PoseStamped` in the arm's base, or a `JointState`.

    Attributes:
        topic: in the bag.
        joints: names in the `JointState` of the arm's joints, in the robot file's order; none:
            the robot file's own names.
    """

    topic: str
    joints: tuple[str, ...] = ()


@dataclass(frozen=True)
class GripperMap:
    """Where an opening comes from: a joint of a `JointState`, or a `Float64` or `Float32`.

    Attributes:
        topic: in the bag.
        joint: name of the joint; "" for a number.
        closed, open: the value at opening 0, and at 1.
    """

    topic: str
    joint: str
    closed: float
    open: float

    @property
    def types(self) -> tuple[str, ...]:
        """Types its topic may have."""
        return (JOINTS,) if self.joint else NUMBERS

    def opening(self, message: Any) -> float:
        """0 closed .. 1 open, may lie a little outside."""
        if self.joint:
            names, position = messages.joint_state(message)
            value = float(position[names.index(self.joint)])
        else:
            value = float(message.data)
        return (value - self.closed) / (self.open - self.closed)


@dataclass(frozen=True)
class ArmMap:
    """Where one arm's streams come from.

    Attributes:
        measured: the tool's pose.
        gripper: the measured opening.
        target: the commanded pose; None: nobody knows, and what it reached stands for it.
        command: the commanded opening; None: the measured one.
    """

    measured: PoseMap
    gripper: GripperMap
    target: PoseMap | None = None
    command: GripperMap | None = None


class ForwardKinematics:
    """`JointState` -> a message with the fields of a `PoseStamped`."""

    def __init__(self, source: PoseMap, arm: Arm) -> None:
        """Read the arm's URDF.

        Raises:
            ConfigError: it is wrong, or the mapping names another number of joints.
        """
        self.joints = source.joints or arm.joints
        key = (arm.urdf, arm.joints, arm.tool_link)
        if key not in _KINEMATICS:  # the same for every bag of a data set, and slow to read
            _KINEMATICS[key] = ArmKinematics(arm, description.for_arm(arm))
        self._kinematics = _KINEMATICS[key]

    def __call__(self, message: Any) -> Any:
        """The tool's pose in the arm's base.

        Raises:
            DataError: a joint is missing, or a number is not finite.
        """
        names, position = messages.joint_state(message)
        missing = [j for j in self.joints if j not in names]
        if missing:
            raise DataError(unknown("joint", missing[0], names, "a JointState"))
        q = position[[names.index(j) for j in self.joints]]
        if not np.all(np.isfinite(q)):
            raise DataError(f"joint positions {q.tolist()} are not finite")
        return stamped_pose(message.header, self._kinematics.fk(q))


class Finger:
    """Any message with an opening -> one with the fields of a `JointState` of the robot file."""

    def __init__(self, source: GripperMap, arm: Arm) -> None:
        self._source, self._gripper = source, arm.gripper

    def __call__(self, message: Any) -> Any:
        """The gripper's joint alone."""
        opening = self._source.opening(message)
        return SimpleNamespace(
            header=getattr(message, "header", _NO_HEADER),
            name=[self._gripper.joint],
            position=[self._gripper.joint_position(opening)],
        )


class Openings:
    """Commanded openings of all arms -> bytes of one step, whenever one of them is told.

    The first comes when every arm's target has been known for longer than a control period, so
    that no label has to guess what was before.
    """

    def __init__(self, commands: Mapping[int, GripperMap], targets: set[str]) -> None:
        """Listen.

        Args:
            commands: index of the arm -> where its opening is commanded.
            targets: topics of the commanded poses.
        """
        self.topics = {c.topic for c in commands.values()} | targets
        self._commands = commands
        self._unseen = set(self.topics)
        self._begin_ns: int | None = None
        self._last_ns = -LEAST_NS
        self._openings: dict[int, float] = {}

    def on(self, bag: Decoder, topic: str, type_: str, log_ns: int, raw: bytes) -> bytes | None:
        """A message of one of the topics; what to pass on of it."""
        self._unseen.discard(topic)
        told = False
        for index, command in self._commands.items():
            if command.topic == topic and names(raw, (command.joint,)):
                # What was commanded is a fraction; a measured finger may overrun its stops.
                opening = command.opening(bag.decode(type_, raw))
                self._openings[index] = float(np.clip(opening, 0.0, 1.0))
                told = True
        if self._unseen or len(self._openings) < len(self._commands):
            return None
        if self._begin_ns is None:
            self._begin_ns = log_ns + SAME_TICK_NS + 1
        if not told or log_ns < self._begin_ns or log_ns - self._last_ns < LEAST_NS:
            return None
        self._last_ns = log_ns
        values = [self._openings[i] for i in sorted(self._openings)]
        return struct.pack(f"<{len(values)}d", *values)


def step(raw: bytes, dimensions: tuple[str, ...]) -> Any:
    """What `Openings` made, with the fields of `executed/ee_delta`: no motion, and openings."""
    deltas = np.zeros(len(dimensions))
    deltas[NUM_AXES - 1 :: NUM_AXES] = struct.unpack(f"<{len(raw) // 8}d", raw)
    point = SimpleNamespace(positions=deltas, time_from_start=_ZERO)
    return SimpleNamespace(header=_NO_HEADER, joint_names=list(dimensions), points=[point])


def stamped_pose(header: Any, pose: Pose) -> Any:
    """A message with the fields of a `PoseStamped`."""
    w, x, y, z = pose.quaternion_wxyz.tolist()
    px, py, pz = pose.xyz_m.tolist()
    inside = SimpleNamespace(
        position=SimpleNamespace(x=px, y=py, z=pz),
        orientation=SimpleNamespace(x=x, y=y, z=z, w=w),
    )
    return SimpleNamespace(header=header, pose=inside)


def names(raw: bytes, wanted: tuple[str, ...]) -> bool:
    """Whether a serialised message holds these strings, without decoding it.

    Several publishers may share a topic of joint states, each with joints of its own.
    """
    length = struct.Struct("<I" if raw[1] & 1 else ">I")  # of a string, with its final zero
    encoded = [w.encode() + b"\0" for w in wanted if w]
    return all(length.pack(len(e)) + e in raw for e in encoded)


_ZERO = SimpleNamespace(sec=0, nanosec=0)
_NO_HEADER = SimpleNamespace(stamp=_ZERO, frame_id="")
