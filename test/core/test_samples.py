# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""From bags to samples: labels compose to the whole way, what is missing is refused by name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from recorded import (
    BEGIN_NS,
    STORE,
    EpisodeMaker,
    Script,
    image_message,
    number_of,
    numbered,
    wander,
)

from lapa_core.control.compose import angle_between, compose
from lapa_core.data import episodes, images, messages, samples, streams, tracks
from lapa_core.data.episodes import find, open_episode
from lapa_core.data.samples import Refused, SampleParams, Samples
from lapa_core.errors import DataError
from lapa_core.recording import jpeg

STEP_S = 0.2


def at_rate(
    steps: list[np.ndarray], rate_hz: float, begin_s: float = 1.0
) -> dict[float, np.ndarray]:
    """Steps on control ticks of 50 Hz, at about a rate."""
    return {round((begin_s + i / rate_hz) * 50) / 50: s for i, s in enumerate(steps)}


def read(folder: Path, **params: object) -> Samples:
    return Samples(open_episode(folder), SampleParams(**params))  # type: ignore[arg-type]


@pytest.mark.parametrize("rate_hz", [5.0, 7.3, 50.0], ids=["policy", "odd", "teleop"])
@pytest.mark.parametrize("robot", ["wx250s", "bimanual_wx250s"])
@pytest.mark.parametrize("rested", [True, False])
def test_labels_compose_to_the_whole_way(
    robot: str, rate_hz: float, rested: bool, tmp_path: Path
) -> None:
    """From the first target the labels lead to the last one, whatever the source's rate."""
    maker = EpisodeMaker(robot)
    dims = len(maker.robot.dimensions)
    steps = wander(0, round(3 * rate_hz), dims, min(1.0, 5 / rate_hz))
    script = Script(at_rate(steps, rate_hz), 4.5, rested=rested)
    found = read(maker.write(tmp_path / "e", script), trim_idle=False)
    got = list(found)
    assert not found.refused
    assert len(got) == len(found.tracks.grid())
    for index, arm in enumerate(maker.robot.arms):
        poses = list(maker.targets[arm.name].values())
        pose = poses[0]
        for sample in got:
            assert sample.action.shape == (dims,)
            pose = compose(pose, sample.action[7 * index :])
        np.testing.assert_allclose(pose.xyz_m, poses[-1].xyz_m, rtol=0, atol=1e-6)
        assert angle_between(pose.rotation, poses[-1].rotation) < 1e-6
        assert got[-1].action[7 * index + 6] == steps[-1][7 * index + 6]


def test_a_policys_steps_are_the_labels(tmp_path: Path) -> None:
    """Steps at the grid's own rate, with jitter, come back one by one: none doubled or lost."""
    steps = wander(1, 12)
    rng = np.random.default_rng(0)
    times = {
        round((1.0 + STEP_S * i + rng.uniform(-0.03, 0.03)) * 50) / 50: s
        for i, s in enumerate(steps)
    }
    got = list(read(EpisodeMaker().write(tmp_path / "e", Script(times, 4.0))))
    assert len(got) == len(steps)
    for sample, step in zip(got, steps, strict=True):
        np.testing.assert_allclose(sample.action, step, atol=1e-9)


@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "jpeg"])
@pytest.mark.parametrize("namespace", ["", "/left_cell"])
def test_a_sample_has_the_newest_frame_that_had_arrived(
    compressed: bool, namespace: str, tmp_path: Path
) -> None:
    maker = EpisodeMaker("bimanual_wx250s", compressed, namespace)
    script = Script(at_rate(wander(2, 10, 14), 5.0), 3.5)
    got = list(read(maker.write(tmp_path / "e", script)))
    assert len(got) == 10
    for sample in got:
        since_s = (sample.time_ns - BEGIN_NS) * 1e-9
        stamps = []
        assert set(sample.observation.images) == {c.name for c in maker.robot.cameras}
        for camera in maker.robot.cameras:
            k = int(np.floor(since_s * camera.rate_hz + 1e-6))
            image = sample.observation.images[camera.name]
            assert number_of(image) == k
            if not compressed:
                np.testing.assert_array_equal(image, numbered(k))
            stamps.append(BEGIN_NS + round(k / camera.rate_hz * 1e9) - 1_000_000)
        assert sample.observation.stamp_ns == min(stamps)
        assert sample.observation.instruction == "put the red block in the bin"


