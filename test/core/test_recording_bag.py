# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A bag holds what was written, for readers that are not ours, and reaches the disk in time."""

from __future__ import annotations

import fcntl
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap.stream_reader import StreamReader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosReliability
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from lapa_core.errors import ConfigError, RecordingError
from lapa_core.recording import metadata
from lapa_core.recording.bag import BagSummary, BagWriter, Qos, Topic
from lapa_core.recording.definitions import definition_of

STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE, JOINTS, STRING = (
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/JointState",
    "std_msgs/msg/String",
)
S = 1_000_000_000
BEGAN_NS = 1_700_000_000 * S
SENSOR = Qos(reliability="best_effort", depth=5, deadline_ns=33_333_333)
LATCHED = Qos(durability="transient_local", depth=1)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def topic(name: str, type_name: str, *qos: Qos) -> Topic:
    return Topic(name, type_name, definition_of(type_name), qos, STORE.hash_rihs01(type_name))


def message(type_name: str, number: int) -> bytes:
    """A serialised message that tells its number."""
    types = STORE.types
    stamp = types["builtin_interfaces/msg/Time"](1_700_000_000, number)
    header = types["std_msgs/msg/Header"](stamp, f"frame {number}")
    if type_name == IMAGE:
        pixels = np.full(64 * 48 * 3, number % 256, np.uint8)
        made: Any = types[IMAGE](header, 48, 64, "rgb8", 0, 192, pixels)
    elif type_name == JOINTS:
        none = np.zeros(0)
        made = types[JOINTS](header, ["waist"], np.array([number / 7]), none, none)
    else:
        made = types[STRING](f"Größe {number} 🦾")
    return bytes(STORE.serialize_cdr(made, type_name))


TOPICS = (
    topic("/robot/camera/image_raw", IMAGE, SENSOR),
    topic("/robot/joint_states", JOINTS, Qos(), SENSOR),
    topic("/robot/größe", STRING, LATCHED),
    topic("/robot/silent", STRING),
)
Sent = dict[str, list[tuple[int, int, bytes, int]]]


def record(folder: Path, messages: int = 40, compression: str = "none") -> tuple[BagSummary, Sent]:
    """A bag of `TOPICS`, the third of which comes in the middle."""
    sent: Sent = {t.name: [] for t in TOPICS}
    with BagWriter(folder, chunk_bytes=40_000, compression=compression) as bag:
        numbers = {t.name: bag.add_topic(t) for t in (*TOPICS[:2], TOPICS[3])}
        for k in range(messages):
            if k == messages // 2:
                numbers[TOPICS[2].name] = bag.add_topic(TOPICS[2])
            for t in TOPICS[:3]:
                if t.name in numbers:
                    data, log_ns = message(t.type, k), BEGAN_NS + k * S // 30
                    bag.write(numbers[t.name], log_ns, log_ns - 5, data, k)
                    sent[t.name].append((log_ns, log_ns - 5, data, k))
        return bag.close(), sent


@pytest.fixture(scope="module", params=["none", "lz4", "zstd"])
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, BagSummary, Sent]:
    folder = tmp_path_factory.mktemp("bag") / "episode_0007.partial"
    return folder, *record(folder, compression=request.param)


def test_rosbags_reads_every_message_as_it_was_sent(recorded):
    folder, summary, sent = recorded
    with Reader(folder) as bag:
        assert bag.message_count == summary.messages == 100
        assert (bag.start_time, bag.end_time) == (summary.first_ns, summary.last_ns + 1)
        assert bag.ros_distro == "jazzy"
        found: dict[str, list[Any]] = {c.topic: [] for c in bag.connections}
        for connection, log_ns, data in bag.messages():
            found[connection.topic].append((log_ns, data))
        for connection, t in zip(
            bag.connections, (*TOPICS[:2], TOPICS[3], TOPICS[2]), strict=True
        ):
            assert (connection.topic, connection.msgtype) == (t.name, t.type)
            assert connection.digest == t.type_hash
            assert connection.msgcount == len(sent[t.name]) == summary.counts[t.name]
            profiles = connection.ext.offered_qos_profiles
            assert [q.depth for q in profiles] == [q.depth for q in t.qos]
    assert found == {name: [(log, data) for log, _, data, _ in m] for name, m in sent.items()}


