# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The measured tool pose and gripper as `Observation.state`: the same live and from a bag.

Knows neither ROS nor files; messages are any objects of that shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lapa_core.data import messages
from lapa_core.data.observe import Stream
from lapa_core.errors import DataError, StaleInput
from lapa_core.robot import Robot
from lapa_core.rotation import rpy_from_rotation
from lapa_core.types import AXES, FloatArray

MAX_STATE_AGE_S = 0.25  # arm_node's limit for joint states

# Bridge's state has roll = pitch = yaw = 0 with the gripper straight down, where tables are
# worked on; plain roll-pitch-yaw is singular exactly there (reference: widowx_env_service.py).
_DOWN: FloatArray = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])


class ToolState:
    """The measured tool pose and gripper of every arm, as `Observation.state` names them.

    x y z [m] in the arm's base; roll pitch yaw [rad] about the base's axes, 0 with the gripper
    straight down (Bridge); gripper 0 closed .. 1 open, not clipped.
    """

    def __init__(
        self,
        robot: Robot,
        poses: Mapping[str, Stream],
        joints: Mapping[str, Stream],
        *,
        now_s: Callable[[], float],
        max_age_s: float = MAX_STATE_AGE_S,
    ) -> None:
        """Read, by arm, `PoseStamped` of `<arm>/ee_pose` and its `JointState`."""
        self._robot = robot
        self._poses, self._joints = poses, joints
        self._now_s = now_s
        self._max_age_s = max_age_s

    def __call__(self) -> dict[str, float]:
        """Dimension name -> value, now.

        Raises:
            StaleInput: an arm's pose or joint state is missing or too old.
            DataError: a joint state does not name the gripper's joint.
        """
        state: dict[str, float] = {}
        for arm in self._robot.arms:
            xyz_m, rotation = pose(self._fresh(self._poses, arm.name, "pose"))
            names, position = messages.joint_state(
                self._fresh(self._joints, arm.name, "joint state")
            )
            finger = arm.gripper.joint
            if finger not in names:
                raise DataError(f"joint states of {arm.name} do not name {finger}: {names}")
            opening = arm.gripper.opening(float(position[names.index(finger)]))
            state |= of_tool(arm.name, xyz_m, rotation, opening)
        return state

    def _fresh(self, streams: Mapping[str, Stream], arm: str, what: str) -> Any:
        sample = streams[arm].get()
        if sample is None:
            raise StaleInput(f"no {what} of {arm} yet")
        age_s = self._now_s() - sample.arrived_s
        if age_s > self._max_age_s:
            raise StaleInput(f"the {what} of {arm} is {age_s:.2f} s old; valid: at most "
                             f"{self._max_age_s:g} s")  # fmt: skip
        return sample.value


def heading(rotation: FloatArray) -> float:
    """A tool's yaw [rad], as `ToolState` has it, of its (3, 3) rotation in the arm's base."""
    return float(rpy_from_rotation(rotation @ _DOWN.T)[2])


def of_tool(arm: str, xyz_m: FloatArray, rotation: FloatArray, opening: float) -> dict[str, float]:
    """The values of one arm's tool, given in the arm's base frame; see `ToolState`."""
    values = (*xyz_m.tolist(), *rpy_from_rotation(rotation @ _DOWN.T), opening)
    return dict(zip((f"{arm}/{a}" for a in AXES), values, strict=True))


def pose(msg: Any) -> tuple[FloatArray, FloatArray]:
    """(3,) position [m] and (3, 3) rotation of a `PoseStamped`.

    Raises:
        DataError: a number that is not finite, or a quaternion that is none.
    """
    p, q = msg.pose.position, msg.pose.orientation
    xyz_m = np.array([p.x, p.y, p.z], dtype=np.float64)
    wxyz = np.array([q.w, q.x, q.y, q.z], dtype=np.float64)
    norm = float(np.linalg.norm(wxyz))
    if not np.all(np.isfinite(xyz_m)) or not abs(norm - 1.0) < 1e-3:
        raise DataError(f"no pose: position {xyz_m.tolist()}, quaternion wxyz {wxyz.tolist()}")
    w, x, y, z = wxyz / norm
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    return xyz_m, rotation
