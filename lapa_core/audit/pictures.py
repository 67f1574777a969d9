# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a camera shows: black, white, flat, blurred, another format, or the same picture for ever.

A few small pictures a second are looked at; whether a frame equals the one before is told for
every frame by a checksum that the caller computes. The thresholds were set on the pictures of the
simulated robots, on BridgeData V2 and on videos of real arms; see docs/audit.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from lapa_core.audit.spans import Span, Spans
from lapa_core.data import messages
from lapa_core.data.messages import NS_PER_S
from lapa_core.errors import DataError
from lapa_core.recording.episode import Finding
from lapa_core.types import ImageArray

MIN_WIDTH = 160  # of a small picture: less hides a lens out of focus
# 98 of 100 pixels darker than this: a cap on the lens with its noise. Real scenes, a dim room
# included, have their brightest 2 % above 130.
BLACK = 24
WHITE = 235  # 98 of 100 pixels brighter than this: overexposed
FLAT_STD = 2.0  # grey levels; a decoder's grey or green frame. Real pictures have 20 and more
# Variance of the Laplacian over that of the picture: 0.10 and more when in focus, 0.01 with a blur
# of 8 pixels at 640.
BLURRED = 0.015
# Or far below the stream's own usual value, and in a range where only soft pictures are.
COLLAPSED, SOFT = 0.25, 0.04
LEARN = 8  # pictures before a stream's usual sharpness counts as known
_KEPT = 64
# Two neighbours in time: one bad picture (auto exposure starting) is no fault.
IN_A_ROW = 2
FROZEN_NS = NS_PER_S
FROZEN_FRAMES = 3
# Motion that a camera must see: a joint's path of 6 degrees, and half a second for the picture of
# it to arrive. A rendered scene that is still gives identical frames, and is right to.
TRAVEL_RAD = 0.1
SEEN_NS = NS_PER_S // 2

_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)


