# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The text that defines a message type and all it is made of, as rosbag2 stores it in MCAP.

Taken from the installed ROS packages (`<prefix>/share/<package>/msg/<Type>.msg`), which know the
types of the robot at hand; what is not installed, from the `rosbags` library, which knows those
of ROS 2 Jazzy. Imports no ROS.
"""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from pathlib import Path

from lapa_core.errors import RecordingError

DELIMITER = "=" * 80
_NUMBERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
BUILTIN = _NUMBERS | {"bool", "byte", "char", "float32", "float64", "string", "wstring"}
_TYPE = re.compile(r"([A-Za-z]\w*)/(?:msg/)?([A-Za-z]\w*)")
# A field: its type, perhaps an array or a bound, then a name. A constant has a built-in type.
_FIELD = re.compile(r"^[ \t]*([A-Za-z]\w*(?:/\w+){0,2})(?:<=\d+)?(?:\[[^\]\n]*\])?[ \t]+\w", re.M)


def definition_of(type_name: str) -> str:
    """Definition of a type, and of those in it behind lines of 80 `=`.

    Args:
        type_name: such as `sensor_msgs/msg/Image`.

    Raises:
        RecordingError: not a message type, or nobody here defines it.
    """
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return _definition(type_name, tuple(p for p in [*prefixes, sys.prefix] if p))


@lru_cache(maxsize=256)
def _definition(type_name: str, prefixes: tuple[str, ...]) -> str:
    match = _TYPE.fullmatch(type_name)
    if match is None:
        raise RecordingError(
            f"{type_name!r} is no message type; valid: such as 'sensor_msgs/msg/Image'"
        )
    root = "/".join(match.groups())
    try:
        return _from_packages(root, prefixes, {root})
    except FileNotFoundError as error:
        known = _from_library(f"{match[1]}/msg/{match[2]}")
        if known is None:
            raise RecordingError(
                f"no definition of {type_name}: {error} in {', '.join(prefixes)}, and it is no "
                "type of ROS 2 Jazzy. Source the workspace that holds it"
            ) from None
        return known


def _from_packages(name: str, prefixes: tuple[str, ...], seen: set[str]) -> str:
    """Text of `package/Type` and of what is new in it, in the order of rosbag2."""
    package, _, kind = name.partition("/")
    place = Path("share") / package / "msg" / f"{kind}.msg"
    found = next((p for p in (Path(x) / place for x in prefixes) if p.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no {place}")
    text = found.read_text(encoding="utf-8")
    parts = [text]
    for dependency in sorted(_dependencies(text, package)):
        if dependency not in seen:
            seen.add(dependency)
            body = _from_packages(dependency, prefixes, seen)
            parts.append(f"{DELIMITER}\nMSG: {dependency}\n{body}")
    return "\n".join(parts)


def _dependencies(text: str, package: str) -> set[str]:
    """Types of the fields that are messages themselves, as `package/Type`."""
    names = set()
    for match in _FIELD.finditer(text):
        *where, kind = match[1].split("/")
        if where or kind not in BUILTIN:
            names.add(f"{where[0] if where else package}/{kind}")
    return names


def _from_library(type_name: str) -> str | None:
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    if type_name not in store.fielddefs:
        return None
    return str(store.generate_msgdef(type_name, ros_version=2)[0])
