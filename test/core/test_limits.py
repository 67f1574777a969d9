# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which chunks and steps are accepted: one test for each reason, and clamping never hides NaN."""

from __future__ import annotations

import dataclasses

import arms
import numpy as np
import pytest

from lapa_core.control.compose import Pose
from lapa_core.control.limits import Refusal, check_chunk, clamp_step, clamp_workspace
from lapa_core.control.params import ControlParams
from lapa_core.errors import ConfigError
from lapa_core.types import ActionChunk

ROBOT = arms.wx250s()
ARM = ROBOT.arms[0]
PARAMS = ControlParams()
GOOD = ActionChunk(
    ROBOT.dimensions,
    np.array([[0.01, 0, 0, 0, 0, 0, 1.0], [0, 0.01, 0, 0, 0, 0.1, 0.0]]),
    np.array([0.0, 0.2]),
    stamp_ns=1,
)


def with_number(column: int, value: float) -> ActionChunk:
    deltas = GOOD.deltas.copy()
    deltas[1, column] = value
    return dataclasses.replace(GOOD, deltas=deltas)


def refused(chunk: ActionChunk, kind: str, text: str, age_s: float = 0.1) -> None:
    with pytest.raises(Refusal, match=text) as error:
        check_chunk(chunk, ROBOT, PARAMS, age_s)
    assert error.value.kind == kind


def test_a_good_chunk_passes_unchanged() -> None:
    assert check_chunk(GOOD, ROBOT, PARAMS, 0.1) is GOOD


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(7))
def test_a_non_finite_number_is_refused_in_every_dimension(column: int, value: float) -> None:
    name = ROBOT.dimensions[column]
    refused(with_number(column, value), "non_finite", f"step 1: {name} = {value}")


def test_a_non_finite_due_time_is_refused() -> None:
    refused(dataclasses.replace(GOOD, due_s=np.array([0.0, np.nan])), "non_finite", "due times")


def test_names_count_not_their_order() -> None:
    order = [6, 0, 1, 2, 3, 4, 5]
    shuffled = ActionChunk(
        tuple(ROBOT.dimensions[i] for i in order), GOOD.deltas[:, order], GOOD.due_s, 1
    )
    checked = check_chunk(shuffled, ROBOT, PARAMS, 0.1)
    assert checked.names == ROBOT.dimensions
    np.testing.assert_array_equal(checked.deltas, GOOD.deltas)


def test_strange_missing_and_doubled_names_are_refused() -> None:
    strange = ("left/x", *ROBOT.dimensions[1:])
    refused(dataclasses.replace(GOOD, names=strange), "names", "unknown dimension 'left/x'")
    missing = ActionChunk(ROBOT.dimensions[:6], GOOD.deltas[:, :6], GOOD.due_s, 1)
    refused(missing, "names", "each of")
    doubled = (ROBOT.dimensions[1], *ROBOT.dimensions[1:])
    refused(dataclasses.replace(GOOD, names=doubled), "names", "each of")


def test_another_frame_is_refused() -> None:
    check_chunk(dataclasses.replace(GOOD, frame_id=ROBOT.base_frame), ROBOT, PARAMS, 0.1)
    refused(dataclasses.replace(GOOD, frame_id="camera"), "frame", "'camera'")


def test_old_and_future_stamps_are_refused() -> None:
    check_chunk(GOOD, ROBOT, PARAMS, PARAMS.max_observation_age_s)
    refused(GOOD, "stale", "1.01 s old", age_s=1.01)
    check_chunk(GOOD, ROBOT, PARAMS, -PARAMS.future_s)
    refused(GOOD, "future", "0.20 s ahead", age_s=-0.2)


@pytest.mark.parametrize("due", [[0.2, 0.2], [0.2, 0.0], [-0.1, 0.2], [0.0, 11.0]])
def test_due_times_must_increase_within_the_horizon(due: list[float]) -> None:
    refused(dataclasses.replace(GOOD, due_s=np.array(due)), "due_times", "must increase")


def test_a_fault_is_beyond_twice_the_clamp() -> None:
    """LAPA's reference server answers 1 for a token without meaning: one metre, one radian."""
    check_chunk(with_number(0, 0.0999), ROBOT, PARAMS, 0.1)
    check_chunk(with_number(5, -0.4999), ROBOT, PARAMS, 0.1)
    refused(with_number(0, 0.1001), "fault", "wx250s/x = 0.1001 is beyond 0.1, 2 times")
    refused(with_number(5, -1.0), "fault", "wx250s/yaw = -1 is beyond 0.5")
    refused(with_number(6, 2.5), "fault", r"gripper = 2.5; valid: 0 \.\. 1")


def test_a_large_step_is_clamped_on_each_axis_and_said() -> None:
    delta = np.array([0.08, -0.02, -0.09, 0.3, 0.0, -0.1, 1.5])
    clamped, kinds = clamp_step(delta, ARM, 1.0)
    np.testing.assert_allclose(clamped, [0.05, -0.02, -0.05, 0.25, 0.0, -0.1, 1.0])
    assert kinds == ["clamp_translation", "clamp_rotation", "clamp_gripper"]
    assert clamp_step(np.array([0.01, 0, 0, 0, 0, 0.1, 0.5]), ARM, 1.0)[1] == []


def test_speed_scale_shortens_the_step_but_not_the_gripper() -> None:
    clamped, _ = clamp_step(np.array([0.08, 0, 0, 0, 0, 0.1, 1.0]), ARM, 0.5)
    np.testing.assert_allclose(clamped, [0.025, 0, 0, 0, 0, 0.05, 1.0])


def test_the_workspace_box_clamps_and_lets_a_tool_outside_come_in_only() -> None:
    inside = Pose(np.array([0.3, 0.0, 0.1]), np.eye(3))
    low = Pose(np.array([0.3, 0.0, -0.02]), np.eye(3))
    target, met = clamp_workspace(low, inside, ARM)
    np.testing.assert_allclose(target.xyz_m, [0.3, 0.0, 0.005])
    assert met
    deeper = Pose(np.array([0.3, 0.0, -0.05]), np.eye(3))
    np.testing.assert_allclose(clamp_workspace(deeper, low, ARM)[0].xyz_m, low.xyz_m)
    higher = Pose(np.array([0.3, 0.0, -0.01]), np.eye(3))
    assert not clamp_workspace(higher, low, ARM)[1]


@pytest.mark.parametrize(
    "wrong",
    [{"silence_s": 0.0}, {"speed_scale": 1.5}, {"windup_m": np.nan}, {"fault_factor": 0.5}],
)
def test_thresholds_that_switch_a_check_off_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ControlParams(**wrong)
