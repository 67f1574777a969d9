# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Any rosbag2 recording is read, byte for byte; a cut one only when asked to."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from bag_maker import (
    BEGAN_NS,
    IMAGE,
    JOINT_STATE,
    STORE,
    STRING,
    Arm,
    BagMaker,
    S,
    Take,
    compressed,
    deltas,
    header,
    joint_state,
    string,
)
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from lapa_core.data import messages, metadata_file
from lapa_core.data.bags import Bag
from lapa_core.data.cdr import Types
from lapa_core.errors import DataError

JOINTS = "/wx250s/joint_states"
FRONT = "/camera/front/image_raw/compressed"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """The same two seconds, in every storage."""
    folder = tmp_path_factory.mktemp("bags")
    take = Take(seconds=2.0)
    return {s: take.write(folder / s, s) for s in ("mcap", "sqlite3")}


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_folder_says_what_it_holds(made, storage):
    bag = Bag.open(made[storage])
    assert bag.storage == storage and bag.damage == ""
    assert {t.name: (t.type, t.messages) for t in bag.topics} == {
        FRONT: (IMAGE, 59),
        JOINTS: (JOINT_STATE, 200),
    }
    assert bag.num_messages == 259
    assert bag.begins_ns == BEGAN_NS + 1_000_000
    assert bag.ends_ns == BEGAN_NS + 1_993_333_333 == max(r.log_ns for r in bag.records())


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_messages_come_in_log_order_byte_for_byte(made, storage):
    bag = Bag.open(made[storage])
    found = list(bag.messages())
    assert all(a[2] <= b[2] for a, b in pairwise(found))
    assert len(found) == 259
    reader = Bag.open(next(made["mcap"].glob("*.mcap")))
    assert found == list(reader.messages())


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_topics_and_times_choose(made, storage):
    bag = Bag.open(made[storage])
    start, end = BEGAN_NS + S // 2, BEGAN_NS + S
    some = list(bag.messages([JOINTS], start, end))
    assert len(some) == 50 and {m[0] for m in some} == {JOINTS}
    assert all(start <= m[2] < end for m in some)
    with pytest.raises(DataError, match="did you mean '/wx250s/joint_states'"):
        list(bag.messages(["/wx250s/joint_state"]))


def test_messages_decode_and_tell_their_stamp_undecoded(made):
    bag = Bag.open(made["mcap"])
    for topic, type, log_ns, raw in bag.messages():
        msg = bag.decode(type, raw)
        assert bag.header_stamp_ns(type, raw) == messages.stamp_ns(msg.header.stamp) < log_ns
        if topic == FRONT:
            assert messages.image(msg).shape == (120, 160, 3)
        else:
            assert messages.joint_state(msg)[0][0] == "waist"


@pytest.mark.parametrize("little", [True, False])
def test_the_stamp_is_read_in_either_byte_order(little):
    for message, type in (
        (joint_state(12 * S + 345, ("a",), [1.0]), JOINT_STATE),
        (compressed(12 * S + 345, b"\xff\xd8"), IMAGE),
        (deltas(12 * S + 345, ("a/x",), [[0.1]]), "trajectory_msgs/msg/JointTrajectory"),
    ):
        raw = bytes(STORE.serialize_cdr(message, type, little_endian=little))
        assert Types().header_stamp_ns(type, raw) == 12 * S + 345
    raw = bytes(STORE.serialize_cdr(string("x"), STRING))
    assert Types().header_stamp_ns(STRING, raw) is None
    assert Types().header_stamp_ns(JOINT_STATE, b"\x00\x01") is None


