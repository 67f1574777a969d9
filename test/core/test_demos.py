# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Demonstrations: sets of one robot, chunks that stop at gaps, splits, labels and filters."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recorded import EpisodeMaker, Script, wander

from lapa_core.control.compose import Pose, compose
from lapa_core.data import cuts
from lapa_core.data.cuts import CutParams, Trail
from lapa_core.data.demos import Demo, DemoSet, Traits, alike
from lapa_core.data.episodes import open_episode
from lapa_core.data.report import DataReport, EpisodeReport, Removal, ranges
from lapa_core.data.samples import SampleParams, Samples
from lapa_core.errors import ConfigError, DataError

DIMENSIONS = tuple(f"arm/{a}" for a in ("x", "y", "z", "roll", "pitch", "yaw", "gripper"))


def demo(name: str, index: list[int], words: list[str] | None = None) -> Demo:
    n = len(index)
    actions = np.arange(7.0 * n).reshape(n, 7) * 1e-3
    codes = np.zeros((2, n, 1, 4), dtype=np.uint32)
    said = tuple(words or ["put it there"] * n)
    return Demo(name, codes, actions, np.zeros((n, 0)), np.array(index), said, ("teleop",) * n)


def demo_set(*demos: Demo) -> DemoSet:
    report = DataReport("x", tuple(EpisodeReport(d.name, len(d), len(d)) for d in demos))
    return DemoSet("r", DIMENSIONS, ("front",), (), 0.2, "open_is_one", demos, report)


def test_a_chunk_ends_at_a_gap_at_other_words_and_at_the_end() -> None:
    one = demo("a", [3, 4, 5, 7, 8, 9], ["x"] * 4 + ["y"] * 2)
    cases = {0: 3, 1: 2, 2: 1, 3: 1, 4: 2, 5: 1}
    for row, count in cases.items():
        actions, exists = one.chunk(row, 4)
        assert exists.tolist() == [i < count for i in range(4)]
        np.testing.assert_array_equal(actions[:count], one.actions[row : row + count])
        np.testing.assert_array_equal(
            actions[count:], one.actions[[row + count - 1] * (4 - count)]
        )
    with pytest.raises(DataError, match="0 to 5"):
        one.chunk(6, 1)


def test_a_split_is_by_demonstration_and_stays_as_others_are_added() -> None:
    names = [f"episode_{i:04d}" for i in range(40)]
    whole = demo_set(*(demo(n, [0, 1]) for n in names))
    train, held = whole.split(0.2, seed=3)
    assert len(held) == 8
    assert {d.name for d in train.demos} | {d.name for d in held.demos} == set(names)
    assert [d.name for d in train.demos] == sorted(d.name for d in train.demos)
    assert held.report.used == 16
    more = demo_set(*whole.demos, *(demo(f"later_{i}", [0]) for i in range(40)))
    again = {d.name for d in more.split(0.2, seed=3)[1].demos}
    ours = {d.name for d in held.demos}
    assert ours <= again | {d.name for d in more.split(0.4, seed=3)[1].demos}
    assert {d.name for d in whole.split(0.2, seed=4)[1].demos} != ours
    assert len(whole.split(0.0, seed=0)[1]) == 0
    with pytest.raises(DataError, match="1 demonstrations cannot be split"):
        demo_set(whole.demos[0]).split(0.1, 0)


def test_demonstrations_of_two_robots_are_no_set() -> None:
    mine = Traits("wx250s", DIMENSIONS, 0.2, "open_is_one")
    other = replace(mine, robot="vx300s", step_time_s=0.1)
    with pytest.raises(DataError) as caught:
        alike({"episode_0": mine, "episode_1": other, "episode_2": mine})
    for words in ("'wx250s' in episode_0, episode_2", "'vx300s' in episode_1", "0.1 in episode_1"):
        assert words in str(caught.value)
    assert alike({"a": mine, "b": mine}) == mine


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"actions": np.zeros((2, 7))}, "different numbers of steps"),
        ({"actions": np.full((3, 7), np.nan)}, "not finite"),
        ({"index": np.array([0, 2, 2])}, "do not increase"),
        ({"codes": np.zeros((3, 4), np.uint32)}, "axes"),
    ],
)
def test_what_is_no_demonstration_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        replace(demo("a", [0, 1, 2]), **change)  # type: ignore[arg-type]


