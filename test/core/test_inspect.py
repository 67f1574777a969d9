# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa inspect`: what it prints of anybody's recordings, its page, and its exit codes."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bag_maker import (
    BEGAN_NS,
    STORE,
    STRING,
    TRAJECTORY,
    Arm,
    BagMaker,
    Camera,
    S,
    Take,
    deltas,
    string,
)

from lapa_core import cli, paths
from lapa_core.audit import page
from lapa_core.audit.inspection import inspect
from lapa_core.data.bags import Bag
from lapa_core.recording import episode as episodes
from lapa_core.recording.bag import BagWriter
from lapa_core.recording.episode import AuthorityChange, Episode, Finding
from lapa_core.recording.metadata import Topic
from lapa_core.types import dimension_names

FRONT, OVERVIEW = "/camera/front/image_raw/compressed", "/camera/overview/image_raw/compressed"
ARM = "/wx250s/joint_states"
CLEAN = Take([Camera(FRONT), Camera(OVERVIEW, 10.0)], [Arm(ARM)], 4.0)
NASTY = "<script>alert('x')</script>"


def bag(path: Path, take: Take = CLEAN, arms: tuple[str, ...] = ("wx250s",)) -> Path:
    """A recording with actions and authority."""
    maker = BagMaker(path)
    for part in (*take.cameras, *take.arms):
        part.write(maker, take.seconds, take.angle)
    maker.add("/authority", STRING, BEGAN_NS + S // 10, string("hold: enabled"))
    maker.add("/authority", STRING, BEGAN_NS + S, string(f"teleop: {NASTY}"))
    names = dimension_names(arms)
    for i in range(5, 19):
        row = [0.01 * math.sin(i + k) for k in range(len(names))]
        at_ns = BEGAN_NS + i * S // 5
        maker.add("/executed/ee_delta", TRAJECTORY, at_ns, deltas(at_ns, names, [row]))
    return maker.write()


def episode(path: Path, number: int, take: Take = CLEAN, **changes: object) -> Path:
    """An episode's folder: the bag, and the episode.yaml a recorder would have written."""
    bag(path, take)
    report = inspect(path)
    said = Episode(
        episode=number,
        instruction=f"put the block into the bin {NASTY}",
        operator="",
        outcome="success",
        started="2026-01-01T00:00:00Z",
        duration_s=report.duration_s,
        robot="wx250s",
        robot_yaml=paths.share("config/robots/wx250s.yaml").read_text(encoding="utf-8"),
        checkpoint="",
        device="keyboard",
        software="lapa_ros",
        streams=report.streams,
        authority=(AuthorityChange(0.0, "hold", "start"), AuthorityChange(1.0, "teleop", "key")),
    )
    episodes.write(replace(said, **changes), path)
    return path


def run(capsys, *argv: object) -> tuple[int, str, str]:
    code = cli.main(["inspect", *map(str, argv)])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_clean_bag_is_code_0_and_a_table(capsys, tmp_path):
    code, out, _ = run(capsys, bag(tmp_path / "bag"))
    assert code == 0 and "no findings" in out
    row = next(line for line in out.splitlines() if line.startswith(FRONT))
    assert re.split(r"\s{2,}", row)[1:4] == ["119", "30.00 Hz", "-"]
    code, out, _ = run(capsys, tmp_path / "bag", "--robot", "wx250s")
    assert code == 0 and "30 Hz" in out and "no findings" in out


def test_a_fault_is_code_1_and_named_with_its_time(capsys, tmp_path):
    take = replace(CLEAN, cameras=[Camera(FRONT, black=(1.0, 3.0)), Camera(OVERVIEW, 10.0)])
    code, out, _ = run(capsys, bag(tmp_path / "bag", take))
    assert code == 1
    (line,) = [line for line in out.splitlines() if line.startswith("!")]
    began = re.match(rf"! from (\S+) s to \S+ s  black  {FRONT}: ", line)
    assert began and float(began[1]) == pytest.approx(1.0, abs=0.4)


def test_what_is_not_serious_is_code_0(capsys, tmp_path):
    take = replace(CLEAN, arms=[Arm(ARM, gripper_moves=False)])
    code, out, _ = run(capsys, bag(tmp_path / "bag", take))
    assert code == 0 and "\n- from 0.00 s" in out and "never moved" in out


@pytest.mark.parametrize("way", ["mcap", "folder"])
def test_a_cut_file_is_audited_as_far_as_it_goes(capsys, tmp_path, way):
    """MCAP chunks of 1 MiB; what lies in whole ones is there, and the rest is named."""
    take = replace(CLEAN, seconds=12.0)
    whole = next(bag(tmp_path / "bag", take).glob("*.mcap")).read_bytes()
    folder = tmp_path / "cut"
    folder.mkdir()
    file = folder / "cut_0.mcap"
    file.write_bytes(whole[: len(whole) * 2 // 3])
    path = file if way == "mcap" else folder
    code, out, _ = run(capsys, path, "--json")
    (report,) = json.loads(out)
    (found,) = [f for f in report["findings"] if f["serious"]]
    assert code == 1 and found["check"] == "damaged" and f"lapa recover {path}" in found["text"]
    assert found["begins_s"] == pytest.approx(report["duration_s"], abs=0.01)
    assert 3 < report["duration_s"] < 9


def test_errors_are_code_2(capsys, tmp_path):
    code, out, err = run(capsys, tmp_path)
    assert code == 2 and out == "" and "holds no recording" in err
    (tmp_path / "x.mcap").write_bytes(b"no bag")
    assert run(capsys, tmp_path / "x.mcap")[0] == 2
    path = bag(tmp_path / "bag")
    assert "did you mean" in run(capsys, path, "--expect", "/camera/front/image_raw=30")[2]
    assert "must be TOPIC=HZ" in run(capsys, path, "--expect", "x")[2]
    assert "valid: " in run(capsys, path, "--robot", "wx25")[2]


def test_a_rate_can_be_expected_of_anything(capsys, tmp_path):
    path = bag(tmp_path / "bag")
    assert run(capsys, path, "--expect", f"{FRONT}=30", "--expect", f"{ARM}=100")[0] == 0
    code, out, _ = run(capsys, path, "--expect", f"{FRONT}=60")
    assert code == 1 and "30.0 Hz instead of 60 Hz" in out


def test_json_tells_everything_but_pictures(capsys, tmp_path):
    (report,) = json.loads(run(capsys, bag(tmp_path / "bag"), "--json")[1])
    assert report["flagged"] is False and report["storage"] == "mcap"
    assert {s["topic"] for s in report["streams"]} >= {FRONT, OVERVIEW, ARM}
    assert report["actions"]["wx250s/gripper"]["most"] < 0.011
    assert report["authority"][1]["state"] == "teleop"


def test_a_data_set_is_a_line_an_episode_and_totals(capsys, tmp_path):
    episode(tmp_path / "episode_0000", 0)
    episode(tmp_path / "episode_0001", 1, outcome="failure", instruction="open the drawer")
    bad = replace(CLEAN, cameras=[Camera(FRONT, 12.0), Camera(OVERVIEW, 10.0)])
    episode(tmp_path / "episode_0002", 2, bad)
    cut = tmp_path / "episode_0003.partial"
    cut.mkdir()
    (cut / "x_0.mcap").write_bytes(b"\x89MCAP0\r\n")
    code, out, _ = run(capsys, tmp_path)
    assert code == 1 and "Traceback" not in out
    lines = out.splitlines()
    assert lines[1].startswith("episode_0000") and "success" in lines[1] and " 0 " in lines[1]
    assert "failure" in lines[2] and "open the drawer" in lines[2]
    assert "12.0 Hz instead of 30 Hz" in out and "unreadable" in out
    assert "4 recordings" in out and "2 success, 1 failure" in out
    assert "2 with serious findings" in out


def test_an_episodes_own_robot_says_what_must_be_there(capsys, tmp_path):
    take = replace(CLEAN, cameras=[Camera(FRONT)])
    code, out, _ = run(capsys, episode(tmp_path / "episode_0000", 0, take))
    assert code == 1 and "missing  camera/overview/image_raw: not one message" in out


def test_what_only_the_recorder_saw_and_what_is_not_in_the_bag(capsys, tmp_path):
    path = episode(tmp_path / "episode_0000", 0)
    said = episodes.read(path)
    lost = Finding("dropped", FRONT, 2.0, 3.0, "4 messages lost before they arrived", False)
    disk = Finding("disk", FRONT, 0.0, 4.0, "9 messages found no room")
    old = Finding("black", FRONT, 0.0, 4.0, "not in this bag")
    more = [replace(s, dropped=4, messages=s.messages + 1 if s.topic == ARM else s.messages)
            for s in said.streams]  # fmt: skip
    episodes.write(replace(said, findings=(lost, disk, old), streams=tuple(more)), path)
    code, out, _ = run(capsys, path)
    assert code == 1 and "4 messages lost" in out and "found no room" in out
    assert "not in this bag" not in out
    assert "count  /wx250s/joint_states: 400 messages in the bag, but 401 were recorded" in out


class Page(HTMLParser):
    """Tags of a page, and what they refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.refers: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.refers += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else_and_escapes_everything(capsys, tmp_path):
    bad = replace(CLEAN, cameras=[Camera(FRONT, silent=(1.0, 2.0)), Camera(OVERVIEW, 10.0)])
    for i, take in enumerate((CLEAN, bad)):
        episode(tmp_path / "set" / f"episode_000{i}", i, take)
    bag(tmp_path / "set" / "foreign", arms=("left", "right"))
    assert run(capsys, tmp_path / "set", "--html", tmp_path / "page.html")[0] == 1
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    shown = Page(text)
    assert not {"script", "iframe", "link", "object", "form"} & set(shown.tags)
    assert all(r.startswith(("data:image/jpeg;base64,", "#r")) for r in shown.refers)
    assert "http" not in text.replace("http-equiv", "")
    assert NASTY in shown.text and NASTY not in text
    assert shown.tags["figure"] == 7 + 14  # a histogram each dimension: one arm, two arms
    assert "wx250s/roll [rad]" in shown.text and "right/gripper [open]" in shown.text
    assert "Executed actions (28 steps)" in shown.text  # both episodes together
    assert shown.tags["img"] == 3 * 2 * page.pictures_each(3)
    assert "a gap of 1.0" in shown.text and "teleop from 1.00 s" in shown.text


def test_pages_of_many_episodes_stay_small():
    assert [page.pictures_each(n) for n in (1, 50, 150, 1000)] == [8, 8, 3, 1]
    assert 150 * 3 * 3 * 4000 * 4 / 3 < 8e6  # three cameras, 4 kB a picture, as base64


def test_our_own_bags_tell_what_was_lost_on_the_way(capsys, tmp_path):
    """They keep the publisher's numbers; a cut one does too."""
    source = Bag.open(bag(tmp_path / "source"))
    writer = BagWriter(tmp_path / "ours")
    topics = {
        t.name: writer.add_topic(Topic(t.name, t.type, _text(t.type))) for t in source.topics
    }
    numbers = dict.fromkeys(topics, 0)
    for record in source.records():
        numbers[record.topic] += 1
        lost = record.topic == FRONT and 60 <= numbers[FRONT] < 63
        if not lost:
            number = numbers[record.topic]
            writer.write(topics[record.topic], record.log_ns, record.log_ns, record.raw, number)
    writer.close()
    code, out, _ = run(capsys, tmp_path / "ours", "--json")
    (report,) = json.loads(out)
    (found,) = report["findings"]
    assert code == 0 and found["check"] == "dropped" and "3 messages lost" in found["text"]
    assert found["begins_s"] == pytest.approx(59 / 30, abs=0.1)
    assert {s["topic"]: s["dropped"] for s in report["streams"]}[FRONT] == 3


def _text(type: str) -> str:
    return str(STORE.generate_msgdef(type, ros_version=2)[0])