def test_rosbags_tells_the_qos_and_decodes(recorded):
    folder, _, sent = recorded
    with AnyReader([folder]) as bag:
        camera = next(c for c in bag.connections if c.msgtype == IMAGE)
        (qos,) = camera.ext.offered_qos_profiles
        assert qos.reliability == QosReliability.BEST_EFFORT
        assert (qos.deadline.sec, qos.deadline.nsec) == (0, 33_333_333)
        assert (qos.lifespan.sec, qos.lifespan.nsec) == (9223372036, 854775807)  # for ever
        images = [bag.deserialize(data, IMAGE) for _, _, data in bag.messages([camera])]
    assert [m.header.stamp.nanosec for m in images] == list(range(len(sent[camera.topic])))
    assert all(set(m.data.tolist()) == {k % 256} for k, m in enumerate(images))


def test_mcap_reads_it_with_every_crc_and_decodes_with_its_own_definitions(recorded):
    _, summary, sent = recorded
    with summary.path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        found: Sent = {t.name: [] for t in TOPICS}
        for schema, channel, m, decoded in reader.iter_decoded_messages(log_time_order=False):
            assert schema.encoding == "ros2msg" and channel.message_encoding == "cdr"
            found[channel.topic].append((m.log_time, m.publish_time, m.data, m.sequence))
            if schema.name == STRING:
                assert decoded.data == f"Größe {m.sequence} 🦾"
        assert found == sent
        statistics = reader.get_summary().statistics
        assert statistics.message_count == 100 and statistics.schema_count == 3
        assert statistics.chunk_count == len(reader.get_summary().chunk_indexes) > 3
        channels = {c.topic: c.metadata for c in reader.get_summary().channels.values()}
    for t in TOPICS:
        assert metadata.qos_from_text(channels[t.name]["offered_qos_profiles"]) == t.qos
        assert channels[t.name]["topic_type_hash"] == t.type_hash
    with summary.path.open("rb") as stream:  # the same without the index, from front to back
        kinds = [type(r).__name__ for r in StreamReader(stream, validate_crcs=True).records]
    assert kinds.count("Message") == 100 and kinds[-1] == "Footer"


