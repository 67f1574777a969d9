# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Serialised messages -> the audit: what is read of each, and how often a picture is looked at.

The recorder feeds what arrives, `lapa inspect` what a bag holds; so both see the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from lapa_core.audit.capture import CaptureAudit
from lapa_core.audit.pictures import thumbnail
from lapa_core.data.cdr import Types
from lapa_core.data.messages import NS_PER_S
from lapa_core.errors import DataError
from lapa_core.types import ImageArray

PICTURE_HZ = 4.0  # two in a row are half a second, and it costs 1 ms each
_BEFORE_CONTENT = 12  # bytes of encapsulation and stamp, which differ between equal pictures
# Depth and such are no pictures to look at; their cadence is judged all the same.
_NOT_SEEN = ("16UC1", "32FC1", "mono16", "compressedDepth", "bayer", "nv12", "nv21")


class Feeder:
    """Feeds one audit."""

    def __init__(
        self,
        audit: CaptureAudit,
        types: Types,
        picture_hz: float = PICTURE_HZ,
        on_picture: Callable[[str, int, ImageArray], None] | None = None,
    ) -> None:
        """Feed `audit`.

        Args:
            types: decodes the messages; an empty one knows those of ROS 2 itself.
            picture_hz: how often a camera's picture is looked at; 0: never.
            on_picture: also told of every small picture (topic, arrival [ns], (h, w) grey).
        """
        self._audit = audit
        self._types = types
        self._every_ns = int(NS_PER_S / picture_hz) if picture_hz > 0 else 0
        self._looked_ns: dict[str, int] = {}
        self._on_picture = on_picture

    def feed(
        self, topic: str, type: str, arrival_ns: int, raw: bytes, sequence: int | None = None
    ) -> None:
        """One message, in the order of arrival."""
        kind = self._audit.kind(topic)
        stamp_ns = self._types.header_stamp_ns(type, raw)
        if kind == "camera":
            content = zlib.crc32(memoryview(raw)[_BEFORE_CONTENT:])
            self._audit.on_message(topic, arrival_ns, stamp_ns, sequence, content)
            last_ns = self._looked_ns.get(topic)
            if self._every_ns and (last_ns is None or arrival_ns - last_ns >= self._every_ns):
                self._looked_ns[topic] = arrival_ns
                self._look(topic, type, arrival_ns, raw)
            return
        self._audit.on_message(topic, arrival_ns, stamp_ns, sequence)
        if kind == "joints":
            try:
                msg = self._types.decode(type, raw)
            except DataError as error:
                self._audit.on_broken(topic, arrival_ns, str(error))
                return
            positions = np.asarray(msg.position, dtype=np.float64)
            self._audit.on_joints(topic, arrival_ns, msg.name, positions)

    def _look(self, topic: str, type: str, arrival_ns: int, raw: bytes) -> None:
        try:
            msg = self._types.decode(type, raw)
            said = str(getattr(msg, "encoding", "") or getattr(msg, "format", ""))
            if any(word in said for word in _NOT_SEEN):
                return
            picture = thumbnail(msg)
        except DataError as error:
            self._audit.on_broken(topic, arrival_ns, str(error))
            return
        self._audit.on_image(topic, arrival_ns, picture, said)
        if self._on_picture is not None:
            self._on_picture(topic, arrival_ns, picture)
