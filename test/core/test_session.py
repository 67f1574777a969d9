# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A recording session without ROS: its states, a full disk, pictures that cannot be compressed."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader

from lapa_core.errors import RecordingError
from lapa_core.recording import episode as episodes
from lapa_core.recording import folders, jpeg
from lapa_core.recording.episode import Finding, Stream
from lapa_core.recording.session import Facts, Session, Wishes
from lapa_core.recording.take import Source, Take

IMAGES = Source("/camera/front/image_raw", jpeg.IMAGE, jpeg=True)
STATES = Source("/arm/joint_states", "sensor_msgs/msg/JointState")
FACTS = Facts("stack", "anna", "wx250s", "name: wx250s\n", "", "keyboard", "lapa_ros test")


@dataclass
class Bench:
    """A session, its clock, and the workers it needs."""

    root: Path
    wishes: Wishes
    workers: jpeg.Workers = field(default_factory=jpeg.Workers)
    missing: list[str] = field(default_factory=list)
    findings: tuple[Finding, ...] = ()
    now_s: float = 100.0
    max_waiting_bytes: int = 1 << 28

    def __post_init__(self) -> None:
        self.session = Session(
            self.wishes,
            make_take=lambda bag: Take(bag, self.workers, self.max_waiting_bytes),
            facts=lambda: FACTS,
            judge=self._judge,
            missing=lambda: self.missing,
            begin=lambda: None,
            opened=lambda take: None,
        )
        self.session.tick(self.now_s)

    def _judge(self, take: Take) -> tuple[tuple[Stream, ...], tuple[Finding, ...]]:
        topic = IMAGES.topic + jpeg.SUFFIX
        return (Stream(topic, jpeg.COMPRESSED, 0, 0.0, 0.0, 0.0, 0, 0, 0),), self.findings

    def start(self) -> Take:
        self.session.start(self.now_s)
        assert self.session.take is not None
        return self.session.take


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, Wishes(tmp_path / "data", min_free_bytes=1 << 20))
    yield made
    made.workers.close()


def picture(value: int, encoding: str = "rgb8") -> bytes:
    """A serialised 64x48 image."""
    store = jpeg.typestore()
    channels, dtype = (1, np.uint16) if encoding == "16UC1" else (3, np.uint8)
    pixels = np.full((48, 64, channels), value, dtype)
    time = store.types["builtin_interfaces/msg/Time"](sec=value, nanosec=7)
    header = store.types["std_msgs/msg/Header"](stamp=time, frame_id=str(value))
    msg = store.types[jpeg.IMAGE](
        header=header,
        height=48,
        width=64,
        encoding=encoding,
        is_bigendian=0,
        step=64 * channels * dtype().itemsize,
        data=pixels.view(np.uint8).reshape(-1),
    )
    return bytes(store.serialize_cdr(msg, jpeg.IMAGE))


def messages(folder: Path) -> list[tuple[str, object]]:
    with AnyReader([folder]) as reader:
        return [(c.topic, reader.deserialize(raw, c.msgtype)) for c, _, raw in reader.messages()]


def test_pictures_are_compressed_in_the_order_they_came(bench: Bench) -> None:
    take = bench.start()
    for i in range(40):
        assert take.put(IMAGES, picture(i), 1000 + i, 900 + i, i)
    assert bench.session.save(bench.now_s).startswith("saved episode 0")
    found = messages(bench.root / "data" / "episode_0000")
    assert [t for t, _ in found] == [IMAGES.topic + jpeg.SUFFIX] * 40
    assert [int(m.header.frame_id) for _, m in found] == list(range(40))
    kept = episodes.read(bench.root / "data" / "episode_0000")
    assert kept.streams[0].messages == 40
    assert kept.instruction == "stack" and kept.robot_yaml == FACTS.robot_yaml


def test_depth_stays_raw_and_says_why(bench: Bench) -> None:
    take = bench.start()
    raw = picture(3, "16UC1")
    take.put(IMAGES, raw, 1, 1)
    bench.session.save(bench.now_s)
    with AnyReader([bench.root / "data" / "episode_0000"]) as reader:
        assert [(c.topic, raw) for c, _, raw in reader.messages()] == [(IMAGES.topic, raw)]
    assert "16UC1" in take.kept_raw[IMAGES.topic]