def test_an_unknown_type_or_garbled_message_is_named():
    with pytest.raises(DataError, match="does not define my_msgs/msg/Thing"):
        Types().decode("my_msgs/msg/Thing", b"\x00\x01\x00\x00")
    with pytest.raises(DataError, match="JointState of 6 bytes does not decode"):
        Types().decode(JOINT_STATE, b"\x00\x01\x00\x00\x01\x02")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_foreign_message_type_is_decoded_from_the_bags_definition(tmp_path, storage):
    text = "std_msgs/Header header\nfloat64[3] force\nmy_msgs/Contact[] contacts"
    contact = "uint8 finger\nbool touching"
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(text, "my_msgs/msg/Gripper"))
    store.register(get_types_from_msg(contact, "my_msgs/msg/Contact"))
    Gripper, Contact = (store.types[f"my_msgs/msg/{n}"] for n in ("Gripper", "Contact"))
    bag = BagMaker(tmp_path / "foreign", storage)
    sent = Gripper(header(7 * S), np.array([1.0, 2.0, 3.0]), [Contact(1, True)])
    bag.add("/gripper", "my_msgs/msg/Gripper", BEGAN_NS, sent, store)
    opened = Bag.open(bag.write(store))
    ((_, type, _, raw),) = opened.messages()
    got = opened.decode(type, raw)
    assert got.force.tolist() == [1.0, 2.0, 3.0] and got.contacts[0].touching is True
    assert opened.header_stamp_ns(type, raw) == 7 * S


@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_compressed_bags_are_read(tmp_path, plugin, mode):
    writer = Writer(tmp_path / "bag", version=8, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    raw = bytes(STORE.serialize_cdr(string("hello"), STRING))
    with writer:
        connection = writer.add_connection("/words", STRING, typestore=STORE)
        for i in range(5):
            writer.write(connection, BEGAN_NS + i, raw)
    bag = Bag.open(tmp_path / "bag")
    assert [m[3] for m in bag.messages()] == [raw] * 5
    assert bag.topic("/words").messages == 5


def test_a_plain_bag_is_opened_alike_by_either_reader(tmp_path, monkeypatch):
    """Today's metadata goes past `rosbags`, which reads YAML in Python."""
    offered = [
        Qos(QosHistory.KEEP_ALL, 7, QosReliability.BEST_EFFORT, QosDurability.TRANSIENT_LOCAL,
            QosTime(0, 0), QosTime(0, 0), QosLiveliness.AUTOMATIC, QosTime(0, 0), False),
    ]  # fmt: skip
    raw = bytes(STORE.serialize_cdr(string("hello"), STRING))
    for version in (8, 9):
        folder = tmp_path / f"bag{version}"
        writer = Writer(folder, version=version, storage_plugin=StoragePlugin.MCAP)
        with writer:
            for name, profiles in (("/words", offered), ("/none", ())):
                connection = writer.add_connection(
                    name, STRING, typestore=STORE, offered_qos_profiles=profiles
                )
            writer.write(connection, BEGAN_NS, raw)
        assert (metadata_file.look(folder / "metadata.yaml") is not None) == (version == 9)
    fast = Bag.open(tmp_path / "bag9")
    with monkeypatch.context() as patch:
        patch.setattr(metadata_file, "look", lambda path: None)
        slow = Bag.open(tmp_path / "bag9")
    assert "reliability: best_effort" in fast.topic("/words").qos
    assert (fast.topics, fast.files, fast.storage) == (slow.topics, slow.files, slow.storage)
    assert (fast.begins_ns, fast.ends_ns) == (slow.begins_ns, slow.ends_ns)
    text = (tmp_path / "bag9/metadata.yaml").read_text()
    (tmp_path / "bag9/metadata.yaml").write_text(text.replace("bag9.mcap", "gone.mcap"))
    with pytest.raises(DataError, match=r"gone\.mcap"):
        Bag.open(tmp_path / "bag9")


def words(path: Path, chunked: bool, count: int = 300) -> Path:
    """An MCAP with checksums; unchunked, as rosbag2's preset `fastwrite`: no index, no summary."""
    with path.open("wb") as file:
        writer = McapWriter(
            file, chunk_size=1000, compression=CompressionType.NONE, use_chunking=chunked,
            index_types=IndexType.ALL if chunked else IndexType.NONE, use_statistics=chunked,
            repeat_channels=chunked, repeat_schemas=chunked, use_summary_offsets=chunked,
        )  # fmt: skip
        writer.start(profile="ros2", library="test")
        schema = writer.register_schema(STRING, "ros2msg", b"string data\n")
        channel = writer.register_channel("/words", "cdr", schema)
        for i in range(count):
            raw = bytes(STORE.serialize_cdr(string(str(i)), STRING))
            swapped = i + 1 if i % 10 == 4 else i - 1 if i % 10 == 5 else i
            log_ns = BEGAN_NS + swapped * S // 100
            writer.add_message(channel, log_ns, raw, log_ns, sequence=i)
        writer.finish()
    return path


def test_an_mcap_without_index_is_read_in_log_order(tmp_path):
    bag = Bag.open(words(tmp_path / "fast.mcap", chunked=False))
    records = list(bag.records())
    assert len(records) == bag.num_messages == 300
    assert all(a.log_ns < b.log_ns for a, b in pairwise(records))
    assert [r.sequence for r in records][3:7] == [3, 5, 4, 6]
    assert bag.duration_s == pytest.approx(2.99)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_cut_file_is_refused_with_the_way_out_and_read_when_asked(made, tmp_path, share):
    whole = next(made["mcap"].glob("*.mcap")).read_bytes()
    cut = tmp_path / "cut.mcap"
    data = words(tmp_path / "w.mcap", chunked=False).read_bytes()
    cut.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=f"`lapa recover {cut}`"):
        Bag.open(cut)
    bag = Bag.open(cut, damaged=True)
    assert "cut" in bag.damage
    got = [bag.decode(t, raw).data for _, t, _, raw in bag.messages()]
    assert 50 < len(got) == bag.num_messages < 300
    assert sorted(map(int, got)) == list(range(len(got)))
    chunked = tmp_path / "chunked.mcap"
    chunked.write_bytes(whole[:100])
    with pytest.raises(DataError, match="not one message"):
        Bag.open(chunked, damaged=True)


