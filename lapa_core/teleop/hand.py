# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One arm in a person's hand: what is asked of it -> its next seven numbers, saturated.

Knows neither device nor authority.
"""

from __future__ import annotations

import math

import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.robot import Arm, Robot
from lapa_core.teleop.clutch import Clutch
from lapa_core.teleop.gripper import GripperHand
from lapa_core.teleop.reading import ArmInput
from lapa_core.teleop.reference import Reference
from lapa_core.teleop.shaping import limited, step, turn_vector
from lapa_core.types import NUM_AXES, FloatArray

BLIND_S = 0.2  # an arm that begins to follow says where its target is sooner than this


class ArmHand:
    """Clutch, gripper and target of one arm.

    Attributes:
        reference: its commanded target, deltas on their way included.
        commanded: opening of the gripper last executed since the last enable; None before.
        told: whether the arm has said so at all: only then None means that there is none.
        measured: its measured opening; None before the first joint state.
        saturated: whether the last delta was less than what was asked for.
        blind: whether it stands still because the arm does not say where its target is.
    """

    def __init__(
        self,
        arm: Arm,
        robot: Robot,
        speed_scale: float,
        motion_scale: float,
        slip: tuple[float, float],
    ) -> None:
        self.reference = Reference()
        self.commanded: float | None = None
        self.told = False
        self.measured: float | None = None
        self.saturated = False
        self.blind = False
        self._seen_s = -math.inf  # when the target was known last, or of no use
        self._arm, self._speed_scale = arm, speed_scale
        self._clutch = Clutch(motion_scale, *slip)
        self._gripper = GripperHand()
        # The arm allows 1.25 times this: jitter of either clock must not make it clamp.
        self._top_m_s = arm.max_translation_m / robot.step_time_s * speed_scale
        self._top_rad_s = arm.max_rotation_rad / robot.step_time_s * speed_scale

    @property
    def opening(self) -> float | None:
        """Of the gripper, in force: commanded where that is known, else measured."""
        return self.measured if self.commanded is None else self.commanded

    def start(self) -> None:
        """Begin from the opening in force, which must be known."""
        assert self.opening is not None
        self._gripper.start(self.opening)

    def untie(self) -> None:
        """Open the clutch, and wait for the arm to say anew where its target is."""
        self._let_go()
        self.reference.forget()
        self.blind = False

    def delta(self, asked: ArmInput, following: bool, now_s: float, dt_s: float) -> FloatArray:
        """(7,) the next delta.

        Args:
            asked: of this arm; nothing moves unless it is engaged.
            following: whether the arm follows teleop already, so that its target is known.
            now_s: monotonic time.
            dt_s: seconds since the last delta.
        """
        self.saturated = False
        if not (asked.engaged and following and asked.needs_target):
            self._seen_s = now_s
        move: FloatArray = np.zeros(NUM_AXES - 1)
        if asked.engaged:
            self._gripper.update(asked, dt_s)
            move = self._move(asked, following, now_s, dt_s)
        else:
            self._let_go()
        self.blind = now_s - self._seen_s > BLIND_S
        assert self._gripper.opening is not None
        return np.append(move, self._gripper.opening)

    def _move(self, asked: ArmInput, following: bool, now_s: float, dt_s: float) -> FloatArray:
        """(6,) delta within what the arm's clamp allows in `dt_s`."""
        reference = self.reference.pose(now_s)
        if reference is None:
            self._clutch.release()  # the hand goes on: it must not be made up for later
        else:
            self._seen_s = now_s
        if asked.hand is None and asked.goal is None:
            axes, scale = self._axes(asked, reference), dt_s * self._speed_scale
            way, turn = axes @ asked.linear_m_s * scale, axes @ asked.angular_rad_s * scale
        elif reference is None or not following:
            return np.zeros(NUM_AXES - 1)  # nobody knows yet where the goal is from here
        else:
            goal = asked.goal
            if asked.hand is not None:
                goal = self._clutch.goal(asked.hand, reference)
            assert goal is not None
            way = goal.xyz_m - reference.xyz_m
            turn = turn_vector(reference.rotation, goal.rotation)
        within = limited(way, self._top_m_s * dt_s), limited(turn, self._top_rad_s * dt_s)
        self.saturated = within[0] is not way or within[1] is not turn
        return step(*within)

    def _axes(self, asked: ArmInput, reference: Pose | None) -> FloatArray:
        """(3, 3) that turns vectors in the asked axes into the base's."""
        if asked.axes == "world":
            return self._arm.base_rotation.T
        if asked.axes == "tool":
            # Nothing moves along axes that are not known yet; the first zero delta brings them.
            return np.zeros((3, 3)) if reference is None else reference.rotation
        return np.eye(3)

    def _let_go(self) -> None:
        self._clutch.release()
        self._gripper.let_go()
