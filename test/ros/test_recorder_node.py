# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The recorder, over real DDS, to real disk: what was sent is in the bag, and nothing is lost.

Everything that ends an episode is pressed here: save, fail, discard, redo, undo, the end of the
node, and SIGKILL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from harness import spinning, started, wait_for
from recorder_rig import Person, Talker, numbered, read
from rosbags.highlevel import AnyReader

from lapa_core import robot as robots
from lapa_core.data import messages
from lapa_core.recording import episode as episodes
from lapa_core.recording import folders
from lapa_ros import interface
from lapa_ros.processes import NodeProcess

TASK = "put the red block in the bin"


@dataclass
class Cell:
    """A running recorder and who is around it."""

    talker: Talker
    person: Person
    node: NodeProcess
    root: Path

    def record(self, ends_with: str = "save", messages: int = 25) -> tuple[bool, str]:
        """An episode with so many numbered pictures of the first camera."""
        done, text = self.person.press("start")
        assert done, text
        self.talk(messages)
        return self.person.press(ends_with)

    def talk(self, messages: int = 25) -> None:
        """Number messages until so many pictures are sent and the recorder has had time."""
        topic = self.talker.robot.cameras[0].topic
        self.talker.count(True)
        wait_for(lambda: len(self.talker.sent.get(topic, [])) >= messages, "pictures")
        self.talker.count(False)
        # Unnumbered ones follow the numbered: once they are counted, those have arrived too.
        before = sum(s.messages for s in self.status.streams)
        wait_for(lambda: sum(s.messages for s in self.status.streams) > before + 100, "more")

    @property
    def status(self):
        assert self.person.status is not None
        return self.person.status


@contextmanager
def running(tmp_path: Path, robot: str = "wx250s", **parameters: object) -> Iterator[Cell]:
    talker, person = Talker(robots.load(robot)), Person()
    root = tmp_path / "data"
    wanted = {"robot": robot, "folder": str(root), "task": TASK, "min_free_gb": 0.1}
    with (
        started("recorder_node", wanted | parameters, tmp_path / "recorder.log") as node,
        spinning(talker, person),
    ):
        person.wait("idle")
        yield Cell(talker, person, node, root)


@pytest.fixture
def cell(ros_context: None, tmp_path: Path) -> Iterator[Cell]:
    with running(tmp_path) as there:
        yield there


def assert_same_bytes(in_bag: list[tuple[str, bytes]], heard: list[bytes]) -> None:
    """The bag holds what another subscriber has heard, in that order, bytes and all."""
    recorded = [raw for _, raw in in_bag]
    first = recorded.index(heard[0])
    last = recorded.index(heard[-1]) if heard[-1] in recorded else len(recorded) - 1
    assert last - first >= 3
    assert recorded[first : last + 1] == heard[: last + 1 - first]


def test_every_message_sent_is_in_the_bag_and_the_rest_of_the_afternoon_works(cell: Cell) -> None:
    """Save, fail, discard, redo and undo, and what stays on disk of each."""
    robot = cell.talker.robot
    cell.talker.say("hold", "disabled")
    done, text = cell.record()
    assert done and text.startswith("saved episode 0 as success"), text
    folder = cell.root / "episode_0000"
    kept = episodes.read(folder)
    assert kept.outcome == "success" and kept.instruction == TASK and kept.robot == "wx250s"
    assert kept.robot_yaml == Path(robot.source).read_text(encoding="utf-8")
    assert kept.findings == ()
    in_bag = read(folder)
    for camera in robot.cameras:
        sent = len(cell.talker.sent[camera.topic])
        topic = f"/{camera.topic}/compressed"
        assert numbered(folder, topic) == list(range(sent))
        assert {t for t, _ in in_bag[topic]} == {"sensor_msgs/msg/CompressedImage"}
    joints = robot.arms[0].joint_states
    assert numbered(folder, f"/{joints}") == list(range(len(cell.talker.sent[joints])))
    assert_same_bytes(in_bag[f"/{joints}"], cell.talker.heard[joints])
    counted = {s.topic: s.messages for s in kept.streams if s.messages}
    assert counted == {t: len(m) for t, m in in_bag.items()}

    assert cell.record("fail")[1].startswith("saved episode 1 as failure")
    assert episodes.read(cell.root / "episode_0001").outcome == "failure"
    assert cell.record("discard", 5)[1] == "discarded episode 2"
    done, text = cell.record("redo", 5)
    assert done and "recording episode" in text
    cell.talk(5)
    assert cell.person.press("save")[0]
    assert cell.status.saved == 3 and cell.status.counter == "3 of 150"
    assert cell.person.press("undo_last")[0]
    assert len(folders.episodes(cell.root)) == 2
    gone = list((cell.root / "discarded").iterdir())
    assert len(gone) == 3 and all(episodes.read(f).outcome for f in gone)
    assert not folders.partials(cell.root)


