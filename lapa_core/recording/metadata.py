# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""rosbag2's `metadata.yaml`, version 9: what `ros2 bag info` and other readers want of a bag.

Field names, their order and the words of the QoS policies are those of ROS 2 Jazzy
(`rosbag2_storage/yaml.hpp`, `rmw/qos_string_conversions.h`). Knows nothing of MCAP.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from lapa_core.errors import ConfigError, RecordingError, unknown
from lapa_core.recording.disk import write_durably

# libyaml's, thirty times as fast, wherever PyYAML was built with it.
_FAST: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
FILE = "metadata.yaml"
VERSION = 9
INFINITE_NS = 2**63 - 1  # RMW_DURATION_INFINITE; also rosbag2's start of a bag without messages
NS_PER_S = 1_000_000_000
# In the order of rmw/types.h, so that the position is the number older bags store.
WORDS = {
    "history": ("system_default", "keep_last", "keep_all", "unknown"),
    "reliability": ("system_default", "reliable", "best_effort", "unknown", "best_available"),
    "durability": ("system_default", "transient_local", "volatile", "unknown", "best_available"),
    "liveliness": (
        "system_default",
        "automatic",
        "manual_by_node",
        "manual_by_topic",
        "unknown",
        "best_available",
    ),
}


@dataclass(frozen=True)
class Qos:
    """What a publisher of the topic offered.

    Raises:
        ConfigError: a policy that rmw does not know.
    """

    history: str = "keep_last"
    depth: int = 10
    reliability: str = "reliable"
    durability: str = "volatile"
    deadline_ns: int = INFINITE_NS
    lifespan_ns: int = INFINITE_NS
    liveliness: str = "automatic"
    liveliness_lease_duration_ns: int = INFINITE_NS
    avoid_ros_namespace_conventions: bool = False

    def __post_init__(self) -> None:
        for policy, words in WORDS.items():
            if getattr(self, policy) not in words:
                raise ConfigError(unknown(policy, getattr(self, policy), words, "a QoS profile"))


@dataclass(frozen=True)
class Topic:
    """A topic as it goes into the bag.

    Attributes:
        name: with its namespace, such as `/camera/front/image_raw`.
        type: such as `sensor_msgs/msg/Image`.
        definition: text of the type and all it depends on, see `definitions.definition_of`.
        qos: one profile a publisher.
        type_hash: `RIHS01_...` of the type; "" where nobody knows it.
    """

    name: str
    type: str
    definition: str
    qos: tuple[Qos, ...] = ()
    type_hash: str = ""


@dataclass(frozen=True)
class TopicCount:
    """One topic of `metadata.yaml`."""

    name: str
    type: str
    messages: int
    qos: tuple[Qos, ...] = ()
    type_hash: str = ""
    serialization_format: str = "cdr"


@dataclass(frozen=True)
class FileInfo:
    """One file of a bag. Times are integer nanoseconds; both 0 in a file without messages."""

    name: str
    messages: int
    first_ns: int
    last_ns: int


def document(
    files: Sequence[FileInfo],
    topics: Sequence[TopicCount],
    ros_distro: str,
    custom_data: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What stands under `rosbag2_bagfile_information`."""
    full = [f for f in files if f.messages]
    total = FileInfo(
        "",
        sum(f.messages for f in files),
        min((f.first_ns for f in full), default=0),
        max((f.last_ns for f in full), default=0),
    )
    return {
        "version": VERSION,
        "storage_identifier": "mcap",
        **_times(total),
        "topics_with_message_count": [_topic(t) for t in topics],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [f.name for f in files],
        "files": [{"path": f.name, **_times(f)} for f in files],
        "custom_data": dict(custom_data) if custom_data else None,
        "ros_distro": ros_distro,
    }


def text(content: object) -> str:
    """YAML as rosbag2 has it: block style, order kept, no newline at the end."""
    dumped = yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000)
    return dumped.rstrip("\n")


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `metadata.yaml` whole or not at all; it is on disk when this returns."""
    body = text({"rosbag2_bagfile_information": dict(content)}) + "\n"
    write_durably(folder / FILE, body.encode())


def read(folder: Path) -> dict[str, Any]:
    """The content of a bag's `metadata.yaml`.

    Raises:
        RecordingError: missing, cut or not of rosbag2.
    """
    path = folder / FILE
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        information = content["rosbag2_bagfile_information"]
        files = information["relative_file_paths"]
        information["message_count"] + 0
        if not all(os.fspath(name) for name in files):
            raise ValueError("a file without a name")
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise RecordingError(f"{path} is no metadata of rosbag2: {error}") from None
    return dict(information)


def qos_text(profiles: Sequence[Qos]) -> str:
    """`offered_qos_profiles` of an MCAP channel: YAML inside YAML, as rosbag2 stores it."""
    return text([_qos(q) for q in profiles])


def qos_from_text(stored: str) -> tuple[Qos, ...]:
    """The profiles of a channel, of version 9 (words) or older (numbers).

    Raises:
        ConfigError: not a list of profiles.
    """
    try:
        return tuple(_parse_qos(item) for item in yaml.safe_load(stored) or ())
    except (yaml.YAMLError, TypeError, KeyError, IndexError) as error:
        raise ConfigError(f"offered_qos_profiles cannot be read: {error!r}") from None


def _times(info: FileInfo) -> dict[str, Any]:
    return {
        "duration": {"nanoseconds": info.last_ns - info.first_ns},
        "starting_time": {
            "nanoseconds_since_epoch": info.first_ns if info.messages else INFINITE_NS
        },
        "message_count": info.messages,
    }


def _topic(topic: TopicCount) -> dict[str, Any]:
    return {
        "topic_metadata": {
            "name": topic.name,
            "type": topic.type,
            "serialization_format": topic.serialization_format,
            "offered_qos_profiles": [_qos(q) for q in topic.qos],
            "type_description_hash": topic.type_hash,
        },
        "message_count": topic.messages,
    }


def _qos(qos: Qos) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for field in fields(qos):
        value = getattr(qos, field.name)
        if field.name.endswith("_ns"):
            seconds, rest = divmod(value, NS_PER_S)
            content[field.name[: -len("_ns")]] = {"sec": seconds, "nsec": rest}
        else:
            content[field.name] = value
    return content


def _parse_qos(item: Mapping[str, Any]) -> Qos:
    values: dict[str, Any] = {}
    for field in fields(Qos):
        if field.name.endswith("_ns"):
            time = item[field.name[: -len("_ns")]]
            values[field.name] = min(time["sec"] * NS_PER_S + time["nsec"], INFINITE_NS)
        else:
            value = item[field.name]
            words = WORDS.get(field.name)
            values[field.name] = words[value] if words and isinstance(value, int) else value
    return Qos(**values)


class _Plain(_FAST):  # type: ignore[misc]  # known at run time
    """No anchors: two topics may share a profile, yet each shows it in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
