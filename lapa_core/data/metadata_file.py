# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The metadata.yaml of a plain MCAP bag as rosbag2 writes it today, read by libyaml.

`rosbags` reads every kind, but with a YAML parser in Python, which takes ten times as long
to open an episode: thousands of demonstrations are opened several times on their way to a policy.
Whatever is not plain is left to it, errors included.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import yaml

from lapa_core.data.mcap_file import FileInfo, Topic

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without libyaml
_VERSION = 9  # before, the profiles were YAML within YAML with numbers for names
_QOS = ("history", "depth", "reliability", "durability")


def look(path: Path) -> FileInfo | None:
    """What the file of a bag's folder says of its topics and files; None where it is not plain."""
    try:
        whole = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
        found = whole["rosbag2_bagfile_information"]
        plain = (
            found["version"] == _VERSION
            and found["storage_identifier"] == "mcap"
            and not found.get("compression_format")
            and found.get("compression_mode", "").lower() in ("", "none")
        )
        if not plain:
            return None
        topics = tuple(
            _topic(each["topic_metadata"]) for each in found["topics_with_message_count"]
        )
        files = tuple(path.parent / PurePath(name).name for name in found["relative_file_paths"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return None
    if not files or not all(f.is_file() for f in files):
        return None
    return FileInfo("mcap", topics, {}, 0, 0, counts=False, files=files)


def qos(profiles: tuple[tuple[str, int, str, str], ...]) -> str:
    """Profiles of history, depth, reliability and durability, in YAML; "" for none."""
    return _dump(tuple((h.lower(), d, r.lower(), u.lower()) for h, d, r, u in profiles))


def _topic(metadata: dict[str, Any]) -> Topic:
    if metadata["serialization_format"] != "cdr":
        raise ValueError("not CDR")
    profiles = metadata.get("offered_qos_profiles") or []
    return Topic(metadata["name"], metadata["type"], 0, qos(tuple(map(_profile, profiles))))


def _profile(profile: dict[str, Any]) -> tuple[str, int, str, str]:
    history, depth, reliability, durability = (profile[name] for name in _QOS)
    return str(history), int(depth), str(reliability), str(durability)


@lru_cache(maxsize=64)
def _dump(profiles: tuple[tuple[str, int, str, str], ...]) -> str:
    rows = [dict(zip(_QOS, each, strict=True)) for each in profiles]
    return str(yaml.safe_dump(rows, sort_keys=False)).strip() if rows else ""
