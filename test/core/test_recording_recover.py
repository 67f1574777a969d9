# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Whatever is whole in a cut bag comes back, anybody's; what is fine or in use is left alone."""

from __future__ import annotations

import dataclasses
import random
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from rosbags.rosbag2 import Reader, StoragePlugin
from rosbags.rosbag2 import Writer as RosbagsWriter
from rosbags.typesys import Stores, get_typestore

from lapa_core.cli import main
from lapa_core.errors import RecordingError
from lapa_core.recording import episode, folders, metadata
from lapa_core.recording.bag import BagWriter, Qos, Topic
from lapa_core.recording.definitions import definition_of
from lapa_core.recording.episode import Episode, Stream
from lapa_core.recording.recover import Report, recover

STORE = get_typestore(Stores.ROS2_JAZZY)
JOINTS, STRING = "sensor_msgs/msg/JointState", "std_msgs/msg/String"
S = 1_000_000_000
BEGAN_NS = 1_700_000_000 * S
LOG_NS, CHUNKS, A_CHUNK = S // 100, 10, 20  # messages come every 10 ms
DRAFT = Episode(
    37, "stack the cubes", "Zoë", "recovered", "2026-01-01T00:00:00+00:00", 0.0, "wx250s",
    "name: wx250s\n", "", "gamepad", "test",
)  # fmt: skip


def joints(number: int) -> bytes:
    stamp = STORE.types["builtin_interfaces/msg/Time"](1_600_000_000, number)
    header = STORE.types["std_msgs/msg/Header"](stamp, "")
    none = np.zeros(0)
    return bytes(STORE.serialize_cdr(STORE.types[JOINTS](header, [], none, none, none), JOINTS))


def record(
    folder: Path, *, compression: str = "none", close: bool = False, draft: Episode | None = DRAFT
) -> Path:
    """Ten chunks of twenty messages, cut unless closed; returns the MCAP file."""
    bag = BagWriter(folder, lambda: 0.0, compression=compression)
    numbers = [
        bag.add_topic(Topic("/joint_states", JOINTS, definition_of(JOINTS), (Qos(),), "RIHS01_1")),
        bag.add_topic(Topic("/word", STRING, definition_of(STRING))),
    ]
    for k in range(CHUNKS * A_CHUNK):
        data = joints(k) if k % 2 == 0 else b"\0\1\0\0\5\0\0\0word\0"
        bag.write(numbers[k % 2], BEGAN_NS + k * LOG_NS, 7, data, k)
        if k % A_CHUNK == A_CHUNK - 1:
            bag.flush()
    if close:
        bag.close()
    else:
        bag.abort()
        bag._syncer._thread.join()  # the file is closed and unlocked then
    if draft is not None:
        episode.write(draft, folder)
    (file,) = folder.glob("*.mcap")
    return file


def sequences(folder: Path) -> list[int]:
    """Of all messages, through a reader that checks every CRC; rosbags must agree."""
    (file,) = folder.glob("*.mcap")
    with file.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        found = [m.sequence for _, _, m in reader.iter_messages()]
        assert reader.get_summary().statistics.message_count == len(found)
    with Reader(folder) as bag:
        assert bag.message_count == len(found) == len(list(bag.messages()))
    return found


def one(path: Path, dry_run: bool = False) -> Report:
    (report,) = recover(path, dry_run=dry_run)
    return report


