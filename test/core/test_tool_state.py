# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a policy may read of a tool: where it is, and where it was told to be."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import EpisodeMaker, Script, pose_message, small_robot, wander

from lapa_core.control.compose import Pose
from lapa_core.data import state
from lapa_core.data.episodes import open_episode
from lapa_core.data.samples import SampleParams, Samples
from lapa_core.data.state import ToolState
from lapa_core.data.timeline import Sample
from lapa_core.errors import StaleInput
from lapa_core.types import AXES

DOWN = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])


@dataclass
class Held:
    """A stream of one message that arrived at some time."""

    value: Any = None
    arrived_s: float = 0.0

    def get(self) -> Sample[Any] | None:
        return None if self.value is None else Sample(self.value, 0, self.arrived_s, 1)


@dataclass
class Joints:
    name: tuple[str, ...]
    position: tuple[float, ...]


def test_a_target_in_force_is_read_and_an_old_one_is_not() -> None:
    robot, _ = small_robot("wx250s")
    (arm,) = robot.arms
    at = pose_message(0, Pose(np.array([0.2, 0.1, 0.15]), DOWN))
    told = pose_message(0, Pose(np.array([0.22, 0.1, 0.11]), DOWN))
    joints = Joints((arm.gripper.joint,), (arm.gripper.joint_position(1.0),))
    target = Held()
    now, mover = [10.0], ["hold"]
    read = ToolState(
        robot, {arm.name: Held(at, 10.0)}, {arm.name: Held(joints, 10.0)}, {arm.name: target},
        authority=lambda _: mover[0], now_s=lambda: now[0],
    )  # fmt: skip
    rested = read()
    assert tuple(rested) == state.names(robot) and len(rested) == 13
    for axis in AXES[:-1]:  # none yet: the next delta goes on from where the tool is
        assert rested[f"{arm.name}/target_{axis}"] == rested[f"{arm.name}/{axis}"]
    target.value, target.arrived_s = told, 10.0
    moving = read()
    assert moving[f"{arm.name}/target_x"] == pytest.approx(0.22)
    assert moving[f"{arm.name}/x"] == pytest.approx(0.2)
    target.arrived_s = 9.0  # a controller that holds tells none
    assert read() == rested
    mover[0] = "policy"
    with pytest.raises(StaleInput, match=r"the commanded target of wx250s is 1.00 s old; valid: "):
        read()
    mover[0] = "estop"
    assert read() == rested
    now[0] = 11.0
    with pytest.raises(StaleInput, match="pose of wx250s is"):
        read()


@pytest.mark.parametrize(
    ("mover", "why"),
    [
        ("teleop", "no commanded target of wx250s yet"),
        ("policy", "no commanded target of wx250s yet"),
        (None, "nobody says on `authority`.*valid: hold, policy, teleop, estop"),
    ],
)
def test_a_commanded_pose_is_not_made_up(mover: str | None, why: str) -> None:
    robot, _ = small_robot("wx250s")
    (arm,) = robot.arms
    at = pose_message(0, Pose(np.array([0.2, 0.1, 0.15]), DOWN))
    joints = Joints((arm.gripper.joint,), (arm.gripper.joint_position(1.0),))
    streams = ({arm.name: Held(at)}, {arm.name: Held(joints)}, {arm.name: Held()})
    with pytest.raises(StaleInput, match=why):
        ToolState(robot, *streams, authority=lambda _: mover, now_s=lambda: 0.1)()
    measured = ToolState(
        robot, *streams, authority=lambda _: mover, now_s=lambda: 0.1, commanded=False
    )()  # who does not read it need not wait for it
    assert tuple(measured) == robot.dimensions


def test_what_was_commanded_is_read_from_a_bag_too(tmp_path: Path) -> None:
    steps = {0.5 + 0.2 * i: d for i, d in enumerate(wander(4, 12))}
    EpisodeMaker().write(tmp_path / "episode_000000", Script(steps, 4.0))
    recording = open_episode(tmp_path / "episode_000000")
    samples = Samples(recording, SampleParams(state=True))
    (arm,) = recording.robot.arms
    seen = list(samples)
    assert len(seen) > 8
    for before, after in itertools.pairwise(seen):
        if after.index != before.index + 1:
            continue
        # A label is the way of the commanded target; so from one to the next it adds up.
        x, next_x = (s.observation.state[f"{arm.name}/target_x"] for s in (before, after))
        assert next_x - x == pytest.approx(before.action[0], abs=2e-3)
        told = samples.tracks.told(before.time_ns)
        assert told[0] == pytest.approx(x, abs=2e-3)
