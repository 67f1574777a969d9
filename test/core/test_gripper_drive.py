# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a gripper's motor is told, mode by mode, against a finger that moves as the drive asks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lapa_core import description
from lapa_core import robot as robots
from lapa_core.control import gripper_drive
from lapa_core.control.gripper import angle_from_finger, finger_from_angle
from lapa_core.errors import ConfigError
from lapa_core.robot.drivers import InterbotixGripper

TICK_S = 0.02
ARM = robots.load("wx250s").arms[0]
GRIPPER = ARM.gripper
LINKAGE = description.for_arm(ARM).linkage
LIMIT, HOLD = 350.0, 150.0
PWM = InterbotixGripper("pwm", pwm_limit=LIMIT, pwm_hold=HOLD)
LINEAR = InterbotixGripper("linear_position")
JOINT = InterbotixGripper("joint", closed_rad=-0.378, open_rad=1.2)


@dataclass
class Finger:
    """A finger [m] with ends, perhaps an object, and a motor that does as it is told."""

    drive: gripper_drive.GripperDrive
    position: float = GRIPPER.open
    low: float = GRIPPER.closed
    now_s: float = 0.0
    told: float = 0.0
    sent: list[tuple[float, float]] = field(default_factory=list)

    def run(self, opening: float, seconds: float, believed: bool = True) -> list[float]:
        """Step the drive for a time; returns what it sent."""
        before = len(self.sent)
        for _ in range(round(seconds / TICK_S)):
            self.now_s += TICK_S
            value = self.drive.step(opening, self.position if believed else None, self.now_s)
            if value is not None:
                self.told = value
                self.sent.append((self.now_s, value))
            self._move()
        return [v for _, v in self.sent[before:]]

    def _move(self) -> None:
        if isinstance(self.drive, gripper_drive.PwmDrive):
            wanted = self.position + self.told / 885 * 0.15 * TICK_S
        elif self.sent:
            goal = self.goal()
            wanted = self.position + float(np.clip(goal - self.position, -0.002, 0.002))
        else:
            return
        self.position = min(GRIPPER.open, max(self.low, wanted))

    def goal(self) -> float:
        """Of a position mode, as a finger [m]."""
        if isinstance(self.drive, gripper_drive.LinearPositionDrive):
            return self.told / 2
        return finger_from_angle(LINKAGE, self.told)


def finger(spec: InterbotixGripper) -> Finger:
    return Finger(gripper_drive.make(spec, GRIPPER, LINKAGE))


def test_pwm_is_proportional_and_limited() -> None:
    """bridge_data_robot's law: limit * clip(300 / m * error); + opens, - closes."""
    drive = gripper_drive.make(PWM, GRIPPER, LINKAGE)
    half = GRIPPER.joint_position(0.5)
    assert drive.step(0.5, half - 0.002, 0.0) == pytest.approx(LIMIT * 300 * 0.002)
    assert drive.step(0.5, half + 0.002, 0.0) == pytest.approx(-LIMIT * 300 * 0.002)
    assert drive.step(0.0, GRIPPER.open, 0.0) == -LIMIT
    assert drive.step(1.0, GRIPPER.closed, 0.0) == LIMIT


def test_pwm_arrives_says_zero_once_and_does_not_buzz() -> None:
    finger_ = finger(PWM)
    finger_.run(0.4, 2.0)
    assert finger_.told == 0.0
    assert abs(finger_.position - GRIPPER.joint_position(0.4)) < gripper_drive.OFF_TARGET_M
    assert finger_.run(0.4, 1.0) == []
    assert [v for _, v in finger_.sent].count(0.0) == 1
    finger_.position = GRIPPER.joint_position(0.4) + 0.8 * gripper_drive.OFF_TARGET_M
    assert finger_.run(0.4, TICK_S) == [], "it left the target once it was at it"


def test_pwm_drops_to_hold_on_an_object_and_opens_again() -> None:
    finger_ = finger(PWM)
    finger_.low = 0.022
    values = finger_.run(0.0, 2.0)
    assert values[-1] == -HOLD
    assert finger_.drive.rest() == -HOLD
    assert finger_.run(0.05, 1.0)[-1] == -HOLD  # a policy's noise is no new wish
    assert finger_.run(1.0, 2.0)[0] == LIMIT
    assert finger_.told == 0.0
    assert finger_.drive.rest() == 0.0


def test_pwm_follows_an_object_that_gives_way() -> None:
    finger_ = finger(PWM)
    finger_.low = 0.025
    finger_.run(0.0, 1.0)
    assert finger_.told == -HOLD
    finger_.low = GRIPPER.closed
    finger_.run(0.0, 2.0)
    assert finger_.position == pytest.approx(GRIPPER.closed, abs=gripper_drive.OFF_TARGET_M)


@pytest.mark.parametrize(("holding", "expected"), [(False, 0.0), (True, -HOLD)])
def test_pwm_with_an_unbelieved_finger(holding: bool, expected: float) -> None:
    """Blind, it stops; but what it holds it does not drop."""
    finger_ = finger(PWM)
    finger_.low = 0.022 if holding else GRIPPER.closed
    finger_.run(0.0, 1.0 if holding else 0.1)
    assert finger_.told == (-HOLD if holding else -LIMIT)
    finger_.run(0.0, 0.5, believed=False)
    assert finger_.told == expected


