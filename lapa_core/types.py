# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The data that passes between the parts, and the one comment that defines it.

Frames and units (REP-103): metres, radians, seconds; x forward, y left, z up.

An *end-effector delta* has seven numbers an arm, named `<arm>/x y z roll pitch yaw gripper`:
  x y z            metres along the axes of the arm's base
  roll pitch yaw   radians about those axes, applied as Rz(yaw) @ Ry(pitch) @ Rx(roll)
  gripper          absolute opening, 0 closed .. 1 open
It is added to the previous *commanded* pose (Bridge convention). Two arms have 14 numbers,
the first arm's seven first. Stamps are integer nanoseconds of the robot's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lapa_core.errors import UnsafeAction

FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.uint8]

AXES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
UNITS = ("m", "m", "m", "rad", "rad", "rad", "open")
NUM_AXES = len(AXES)


def dimension_names(arms: tuple[str, ...]) -> tuple[str, ...]:
    """Names of all dimensions, arm by arm: `("left/x", ..., "right/gripper")`."""
    return tuple(f"{arm}/{axis}" for arm in arms for axis in AXES)


@dataclass(frozen=True)
class Observation:
    """What a policy sees at one decision.

    Attributes:
        stamp_ns: stamp of the oldest camera frame in it.
        images: camera name -> (H, W, 3) uint8 RGB, as the camera delivered it.
        instruction: what the robot is told to do, in words.
        state: dimension name -> value: the measured tool pose and gripper, where a policy
            asks for it (empty otherwise).
    """

    stamp_ns: int
    images: Mapping[str, ImageArray]
    instruction: str
    state: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ActionChunk:
    """Consecutive end-effector deltas that answer one observation.

    Attributes:
        names: (d,) names of the dimensions, see `dimension_names`.
        deltas: (k, d) float64, one row a step.
        due_s: (k,) seconds after `stamp_ns` at which each step starts, increasing.
        stamp_ns: stamp of the observation it answers.
        frame_id: base frame of the deltas.
    """

    names: tuple[str, ...]
    deltas: FloatArray
    due_s: FloatArray
    stamp_ns: int
    frame_id: str = ""

    def __post_init__(self) -> None:
        """Refuse a chunk whose parts do not fit together."""
        if self.deltas.ndim != 2 or self.deltas.shape[1] != len(self.names):
            raise UnsafeAction(
                f"chunk of shape {self.deltas.shape} does not fit its {len(self.names)} names"
            )
        if self.due_s.shape != (self.deltas.shape[0],):
            raise UnsafeAction(
                f"{self.deltas.shape[0]} deltas but due times of shape {self.due_s.shape}"
            )

    def __len__(self) -> int:
        """Number of steps."""
        return int(self.deltas.shape[0])


@dataclass(frozen=True)
class JointCommand:
    """What one arm is told at one control tick.

    Attributes:
        arm: name of the arm.
        joints: names of the arm's joints, in the order of the robot file.
        position_rad: (n,) target joint positions [rad].
        gripper: absolute opening, 0 closed .. 1 open.
    """

    arm: str
    joints: tuple[str, ...]
    position_rad: FloatArray
    gripper: float