def test_a_set_refuses_what_does_not_fit() -> None:
    with pytest.raises(DataError, match="more than one demonstration is called a"):
        demo_set(demo("a", [0]), demo("a", [1]))
    with pytest.raises(DataError, match="this set has 1, 7 and 2"):
        replace(demo_set(demo("a", [0])), state_names=("p", "q"))


def test_a_report_counts_and_prints() -> None:
    removed = (Removal("idle", (3, 4, 5, 9)), Removal("camera cut", (12,), "camera front moved"))
    report = DataReport(
        "demos",
        (EpisodeReport("a", 20, 15, removed), EpisodeReport("b", 0, 0, (), "DataError: broken")),
        {"c": "its outcome is failure"},
        {"labels": "commanded"},
        ("one thing",),
    )
    assert report.removed == {"idle": 4, "camera cut": 1}
    plain = json.loads(json.dumps(report.to_json()))
    assert plain["episodes_refused"] == {"b": "DataError: broken"}
    assert plain["episodes"][0]["removed"][0]["steps"] == "3-5, 9"
    for words in (
        "15 of 20 steps of 1 episodes",
        "b refused: DataError",
        "1 step camera cut (12)",
    ):
        assert words in str(report)
    assert "\n  a: 1 step camera cut (12): camera front moved\n" in str(report)
    three = tuple(EpisodeReport(name, 20, 15, removed) for name in "abc")
    assert "\n  3 episodes: 1 step camera cut (12): camera" in str(replace(report, episodes=three))
    assert ranges([1]) == "1"


@pytest.mark.parametrize("source", ["commanded", "executed", "reached"])
def test_labels_of_each_source_compose_to_its_way(source: str, tmp_path: Path) -> None:
    """Commanded and reached include a jump of the target; executed has the steps alone."""
    steps = wander(0, 15)
    times = {round(1.0 + 0.2 * i, 3): s for i, s in enumerate(steps)}
    jump = np.array([0.0, 0.03, 0.0, 0.0, 0.0, 0.1])
    maker = EpisodeMaker()
    script = Script(times, 4.5, jumps={2.11: ("wx250s", jump)})
    recording = open_episode(maker.write(tmp_path / "e", script))
    params = SampleParams(state=False, labels=source, trim_idle=False)
    labels = [s.action for s in Samples(recording, params)]
    assert len(labels) == 15
    way = Pose(np.zeros(3), np.eye(3))
    for label in labels:
        way = compose(way, label)
    expected = Pose(np.zeros(3), np.eye(3))
    done = [*times.items(), (2.11, jump)] if source != "executed" else [*times.items()]
    for _, delta in sorted(done, key=lambda d: d[0]):
        expected = compose(expected, delta)
    np.testing.assert_allclose(way.xyz_m, expected.xyz_m, atol=1e-9)
    np.testing.assert_allclose(way.rotation, expected.rotation, atol=1e-9)
    assert [a[6] for a in labels] == [s[6] for s in steps], "the gripper is as commanded"


def test_an_unknown_source_of_labels_names_the_valid_ones(tmp_path: Path) -> None:
    script = Script({1.0: wander(1, 1)[0]}, 1.5)
    recording = open_episode(EpisodeMaker().write(tmp_path / "e", script))
    with pytest.raises(ConfigError, match="'commanded', 'executed', 'reached'"):
        Samples(recording, SampleParams(labels="wished"))