def test_the_state_is_bridges(tmp_path: Path) -> None:
    """Position in the base, angles 0 with the gripper straight down, gripper as an opening."""
    maker = EpisodeMaker()
    got = list(read(maker.write(tmp_path / "e", Script(at_rate(wander(3, 5), 5.0), 2.5))))
    state = got[0].observation.state
    assert tuple(state)[:7] == maker.robot.dimensions
    values = list(state.values())[:7]  # measured; what is commanded comes after
    np.testing.assert_allclose(values[:3], [0.3, 0.0, 0.2], atol=1e-9)
    # The tool of the script points forward: a quarter turn up from straight down.
    np.testing.assert_allclose(values[3:6], [0.0, -np.pi / 2, 0.0], atol=1e-7)
    assert values[6] == pytest.approx(0.25)
    assert not next(iter(read(tmp_path / "e", state=False))).observation.state


def test_words_and_authority_are_those_in_force(tmp_path: Path) -> None:
    """A person corrects a policy halfway: those samples are marked; new words hold from then."""
    script = Script(
        at_rate(wander(4, 15), 5.0),
        4.5,
        authority={0.5: "policy: following policy", 2.02: "teleop: following teleop"},
        instruction={2.5: "close the drawer"},
    )
    got = list(read(EpisodeMaker().write(tmp_path / "e", script)))
    took_over = [s for s in got if s.authority == "teleop"]
    assert len(got) == 15
    assert {s.authority for s in got} == {"policy", "teleop"}
    assert 0 < len(took_over) < 15
    assert all(s.correction == (s.authority == "teleop") for s in got)
    # A handover within a step's time counts as the person's.
    assert min(s.time_ns for s in took_over) == max(
        s.time_ns for s in got if s.time_ns <= BEGIN_NS + 2_020_000_000
    )
    for sample in got:
        later = sample.time_ns >= BEGIN_NS + 2_500_000_000
        words = "close the drawer" if later else "put the red block in the bin"
        assert sample.observation.instruction == words


def test_idle_is_marked_and_trimmed_at_the_ends_only(tmp_path: Path) -> None:
    still = np.array([0.0] * 6 + [1.0])
    there, back = still.copy(), still.copy()
    there[0], back[0] = 0.02, -0.02
    closing = np.array([0.0] * 6 + [0.0])
    steps = [still] * 4 + [there] + [still] * 5 + [back, closing] + [closing] * 6
    folder = EpisodeMaker().write(tmp_path / "e", Script(at_rate(steps, 5.0), 5.5))
    everything = [s.idle for s in read(folder, trim_idle=False)]
    assert everything == [True] * 4 + [False] + [True] * 5 + [False] * 2 + [True] * 6
    trimmed = list(read(folder))
    assert [s.idle for s in trimmed] == everything[4:12]
    assert trimmed[0].index == 4
    assert trimmed[-1].action[6] == 0.0, "closing the gripper alone is no idling"


def test_a_silent_camera_refuses_the_samples_it_concerns(tmp_path: Path) -> None:
    """No frame for a while: those samples are refused by name, the others are whole."""
    maker = EpisodeMaker()

    def keep(topic: str, at_s: float) -> bool:
        return topic != maker.robot.cameras[0].topic or not 2.0 < at_s < 3.0

    script = Script(at_rate(wander(5, 15), 5.0), 4.5, keep=keep)
    found = read(maker.write(tmp_path / "e", script))
    got = list(found)
    assert [r.error for r in found.refused] == ["StaleInput"] * len(found.refused)
    assert "camera front silent" in found.refused[0].reason
    silent = [r.index for r in found.refused]
    assert silent == list(range(silent[0], silent[0] + len(silent)))
    # The frame that was there when the camera fell silent serves one decision.
    for time_s in ((r.time_ns - BEGIN_NS) * 1e-9 for r in found.refused):
        assert 2.0 < time_s < 3.05
    assert len(silent) >= 4
    assert sorted(silent + [s.index for s in got]) == list(range(15))
    assert all(s.observation.images["front"].any() for s in got)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("wx250s/ee_target", "the commanded target of wx250s is"),
        ("wx250s/ee_pose", "the pose of wx250s is"),
        ("wx250s/joint_states", "the joint state of wx250s is"),
    ],
)
def test_a_stale_stream_refuses_by_name(lost: str, words: str, tmp_path: Path) -> None:
    maker = EpisodeMaker()

    def keep(topic: str, at_s: float) -> bool:
        return topic != lost or not 2.0 < at_s < 3.0

    found = read(maker.write(tmp_path / "e", Script(at_rate(wander(6, 15), 5.0), 4.5, keep=keep)))
    got = list(found)
    assert 3 <= len(found.refused) <= 6
    assert all(words in r.reason for r in found.refused), found.refused
    assert len(got) + len(found.refused) == 15


