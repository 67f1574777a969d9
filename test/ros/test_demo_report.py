# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The demo's figures on runs made by hand, whose answers are known."""

from __future__ import annotations

from pathlib import Path

import av
import mink
import numpy as np
import pytest

from lapa_core import robot as robots
from lapa_core.types import ActionChunk
from lapa_ros.demo_plot import rotation_vector
from lapa_ros.demo_record import Record
from lapa_ros.demo_report import command_to_motion_s, summarise
from lapa_ros.demo_video import Video

LATENCY_S = 0.12
PERIOD_S = 0.02
STEPS = 10


def delta(x: float, y: float, stamp: int) -> ActionChunk:
    """One step of the single arm."""
    row = np.array([[x, y, 0.0, 0.0, 0.0, 0.0, 1.0]])
    dimensions = robots.load("wx250s").dimensions
    return ActionChunk(dimensions, row, np.zeros(1), stamp, "wx250s/base_link")


@pytest.fixture
def record() -> Record:
    """Ten steps of 1 cm, turning by 90 degrees each; the tool follows exactly 0.12 s late."""
    made = Record(robots.load("wx250s"), "turn", 2.0)
    turns = [(0.01, 0.0), (0.0, 0.01), (-0.01, 0.0), (0.0, -0.01)]
    corners = [np.zeros(3)]
    for i in range(STEPS):
        chunk = delta(*turns[i % 4], stamp=i)
        made.decided.append((10.0 + 0.2 * i, chunk))
        made.executed.append((10.01 + 0.2 * i, chunk))
        corners.append(corners[-1] + chunk.deltas[0, :3])
    for t in np.arange(9.0, 13.0, PERIOD_S):
        position = (t - LATENCY_S - 10.0) / 0.2
        xyz = [
            np.interp(position, np.arange(STEPS + 1), [c[k] for c in corners]) for k in range(3)
        ]
        made.poses["wx250s", "pose"].append((float(t), *map(float, xyz), 1.0, 0.0, 0.0, 0.0))
    policy = {
        "trained": "False", "asked_rate_hz": "5", "camera_front_received": "100",
        "image_age_ms_median": "5", "image_age_ms_p99": "9",
        "inference_ms_median": "40", "inference_ms_p99": "60",
    }  # fmt: skip
    arm = {"rate_hz": "50", "period_ms_p99": "21", "interventions_workspace": "2"}
    made.diagnostics["policy_node"].append((100.0, policy))
    made.diagnostics["arm_node"].append((100.0, arm))
    made.diagnostics["sim_node"].append((99.0, {"camera_front_published": "70"}))
    made.begin(9.9)
    made.diagnostics["policy_node"].append((102.0, policy | {"camera_front_received": "155"}))
    made.diagnostics["arm_node"].append((102.0, arm | {"interventions_workspace": "5"}))
    made.diagnostics["sim_node"].append((103.0, {"camera_front_published": "190"}))
    made.end(12.1)
    return made


def test_command_to_motion_is_the_lag_and_a_tenth_of_the_step(record: Record) -> None:
    """0.12 s late, then 10 % of a 0.2 s step, seen at the next of the 50 Hz poses."""
    latency = command_to_motion_s(record)
    assert len(latency) == STEPS  # the first has none before it, the others turn by 90 degrees
    assert min(latency) >= LATENCY_S + 0.02 - 1e-6
    assert max(latency) <= LATENCY_S + 0.02 + PERIOD_S + 1e-6


def test_the_summary_counts_the_window_alone(record: Record) -> None:
    summary = summarise(record)
    assert summary["policy_rate_reached_hz"] == pytest.approx(5.0)
    assert summary["steps_executed"] == STEPS
    assert summary["interventions"] == {"workspace": 3}
    # 30 frames a second for 2 s were published between the policy's reports, 55 received.
    assert summary["frames"]["front"] == {"published": 60.0, "received": 55, "dropped": 5}
    assert summary["trained"] is False


def test_rotation_vector_is_the_logarithm() -> None:
    rng = np.random.default_rng(0)
    start = mink.SO3.exp(np.array([0.4, -1.1, 0.7]))
    turns = rng.normal(size=(50, 3))
    turns *= (rng.uniform(0.0, 3.1, 50) / np.linalg.norm(turns, axis=1))[:, None]
    turns[0] = 0.0
    ends = np.array([(start @ mink.SO3.exp(t)).wxyz for t in turns])
    ends[1::2] *= -1  # the same rotations
    np.testing.assert_allclose(rotation_vector(start.wxyz, ends), turns, atol=1e-9)


def test_the_video_holds_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    video = Video(path, "turn", 10.0)
    picture = np.full((480, 640, 3), 90, dtype=np.uint8)
    for i in range(12):
        video.add([picture, picture], delta(0.01, 0.0, i), ("policy", "following policy"))
    video.close()
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(frames) == 12
    assert frames[0].shape == (480, 1280, 3)
    assert frames[0][:70, :640].std() > 5 > frames[0][200:, :].std()  # text above, plain below
