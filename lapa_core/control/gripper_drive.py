# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""An Interbotix gripper's opening -> the number its motor is told, one class a motor mode.

Pure: time comes in, and nothing is sent here. What they have in common is that a motor never
pushes with all it has against something that does not move: after a stall it only holds. A
position goal inside a rigid object switches such a motor off within seconds (overload), and a
PWM stays on the motor until another one comes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from lapa_core.control.gripper import angle_from_finger
from lapa_core.description import Linkage
from lapa_core.errors import ConfigError
from lapa_core.robot.drivers import InterbotixGripper
from lapa_core.robot.parts import Gripper

PWM_GAIN_PER_M = 300.0  # bridge_data_robot's gripper: full PWM from 3.3 mm on
AT_TARGET_M = 0.0005  # PWM: at the target; half of what a policy's bin is wide
OFF_TARGET_M = 0.001  # PWM: and off it again, further out, so that it does not buzz
STALL_M = 0.0005  # less than this in STALL_S is no motion; ten times the encoder's step
STALL_S = 0.2  # of the 0.1 to 0.3 s after which others stop squeezing
CHANGED_M = 0.003  # a target that moved this far is a new wish, not a policy's noise
SQUEEZE_M = 0.001  # position modes: how far inside a stalled finger the goal stays (ours)
# A finger that moved this far after a stall has nothing rigid in its way; less than the squeeze,
# so that one which had only been slow to start is noticed.
GAVE_WAY_M = 0.0008
REPEAT_S = 0.5  # position modes: a goal that stays is sent again, in case one was lost
LINKAGE_MARGIN_M = 0.0001  # at the very end of the linkage the driver's acos rounds to NaN


class Stall:
    """Whether a finger that is driven in one direction (+1 opens, -1 closes) stands still.

    Attributes:
        direction: it stalled in, 0 while it has not.
        target, finger: [m] both at that moment.
    """

    def __init__(self) -> None:
        self.direction = 0
        self.target = 0.0
        self.finger = 0.0
        self._driven = 0
        self._from = 0.0
        self._since_s = 0.0

    def update(self, direction: int, target: float, finger: float, now_s: float) -> None:
        """Take a measurement [m]; `direction` is where the finger is driven, 0 for nowhere."""
        if self.direction:
            if self._over(direction, target, finger):
                self.direction = self._driven = 0
            return
        if direction != self._driven or abs(finger - self._from) >= STALL_M:
            self._driven, self._from, self._since_s = direction, finger, now_s
        elif direction and now_s - self._since_s >= STALL_S:
            self.direction, self.target, self.finger = direction, target, finger

    def forget(self) -> None:
        """Start anew."""
        self.direction = self._driven = 0

    def _over(self, direction: int, target: float, finger: float) -> bool:
        return (
            direction != self.direction
            or abs(target - self.target) >= CHANGED_M
            or abs(finger - self.finger) >= GAVE_WAY_M
        )


class GripperDrive(ABC):
    """One gripper's motor, in one operating mode.

    Attributes:
        stall: whether something is in the fingers' way.
    """

    def __init__(self, gripper: Gripper) -> None:
        self.gripper = gripper
        self.stall = Stall()

    @abstractmethod
    def step(self, opening: float, finger: float | None, now_s: float) -> float | None:
        """What to send now, or None for nothing; call it every control period, in hold too.

        Args:
            opening: asked for, 0 (closed) to 1 (open).
            finger: measured [m], None where it is not believed.
            now_s: monotonic time.
        """

    @abstractmethod
    def rest(self) -> float | None:
        """What to send last, when nobody calls `step` any more, or None for nothing."""

    def forget(self) -> None:
        """The motor or its driver has restarted: what was sent before counts no more."""
        self.stall.forget()


class PwmDrive(GripperDrive):
    """PWM mode: the loop over the finger is closed here. + opens, - closes; 885 is all there is.

    The stock gripper of the WidowX (XL430) knows no current control; this is its gentlest mode.
    """

    def __init__(self, gripper: Gripper, limit: float, hold: float) -> None:
        super().__init__(gripper)
        self._limit = limit
        self._hold = hold
        self._resting = True
        self._sent = math.nan

    def step(self, opening: float, finger: float | None, now_s: float) -> float | None:
        """The PWM: every period while it is not 0, a 0 once."""
        pwm = self._pwm(self.gripper.joint_position(opening), finger, now_s)
        if pwm == 0.0 == self._sent:
            return None
        self._sent = pwm
        return pwm

    def rest(self) -> float | None:
        """The hold PWM on an object, else 0: any other would drive the fingers to their end."""
        if math.isnan(self._sent):
            return None
        return self.stall.direction * self._hold

    def forget(self) -> None:
        """As in the base."""
        super().forget()
        self._resting, self._sent = True, math.nan

    def _pwm(self, target: float, finger: float | None, now_s: float) -> float:
        if finger is None:
            return self.stall.direction * self._hold
        error = target - finger
        self._resting = abs(error) <= (OFF_TARGET_M if self._resting else AT_TARGET_M)
        direction = 0 if self._resting else int(math.copysign(1, error))
        self.stall.update(direction, target, finger, now_s)
        pwm = self._limit * min(1.0, max(-1.0, PWM_GAIN_PER_M * error))
        if self.stall.direction:
            return self.stall.direction * min(self._hold, abs(pwm))
        return 0.0 if self._resting else pwm