def trail(n: int, seed: int = 0) -> Trail:
    """An episode whose camera sees a little change every step, the arm moving 5 mm a step."""
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 256, (24, 32)).astype(float)
    made = Trail()
    for i in range(n):
        made.index.append(i)
        made.idle.append(False)
        made.authority.append("teleop")
        made.correction.append(False)
        made.actions.append(np.array([0.005, 0, 0, 0, 0, 0, 1.0]))
        seen = table.copy()
        seen[10:14, i % 28 : i % 28 + 4] = 255  # the hand
        seen += rng.normal(0, 1.0, seen.shape)
        made.thumbs.setdefault("front", []).append(np.clip(seen, 0, 255).astype(np.uint8))
        made.sums.setdefault("front", []).append(i)
    return made


def left_out(made: Trail, **params: object) -> dict[str, tuple[int, ...]]:
    kept, removed = cuts.apply(made, CutParams(**params))  # type: ignore[arg-type]
    gone = sorted(i for r in removed for i in r.steps)
    assert gone == [i for i, k in zip(made.index, kept, strict=True) if not k]
    return {r.reason: r.steps for r in removed}


def test_a_cut_is_found_and_a_moving_hand_is_none() -> None:
    made = trail(40)
    assert left_out(made) == {}
    rng = np.random.default_rng(9)
    elsewhere = rng.integers(0, 256, (24, 32)).astype(np.uint8)
    for i in range(25, 40):
        made.thumbs["front"][i] = elsewhere
    assert left_out(made) == {"camera cut": (24,)}
    assert left_out(made, cuts=False) == {}
    _, (removal,) = cuts.apply(made, CutParams())
    assert "camera front changed by up to" in removal.note


def test_a_hand_before_the_lens_is_left_out_with_its_pictures() -> None:
    made = trail(40)
    for i in (20, 21, 22):
        made.thumbs["front"][i] = np.full((24, 32), 200, np.uint8)
    assert left_out(made) == {"camera cut": (19, 20, 21, 22)}


def test_a_camera_that_moves_much_is_no_cut() -> None:
    """A wrist camera changes 20 grey levels every step; a cut is far beyond the episode's own."""
    made = trail(40)
    rng = np.random.default_rng(1)
    base = rng.integers(60, 200, (24, 32)).astype(float)
    for i in range(40):
        seen = base + rng.normal(0, 20, base.shape)
        made.thumbs["front"][i] = np.clip(seen, 0, 255).astype(np.uint8)
    assert left_out(made) == {}


def test_one_picture_for_long_while_the_arm_moves_is_frozen() -> None:
    made = trail(30)
    for i in range(11, 15):
        made.sums["front"][i] = made.sums["front"][10]
    made.sums["front"][21] = made.sums["front"][20]  # once is no more than latency
    assert left_out(made) == {"frozen picture": (11, 12, 13, 14)}
    for i in range(10, 15):
        made.actions[i] = np.array([0.0] * 6 + [1.0])
    assert left_out(made) == {}, "nothing moved: the picture is right to stand still"


def test_idle_steps_are_thinned_evenly_to_a_share() -> None:
    made = trail(100)
    for i in range(20, 70):
        made.idle[i] = True
    assert left_out(made) == {}
    assert left_out(made, max_idle_share=0.0) == {"idle": tuple(range(20, 70))}
    gone = left_out(made, max_idle_share=0.2)["idle"]
    kept = sorted(set(range(20, 70)) - set(gone))
    assert len(kept) == 12  # of 62
    assert max(np.diff(kept)) <= 5, "spread over all of them"
    with pytest.raises(ConfigError, match="must be 0"):
        CutParams(max_idle_share=1.5)


def test_whose_steps_are_wanted() -> None:
    made = trail(30)
    made.authority[5:20] = ["policy"] * 15
    made.authority[20:22] = ["hold"] * 2
    for i in range(22, 30):
        made.correction[i] = True
    assert left_out(made)["authority"]
    _, removed = cuts.apply(made, CutParams())
    assert [(len(r.steps), r.note.split()[0]) for r in removed] == [(15, "policy"), (2, "hold")]
    assert left_out(made, authority="all") == {}
    kept, _ = cuts.apply(made, CutParams(authority="corrections"))
    assert np.flatnonzero(kept).tolist() == list(range(22, 30))
    with pytest.raises(ConfigError, match="'teleop', 'all', 'corrections'"):
        CutParams(authority="me")