def test_what_finds_no_room_is_refused_and_counted(tmp_path: Path) -> None:
    data = picture(1)
    wishes = Wishes(tmp_path / "data", min_free_bytes=1 << 20)
    bench = Bench(tmp_path, wishes, max_waiting_bytes=2 * len(data))
    take = bench.start()
    put = [take.put(STATES, data, i, i) for i in range(200)]
    assert take.refused[STATES.topic] == put.count(False)
    bench.session.save(bench.now_s)
    with AnyReader([tmp_path / "data" / "episode_0000"]) as reader:
        assert sum(1 for _ in reader.messages()) == put.count(True)
    bench.workers.close()


def test_the_states_of_an_afternoon(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Wishes(tmp_path / "d", episodes=2, reset_s=5.0, min_free_bytes=1))
    session = bench.session
    assert session.state == "idle" and session.number == 0
    for act in (session.save, session.discard):
        with pytest.raises(RecordingError, match="no episode runs"):
            act(bench.now_s)
    with pytest.raises(RecordingError, match="no episode to take back"):
        session.undo_last(bench.now_s)
    bench.start()
    with pytest.raises(RecordingError, match="episode 0 is not decided"):
        session.start(bench.now_s)
    with pytest.raises(RecordingError, match="runs: discard it"):
        session.undo_last(bench.now_s)
    session.save(bench.now_s)
    assert session.state == "reset" and session.reset_left_s(bench.now_s) == 5.0
    session.tick(bench.now_s + 4.9)
    assert session.take is None
    session.tick(bench.now_s + 5.0)
    assert session.state == "recording" and session.number == 1
    session.discard(bench.now_s + 6.0, then_again=True)
    assert session.state == "reset"
    session.stop()
    session.tick(bench.now_s + 60.0)
    assert session.state == "idle"
    bench.start()
    assert "all 2 are recorded" in session.save(bench.now_s)
    assert session.state == "done" and session.saved == 2
    session.undo_last(bench.now_s)
    assert session.state == "idle" and session.saved == 1
    bench.workers.close()


def test_a_stream_that_vanished_stops_the_automatic_start_and_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Wishes(tmp_path / "d", reset_s=1.0, min_free_bytes=1))
    bench.start()
    bench.session.save(bench.now_s)
    bench.missing = ["/camera/front/image_raw"]
    bench.session.tick(bench.now_s + 1.0)
    assert bench.session.state == "idle"
    assert "/camera/front/image_raw" in bench.session.message
    bench.workers.close()


def test_a_flagged_success_can_be_refused_and_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Wishes(tmp_path / "d", min_free_bytes=1, refuse_flagged=True))
    bench.findings = (Finding("black", "/camera", 0.0, 1.0, "black", serious=True),)
    take = bench.start()
    with pytest.raises(RecordingError, match="/camera black"):
        bench.session.save(bench.now_s)
    assert bench.session.state == "recording" and take.put(STATES, b"\0\1\0\0", 1, 1)
    bench.session.save(bench.now_s, "failure")
    assert episodes.read(tmp_path / "d" / "episode_0000").flagged
    bench.workers.close()


def test_a_picture_that_is_none_costs_no_other_message(bench: Bench) -> None:
    """The writer's thread once died of it, with every light still green."""
    take = bench.start()
    broken = picture(1)[:40]
    take.put(IMAGES, broken, 1, 1)
    for i in range(10):
        take.put(IMAGES, picture(i), 10 + i, 10 + i)
    bench.session.save(bench.now_s)
    found = {t: len(list(m)) for t, m in _by_topic(bench.root / "data" / "episode_0000").items()}
    assert found == {IMAGES.topic: 1, IMAGES.topic + jpeg.SUFFIX: 10}
    assert take.kept_raw[IMAGES.topic]


def test_a_topic_that_cannot_be_recorded_costs_its_own_messages_alone(bench: Bench) -> None:
    take = bench.start()
    take.put(STATES, b"one", 1, 1)
    take.put(Source("/odd", "nobody_has/msg/This"), b"bytes", 2, 2)
    take.put(Source(STATES.topic, "std_msgs/msg/String"), b"other", 3, 3)
    take.put(STATES, b"two", -5, -5)
    bench.session.save(bench.now_s)
    found = _by_topic(bench.root / "data" / "episode_0000")
    assert sorted(found[STATES.topic]) == [b"one", b"two"] and found["/odd"] == [b"bytes"]
    assert take.refused == {STATES.topic: 1}
    assert "nobody_has/msg/This" in take.problems["/odd"]
    assert "std_msgs/msg/String" in take.problems[STATES.topic]