def test_labels_begin_where_the_target_is_known(tmp_path: Path) -> None:
    """A recording begun in the middle of a motion: no target is made up for what was before."""

    def keep(topic: str, at_s: float) -> bool:
        return not topic.endswith("ee_target") or at_s > 1.75

    found = read(
        EpisodeMaker().write(tmp_path / "e", Script(at_rate(wander(15, 10), 5.0), 3.5, keep=keep))
    )
    got = list(found)
    assert [r.reason for r in found.refused] == ["no commanded target of wx250s yet"] * 5
    assert [s.index for s in got] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "lost", ["executed/ee_delta", "wx250s/ee_target", "camera/front/image_raw"]
)
def test_a_stream_that_is_not_there_is_named(lost: str, tmp_path: Path) -> None:
    script = Script(at_rate(wander(7, 5), 5.0), 2.5, keep=lambda topic, at_s: topic != lost)
    folder = EpisodeMaker().write(tmp_path / "e", script)
    with pytest.raises(DataError, match=lost):
        read(folder)


def test_a_move_that_nobody_steered_is_no_sample(tmp_path: Path) -> None:
    """The arm went home in the middle: the target moved in hold, by no step."""
    steps = at_rate(wander(8, 5), 5.0) | at_rate(wander(9, 5), 5.0, 4.0)
    script = Script(
        steps,
        5.5,
        authority={0.5: "teleop: x", 2.1: "hold: moving to start", 3.9: "teleop: x"},
        jumps={3.0: ("wx250s", np.array([0.1, 0.0, 0.05, 0.0, 0.0, 0.0]))},
    )
    found = read(EpisodeMaker().write(tmp_path / "e", script))
    got = list(found)
    (refused,) = found.refused
    assert "in hold, by no step" in refused.reason
    assert all(np.linalg.norm(s.action[:3]) < 0.05 for s in got)
    assert [s.idle for s in got if s.authority == "hold"]


def test_waiting_for_a_frame_is_replayed(tmp_path: Path) -> None:
    """With the policy node's waiting, a decision takes the frame that comes within it."""
    maker = EpisodeMaker()
    script = Script(at_rate(wander(10, 5), 5.0), 3.0)
    recording = open_episode(maker.write(tmp_path / "e", script))
    rate_hz = maker.robot.cameras[0].rate_hz
    due = [BEGIN_NS + round((k + 0.5) / rate_hz * 1e9) for k in (30, 40, 50)]
    seen = {}
    for wait_s in (0.0, 0.04):
        reader = Samples(recording, SampleParams(image_wait_s=wait_s))
        pictures = [o for _, o in reader.observations(due)]
        seen[wait_s] = [number_of(p.images["front"]) for p in pictures]  # type: ignore[union-attr]
    assert seen == {0.0: [30, 40, 50], 0.04: [31, 41, 51]}


def test_the_frame_of_the_last_decision_is_not_used_again(tmp_path: Path) -> None:
    recording = open_episode(
        EpisodeMaker().write(tmp_path / "e", Script(at_rate(wander(11, 5), 5.0), 3.0))
    )
    times = [BEGIN_NS + 2_000_000_000, BEGIN_NS + 2_001_000_000]
    (_, first), (_, second) = Samples(recording).observations(times)
    assert not isinstance(first, Refused)
    assert isinstance(second, Refused)
    assert "no new image since the last decision" in second.reason


