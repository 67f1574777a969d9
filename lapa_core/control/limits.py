# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which chunks and steps to accept: finite, names, frame, freshness, size, workspace.

That is their order.

A chunk that is refused is refused whole. What is within its fault bound but beyond its clamp is
clamped and counted; a non-finite number is never clamped.
"""

from __future__ import annotations

import numpy as np

from lapa_core.control.compose import Pose, in_axes
from lapa_core.control.params import ControlParams
from lapa_core.errors import UnsafeAction, unknown
from lapa_core.robot import Arm, Robot
from lapa_core.types import NUM_AXES, ActionChunk, FloatArray

# A gripper opening this far outside 0 .. 1 is a fault; nearer, it is clamped.
GRIPPER_FAULT = 1.0


class Refusal(UnsafeAction):
    """A chunk or step that must not be played.

    Attributes:
        kind: one word to count it by.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def check_chunk(
    chunk: ActionChunk, robot: Robot, params: ControlParams, age_s: float
) -> ActionChunk:
    """The chunk with its columns in the robot's order.

    Args:
        chunk: as it came.
        robot: whose dimensions and clamps hold.
        params: of the controller.
        age_s: time since the chunk's stamp.

    Raises:
        Refusal: saying which number, name or time is wrong and what is valid.
    """
    if not (np.all(np.isfinite(chunk.deltas)) and np.all(np.isfinite(chunk.due_s))):
        raise Refusal(
            "non_finite", f"chunk holds a number that is not finite: {_first_bad(chunk)}"
        )
    ordered = _in_order(chunk, robot)
    turned = _in_bases(ordered, robot)
    _check_times(turned, params, age_s)
    # As sent too: turned into other axes, an angle beyond half a turn comes out small.
    for chunk_in_axes in (ordered, turned):
        for index, arm in enumerate(robot.arms):
            _check_faults(chunk_in_axes, arm, index * NUM_AXES, params.fault_factor)
    return turned


def clamp_step(
    delta: FloatArray, arm: Arm, speed_scale: float, rate: float = 1.0
) -> tuple[FloatArray, list[str]]:
    """One arm's (7,) delta within its clamps, scaled; and which clamps it met.

    Args:
        delta: as asked for.
        arm: whose clamps hold.
        speed_scale: share of the step that is used.
        rate: share of the clamps, 0 .. 1, for a step that comes sooner than a step time after
            the one before.
    """
    bound = np.repeat([arm.max_translation_m, arm.max_rotation_rad], 3)
    clamped = np.clip(delta[:6], -bound, bound)
    opening = float(np.clip(delta[6], 0.0, 1.0))
    kinds = []
    if np.any(clamped[:3] != delta[:3]):
        kinds.append("clamp_translation")
    if np.any(clamped[3:] != delta[3:6]):
        kinds.append("clamp_rotation")
    if opening != delta[6]:
        kinds.append("clamp_gripper")
    slower = np.clip(clamped, -rate * bound, rate * bound)
    if np.any(slower != clamped):
        kinds.append("clamp_rate")
    return np.concatenate([slower * speed_scale, [opening]]), kinds


def clamp_workspace(target: Pose, previous: Pose, arm: Arm) -> tuple[Pose, bool]:
    """The target within the workspace box, and whether it was outside.

    Where the previous target is outside, the box reaches as far as that: such a tool may move
    in, not further out, and is not thrown into the box by one step.
    """
    lower = np.minimum(arm.workspace_lower_m, previous.xyz_m)
    upper = np.maximum(arm.workspace_upper_m, previous.xyz_m)
    inside = np.clip(target.xyz_m, lower, upper)
    return Pose(inside, target.rotation), bool(np.any(inside != target.xyz_m))


def _in_order(chunk: ActionChunk, robot: Robot) -> ActionChunk:
    wanted = robot.dimensions
    if chunk.names == wanted:
        return chunk
    strange = [n for n in chunk.names if n not in wanted]
    if strange:
        raise Refusal("names", unknown("dimension", strange[0], wanted, "chunk"))
    if len(chunk.names) != len(wanted) or len(set(chunk.names)) != len(wanted):
        raise Refusal("names", f"chunk names {list(chunk.names)}; each of {list(wanted)} once")
    order = [chunk.names.index(n) for n in wanted]
    return ActionChunk(wanted, chunk.deltas[:, order], chunk.due_s, chunk.stamp_ns, chunk.frame_id)


def _in_bases(chunk: ActionChunk, robot: Robot) -> ActionChunk:
    """The chunk with every arm's deltas in the axes of its own base."""
    if chunk.frame_id in ("", robot.base_frame):
        return chunk
    if chunk.frame_id != robot.world_frame:
        valid = [robot.base_frame, robot.world_frame]
        raise Refusal("frame", unknown("frame_id", chunk.frame_id, valid, "chunk"))
    parts = [
        in_axes(chunk.deltas[:, i * NUM_AXES : (i + 1) * NUM_AXES], arm.base_rotation.T)
        for i, arm in enumerate(robot.arms)
    ]
    deltas = np.concatenate(parts, axis=1)
    return ActionChunk(chunk.names, deltas, chunk.due_s, chunk.stamp_ns, robot.base_frame)


def _check_times(chunk: ActionChunk, params: ControlParams, age_s: float) -> None:
    if age_s > params.max_observation_age_s:
        raise Refusal(
            "stale", f"chunk answers a picture {age_s:.2f} s old (at most "
            f"{params.max_observation_age_s:g} s)"
        )  # fmt: skip
    if age_s < -params.future_s:
        raise Refusal("future", f"chunk is stamped {-age_s:.2f} s ahead of the robot's clock")
    due = chunk.due_s
    if len(due) and (np.any(np.diff(due) <= 0) or due[0] < 0 or due[-1] > params.max_horizon_s):
        raise Refusal(
            "due_times", f"due times must increase within 0 .. {params.max_horizon_s:g} s, "
            f"got {np.round(due, 3).tolist()}"
        )  # fmt: skip


def _check_faults(chunk: ActionChunk, arm: Arm, start: int, factor: float) -> None:
    bound = factor * np.repeat([arm.max_translation_m, arm.max_rotation_rad], 3)
    moves = chunk.deltas[:, start : start + 6]
    opening = chunk.deltas[:, start + 6]
    too_far = np.argwhere(np.abs(moves) > bound)
    if len(too_far):
        row, column = (int(i) for i in too_far[0])
        raise Refusal(
            "fault",
            f"step {row}: {chunk.names[start + column]} = {moves[row, column]:g} is beyond "
            f"{bound[column]:g}, {factor:g} times the clamp",
        )
    wrong = np.flatnonzero((opening < -GRIPPER_FAULT) | (opening > 1.0 + GRIPPER_FAULT))
    if len(wrong):
        row = int(wrong[0])
        raise Refusal(
            "fault", f"step {row}: {chunk.names[start + 6]} = {opening[row]:g}; valid: 0 .. 1"
        )


def _first_bad(chunk: ActionChunk) -> str:
    bad = np.argwhere(~np.isfinite(chunk.deltas))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        return f"step {row}: {chunk.names[column]} = {chunk.deltas[row, column]}"
    return f"due times {chunk.due_s.tolist()}"