def test_pwm_that_was_never_sent_needs_no_end() -> None:
    drive = gripper_drive.make(PWM, GRIPPER, LINKAGE)
    assert drive.rest() is None
    drive.step(0.0, GRIPPER.open, 0.0)
    assert drive.rest() == 0.0
    drive.forget()
    assert drive.rest() is None


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0.01, 0.04), st.booleans()), min_size=1, max_size=40
    )
)
def test_no_mode_ever_sends_nonsense(steps: list[tuple[float, float, bool]]) -> None:
    for spec in (PWM, LINEAR, JOINT):
        drive = gripper_drive.make(spec, GRIPPER, LINKAGE)
        for i, (opening, place, believed) in enumerate(steps):
            value = drive.step(opening, place if believed else None, i * TICK_S)
            if value is None:
                continue
            assert math.isfinite(value)
            if spec is PWM:
                assert abs(value) <= LIMIT
            elif spec is LINEAR:
                angle_from_finger(LINKAGE, value / 2)  # raises where the driver would get NaN
            else:
                assert JOINT.closed_rad - 0.2 <= value <= JOINT.open_rad + 0.2


def test_linear_position_is_the_distance_between_the_fingers() -> None:
    drive = gripper_drive.make(LINEAR, GRIPPER, LINKAGE)
    assert drive.step(1.0, GRIPPER.open, 0.0) == pytest.approx(2 * GRIPPER.open)
    assert drive.step(0.5, GRIPPER.open, 0.0) == pytest.approx(2 * GRIPPER.joint_position(0.5))


@pytest.mark.parametrize("outside_m", [-1.0, 0.0, 0.0099, 0.0381, 1.0])
def test_the_linkage_is_never_asked_for_what_it_cannot(outside_m: float) -> None:
    inside = gripper_drive.within_linkage(LINKAGE, outside_m)
    assert abs(finger_from_angle(LINKAGE, angle_from_finger(LINKAGE, inside)) - inside) < 1e-9


def test_joint_goes_between_the_robot_files_angles() -> None:
    drive = gripper_drive.make(JOINT, GRIPPER, LINKAGE)
    assert drive.step(0.0, GRIPPER.closed, 0.0) == pytest.approx(JOINT.closed_rad)
    assert drive.step(1.0, GRIPPER.open, 0.0) == pytest.approx(JOINT.open_rad)
    turned = InterbotixGripper("joint", closed_rad=1.2, open_rad=-0.378)
    blocked = gripper_drive.make(turned, GRIPPER, None)
    for i in range(30):
        blocked.step(0.0, 0.026, i * TICK_S)
    blocked.forget()
    assert blocked.step(0.5, 0.026, 1.0) == pytest.approx((1.2 - 0.378) / 2)


@pytest.mark.parametrize("spec", [LINEAR, JOINT], ids=["linear_position", "joint"])
def test_position_modes_squeeze_only_a_little(spec: InterbotixGripper) -> None:
    finger_ = finger(spec)
    finger_.low = 0.022
    finger_.run(0.0, 1.5)
    squeeze = finger_.position - finger_.goal()
    assert 0.0 < squeeze <= gripper_drive.SQUEEZE_M + 1e-9
    too_far = [t for t, v in finger_.sent if v == finger_.sent[0][1]]
    assert too_far[-1] - too_far[0] < 1.0
    finger_.run(1.0, 1.5)
    assert finger_.position > 0.0355


@pytest.mark.parametrize("spec", [LINEAR, JOINT], ids=["linear_position", "joint"])
def test_position_modes_go_on_when_the_way_is_free(spec: InterbotixGripper) -> None:
    finger_ = finger(spec)
    finger_.low = 0.025
    finger_.run(0.0, 1.0)
    finger_.low = GRIPPER.closed
    finger_.run(0.0, 2.0)
    assert finger_.position < GRIPPER.closed + gripper_drive.SQUEEZE_M


@pytest.mark.parametrize("spec", [LINEAR, JOINT], ids=["linear_position", "joint"])
def test_position_modes_send_changes_and_repeat_twice_a_second(spec: InterbotixGripper) -> None:
    finger_ = finger(spec)
    assert finger_.run(1.0, 1.0, believed=False) == [], "blind from the start: nothing is known"
    finger_.run(1.0, 1.0)
    assert 2 <= len(finger_.run(1.0, 2.0)) <= 4
    assert 2 <= len(finger_.run(1.0, 2.0, believed=False)) <= 4
    assert finger_.drive.rest() is None


def without_linkage(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match=r"gripper_linkage.*left_finger"):
        make()


def test_modes_on_the_finger_need_a_linkage() -> None:
    without_linkage(lambda: gripper_drive.make(PWM, GRIPPER, None))
    without_linkage(lambda: gripper_drive.make(LINEAR, GRIPPER, None))
    value = gripper_drive.make(JOINT, GRIPPER, None).step(1.0, GRIPPER.open, 0.0)
    assert value == pytest.approx(JOINT.open_rad)
