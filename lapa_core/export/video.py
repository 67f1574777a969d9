# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Videos whose frames are found again by their time: written once, joined without re-encoding.

A frame k has the time k / rate exactly; every second frame stands alone, so that training may
jump anywhere (LeRobot's own choice). Knows cameras and datasets by their numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.video.stream import VideoStream

from lapa_core.errors import ConfigError, DataError
from lapa_core.types import ImageArray

# H.264 plays and decodes everywhere; at crf 18 most people see no difference. No frames out of
# order, and every second one stands alone. Looking ahead has nothing to find in two frames, and
# made 5 of 100 files differ for the same pictures; now, in one thread, none of 1500 did.
ENCODER = "libx264"
OPTIONS = {
    "crf": "18",
    "preset": "veryfast",
    "bf": "0",
    "g": "2",
    "threads": "1",
    "x264-params": "sync-lookahead=0:rc-lookahead=0",
}
PIXELS = "yuv420p"


class Writer:
    """One video file."""

    def __init__(self, path: Path, rate_hz: int, width: int, height: int) -> None:
        """Open a file for frames of one size.

        Raises:
            DataError: an odd size, which such a video cannot have.
        """
        if width % 2 or height % 2:
            raise DataError(f"pictures of {width}x{height}: a video's sides must be even")
        self.num_frames = 0
        self._container = av.open(str(path), "w", format="mp4")
        self._stream = cast(VideoStream, self._container.add_stream(ENCODER, rate=rate_hz))
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = PIXELS
        self._stream.options = dict(OPTIONS)
        self._rate_hz = rate_hz

    def add(self, image: ImageArray) -> None:
        """Append a (H, W, 3) RGB picture."""
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = self.num_frames, Fraction(1, self._rate_hz)
        self._container.mux(self._stream.encode(frame))
        self.num_frames += 1

    def close(self) -> None:
        """Complete the file."""
        if self.num_frames:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def require() -> None:
    """Refuse, with a `ConfigError`, to begin without the encoder."""
    try:
        av.Codec(ENCODER, "w")
    except av.error.FFmpegError:
        raise ConfigError(f"PyAV here was built without {ENCODER}") from None


def join(pieces: Sequence[tuple[Path, int]], rate_hz: int, path: Path) -> None:
    """Put videos of one size one after the other.

    Args:
        pieces: file and number of its frames.
        rate_hz: of all of them.
        path: file to be written.

    Raises:
        DataError: a piece has another number of frames.
    """
    with av.open(str(path), "w", format="mp4") as out:
        stream: Any = None
        frames = 0
        for piece, expected in pieces:
            with av.open(str(piece)) as container:
                source = container.streams.video[0]
                if stream is None:
                    stream = out.add_stream_from_template(source, opaque=True)
                    stream.time_base = source.time_base
                assert source.time_base is not None  # of a file that was opened
                shift = round(Fraction(frames, rate_hz) / source.time_base)
                found = 0
                for packet in container.demux(source):
                    if packet.dts is None or packet.pts is None:
                        continue  # the empty one that ends the file
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = stream
                    out.mux(packet)
                    found += 1
            if found != expected:
                raise DataError(f"{piece} has {found} frames, not {expected}")
            frames += found


def describe(path: Path) -> dict[str, Any]:
    """What LeRobot notes of a video in `info.json`."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return {
            "video.height": stream.height,
            "video.width": stream.width,
            "video.codec": stream.codec.canonical_name,
            "video.pix_fmt": stream.pix_fmt,
            "video.is_depth_map": False,
            "video.fps": int(stream.base_rate or 0),
            "video.channels": 3,
            "has_audio": False,
            "is_depth_map": False,
        }