@pytest.mark.filterwarnings("ignore:(start|end)_time is deprecated")  # the new names are too new
def test_every_offset_of_the_summary_leads_to_its_record(recorded):
    _, summary, _ = recorded
    content = summary.path.read_bytes()
    with summary.path.open("rb") as stream:
        found = make_reader(stream).get_summary()
        for index in found.chunk_indexes:
            assert content[index.chunk_start_offset] == 0x06
            length = int.from_bytes(content[index.chunk_start_offset + 1 :][:8], "little")
            assert index.chunk_length == length + 9
            for channel_id, offset in index.message_index_offsets.items():
                assert content[offset] == 0x07
                assert int.from_bytes(content[offset + 9 :][:2], "little") == channel_id
        for index in found.metadata_indexes:
            assert content[index.offset] == 0x0C
        wanted = [BEGAN_NS + k * S // 30 for k in (3, 4)]  # through the message indexes
        part = make_reader(stream).iter_messages([TOPICS[0].name], wanted[0], wanted[1] + 1)
        assert [m.log_time for _, _, m in part] == wanted
    assert summary.bytes == len(content)


def test_metadata_is_version_9_field_by_field(recorded):
    folder, summary, _ = recorded
    whole = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))
    assert list(whole) == ["rosbag2_bagfile_information"]
    found = whole["rosbag2_bagfile_information"]
    times = {
        "duration": {"nanoseconds": 39 * S // 30},
        "starting_time": {"nanoseconds_since_epoch": BEGAN_NS},
        "message_count": 100,
    }
    topics = found.pop("topics_with_message_count")
    assert found == {
        "version": 9,
        "storage_identifier": "mcap",
        **times,
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": ["episode_0007_0.mcap"],
        "files": [{"path": "episode_0007_0.mcap", **times}],
        "custom_data": None,
        "ros_distro": "jazzy",
    }
    forever = {"sec": 9223372036, "nsec": 854775807}
    assert topics[0] == {
        "topic_metadata": {
            "name": "/robot/camera/image_raw",
            "type": IMAGE,
            "serialization_format": "cdr",
            "offered_qos_profiles": [
                {
                    "history": "keep_last",
                    "depth": 5,
                    "reliability": "best_effort",
                    "durability": "volatile",
                    "deadline": {"sec": 0, "nsec": 33_333_333},
                    "lifespan": forever,
                    "liveliness": "automatic",
                    "liveliness_lease_duration": forever,
                    "avoid_ros_namespace_conventions": False,
                }
            ],
            "type_description_hash": STORE.hash_rihs01(IMAGE),
        },
        "message_count": 40,
    }
    with summary.path.open("rb") as stream:  # rosbag2 reads the versions of the QoS from here
        stored = [m.metadata for m in make_reader(stream).iter_metadata() if m.name == "rosbag2"]
    assert yaml.safe_load(stored[-1]["serialized_metadata"]) == found | {
        "topics_with_message_count": topics
    }


def test_a_bag_without_messages_is_a_bag(tmp_path):
    with BagWriter(tmp_path / "empty") as bag:
        bag.add_topic(TOPICS[0])
        summary = bag.close()
    assert (summary.messages, summary.counts) == (0, {TOPICS[0].name: 0})
    with Reader(tmp_path / "empty") as reader:
        assert (reader.message_count, list(reader.messages())) == (0, [])
    with summary.path.open("rb") as stream:
        assert list(make_reader(stream, validate_crcs=True).iter_messages()) == []
    found = metadata.read(tmp_path / "empty")
    assert found["starting_time"]["nanoseconds_since_epoch"] == 2**63 - 1  # as rosbag2 has it
    assert found["duration"]["nanoseconds"] == 0


def test_time_may_go_back(tmp_path):
    times = [BEGAN_NS + 50, BEGAN_NS + 10, 0, BEGAN_NS + 60]
    with BagWriter(tmp_path / "bag") as bag:
        number = bag.add_topic(TOPICS[2])
        for k, log_ns in enumerate(times):
            bag.write(number, log_ns, log_ns, message(STRING, k), k)
        summary = bag.close()
    assert (summary.first_ns, summary.last_ns) == (0, BEGAN_NS + 60)
    with Reader(tmp_path / "bag") as reader:
        assert [t for _, t, _ in reader.messages()] == sorted(times)


def test_messages_are_kept_though_their_buffer_is_used_again(tmp_path):
    """`bytes` are not copied; what can change is."""
    buffer = bytearray(message(IMAGE, 1))
    with BagWriter(tmp_path / "bag") as bag:
        number = bag.add_topic(TOPICS[0])
        bag.write(number, 1, 1, memoryview(buffer))
        buffer[:] = bytes(len(buffer))
        bag.close()
    with Reader(tmp_path / "bag") as reader:
        assert [data for _, _, data in reader.messages()] == [message(IMAGE, 1)]


def size(bag: BagWriter) -> int:
    """What another process sees of the file."""
    (file,) = bag.folder.glob("*.mcap")
    return file.stat().st_size


def test_a_chunk_goes_to_the_system_when_it_is_old_or_full(tmp_path):
    clock = Clock()
    bag = BagWriter(tmp_path / "bag", clock, chunk_s=0.2, chunk_bytes=1000)
    number = bag.add_topic(TOPICS[2])
    bag.write(number, 1, 1, message(STRING, 1))
    empty = size(bag)
    clock.now_s += 0.19
    bag.tick()
    assert size(bag) == empty
    clock.now_s += 0.02
    bag.tick()  # by age, though nothing comes
    first = size(bag)
    assert first > empty
    bag.tick()
    assert size(bag) == first
    bag.write(number, 2, 2, bytes(1000))  # by size
    second = size(bag)
    assert second > first + 1000
    bag.write(number, 3, 3, message(STRING, 3))
    assert size(bag) == second
    bag.flush()
    assert size(bag) > second
    bag.abort()


def test_the_disk_is_asked_in_time_and_in_a_thread_of_its_own(tmp_path, monkeypatch):
    """A sync that hangs holds up neither `write` nor `tick`, and is not asked for twice."""
    import threading

    asked, go = threading.Semaphore(0), threading.Event()

    def slow(descriptor: int) -> None:
        asked.release()
        assert go.wait(30.0)

    monkeypatch.setattr(os, "fdatasync", slow)
    clock = Clock()
    bag = BagWriter(tmp_path / "bag", clock, chunk_s=0.0, sync_s=0.25)
    number = bag.add_topic(TOPICS[2])
    for k in range(200):  # 2 s
        bag.write(number, k, k, message(STRING, k))
        bag.tick()
        clock.now_s += 0.01
        if k == 14:  # half of sync_s after the first chunk at the latest
            assert asked.acquire(timeout=30.0)
    assert not asked.acquire(blocking=False)
    go.set()
    assert bag.close().messages == 200


@pytest.mark.parametrize("size_bytes", [0, 1, 65_535, 65_536, 5_000_000])
def test_messages_of_any_size_come_back(tmp_path, size_bytes):
    data = bytes(range(256)) * (size_bytes // 256) + bytes(size_bytes % 256)
    with BagWriter(tmp_path / "bag") as bag:
        number = bag.add_topic(TOPICS[2])
        for k in range(3):
            bag.write(number, k, k, data)
        path = bag.close().path
    with path.open("rb") as stream:
        found = [m.data for _, _, m in make_reader(stream, validate_crcs=True).iter_messages()]
    assert found == [data] * 3


def test_many_small_messages_make_one_chunk(tmp_path):
    """More pieces than the system takes at once (IOV_MAX, 1024)."""
    with BagWriter(tmp_path / "bag", Clock()) as bag:
        number = bag.add_topic(TOPICS[2])
        for k in range(5000):
            bag.write(number, k, k, b"abc", k)
        path = bag.close().path
    with path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        assert [m.sequence for _, _, m in reader.iter_messages()] == list(range(5000))
        assert reader.get_summary().statistics.chunk_count == 1


def test_a_write_error_is_named_and_leaves_whole_records(tmp_path):
    """A file size limit is a real error of the system that is not a full disk."""
    from lapa_core.recording.survey import survey

    bag = BagWriter(tmp_path / "bag", chunk_bytes=50_000)
    number = bag.add_topic(TOPICS[0])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (220_000, before[1]))
    try:
        with pytest.raises(RecordingError, match=r"bag_0\.mcap cannot be written: File too large"):
            for k in range(100):
                bag.write(number, k, k, message(IMAGE, k), k)
        whole = size(bag)
        for again in (lambda: bag.write(number, 0, 0, b""), bag.tick, bag.close):
            with pytest.raises(RecordingError, match="File too large"):
                again()
        bag.abort()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert whole < 220_000
    found = survey(tmp_path / "bag" / "bag_0.mcap")
    assert found.messages > 10 and found.scan.problems == [
        "the file ends without index and footer"
    ]


def test_wrong_use_is_refused(tmp_path):
    bag = BagWriter(tmp_path / "bag")
    number = bag.add_topic(TOPICS[0])
    with pytest.raises(RecordingError, match="is there already"):
        bag.add_topic(TOPICS[0])
    with pytest.raises(RecordingError, match="topic 2 was not added"):
        bag.write(2, 1, 1, b"")
    with pytest.raises(RecordingError, match="stamps -1 and 1 ns"):
        bag.write(number, -1, 1, b"")
    bag.write(number, 1, 1, b"1234")
    assert bag.close().messages == 1
    for late in (lambda: bag.write(number, 1, 1, b""), bag.tick, bag.flush, bag.close):
        with pytest.raises(RecordingError, match="is closed"):
            late()
    with pytest.raises(RecordingError, match="File exists"):
        BagWriter(tmp_path / "bag")
    with pytest.raises(ConfigError, match="unknown compression 'gzip'"):
        BagWriter(tmp_path / "other", compression="gzip")
    with pytest.raises(
        ConfigError, match=r"unknown reliability 'relaible' .*did you mean 'reliable'"
    ):
        Qos(reliability="relaible")


def test_the_file_is_locked_while_it_is_written_and_abort_leaves_it_cut(tmp_path):
    bag = BagWriter(tmp_path / "bag")
    number = bag.add_topic(TOPICS[0])
    bag.write(number, 1, 1, message(IMAGE, 1))
    file = tmp_path / "bag" / "bag_0.mcap"
    with file.open("rb") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    bag.flush()
    bag.abort()
    bag.abort()
    assert list((tmp_path / "bag").iterdir()) == [file]
    assert not file.read_bytes().endswith(b"\x89MCAP0\r\n")


def test_qos_of_older_bags_is_understood():
    """Before version 9, policies were numbers."""
    stored = metadata.qos_text([LATCHED])
    for word, value in (("keep_last", 1), ("reliable", 1), ("transient_local", 1)):
        stored = stored.replace(word, str(value))
    assert metadata.qos_from_text(stored) == (LATCHED,)
    assert metadata.qos_from_text("") == ()
    with pytest.raises(ConfigError, match="cannot be read"):
        metadata.qos_from_text("- history: 1")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:start_time is deprecated")
def test_a_file_beyond_4_gib_is_read_by_index(tmp_path):
    """No offset or length is kept in 32 bits."""
    block = os.urandom(1 << 20) * 16
    with BagWriter(tmp_path / "bag") as bag:
        number = bag.add_topic(TOPICS[2])
        for k in range(270):
            bag.write(number, k, k, block, k)
        summary = bag.close()
    assert summary.bytes > 1 << 32
    with summary.path.open("rb") as stream:
        last = list(make_reader(stream, validate_crcs=True).iter_messages(start_time=269))
    assert [(m.sequence, m.data == block) for _, _, m in last] == [(269, True)]
    with Reader(tmp_path / "bag") as reader:
        assert [t for _, t, _ in reader.messages(start=268)] == [268, 269]
