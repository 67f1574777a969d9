# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Serialised ROS 2 messages (CDR) without ROS: decoding, and the stamp without decoding.

Types come from the definitions that a bag carries, so that messages nobody here has heard of
decode too; a type that the bag does not define is looked up among those of ROS 2 Jazzy.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from lapa_core.data.messages import NS_PER_S
from lapa_core.errors import DataError

_HEADER = "std_msgs/msg/Header"
_TIME_AT = 4  # after the encapsulation: a header begins with its stamp
_LITTLE, _BIG = struct.Struct("<iI"), struct.Struct(">iI")


class Types:
    """The message types of one bag, each parsed when first asked for."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[str, str]] = {}
        self._stores: dict[str, Typestore] = {}
        self._headers: dict[str, bool] = {}

    def define(self, type: str, encoding: str, text: str) -> None:
        """Take a definition: `ros2msg` or `ros2idl` text with all that the type is made of."""
        if text and encoding in ("ros2msg", "ros2idl", "omgidl"):
            self._texts.setdefault(type, (encoding, text))

    def decode(self, type: str, raw: bytes) -> Any:
        """The message as an object with the fields of the type.

        Raises:
            DataError: an unknown type, or bytes that are no message of it.
        """
        store = self._store(type)
        try:
            return store.deserialize_cdr(raw, type)
        except Exception as error:  # the generated code raises whatever the bytes provoke
            raise DataError(f"a {type} of {len(raw)} bytes does not decode: {error}") from None

    def has_header(self, type: str) -> bool:
        """Whether messages of the type begin with a header; False for unknown types."""
        if type not in self._headers:
            try:
                fields = self._store(type).fielddefs[type][1]
            except DataError:
                fields = []
            self._headers[type] = bool(fields) and fields[0][1][1] == _HEADER
        return self._headers[type]

    def header_stamp_ns(self, type: str, raw: bytes) -> int | None:
        """Stamp of the message's header [ns], read from its first bytes; None without one."""
        if not self.has_header(type) or len(raw) < _TIME_AT + 8:
            return None
        layout = _LITTLE if raw[1] & 1 else _BIG
        seconds, nanoseconds = layout.unpack_from(raw, _TIME_AT)
        return int(seconds) * NS_PER_S + int(nanoseconds)

    def _store(self, type: str) -> Typestore:
        """A store for this type alone: two types of one bag may disagree about a third."""
        if type not in self._stores:
            text = self._texts.get(type)
            self._stores[type] = _parse(type, *text) if text else _standard(type)
        return self._stores[type]


@lru_cache(maxsize=256)  # the bags of a data set define the same: parsing was a third of reading
def _parse(type: str, encoding: str, text: str) -> Typestore:
    try:
        if encoding == "ros2msg":
            parsed = get_types_from_msg(text, type)
        else:
            parsed = {}
            for part in text.split("=" * 80 + "\nIDL: "):
                parsed |= get_types_from_idl(part.partition("\n")[2]) if part else {}
        store = get_typestore(Stores.EMPTY)
        store.register(parsed)
    except Exception as error:  # a parser's own kinds
        raise DataError(f"the bag's definition of {type} cannot be read: {error}") from None
    if type not in store.fielddefs:
        raise DataError(f"the bag's definition of {type} does not define it")
    return store


@lru_cache(maxsize=1)
def _jazzy() -> Typestore:
    return get_typestore(Stores.ROS2_JAZZY)


def _standard(type: str) -> Typestore:
    store = _jazzy()
    if type not in store.fielddefs:
        raise DataError(f"the bag does not define {type}, and it is no type of ROS 2 itself")
    return store