def test_what_was_said_before_an_episode_opens_it(cell: Cell) -> None:
    cell.talker.say("hold", "disabled")
    cell.record(messages=5)
    cell.record(messages=5)
    for number in (0, 1):
        in_bag = read(cell.root / f"episode_{number:04d}")
        assert len(in_bag["/authority"]) == 1
        assert len(in_bag["/instruction"]) >= 1


def test_a_correction_of_a_running_policy_is_marked(cell: Cell) -> None:
    assert cell.person.press("start")[0]
    for state, topic in (
        ("policy", interface.POLICY_EE_DELTA),
        ("hold", interface.POLICY_EE_DELTA),
        ("teleop", interface.TELEOP_EE_DELTA),
        ("policy", interface.POLICY_EE_DELTA),
    ):
        cell.talker.say(state, f"following {state}")
        cell.talker.delta(topic)
        cell.talk(3)
    assert cell.person.press("save")[0]
    kept = episodes.read(cell.root / "episode_0000")
    assert kept.interventions == 1
    assert [a.state for a in kept.authority] == ["policy", "hold", "teleop", "policy"]
    assert kept.device == "unknown"


def test_a_flagged_episode_is_refused_where_that_is_asked_for(
    ros_context: None, tmp_path: Path
) -> None:
    with running(tmp_path, refuse_flagged=True) as cell:
        camera = cell.talker.robot.cameras[0].topic
        cell.talker.black.add(camera)
        done, text = cell.record(messages=50)
        assert not done and camera in text and "black" in text
        assert cell.person.state == "recording"
        light = next(s for s in cell.status.streams if camera in s.topic)
        assert light.light == "red"
        done, text = cell.person.press("fail")
        assert done, text
        kept = episodes.read(cell.root / "episode_0000")
        assert kept.flagged and any(f.check == "black" for f in kept.findings)


def test_without_a_camera_nothing_is_recorded(ros_context: None, tmp_path: Path) -> None:
    talker, person = Talker(robots.load("wx250s")), Person()
    talker.silent.add("camera/overview/image_raw")
    root = tmp_path / "data"
    log = tmp_path / "log"
    with (
        started("recorder_node", {"folder": str(root), "min_free_gb": 0.1}, log),
        spinning(talker, person),
    ):
        person.wait("starting")
        done, text = person.press("start")
        assert not done and "/camera/overview/image_raw" in text
        talker.silent.clear()
        person.wait("idle")
        assert person.press("start")[0]
        assert not person.press("start")[0]
        assert person.press("discard")[0]
        assert not person.press("save")[0]


def test_a_camera_that_falls_silent_between_two_episodes_stops_the_automatic_start(
    ros_context: None, tmp_path: Path
) -> None:
    with running(tmp_path, reset_s=3.0) as cell:
        cell.talker.silent.add("camera/overview/image_raw")
        cell.record(messages=5)
        cell.person.wait("idle")
        assert "/camera/overview/image_raw" in cell.status.message
        assert not cell.person.press("start")[0]


def test_another_task_in_the_middle_does_not_rename_the_episode(cell: Cell) -> None:
    assert cell.person.press("start")[0]
    cell.talk(5)
    cell.talker.instruct("open the drawer")
    wait_for(lambda: cell.status.instruction == "open the drawer", "the other task")
    assert cell.person.press("save")[0]
    kept = episodes.read(cell.root / "episode_0000")
    assert kept.instruction == TASK and not kept.flagged
    assert "open the drawer" in next(f for f in kept.findings if f.check == "instruction").text


def test_what_arrived_before_the_start_is_not_of_the_episode_and_times_are_of_arrival(
    cell: Cell,
) -> None:
    """The log times were once those of this thread, a second late on a slow disk."""
    cell.record(messages=20)
    folder = cell.root / "episode_0000"
    with AnyReader([folder]) as reader:
        wanted = [c for c in reader.connections if "camera" in c.topic or "joint" in c.topic]
        late = [
            log_ns - messages.stamp_ns(reader.deserialize(raw, c.msgtype).header.stamp)
            for c, log_ns, raw in reader.messages(wanted)
        ]
    assert np.median(late) < 20e6 and max(late) < 500e6


def test_interrupted_twice_it_loses_nothing_of_a_running_episode(
    ros_context: None, tmp_path: Path
) -> None:
    talker, person = Talker(robots.load("wx250s")), Person()
    root = tmp_path / "data"
    parameters = {"folder": str(root), "task": TASK, "min_free_gb": 0.1, "images": "raw"}
    node = NodeProcess("recorder_node", parameters, tmp_path / "log")
    joints = talker.robot.arms[0].joint_states
    with spinning(talker, person):
        person.wait("idle")
        assert person.press("start")[0]
        talker.count(True)
        wait_for(lambda: len(talker.sent.get(joints, [])) >= 100, "a second")
        sent = len(talker.sent[joints])
        node.interrupt()
        node.interrupt()
        wait_for(lambda: not node.running(), "its end")
    assert node.process.returncode == 0, node.last_lines()
    (left,) = folders.partials(root)
    assert len(numbered(left, f"/{joints}")) >= sent - 10
    assert episodes.read(left).outcome == "recovered" and episodes.read(left).streams


