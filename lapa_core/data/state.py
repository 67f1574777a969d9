# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The tool as `Observation.state`, measured and commanded: the same live and from a bag.

Knows neither ROS nor files; messages are any objects of that shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

import numpy as np

from lapa_core.control.authority import SOURCES, State
from lapa_core.data import messages
from lapa_core.data.observe import Stream
from lapa_core.errors import DataError, StaleInput
from lapa_core.robot import Robot
from lapa_core.rotation import rpy_from_rotation
from lapa_core.types import AXES, FloatArray

TARGET = "target_"  # before an axis: of the commanded pose
MAX_STATE_AGE_S = 0.25  # arm_node's limit for joint states
# Authority, a step and the target it leads to are told in one control period, on three topics.
SAME_TICK_S = 0.1

# Bridge's state has roll = pitch = yaw = 0 with the gripper straight down, where tables are
# worked on; plain roll-pitch-yaw is singular exactly there (reference: widowx_env_service.py).
_DOWN: FloatArray = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])


class ToolState:
    """The tool pose and gripper of every arm, as `Observation.state` names them.

    Measured: x y z [m] in the arm's base; roll pitch yaw [rad] about the base's axes, 0 with the
    gripper straight down (Bridge); gripper 0 closed .. 1 open, not clipped. Commanded: the same
    of the target in force, `target_x` and so on, from which the next delta goes on. An arm that
    moves is behind it, by 2 cm at 0.2 m/s: who sees the measured pose alone cannot know what is
    left to command. Where none is told and nobody moves the arm, as before the first step, the
    next delta goes on from the measured pose, and that is what is given; while somebody moves
    it (for `SAME_TICK_S` already), a commanded pose that is not heard of is refused.
    """

    def __init__(
        self,
        robot: Robot,
        poses: Mapping[str, Stream],
        joints: Mapping[str, Stream],
        targets: Mapping[str, Stream],
        *,
        authority: Callable[[float], str | None],
        now_s: Callable[[], float],
        max_age_s: float = MAX_STATE_AGE_S,
        commanded: bool = True,
    ) -> None:
        """Read the streams of every arm.

        Args:
            robot: whose arms.
            poses: arm -> `PoseStamped` of `<arm>/ee_pose`.
            joints: arm -> its `JointState`.
            targets: arm -> `PoseStamped` of `<arm>/ee_target`.
            authority: the state in force at a time of that clock: hold, policy, teleop or estop;
                None: not known.
            now_s: the clock of the streams' arrivals.
            max_age_s: an older message counts as none.
            commanded: whether the commanded poses are asked for; else they are left out.
        """
        self._robot = robot
        self._poses, self._joints, self._targets = poses, joints, targets
        self._authority = authority
        self._now_s = now_s
        self._max_age_s = max_age_s
        self._with_commanded = commanded

    def __call__(self) -> dict[str, float]:
        """Dimension name -> value, now.

        Raises:
            StaleInput: an arm's pose or joint state is missing or too old; its commanded pose is,
                and somebody moves it, or nobody says whether.
            DataError: a joint state does not name the gripper's joint.
        """
        state: dict[str, float] = {}
        told: dict[str, float] = {}
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
            if not self._with_commanded:
                continue
            if self._in_force(arm.name):
                xyz_m, rotation = pose(self._fresh(self._targets, arm.name, "commanded target"))
            told |= of_target(arm.name, xyz_m, rotation)
        return state | told

    def _in_force(self, arm: str) -> bool:
        """Whether a commanded pose is: told lately, or to be told, as somebody moves the arm."""
        target = self._targets[arm].get()
        if target is not None and self._now_s() - target.arrived_s <= self._max_age_s:
            return True
        state = self._authority(self._now_s() - SAME_TICK_S)
        if state is None:
            valid = ", ".join(get_args(State))
            raise StaleInput(f"no commanded target of {arm}, and nobody says on `authority` "
                             f"whether one is in force; valid: {valid}")  # fmt: skip
        return state in SOURCES

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


def of_target(arm: str, xyz_m: FloatArray, rotation: FloatArray) -> dict[str, float]:
    """The values of one arm's commanded pose, given in the arm's base frame; see `ToolState`."""
    values = (*xyz_m.tolist(), *rpy_from_rotation(rotation @ _DOWN.T))
    return dict(zip((f"{arm}/{TARGET}{a}" for a in AXES[:-1]), values, strict=True))


def names(robot: Robot) -> tuple[str, ...]:
    """All names of a robot's `Observation.state`, in their order."""
    told = (f"{arm.name}/{TARGET}{a}" for arm in robot.arms for a in AXES[:-1])
    return (*robot.dimensions, *told)


def reads_commanded(names: Iterable[str]) -> bool:
    """Whether a commanded pose is among a checkpoint's names of `Observation.state`."""
    return any(name.rpartition("/")[2].startswith(TARGET) for name in names)


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