def test_a_folder_without_metadata_is_damaged(made, tmp_path):
    folder = tmp_path / "episode_0000.partial"
    folder.mkdir()
    (folder / "a.mcap").write_bytes(next(made["mcap"].glob("*.mcap")).read_bytes())
    with pytest.raises(DataError, match=r"no metadata.yaml.*`lapa recover"):
        Bag.open(folder)
    bag = Bag.open(folder, damaged=True)
    assert bag.num_messages == 259 and "metadata.yaml" in bag.damage


def test_a_garbled_chunk_is_found_while_reading_and_skipped_when_asked(tmp_path):
    path = words(tmp_path / "words.mcap", chunked=True)
    assert [r.sequence for r in Bag.open(path).records()][:6] == [0, 1, 2, 3, 5, 4]
    data = bytearray(path.read_bytes())
    data[data.index(b"\x04\x00\x00\x00150") + 4] ^= 0xFF
    path.write_bytes(data)
    bag = Bag.open(path)  # its two ends are whole
    with pytest.raises(DataError, match=r"garbled.*`lapa recover"):
        list(bag.messages())
    path.write_bytes(data[:-8])  # now its end is cut, too
    damaged = Bag.open(path, damaged=True)
    rest = [int(damaged.decode(t, raw).data) for _, t, _, raw in damaged.messages()]
    assert {0, 299} < set(rest) and 150 not in rest and 250 < len(rest) < 300
    assert damaged.num_messages == len(rest) and "is damaged" in damaged.damage


def test_a_cut_sqlite_file_is_refused(made, tmp_path):
    cut = tmp_path / "cut.db3"
    cut.write_bytes(next(made["sqlite3"].glob("*.db3")).read_bytes()[:5000])
    with pytest.raises(DataError, match="lapa recover"):
        list(Bag.open(cut).messages())


def test_what_is_no_bag_is_named(tmp_path):
    with pytest.raises(DataError, match="no bag at"):
        Bag.open(tmp_path / "nothing")
    with pytest.raises(DataError, match="is no bag"):
        Bag.open(tmp_path)
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(DataError, match="is no bag"):
        Bag.open(tmp_path / "x.txt")


def test_memory_does_not_grow_with_the_bag(tmp_path):
    """Four times the messages, the same peak: chunks are let go as they are read."""
    peaks = []
    for seconds in (12, 48):
        take = Take(arms=[Arm(JOINTS, hz=20)], seconds=seconds)
        bag = Bag.open(take.write(tmp_path / str(seconds)))
        size = sum(len(m[3]) for m in bag.messages())
        tracemalloc.start()
        for _ in bag.messages():
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert size > 2 * peaks[1], "the bag is too small to tell"
    assert peaks[1] < 1.5 * peaks[0]