def test_a_remapped_camera_and_one_of_depth_are_judged_by_their_own_names(
    ros_context: None, tmp_path: Path
) -> None:
    robot = robots.load("wx250s")
    topics = {c.topic: f"/odd/{c.name}" for c in robot.cameras}
    cameras = tuple(replace(c, topic=topics[c.topic]) for c in robot.cameras)
    talker, person = Talker(replace(robot, cameras=cameras)), Person()
    talker.encodings["/odd/overview"] = "16UC1"
    root = tmp_path / "data"
    parameters = {"folder": str(root), "min_free_gb": 0.1}
    with (
        started("recorder_node", parameters, tmp_path / "log", remappings=topics),
        spinning(talker, person),
    ):
        person.wait("idle")
        assert person.press("start")[0]
        talker.count(True)
        wait_for(lambda: len(talker.sent.get("/odd/front", [])) >= 40, "pictures")
        assert person.press("save")[0]
    kept = episodes.read(root / "episode_0000")
    counted = {s.topic: (s.type, s.messages) for s in kept.streams if s.messages}
    assert counted["/odd/front/compressed"][0] == "sensor_msgs/msg/CompressedImage"
    assert counted["/odd/overview"][0] == "sensor_msgs/msg/Image"
    assert counted["/odd/overview"][1] == len(read(root / "episode_0000")["/odd/overview"])
    assert not kept.flagged, kept.findings


def test_a_driver_s_jpeg_is_taken_instead_once_it_comes_but_never_within_an_episode(
    cell: Cell,
) -> None:
    camera = cell.talker.robot.cameras[0].topic
    assert cell.person.press("start")[0]
    cell.talker.offer_jpeg(camera)
    cell.talk(30)
    assert cell.person.press("save")[0]
    first = episodes.read(cell.root / "episode_0000")
    assert not first.findings and {s.source for s in first.streams} >= {f"/{camera}"}

    wait_for(
        lambda: f"also records /{camera}/compressed" in cell.node.last_lines(),
        "the driver's JPEG",
        poll_s=0.05,
    )
    cell.record(messages=10)
    second = episodes.read(cell.root / "episode_0001")
    stream = next(s for s in second.streams if s.topic == f"/{camera}/compressed")
    assert stream.source == "" and stream.messages > 5


def test_the_next_episode_begins_by_itself_until_all_are_there(
    ros_context: None, tmp_path: Path
) -> None:
    with running(tmp_path, reset_s=0.5, episodes=2) as cell:
        cell.record(messages=5)
        assert cell.status.state in ("reset", "recording")
        cell.person.wait("recording")
        cell.talk(5)
        done, text = cell.person.press("save")
        assert done and "all 2 are recorded" in text
        assert cell.person.wait("done").counter == "2 of 2"
        assert len(folders.episodes(cell.root)) == 2


def test_a_second_recorder_on_the_same_folder_is_refused(cell: Cell, tmp_path: Path) -> None:
    log = tmp_path / "second.log"
    second = NodeProcess("recorder_node", {"folder": str(cell.root)}, log)
    wait_for(lambda: not second.running(), "the second one's end")
    assert second.process.returncode == 2
    assert str(cell.root) in second.last_lines()


def test_an_episode_cut_by_sigkill_is_recovered(ros_context: None, tmp_path: Path) -> None:
    from lapa_core.cli import main

    talker, person = Talker(robots.load("wx250s")), Person()
    root = tmp_path / "data"
    parameters = {"folder": str(root), "task": TASK, "min_free_gb": 0.1}
    node = NodeProcess("recorder_node", parameters, tmp_path / "log")
    with spinning(talker, person):
        person.wait("idle")
        assert person.press("start")[0]
        talker.count(True)
        joints = talker.robot.arms[0].joint_states
        wait_for(lambda: len(talker.sent.get(joints, [])) >= 200, "two seconds")
        node.kill()
        sent = len(talker.sent[joints])
        talker.count(False)
    assert not folders.episodes(root)
    assert main(["recover", str(root)]) == 0
    folder = root / "episode_0000"
    saved = numbered(folder, f"/{joints}")
    assert saved == list(range(len(saved)))
    assert len(saved) >= sent - 50  # half a second of 100 Hz
    kept = episodes.read(folder)
    assert kept.outcome == "recovered" and kept.instruction == TASK


def test_raw_images_stay_as_they_are(ros_context: None, tmp_path: Path) -> None:
    with running(tmp_path, images="raw", robot="bimanual_wx250s") as cell:
        cell.record(messages=10)
        in_bag = read(cell.root / "episode_0000")
        for camera in cell.talker.robot.cameras:
            assert_same_bytes(in_bag[f"/{camera.topic}"], cell.talker.heard[camera.topic])