class PositionDrive(GripperDrive):
    """The position modes: a goal for the motor, drawn back to the finger after a stall."""

    def __init__(self, gripper: Gripper) -> None:
        super().__init__(gripper)
        self._sent = math.nan
        self._sent_s = -math.inf

    @abstractmethod
    def goal(self, target: float, stalled_at: float | None, direction: int) -> float:
        """The motor's goal for a finger target [m], or for squeezing what stopped a finger."""

    def step(self, opening: float, finger: float | None, now_s: float) -> float | None:
        """The goal where it has changed, and twice a second where it has not."""
        target = self.gripper.joint_position(opening)
        if finger is not None:
            error = target - finger
            # Closer than this the goal squeezes no harder than after a stall.
            direction = 0 if abs(error) <= SQUEEZE_M else int(math.copysign(1, error))
            self.stall.update(direction, target, finger, now_s)
        elif math.isnan(self._sent):
            return None
        stalled_at = self.stall.finger if self.stall.direction else None
        goal = self.goal(target, stalled_at, self.stall.direction)
        if goal == self._sent and now_s - self._sent_s < REPEAT_S:
            return None
        self._sent, self._sent_s = goal, now_s
        return goal

    def rest(self) -> float | None:
        """Nothing: the motor keeps its goal."""
        return None

    def forget(self) -> None:
        """As in the base."""
        super().forget()
        self._sent, self._sent_s = math.nan, -math.inf


class LinearPositionDrive(PositionDrive):
    """Mode linear_position: the goal is the distance between the fingers [m]."""

    def __init__(self, gripper: Gripper, linkage: Linkage) -> None:
        super().__init__(gripper)
        self._linkage = linkage

    def goal(self, target: float, stalled_at: float | None, direction: int) -> float:
        """Twice the finger, kept where the linkage can bring it."""
        finger = target if stalled_at is None else stalled_at + direction * SQUEEZE_M
        return 2.0 * within_linkage(self._linkage, finger)


class JointDrive(PositionDrive):
    """Modes position and current_based_position: the goal is the motor's angle [rad].

    The angles at the ends are the robot file's, as they depend on the kit of fingers; what a
    finger's millimetre is in angle, the linkage says.
    """

    def __init__(
        self, gripper: Gripper, linkage: Linkage | None, closed_rad: float, open_rad: float
    ) -> None:
        super().__init__(gripper)
        self._linkage = linkage
        self._closed_rad, self._open_rad = closed_rad, open_rad

    def goal(self, target: float, stalled_at: float | None, direction: int) -> float:
        """Between the two angles by the opening, or a little inside the stalled finger's."""
        wanted = self._by_opening(target)
        if stalled_at is None:
            return wanted
        held = self._angle(stalled_at + direction * SQUEEZE_M)
        opens = math.copysign(1, self._open_rad - self._closed_rad)
        # Never further in the stalled direction than what was asked for.
        return opens * direction * min(opens * direction * held, opens * direction * wanted)

    def _by_opening(self, finger: float) -> float:
        share = self.gripper.opening(finger)
        return self._closed_rad + share * (self._open_rad - self._closed_rad)

    def _angle(self, finger: float) -> float:
        if self._linkage is None:
            return self._by_opening(finger)
        return angle_from_finger(self._linkage, within_linkage(self._linkage, finger))


def within_linkage(linkage: Linkage, finger_m: float) -> float:
    """The nearest finger offset [m] that the linkage can bring about, a hair from its ends."""
    low = max(linkage.arm_m - linkage.horn_m, 0.0) + LINKAGE_MARGIN_M
    high = linkage.arm_m + linkage.horn_m - LINKAGE_MARGIN_M
    return min(high, max(low, finger_m))


def make(spec: InterbotixGripper, gripper: Gripper, linkage: Linkage | None) -> GripperDrive:
    """The drive for the mode that the robot file names.

    Raises:
        ConfigError: the mode works on a finger, and the robot's URDF has no linkage to it.
    """
    if spec.mode == "joint":
        return JointDrive(gripper, linkage, spec.closed_rad, spec.open_rad)
    if linkage is None or linkage.finger != gripper.joint:
        ends_at = "none" if linkage is None else repr(linkage.finger)
        raise ConfigError(
            f"gripper mode {spec.mode} needs a gripper_linkage in the URDF that ends at the "
            f"robot file's gripper joint {gripper.joint!r}, got {ends_at}; or use mode joint"
        )
    if spec.mode == "pwm":
        return PwmDrive(gripper, spec.pwm_limit, spec.pwm_hold)
    return LinearPositionDrive(gripper, linkage)
