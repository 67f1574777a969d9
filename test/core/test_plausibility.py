# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which joint states are believed."""

from __future__ import annotations

import arms
import numpy as np
import pytest

from lapa_core import description
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.control.params import ControlParams
from lapa_core.control.plausibility import JointMonitor, by_name
from lapa_core.errors import DataError

ARM = arms.wx250s().arms[0]
NAMES = (*ARM.joints, "gripper", "left_finger", "right_finger")
KINEMATICS = ArmKinematics(ARM, description.for_arm(ARM))


def sample(**joints: float) -> np.ndarray:
    """The park pose with some joints elsewhere."""
    position = np.array([*ARM.park_rad, 0.5, 0.02, -0.02])
    for name, value in joints.items():
        position[NAMES.index(name)] = value
    return position


def monitor() -> JointMonitor:
    """One that has seen the park pose at time 0."""
    made = JointMonitor("wx250s", KINEMATICS, "left_finger", ControlParams())
    made.update(NAMES, sample(), 0.0)
    return made


def test_joints_are_read_by_name() -> None:
    order = [8, 3, 0, 5, 1, 7, 2, 6, 4]
    made = JointMonitor("wx250s", KINEMATICS, "left_finger", ControlParams())
    made.update([NAMES[i] for i in order], sample(waist=0.3)[order], 0.0)
    assert made.position_rad is not None
    np.testing.assert_allclose(made.position_rad, [0.3, *ARM.park_rad[1:]])
    assert made.finger == 0.02


def test_missing_doubled_and_miscounted_joints_are_refused() -> None:
    with pytest.raises(DataError, match="unknown joint 'elbow' in joint states"):
        by_name(("waist",), np.zeros(1), ("elbow",))
    with pytest.raises(DataError, match="'waist' 2 times"):
        by_name(("waist", "waist"), np.zeros(2), ("waist",))
    with pytest.raises(DataError, match="2 names but 1"):
        by_name(("waist", "elbow"), np.zeros(1), ("waist",))


def test_a_jump_is_named_and_rejected_then_forgotten() -> None:
    made = monitor()
    with pytest.raises(DataError, match=r"implausible joint state: waist jumped 1\.00 rad"):
        made.update(NAMES, sample(waist=1.0), 0.01)
    assert "waist jumped" in made.problem(0.01)
    assert made.position_rad is not None and made.position_rad[0] == 0.0
    made.update(NAMES, sample(waist=0.01), 0.02)
    assert made.problem(0.02) == ""


def test_a_failed_read_of_the_driver_is_rejected() -> None:
    """Raw 0 arrives as -pi on every joint; the waist's own limits would allow it."""
    made = monitor()
    with pytest.raises(DataError, match="outside its limits"):
        made.update(NAMES, sample(**dict.fromkeys(ARM.joints, -np.pi)), 0.01)
    with pytest.raises(DataError, match="waist jumped"):
        made.update(NAMES, sample(waist=-np.pi), 0.02)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_positions_are_rejected(value: float) -> None:
    for joint in ("elbow", "left_finger"):
        with pytest.raises(DataError, match="not finite"):
            monitor().update(NAMES, sample(**{joint: value}), 0.01)


def test_motion_at_full_speed_is_believed_at_every_rate() -> None:
    for period in (0.01, 0.033, 0.1, 0.25):
        made = monitor()
        made.update(NAMES, sample(waist=np.pi * period), period)


def test_a_long_gap_explains_no_larger_jump() -> None:
    made = monitor()
    with pytest.raises(DataError, match="jumped"):
        made.update(NAMES, sample(waist=2.0), 60.0)


def test_ten_agreeing_samples_at_a_new_place_are_believed() -> None:
    made = monitor()
    for i in range(9):
        with pytest.raises(DataError, match="jumped"):
            made.update(NAMES, sample(waist=1.0 + 0.001 * i), 0.01 * (i + 1))
    made.update(NAMES, sample(waist=1.0), 0.1)
    assert made.position_rad is not None and made.position_rad[0] == 1.0
    assert made.problem(0.1) == ""


def test_samples_that_disagree_are_never_believed() -> None:
    made = monitor()
    for i in range(50):
        with pytest.raises(DataError):
            made.update(NAMES, sample(waist=1.0 if i % 2 else -1.0), 0.01 * (i + 1))


def test_agreeing_samples_outside_the_limits_are_never_believed() -> None:
    made = monitor()
    for i in range(50):
        with pytest.raises(DataError, match="outside its limits"):
            made.update(NAMES, sample(shoulder=-3.0), 0.01 * (i + 1))


def test_age_and_absence_are_problems() -> None:
    empty = JointMonitor("left", KINEMATICS, "left_finger", ControlParams())
    assert empty.problem(0.0) == "no joint states of left yet"
    made = monitor()
    assert made.problem(0.25) == ""
    assert made.problem(0.30) == "joint states of wx250s are 0.30 s old"
