# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The demo's figures on runs made by hand, whose answers are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import mink
import numpy as np
import pytest

from lapa_core import robot as robots
from lapa_core.evaluate.scores import Score
from lapa_core.types import ActionChunk
from lapa_ros import demo_text
from lapa_ros.demo_plot import rotation_vector
from lapa_ros.demo_record import Record
from lapa_ros.demo_report import command_to_motion_s, summarise, write_report
from lapa_ros.demo_tally import line
from lapa_ros.demo_video import Video, arrange

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
    made.diagnostics["sim_node"].append(
        (99.0, {"camera_front_published": "70", "collisions": "1"})
    )
    made.begin(9.9)
    made.end(12.1)
    made.diagnostics["policy_node"].append((102.0, policy | {"camera_front_received": "155"}))
    made.diagnostics["arm_node"].append((102.0, arm | {"interventions_workspace": "5"}))
    made.diagnostics["sim_node"].append(
        (103.0, {"camera_front_published": "190", "collisions": "3"})
    )
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
    assert summary["simulated_collisions"] == 2
    assert summary["trained"] is False


def test_what_is_between_two_spans_is_not_measured(record: Record) -> None:
    """The arm's way home: its steps, holds and interventions are nobody's figures."""
    way_home = [("hold", "moving to start")]
    record.authority += [(13.0 + i, *said) for i, said in enumerate(way_home)]
    record.authority += [(15.5, "hold", "policy is silent")]
    chunk = record.executed[0][1]
    record.executed.append((14.0, chunk))
    arm, policy = (record.diagnostics[f"{n}_node"][-1][1] for n in ("arm", "policy"))
    sim = record.diagnostics["sim_node"][-1][1]
    record.diagnostics["arm_node"].append((104.0, arm | {"interventions_workspace": "9"}))
    record.diagnostics["policy_node"].append((104.0, policy | {"camera_front_received": "200"}))
    record.diagnostics["sim_node"].append((104.0, sim | {"camera_front_published": "230"}))
    record.begin(15.0)
    for t in (15.2, 15.4, 15.6, 16.0):
        record.decided.append((t, chunk))
        record.executed.append((t, chunk))
    record.end(16.0)
    record.diagnostics["arm_node"].append((106.0, arm | {"interventions_workspace": "10"}))
    record.diagnostics["policy_node"].append((106.0, policy | {"camera_front_received": "259"}))
    record.diagnostics["sim_node"].append((106.0, sim | {"camera_front_published": "290"}))
    summary = summarise(record)
    assert summary["seconds"] == pytest.approx(2.2 + 1.0)
    assert summary["steps_executed"] == STEPS + 4
    assert summary["policy_rate_reached_hz"] == pytest.approx((9 + 3) / (1.8 + 0.8), abs=1e-3)
    assert summary["interventions"] == {"workspace": 3 + 1}
    assert [h for h in summary["holds"] if "silent" in h] == summary["holds"]
    # The first span again, then 60 published and 59 received.
    assert summary["frames"]["front"]["received"] == 55 + 59
    assert summary["frames"]["front"]["dropped"] == 5 + 1