def test_a_data_set_is_read_episode_by_episode(tmp_path: Path) -> None:
    """Failures, incomplete and flagged episodes are left out; an empty choice is refused."""
    script = Script(at_rate(wander(12, 3), 5.0), 2.0)
    for number, outcome in enumerate(["success", "failure", "success"]):
        EpisodeMaker().write(
            tmp_path / f"episode_{number:04d}", script, episode=number, outcome=outcome
        )
    EpisodeMaker().write(tmp_path / "episode_0003.partial", script)
    read_back = [s.recording.episode.episode for s in samples.episodes(tmp_path)]
    assert read_back == [0, 2]
    assert len(find(tmp_path, outcomes=("failure",))) == 1
    with pytest.raises(DataError, match="3 of any kind"):
        find(tmp_path, outcomes=("recovered",))
    with pytest.raises(DataError, match="lapa recover"):
        open_episode(tmp_path / "episode_0003.partial")


def test_memory_is_bounded_by_frames_not_by_episodes(tmp_path: Path) -> None:
    """While it plays, a stream never holds more frames than the wait can bring."""
    maker = EpisodeMaker()
    recording = open_episode(
        maker.write(tmp_path / "e", Script(at_rate(wander(13, 10), 5.0), 4.0))
    )
    topic = recording.camera_topic(maker.robot.cameras[0])
    playback = streams.Playback(recording.bag, {topic})
    stream = playback.stream(topic)
    held = []
    for k in range(35):
        playback.advance(BEGIN_NS + k * 100_000_000)
        newest = stream.wait_newer(0 if (s := stream.get()) is None else s.sequence, 0.04)
        held.append(len(stream._queue))
        assert newest is not None
    assert max(held) <= 2


@pytest.mark.parametrize(
    ("channels", "noise", "mean", "percentile"),
    [(1, 4.0, 1.5, 6), (3, 10.0, 4.0, 15)],
    ids=["camera", "colour noise"],
)
def test_the_recorders_jpeg_is_near_in_the_models_input(
    channels: int, noise: float, mean: float, percentile: float
) -> None:
    """Pictures that the recorder compressed are not the live ones: by how much, of 255.

    The noise of a sensor in brightness; and in every pixel's colour, which JPEG halves.
    """
    rng = np.random.default_rng(0)
    layers = [
        cv2.resize(rng.integers(0, 256, (n, n, 3), dtype=np.uint8), (640, 480)).astype(float)
        for n in (4, 16, 64)
    ]
    picture = np.mean(layers, axis=0) + rng.normal(0, noise, (480, 640, channels))
    live = np.clip(picture, 0, 255).astype(np.uint8)
    raw = STORE.serialize_cdr(image_message(BEGIN_NS, live, compressed=False), jpeg.IMAGE)
    encoded = jpeg.encode(bytes(raw))
    assert encoded.type == jpeg.COMPRESSED
    offline = messages.image(STORE.deserialize_cdr(encoded.data, encoded.type))
    inputs = [images.resize_for_model(i, center_crop=True).astype(int) for i in (live, offline)]
    apart = np.abs(inputs[0] - inputs[1])
    assert 0 < apart.mean() < mean
    assert np.percentile(apart, 99) <= percentile


def test_a_camera_alone_is_video(tmp_path: Path) -> None:
    """Frames with their stamps, of a bag in which nobody moved anything."""
    maker = EpisodeMaker(compressed=True)

    def keep(topic: str, at_s: float) -> bool:
        return topic.startswith("camera")

    folder = maker.write(tmp_path / "e", Script(at_rate(wander(14, 1), 5.0), 1.0, keep=keep))
    recording = open_episode(folder)
    topic = recording.camera_topic(maker.robot.cameras[0])
    seen = list(streams.frames(recording.bag, topic))
    assert [number_of(f.image) for f in seen] == list(range(30))
    assert all(f.arrived_ns - f.stamp_ns == 1_000_000 for f in seen)
    with pytest.raises(DataError, match="executed/ee_delta"):
        tracks.read(recording)


def test_episodes_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["episode_1001", "episode_0002", "episode_10000", "episode_0010", "notes"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "episode.yaml").touch()
    found = [folder.name for folder in episodes.complete(tmp_path)]
    assert found == ["notes", "episode_0002", "episode_0010", "episode_1001", "episode_10000"]