def thumbnail(message: Any) -> ImageArray:
    """A small grey picture, cheaply: JPEG is decoded at a fraction of its size.

    Args:
        message: a `sensor_msgs/Image` or `CompressedImage` (or what has their fields), or the
            bytes of a JPEG or PNG file.

    Returns:
        (h, w) uint8, at least `MIN_WIDTH` wide unless the picture itself is smaller.

    Raises:
        DataError: no such picture.
    """
    if hasattr(message, "encoding"):
        return _strided(message)
    data = message.data if hasattr(message, "data") else message
    flat = np.frombuffer(data, dtype=np.uint8)
    width = _jpeg_width(bytes(flat[:4096]))
    flag = next((f for n, f in _REDUCED if width // n >= MIN_WIDTH), cv2.IMREAD_GRAYSCALE)
    picture = cv2.imdecode(flat, flag) if flat.size else None
    if picture is None:
        raise DataError(f"compressed image of {flat.size} bytes does not decode")
    return np.asarray(picture, dtype=np.uint8)


def _strided(message: Any) -> ImageArray:
    """Every n-th pixel, decoded as the robot would."""
    n = max(1, int(message.width) // MIN_WIDTH)
    if n > 1 and message.encoding in ("rgb8", "bgr8", "mono8", "rgba8", "bgra8"):
        channels = {"rgb8": 3, "bgr8": 3, "mono8": 1, "rgba8": 4, "bgra8": 4}[message.encoding]
        flat = np.frombuffer(message.data, dtype=np.uint8)
        height, width, step = int(message.height), int(message.width), int(message.step)
        if step < width * channels or flat.size != height * step:
            raise DataError(f"{message.encoding} image of {width}x{height} has {flat.size} bytes")
        rows = flat.reshape(height, step)[::n, : width * channels]
        pixels = rows.reshape(len(rows), width, channels)[:, ::n]
        # The mean of the colours serves: only brightness and detail are looked at.
        return np.asarray(pixels[..., : min(channels, 3)].mean(axis=2), dtype=np.uint8)
    grey = cv2.cvtColor(messages.image(message), cv2.COLOR_RGB2GRAY)
    return np.ascontiguousarray(grey[::n, ::n], dtype=np.uint8)


def _jpeg_width(head: bytes) -> int:
    """Width from the frame header of a JPEG; 0 where it is not found near the beginning."""
    at = 2
    while head[:2] == b"\xff\xd8" and at + 9 < len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(head[at + 7 : at + 9], "big")
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return 0


class Pictures:
    """The small pictures of one camera."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()
        self._encoding = ""
        self._usual: list[float] = []
        self._broken, self._format = Spans(), Spans()
        self._runs = {n: _InARow() for n in ("black", "overexposed", "flat", "blurred")}

    def on(self, now_ns: int, picture: ImageArray, encoding: str = "") -> None:
        """A picture, as `thumbnail` makes it; grey (h, w) or colour (h, w, 3)."""
        self._check_format(now_ns, picture.shape, encoding)
        grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        level = np.asarray(cv2.calcHist([grey], [0], None, [256], [0, 256]))[:, 0].cumsum()
        dark = int(np.searchsorted(level, 0.02 * level[-1]))
        bright = int(np.searchsorted(level, 0.98 * level[-1]))
        mean, deviation = (float(v[0, 0]) for v in cv2.meanStdDev(grey))
        black, white = bright < BLACK, dark > WHITE
        flat = deviation < FLAT_STD and not (black or white)
        self._runs["black"].on(black, now_ns, -mean)
        self._runs["overexposed"].on(white, now_ns, mean)
        self._runs["flat"].on(flat, now_ns, -deviation)
        if not (black or white or flat):
            self._check_sharpness(now_ns, grey, deviation)

    def on_broken(self, now_ns: int, why: str) -> None:
        """A picture that does not decode."""
        self._broken.add(now_ns, now_ns, 0.0, why)

    def findings(self, topic: str, began_ns: int) -> list[Finding]:
        """All but `frozen`."""
        found = self._format.findings("format", topic, began_ns, lambda s: s.note)
        found += self._broken.findings(
            "decode", topic, began_ns, lambda s: f"{s.events} pictures do not decode: {s.note}"
        )
        for check, run in self._runs.items():
            found += run.spans.findings(check, topic, began_ns, self._text(check))
        return found

    def _text(self, check: str) -> Callable[[Span], str]:
        usual = self._usual_sharpness()
        least = max(BLURRED, min(COLLAPSED * usual, SOFT))

        def text(span: Span) -> str:
            return {
                "black": f"black: mean brightness {-span.worst:.0f} of 255, 98 % below {BLACK}",
                "overexposed": f"white: mean brightness {span.worst:.0f} of 255, 98 % above "
                f"{WHITE}",
                "flat": f"one colour all over: deviation {-span.worst:.1f} of 255 (at least "
                f"{FLAT_STD:g})",
                "blurred": f"blurred: sharpness {-span.worst:.3f}, usually {usual:.3f} (at least "
                f"{least:.3f})",
            }[check]

        return text

    def _check_format(self, now_ns: int, shape: tuple[int, ...], encoding: str) -> None:
        if self._shape and (shape, encoding) != (self._shape, self._encoding):
            before = f"{self._shape[1]}x{self._shape[0]} {self._encoding}".strip()
            after = f"{shape[1]}x{shape[0]} {encoding}".strip()
            note = f"the small picture changed from {before} to {after}"
            self._format.add(now_ns, now_ns, 0.0, note)
        self._shape, self._encoding = shape, encoding

    def _check_sharpness(self, now_ns: int, grey: ImageArray, deviation: float) -> None:
        detail = cv2.Laplacian(grey, cv2.CV_16S)
        sharpness = float(cv2.meanStdDev(detail)[1][0, 0]) ** 2 / deviation**2
        usual = self._usual_sharpness()
        collapsed = usual > 0 and sharpness < min(COLLAPSED * usual, SOFT)
        soft = sharpness < BLURRED or collapsed
        self._runs["blurred"].on(soft, now_ns, -sharpness)
        if len(self._usual) < _KEPT:
            self._usual.append(sharpness)

    def _usual_sharpness(self) -> float:
        if len(self._usual) < LEARN:
            return 0.0
        return sorted(self._usual)[len(self._usual) // 2]


class _InARow:
    """Bad pictures, counted once there are several in a row."""

    def __init__(self) -> None:
        self.spans = Spans()
        self._run = 0
        self._since_ns = 0
        self._worst = 0.0

    def on(self, bad: bool, now_ns: int, value: float) -> None:
        if not bad:
            self._run = 0
            return
        self._run += 1
        if self._run == 1:
            self._since_ns, self._worst = now_ns, value
        self._worst = max(self._worst, value)
        if self._run >= IN_A_ROW:
            self.spans.add(self._since_ns, now_ns, self._worst)


class Frozen:
    """Frames of one camera that stay the same while the arm moves."""

    def __init__(self) -> None:
        self._content: int | None = None
        self._since_ns = 0
        self._frames = 0
        self._travel = 0.0
        self._moved_ns = 0
        self._spans = Spans()

    def on(self, now_ns: int, content: int, travel_rad: float) -> None:
        """A frame.

        Args:
            content: checksum of its bytes, without the header.
            travel_rad: path of the arms it sees so far, see `motion.Motion.travel_rad`.
        """
        if content != self._content:
            self._content, self._since_ns, self._frames = content, now_ns, 1
            self._travel, self._moved_ns = travel_rad, 0
            return
        self._frames += 1
        if not self._moved_ns and travel_rad - self._travel > TRAVEL_RAD:
            self._moved_ns = now_ns
        if (
            self._moved_ns
            and now_ns - self._moved_ns > SEEN_NS
            and now_ns - self._since_ns > FROZEN_NS
            and self._frames >= FROZEN_FRAMES
        ):
            # The arm may have begun to move long after the first of these frames: the picture
            # can be called frozen only since then.
            soon = self._moved_ns - self._since_ns < FROZEN_NS
            begins_ns = self._since_ns if soon else self._moved_ns
            self._spans.add(begins_ns, now_ns, travel_rad - self._travel)

    def findings(self, topic: str, began_ns: int) -> list[Finding]:
        """When it was frozen."""
        return self._spans.findings(
            "frozen",
            topic,
            began_ns,
            lambda s: (
                f"the same picture for {(s.ends_ns - s.begins_ns) * 1e-9:.1f} s while a "
                f"joint moved by {s.worst:.2f} rad"
            ),
        )