def cut(file: Path, size: int) -> None:
    with file.open("r+b") as stream:
        stream.truncate(size)


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_a_file_cut_anywhere_gives_back_all_before_the_cut(tmp_path, compression):
    """Every message of every whole chunk; uncompressed, also those of the cut chunk."""
    source = record(tmp_path / "whole" / "episode_0037.partial", compression=compression)
    size, steps = source.stat().st_size, 23
    before = 0
    for step in range(steps + 1):
        folder = tmp_path / f"set{step}" / "episode_0037.partial"
        shutil.copytree(source.parent, folder)
        cut(folder / source.name, size * step // steps)
        report = one(folder.parent)
        if report.state == "empty":
            assert before == 0 and report.now.parent.name == "discarded"
            continue
        found = sequences(folders.episodes(folder.parent)[0])
        assert found == list(range(len(found))), "a hole"
        assert len(found) >= before and report.state == "saved"
        before = len(found)
    assert before == CHUNKS * A_CHUNK


def test_of_a_cut_chunk_only_the_message_at_the_cut_is_lost(tmp_path):
    folder = tmp_path / "episode_0037.partial"
    file = record(folder)
    content = file.read_bytes()
    last = content.rindex(b"word\0", 0, len(content) - 400)  # in the last chunk, not its index
    cut(file, last + 2)
    report = one(tmp_path)
    assert "messages in it are whole" in report.lost[0]
    found = sequences(tmp_path / "episode_0037")
    assert CHUNKS * A_CHUNK - A_CHUNK < len(found) < CHUNKS * A_CHUNK
    assert found == list(range(len(found)))


def test_the_episode_keeps_the_recorders_words_and_gets_what_was_counted(tmp_path):
    folder = tmp_path / "episode_0037.partial"
    record(folder)
    report = one(tmp_path)
    assert (report.state, report.now) == ("saved", tmp_path / "episode_0037")
    found = episode.read(report.now)
    kept = dataclasses.replace(found, duration_s=0.0, streams=(), findings=())
    assert kept == DRAFT
    assert found.duration_s == pytest.approx(1.99)
    joint_states, word = found.streams
    assert joint_states == Stream(
        "/joint_states", JOINTS, 100, 50.0, 0.0, 0.02, 0,
        1_600_000_000 * S, 1_600_000_000 * S + 198,
    )  # fmt: skip
    assert (word.first_ns, word.last_ns) == (BEGAN_NS + LOG_NS, BEGAN_NS + 199 * LOG_NS)
    assert [(f.check, f.begins_s, f.serious) for f in found.findings] == [("crash", 1.99, False)]
    stated = metadata.read(report.now)
    assert stated["message_count"] == 200 and stated["ros_distro"] == "jazzy"
    about = stated["topics_with_message_count"][0]["topic_metadata"]
    assert about["type_description_hash"] == "RIHS01_1"
    assert about["offered_qos_profiles"][0]["history"] == "keep_last"


def test_without_a_draft_the_episode_says_what_is_known(tmp_path):
    record(tmp_path / "episode_0004.partial", draft=None)
    (tmp_path / "episode_0005.partial").mkdir()
    record(tmp_path / "episode_0006.partial", draft=None)
    (tmp_path / "episode_0006.partial" / "episode.yaml").write_text("format: 1\ncut off her")
    assert [r.state for r in recover(tmp_path)] == ["saved", "empty", "saved"]
    for n in (4, 6):
        found = episode.read(tmp_path / f"episode_000{n}")
        assert (found.episode, found.outcome) == (n, "recovered")
        assert found.started == "2023-11-14T22:13:20.000+00:00"
    assert (tmp_path / "episode_0006" / "episode.yaml.unreadable").exists()
    assert (tmp_path / "discarded" / "episode_0005").is_dir()


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_killed_between_save_and_its_name_the_decision_stands(tmp_path, outcome):
    streams = (Stream("/word", STRING, 100, 50.0, 50.0, 0.1, 0, 1, 2),)
    decided = dataclasses.replace(DRAFT, outcome=outcome, streams=streams)
    record(tmp_path / "episode_0037.partial", close=True, draft=decided)
    assert one(tmp_path).lost == ()
    assert episode.read(tmp_path / "episode_0037") == decided


def test_killed_while_discarding_it_is_discarded(tmp_path):
    draft = dataclasses.replace(DRAFT, outcome="discarded")
    record(tmp_path / "episode_0037.partial", draft=draft)
    assert one(tmp_path).now == tmp_path / "discarded" / "episode_0037"
    assert len(sequences(tmp_path / "discarded" / "episode_0037")) == 200
    assert list(recover(tmp_path)) == []


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    files = (p for p in root.rglob("*") if p.is_file())
    return {str(p): (p.stat().st_mtime_ns, zlib.crc32(p.read_bytes())) for p in files}


def test_what_is_fine_is_not_touched_and_a_dry_run_touches_nothing(tmp_path, capsys):
    record(tmp_path / "episode_0000", close=True)
    record(tmp_path / "other" / "my_bag", close=True, draft=None)
    before = snapshot(tmp_path)
    assert main(["recover", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 whole\n"
    record(tmp_path / "episode_0001.partial")
    cut_one = snapshot(tmp_path)
    assert main(["recover", str(tmp_path), "--dry-run"]) == 1
    said = capsys.readouterr().out
    assert "episode_0001.partial: would be saved: 200 messages, 1.99 s" in said
    assert snapshot(tmp_path) == cut_one
    assert main(["recover", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "episode_0001.partial -> episode_0001: saved: 200 messages, 1.99 s" in said
    assert "    /joint_states       100\n" in said and said.endswith("1 saved\n")
    assert "lost: the file ends without index and footer" in said
    assert before.items() <= snapshot(tmp_path).items()
    assert main(["recover", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "3 whole\n"


def test_what_somebody_writes_is_left_alone(tmp_path, capsys):
    live = BagWriter(tmp_path / "bag")
    assert main(["recover", str(tmp_path)]) == 1
    assert "left alone: bag_0.mcap is being written" in capsys.readouterr().out
    live.abort()
    root = tmp_path / "set"
    record(root / "episode_0001.partial")
    with folders.lock(root):
        assert one(root).state == one(root, dry_run=True).state == "busy"
        assert (root / "episode_0001.partial").is_dir()
    assert one(root).state == "saved"


def test_a_name_that_is_taken_is_not_overwritten(tmp_path):
    record(tmp_path / "episode_0001", close=True)
    record(tmp_path / "episode_0001.partial")
    whole, cut_one = recover(tmp_path)
    assert whole.state == "whole" and cut_one.state == "failed"
    assert "episode_0001 is there already" in cut_one.text
    assert len(sequences(tmp_path / "episode_0001.partial")) == 200  # made whole all the same


def foreign(path: Path, *, chunked: bool = True, compression: str = "zstd") -> None:
    """By the library's own writer: JSON, an attachment, metadata, repeated definitions."""
    with path.open("wb") as stream:
        kind = CompressionType[compression.upper()]
        writer = Writer(stream, chunk_size=500, use_chunking=chunked, compression=kind)
        writer.start("", "somebody's writer")
        schema = writer.register_schema("Pose", "jsonschema", b'{"type": "object"}')
        channel = writer.register_channel("pose", "json", schema, {"unit": "m"})
        bare = writer.register_channel("raw", "", 0)
        writer.add_attachment(5, 6, "calibration.txt", "text/plain", b"1 2 3")
        writer.add_metadata("robot", {"serial": "42"})
        for k in range(100):
            writer.add_message(channel, 1000 + k, b'{"x": %d}' % k, 900 + k, k)
        writer.add_message(bare, 2000, b"", 2000, 100)
        writer.finish()


@pytest.mark.parametrize(
    ("chunked", "compression"), [(True, "zstd"), (True, "lz4"), (False, "none")]
)
def test_anybodys_file_comes_back_as_it_was(tmp_path, chunked, compression):
    file = tmp_path / "log.mcap"
    foreign(file, chunked=chunked, compression=compression)
    assert one(tmp_path).state == "whole"
    content = file.read_bytes()
    cut(file, content.rindex(b"\x0f\x04\0\0\0\0\0\0\0") + 3)  # in the end of the data
    assert one(file, dry_run=True).counts == (("pose", 100), ("raw", 1))
    report = one(tmp_path)
    assert (report.state, report.now) == ("saved", file)
    assert [p.name for p in tmp_path.iterdir()] == ["log.mcap"]
    with file.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        found = [(m.log_time, m.publish_time, m.data) for _, _, m in reader.iter_messages()]
        assert found[:100] == [(1000 + k, 900 + k, b'{"x": %d}' % k) for k in range(100)]
        assert found[100:] == [(2000, 2000, b"")]
        assert [a.data for a in reader.iter_attachments()] == [b"1 2 3"]
        assert [(m.name, m.metadata) for m in reader.iter_metadata()] == [
            ("robot", {"serial": "42"})
        ]
        summary = reader.get_summary()
        assert reader.get_header().library == "somebody's writer"
        assert {c.topic: c.metadata for c in summary.channels.values()}["pose"] == {"unit": "m"}
        assert [s.encoding for s in summary.schemas.values()] == ["jsonschema"]
        assert {c.compression for c in summary.chunk_indexes} == {
            {"none": "", "zstd": "zstd", "lz4": "lz4"}[compression]
        }
    assert one(tmp_path).state == "whole"


def test_a_rosbag2_folder_without_metadata_gets_it(tmp_path):
    """As `ros2 bag reindex`, for a bag whose file is whole."""
    folder = tmp_path / "bag"
    with RosbagsWriter(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/joint_states", JOINTS, typestore=STORE)
        for k in range(10):
            writer.write(connection, k * S, joints(k))
    (file,) = folder.glob("*.mcap")
    (folder / "metadata.yaml").unlink()
    content = file.read_bytes()
    assert one(tmp_path).state == "saved"
    assert file.read_bytes() == content
    with Reader(folder) as bag:
        assert bag.message_count == 10
    assert not (folder / "episode.yaml").exists()  # it is no episode


def test_a_split_bag_is_one_bag(tmp_path):
    parts = [record(tmp_path / f"p{k}" / "trip", close=k == 0, draft=None) for k in range(2)]
    folder = tmp_path / "trip"
    folder.mkdir()
    for k, part in enumerate(parts):
        part.rename(folder / f"trip_{k}.mcap")
        shutil.rmtree(tmp_path / f"p{k}")
    report = one(tmp_path)
    assert report.counts == (("/joint_states", 200), ("/word", 200))
    stated = metadata.read(folder)
    assert stated["relative_file_paths"] == ["trip_0.mcap", "trip_1.mcap"]
    assert [f["message_count"] for f in stated["files"]] == [200, 200]
    with Reader(folder) as bag:
        assert len(list(bag.messages())) == 400


def test_a_damaged_chunk_is_left_out_and_told(tmp_path):
    """Its CRC says that some byte is wrong; nobody knows which."""
    folder = tmp_path / "episode_0037.partial"
    file = record(folder, close=True)
    content = bytearray(file.read_bytes())
    at = content.index(b"word\0")
    content[at] ^= 1
    file.write_bytes(content)
    report = one(tmp_path)
    assert len(report.lost) == 1 and "is damaged" in report.lost[0]
    assert sequences(tmp_path / "episode_0037") == list(range(A_CHUNK, CHUNKS * A_CHUNK))


def test_zeros_behind_a_power_cut_are_no_messages(tmp_path):
    folder = tmp_path / "episode_0037.partial"
    file = record(folder)
    size = file.stat().st_size
    cut(file, size - 900)
    cut(file, size + 5000)
    one(tmp_path)
    found = sequences(tmp_path / "episode_0037")
    assert found == list(range(len(found))) and len(found) > 150


@pytest.mark.parametrize("content", [b"", b"\x89MCAP", b"\x89MCAP0\r\n", b"\x89MCAP0\r\n\x01\x10"])
def test_a_file_that_holds_nothing_is_told_and_kept(tmp_path, content, capsys):
    (tmp_path / "log.mcap").write_bytes(content)
    assert main(["recover", str(tmp_path)]) == 1
    assert "holds no readable message; left as it is" in capsys.readouterr().out
    assert (tmp_path / "log.mcap").read_bytes() == content


def test_what_is_no_mcap_file_is_told_and_kept(tmp_path, capsys):
    (tmp_path / "log.mcap").write_bytes(b"SQLite format 3\0")
    assert main(["recover", str(tmp_path)]) == 1
    assert "is no MCAP file" in capsys.readouterr().out
    assert main(["recover", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "log.mcap").unlink()
    assert main(["recover", str(tmp_path)]) == 1
    assert "no bag in" in capsys.readouterr().out


@pytest.mark.parametrize("seed", range(40))
def test_garbage_never_breaks_it(tmp_path, seed):
    """Bytes changed at random: an answer or a named error, and what is written is right."""
    chance = random.Random(seed)
    file = record(
        tmp_path / "episode_0037.partial", compression=chance.choice(["none", "lz4", "zstd"])
    )
    content = bytearray(file.read_bytes())
    chunks_at = content.index(b"topic_type_hash", content.index(b"/word\3\0\0\0cdr")) + 19
    first = chance.choice([8, chunks_at])
    for _ in range(chance.choice([1, 5, 50])):
        content[chance.randrange(first, len(content))] = chance.randrange(256)
    file.write_bytes(content)
    report = one(tmp_path)
    assert report.state in ("saved", "empty", "failed")
    if report.state == "saved" and first == chunks_at:  # no CRC covers the definitions before
        assert set(sequences(report.now)) <= set(range(CHUNKS * A_CHUNK))


def test_no_such_place_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="does not exist"):
        list(recover(tmp_path / "nowhere"))
