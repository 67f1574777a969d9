# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Leader arms held in the hands: joint states -> where the hand is, and how far it pinches.

The hand's pose is the leader's own forward kinematics. The follower is moved by its differences
since engaging, so leader and follower need not be of one kind, nor stand in one pose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lapa_core import description
from lapa_core import robot as robots
from lapa_core.control.compose import Pose
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.control.params import ControlParams
from lapa_core.control.plausibility import JointMonitor
from lapa_core.errors import ConfigError
from lapa_core.robot import Arm
from lapa_core.teleop import layout
from lapa_core.teleop.reading import ArmInput, Reading
from lapa_core.teleop.shaping import PoseFilter, Smoothing
from lapa_core.types import FloatArray

# A leader's encoders count in 1.5 mrad, 0.7 mm at the end of the arm; nothing else trembles.
SMOOTHING = Smoothing(still_hz=5.0, per_m_s=150.0, per_rad_s=30.0)


@dataclass(frozen=True)
class LeaderLayout:
    """How a leader is built and calibrated.

    Attributes:
        arm: its kinematics, the first arm of a robot file.
        joint: of its gripper, in its joint states.
        closed, open: that joint's position at opening 0 and 1.
        begin: closing every leader's gripper beyond this engages them.
    """

    arm: Arm
    joint: str
    closed: float
    open: float
    begin: float

    def opening(self, position: float) -> float:
        """0 .. 1."""
        return float(np.clip((position - self.closed) / (self.open - self.closed), 0.0, 1.0))

    def pinched(self, position: float) -> bool:
        """Whether it is closed far enough to begin."""
        return (position - self.begin) * (self.open - self.closed) < 0.0


def load(name: str) -> LeaderLayout:
    """Read a layout, or a `ConfigError`."""
    top = layout.load(name, "leader")
    top.text("description")
    gripper = top.section("gripper")
    found = LeaderLayout(
        arm=robots.load(top.text("robot")).arms[0],
        joint=gripper.text("joint"),
        closed=gripper.number("closed"),
        open=gripper.number("open"),
        begin=gripper.number("begin"),
    )
    gripper.finish()
    top.finish()
    low, high = sorted((found.closed, found.open))
    if not low < found.begin < high:
        raise ConfigError(
            f"{gripper.where}: begin {found.begin:g} must lie between closed {found.closed:g} "
            f"and open {found.open:g}"
        )
    return found


class _Leader:
    """One leader arm."""

    def __init__(self, name: str, made: LeaderLayout) -> None:
        self.kinematics = ArmKinematics(made.arm, description.for_arm(made.arm))
        self.monitor = JointMonitor(name, self.kinematics, made.joint, ControlParams())
        self.filter = PoseFilter(SMOOTHING)
        self.hand: Pose | None = None


class Leaders:
    """One leader arm for every follower."""

    name = "leader"

    def __init__(
        self, arms: tuple[str, ...], made: LeaderLayout, close_to_engage: bool = True
    ) -> None:
        """Make it.

        Args:
            arms: names of the followers.
            made: how each leader is built.
            close_to_engage: whether closing all the leaders' grippers engages them, as ALOHA
                begins; else they are engaged by taking over.
        """
        self._layout, self._close_to_engage = made, close_to_engage
        self._leaders: Mapping[str, _Leader] = {
            n: _Leader(f"the leader of {n}", made) for n in arms
        }
        self._engaged = not close_to_engage
        self._opened = False  # whether a gripper was seen open since it was last let go

    def on_joint_state(
        self, arm: str, names: Sequence[str], position: FloatArray, now_s: float
    ) -> None:
        """Take a joint state of the leader of `arm`; more joints than its own are welcome.

        Raises:
            DataError: it cannot be believed.
        """
        leader = self._leaders[arm]
        leader.monitor.update(names, position, now_s)
        assert leader.monitor.position_rad is not None
        leader.hand = leader.filter.update(
            leader.kinematics.fk(leader.monitor.position_rad), now_s
        )

    def read(self, now_s: float) -> Reading:
        """See `Device`."""
        problems = [leader.monitor.problem(now_s) for leader in self._leaders.values()]
        problem = next((p for p in problems if p), "")
        if problem:
            self.release()
            return Reading(problem=problem)
        pinched = [self._layout.pinched(x.monitor.finger) for x in self._leaders.values()]
        self._opened |= not all(pinched)
        if self._close_to_engage and self._opened and all(pinched):
            self._engaged = True
        arms = {
            name: ArmInput(
                engaged=self._engaged,
                hand=leader.hand,
                gripper=self._layout.opening(leader.monitor.finger),
                pick_up=True,
            )
            for name, leader in self._leaders.items()
        }
        grippers = "the leader's gripper" if len(arms) == 1 else "all the leaders' grippers"
        return Reading(arms, note="" if self._engaged else f"close {grippers} to begin")

    def release(self) -> None:
        """See `Device`: the grippers must be opened and closed again to engage."""
        self._engaged = not self._close_to_engage
        self._opened = False
