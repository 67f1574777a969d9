# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa demo --record`: the real nodes record a scripted demonstrator in the simulation's time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from recorder_rig import read
from trajectory_msgs.msg import JointTrajectory

from lapa_core import robot as robots
from lapa_core.data import messages
from lapa_core.errors import ConfigError
from lapa_core.recording import episode as episodes
from lapa_core.sim import Simulation, world
from lapa_ros import demo
from lapa_ros.demonstrator import sentence, sentences
from lapa_ros.environment import own_domain


@pytest.mark.alone  # pictures are counted against a clock
def test_two_episodes_are_recorded_without_a_person(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lapa_ros.demo", "--record", "2", "--speed", "4"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)],
        env={**os.environ, "ROS_DOMAIN_ID": own_domain()},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (tmp_path / "recording.json").is_file(), done.stdout + done.stderr
    summary = json.loads((tmp_path / "recording.json").read_text())
    # On a busy computer arrivals may be late, which is found and said: then it is 1.
    assert done.returncode == bool(summary["findings"]), done.stdout + done.stderr
    assert (summary["episodes"], summary["successes"], summary["dropped"]) == (2, 2, 0)
    for number in (0, 1):
        folder = tmp_path / "episodes" / f"episode_{number:04d}"
        kept = episodes.read(folder)
        assert kept.outcome == "success" and kept.instruction in sentences(("wx250s",))
        assert kept.operator == "scripted demonstrator"
        assert [a.state for a in kept.authority][:2] == ["hold", "teleop"]
        in_bag = read(folder)
        deltas = in_bag["/teleop/ee_delta"]
        whole_way(deltas)
        # Every delta was obeyed; the last message of teleop hands back.
        assert len(in_bag["/executed/ee_delta"]) >= len(deltas) - 2
        # In the simulation's time a picture comes every 1/30 s, however fast that passes.
        pictures = len(in_bag["/camera/front/image_raw/compressed"])
        assert pictures == pytest.approx(30 * kept.duration_s, abs=4)


def whole_way(recorded: list[tuple[str, bytes]]) -> None:
    """Nothing of a demonstration is missing: a step every 0.2 s, down, grasp, over, let go, up."""
    chunks = [deserialize_message(raw, JointTrajectory) for _, raw in recorded]
    chunks = [c for c in chunks if c.points]  # one without any hands back
    steps = np.array([c.points[0].positions for c in chunks])
    stamps = np.array([messages.stamp_ns(c.header.stamp) for c in chunks])
    np.testing.assert_allclose(np.diff(stamps) * 1e-9, 0.2, atol=0.05)
    closed = np.flatnonzero(steps[:, 6] < 0.5)
    assert np.array_equal(closed, np.arange(closed[0], closed[-1] + 1))
    before, held, after = np.split(steps, [closed[0], closed[-1] + 1])
    assert before[:, 2].sum() < -0.08  # from the start pose to the block
    assert np.linalg.norm(held[:, :2].sum(axis=0)) > 0.05 and held[:, 2].max() > 0.02
    assert after[:, 2].sum() > 0.02


def test_instructions_that_the_demonstrator_understands() -> None:
    assert sentences(("wx250s",))[0] == "put the red block in the bin"
    assert len(sentences(("left", "right"))) == 2 * len(world.BLOCKS)
    assert sentence("red_block", "left") == "put the red block in the bin with the left arm"


def test_a_new_scene_leaves_the_arm_where_it_is() -> None:
    sim = Simulation(robots.load("wx250s"), seed=0)
    before, blocks = sim.joint_state("wx250s")[1], sim.object_poses()
    sim.new_scene(5)
    np.testing.assert_array_equal(sim.joint_state("wx250s")[1], before)
    moved = [np.linalg.norm(sim.object_poses()[n].xyz_m - blocks[n].xyz_m) for n in world.BLOCKS]
    assert min(moved) > 1e-3
    sim.new_scene(5)
    again = sim.object_poses()
    sim.new_scene(5)
    for name, pose in sim.object_poses().items():
        np.testing.assert_array_equal(pose.xyz_m, again[name].xyz_m)


@pytest.mark.parametrize("words", [["--record", "0"], ["--speed", "3"], ["--speed", "0"]])
def test_arguments_that_mean_nothing_are_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=words[0]):
        demo.parse(words)