def score(index: int, right: bool | None, success: bool = False, strict: bool = True) -> Score:
    """A trial of 4 s: the right thing is red, the wrong one blue."""
    touched = {None: "", True: "red_block", False: "blue_block"}[right]
    return Score(
        index=index, split="seen", task="put", target="red_block", instruction="put it there",
        seed=2 * (index // 2), scene="tabletop", success=success, strict=success and strict,
        credit=float(success), right_object=right, first_touched=touched, chance=0.25,
        ended="done" if success else "time", steps=20, robot_s=4.0, wall_s=5.0,
        note="" if strict else "disturbed blue_block",
    )  # fmt: skip


def test_trials_are_counted_beside_chance_and_in_pairs(record: Record) -> None:
    record.trials += [
        score(0, True, success=True), score(1, True), score(2, False), score(3, True),
        score(4, None), score(5, True, success=True, strict=False), score(6, True),
    ]  # fmt: skip
    summary = json.loads(json.dumps(summarise(record)))
    assert [t["pair"] for t in summary["trials"]] == [0, 0, 1, 1, 2, 2, 3]
    assert summary["right_object"]["sum"] == 5 and summary["right_object"]["trials"] == 7
    assert (summary["success"]["sum"], summary["strict"]["sum"]) == (2, 1)
    # The seventh has no other sentence; who touched nothing has not followed either.
    assert summary["pairs"] == {"total": 3, "both_right": 1}
    text = demo_text.text(summary, Path("out"))
    assert "wx250s: 7 trials, split seen" in text
    assert "right object           5 of 7, 71 % [36, 92], chance 25 %" in text
    assert "success                2 of 7" in text and "1 of them with nothing else" in text
    assert "1 of 3 pairs" in text


def test_a_trial_is_told_in_one_line() -> None:
    told = line(score(2, True, success=True))
    assert told.startswith('scene 2a  "put it there" ')
    assert told.endswith("  right object (red block), success in 4.0 s")
    assert "success in 4.0 s, disturbed blue_block" in line(score(0, True, True, strict=False))
    wrong = "WRONG object (blue block), no success, credit 0, time over at 4.0 s"
    assert line(score(1, False)).startswith("scene 1b") and line(score(1, False)).endswith(wrong)
    assert "touched nothing, no success" in line(score(4, None))
    held = replace(score(1, None), ended="hold", note="policy silent 0.20 s")
    assert line(held).endswith("the arm held at 4.0 s: policy silent 0.20 s")


def test_one_arm_has_its_own_figures_too(record: Record) -> None:
    """Ten steps of 1 cm; sampled every 0.2 s, corners are cut by what the lag displaces them."""
    arm = summarise(record)["arms"]["wx250s"]
    assert arm["steps"] == STEPS
    assert arm["moved"] is True
    assert 0.07 < arm["travelled_m"] <= 0.10
    assert arm["command_to_motion_ms"] == summarise(record)["command_to_motion_ms"]


def two_arm_record(right_follows: bool) -> Record:
    """Ten steps of 1 cm for each arm, turning by 90 degrees: left from x to y, right from y to x.

    The tools follow exactly 0.12 s late.
    """
    robot = robots.load("bimanual_wx250s")
    made = Record(robot, "turn", 2.0)
    corners = {"left": [np.zeros(3)], "right": [np.zeros(3)]}
    for i in range(STEPS):
        turn = (0.01 * np.eye(3)[i % 2]) * (-1) ** (i // 2)
        row = np.zeros((1, 14))
        row[0, :3], row[0, 7:10] = turn, turn[[1, 0, 2]]
        chunk = ActionChunk(robot.dimensions, row, np.zeros(1), i, robot.base_frame)
        made.decided.append((10.0 + 0.2 * i, chunk))
        made.executed.append((10.01 + 0.2 * i, chunk))
        corners["left"].append(corners["left"][-1] + row[0, :3])
        corners["right"].append(corners["right"][-1] + row[0, 7:10] * right_follows)
    for t in np.arange(9.0, 13.0, PERIOD_S):
        position = (t - LATENCY_S - 10.0) / 0.2
        for name, way in corners.items():
            xyz = [
                np.interp(position, np.arange(STEPS + 1), [c[k] for c in way]) for k in range(3)
            ]
            sample = (float(t), *map(float, xyz), 1.0, 0.0, 0.0, 0.0)
            made.poses[name, "pose"].append(sample)
            made.poses[name, "target"].append(sample)
    policy = {"trained": "False", "asked_rate_hz": "5"} | {
        f"{k}_ms_{q}": "5" for k in ("image_age", "inference") for q in ("median", "p99")
    }
    arm = {"rate_hz": "50", "period_ms_p99": "21"}
    made.begin(9.9)
    for name, values in (("policy_node", policy), ("arm_node", arm), ("sim_node", {})):
        made.diagnostics[name].append((102.0, values))
    made.end(12.3)
    return made


def test_two_arms_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = two_arm_record(right_follows=True)
    assert write_report(record, tmp_path) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary["arms"]) == ["left", "right"]
    for arm in summary["arms"].values():
        assert arm["steps"] == STEPS and arm["moved"]
        assert arm["travelled_m"] == pytest.approx(0.085, abs=0.015)
        assert 140 <= arm["command_to_motion_ms"]["median"] <= 161
    assert summary["every_arm_moved"] is True
    printed = capsys.readouterr().out
    assert "arm left" in printed and "arm right" in printed
    assert "every arm moved        yes" in printed


def test_an_arm_that_stands_still_fails_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write_report(two_arm_record(right_follows=False), tmp_path) == 1
    assert "every arm moved        no: right" in capsys.readouterr().out


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
        video.add(
            {"front": picture, "overview": picture},
            delta(0.01, 0.0, i),
            ("policy", "following policy"),
        )
        if i == 5:
            video.say("turn", "touched nothing")
    video.close()
    video.add({"front": picture, "overview": picture}, None, ("hold", ""))  # too late
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(frames) == 12
    assert frames[11][72:90, :640].std() > 5 > frames[0][72:90, :640].std()  # a line more
    assert frames[0].shape == (480, 1280, 3)
    assert frames[0][:70, :640].std() > 5 > frames[0][200:, :].std()  # text above, plain below


def test_four_cameras_make_a_grid_in_their_order() -> None:
    colours = {"cam_high": 10, "cam_left_wrist": 80, "cam_right_wrist": 150, "overview": 220}
    sizes = [(480, 640), (480, 640), (240, 320), (600, 600)]
    pictures = {
        name: np.full((*size, 3), value, dtype=np.uint8)
        for (name, value), size in zip(colours.items(), sizes, strict=True)
    }
    grid = arrange(pictures)
    assert grid.shape == (720, 960, 3)
    middles = [grid[180, 240], grid[180, 720], grid[540, 240], grid[540, 660]]
    assert [int(m[0]) for m in middles] == list(colours.values())
    three = arrange({n: pictures[n] for n in list(pictures)[:3]})
    assert three.shape == (720, 960, 3) and not three[400:, 490:].any()
