# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The gripper linkage agrees with the driver's figures, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapa_core import description
from lapa_core.control.gripper import angle_from_finger, finger_from_angle
from lapa_core.description import Linkage
from lapa_core.errors import DataError

# model: horn, arm [m], finger limits [m], motor angle at the limits [rad], finger at angle 0 [m]
TABLE = {
    "wx250s": (0.014, 0.024, (0.015, 0.037), (-0.378, 1.268), 0.01949),
    "vx300s": (0.022, 0.036, (0.021, 0.057), (-0.413, 1.332), 0.02850),
    "aloha_wx250s": (0.020, 0.020, (0.015, 0.037), (0.384, 1.181), 0.0),
    "aloha_vx300s": (0.0275, 0.035, (0.021, 0.057), (-0.024, 1.090), 0.02165),
}


@pytest.mark.parametrize("model", TABLE)
def test_the_published_figures(model: str) -> None:
    horn, arm, fingers, angles, at_zero = TABLE[model]
    linkage = Linkage("gripper", "left_finger", horn, arm)
    for finger, angle in zip(fingers, angles, strict=True):
        assert angle_from_finger(linkage, finger) == pytest.approx(angle, abs=5e-4)
    assert finger_from_angle(linkage, 0.0) == pytest.approx(at_zero, abs=5e-6)


@pytest.mark.parametrize("model", ["wx250s", "vx300s"])
def test_the_urdf_carries_the_linkage(model: str) -> None:
    linkage = description.load(f"{model}.urdf.xacro").linkage
    assert linkage == Linkage("gripper", "left_finger", *TABLE[model][:2])


@settings(deadline=None)
@given(share=st.floats(0.0, 1.0), model=st.sampled_from(["wx250s", "vx300s", "aloha_vx300s"]))
def test_the_two_ways_are_inverse_over_the_travel(share: float, model: str) -> None:
    horn, arm, (lower, upper), _, _ = TABLE[model]
    linkage = Linkage("gripper", "left_finger", horn, arm)
    finger = lower + share * (upper - lower)
    assert finger_from_angle(linkage, angle_from_finger(linkage, finger)) == pytest.approx(
        finger, abs=1e-9
    )


@pytest.mark.parametrize("finger", [0.0099, 0.0381, float("nan")])
def test_beyond_the_linkage_is_refused_instead_of_nan(finger: float) -> None:
    """The driver computes acos outside -1 .. 1 there and sends NaN to the motor."""
    with pytest.raises(DataError, match=r"0\.0100 \.\. 0\.0380"):
        angle_from_finger(Linkage("gripper", "left_finger", 0.014, 0.024), finger)