def test_an_episode_that_cannot_get_its_name_stays_and_can_be_saved_again(bench: Bench) -> None:
    """`start` was once allowed then, and the next episode saved half-written."""
    bench.start()
    taken = bench.root / "data" / "episode_0000"
    taken.mkdir()
    with pytest.raises(RecordingError, match="is there already"):
        bench.session.save(bench.now_s)
    assert bench.session.state == "full" and "try again" in bench.session.message
    with pytest.raises(RecordingError, match="episode 0 is not decided"):
        bench.start()
    taken.rmdir()
    assert bench.session.save(bench.now_s).startswith("saved episode 0")
    bench.start().put(STATES, b"x", 1, 1)
    bench.session.save(bench.now_s)
    assert _by_topic(bench.root / "data" / "episode_0001") == {STATES.topic: [b"x"]}


def test_stop_while_an_episode_runs_lets_no_other_follow(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Wishes(tmp_path / "d", reset_s=1.0, min_free_bytes=1))
    bench.start()
    bench.session.stop()
    bench.session.save(bench.now_s)
    bench.session.tick(bench.now_s + 60.0)
    assert bench.session.state == "idle" and bench.session.take is None
    bench.workers.close()


def test_an_episode_that_runs_when_the_recorder_ends_is_whole_and_judged(bench: Bench) -> None:
    bench.findings = (Finding("black", "/camera", 0.0, 1.0, "black", serious=True),)
    bench.start().put(STATES, b"x", 1, 1)
    bench.session.close()
    (left,) = folders.partials(bench.root / "data")
    kept = episodes.read(left)
    assert kept.outcome == "recovered" and kept.findings == bench.findings
    assert _by_topic(left) == {STATES.topic: [b"x"]}


def _by_topic(folder: Path) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    with (next(folder.glob("*.mcap"))).open("rb") as file:
        for _, channel, message in make_reader(file).iter_messages(log_time_order=False):
            found.setdefault(channel.topic, []).append(message.data)
    return found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a file system of its own cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_an_episode_ends_by_itself_before_the_disk_is_full(small_disk: Path) -> None:
    bench = Bench(small_disk, Wishes(small_disk / "d", min_free_bytes=10 << 20))
    take = bench.start()
    sent, pause, deadline = 0, threading.Event(), time.monotonic() + 20.0
    while bench.session.state == "recording" and time.monotonic() < deadline:
        take.put(STATES, bytes(100_000), sent, sent)
        sent += 1
        pause.wait(0.002)
        bench.session.tick(bench.now_s)
    assert bench.session.state == "full"
    assert "GB are free" in bench.session.message
    bench.session.save(bench.now_s)
    with AnyReader([small_disk / "d" / "episode_0000"]) as reader:
        assert sum(1 for _ in reader.messages()) == sent - sum(take.refused.values())
    bench.workers.close()


def test_without_room_no_episode_begins(small_disk: Path) -> None:
    bench = Bench(small_disk, Wishes(small_disk / "d", min_free_bytes=30 << 20))
    with pytest.raises(RecordingError, match=r"0\.0 GB are free .* at least 0\.0 GB"):
        bench.start()
    assert not folders.partials(small_disk / "d")
    bench.workers.close()


def test_a_disk_that_is_full_at_once_still_gives_a_readable_episode(small_disk: Path) -> None:
    """Somebody else fills the disk between two looks at it."""
    bench = Bench(small_disk, Wishes(small_disk / "d", min_free_bytes=1 << 20))
    take = bench.start()
    hog = small_disk / "hog"
    with hog.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        except OSError:
            pass
    sent, pause, deadline = 0, threading.Event(), time.monotonic() + 20.0
    while not take.error and time.monotonic() < deadline:
        take.put(STATES, bytes(100_000), sent, sent)
        sent += 1
        pause.wait(0.002)
    assert "No space left" in take.error
    bench.session.tick(bench.now_s)
    assert bench.session.state == "full"
    assert bench.session.save(bench.now_s)
    folder = folders.episodes(small_disk / "d")[0]
    with AnyReader([folder]) as reader:
        numbers = [t for _, t, _ in reader.messages()]
    assert numbers == list(range(len(numbers)))
    bench.workers.close()
