# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The pictures of a clip, small and in one file, so that training never decodes video.

Kept at a few a second as JPEG, with their times and what the filters look at. A file's name is
the hash of what it was made of; it appears when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lapa_core.data import cuts, images
from lapa_core.data.episodes import open_episode
from lapa_core.data.footage.clips import BAG, Clip, files, frames
from lapa_core.data.labels import Tracks
from lapa_core.data.tracks import read as read_tracks
from lapa_core.errors import AccessError, DataError, LapaError, StaleInput
from lapa_core.types import FloatArray, ImageArray

FORMAT = 3
QUALITY = 95
SPARE = 0.75  # a picture this share of a period after the last is taken: cameras jitter
_BLOCK = 1 << 20
_PARTS = ("times_s", "thumbs", "sizes", "offsets", "states")


@dataclass(frozen=True)
class StoreParams:
    """How pictures are kept.

    Attributes:
        size: pixels of a side.
        keep_hz: pictures a second, at most about.
        rate_hz: of folders of frames.
    """

    size: int = 256
    keep_hz: float = 5.0
    rate_hz: float = 0.0


@dataclass(frozen=True)
class Stored:
    """A clip's file, opened.

    Attributes:
        path: the file.
        name: the clip's.
        seen: pictures it had, all of them.
        damage: what ended it before its end, or "".
        times_s: (n,) of the pictures kept.
        thumbs: (n, 24, 32) small grey ones.
        sizes: (n, 2) height and width they had.
        offsets: (n + 1,) where each begins.
        states: (n, 5 a) of the robot's arms, each x y z [m] and heading [rad] of the tool in its
            base, and the opening its gripper was told; (n, 0) where nobody says. Latent actions
            are not learnt from it: it tells what they are worth.
    """

    path: Path
    name: str
    seen: int
    damage: str
    times_s: FloatArray
    thumbs: ImageArray
    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    states: FloatArray

    def __len__(self) -> int:
        """Pictures kept."""
        return len(self.times_s)

    def pictures(self, rows: NDArray[np.int64]) -> Iterator[ImageArray]:
        """(size, size, 3) RGB of each row."""
        from safetensors import safe_open  # a machine without torch imports this module

        with safe_open(self.path, framework="numpy") as file:
            data = file.get_slice("data")
            for row in rows:
                flat = data[int(self.offsets[row]) : int(self.offsets[row + 1])]
                bgr = cv2.imdecode(flat, cv2.IMREAD_COLOR)
                yield np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def place(clip: Clip, params: StoreParams, cache: Path) -> Path:
    """Where a clip's file is, or is to be: named by its content and by how it is kept."""
    digest = hashlib.sha256()
    digest.update(json.dumps([FORMAT, clip.kind, clip.topic, asdict(params)]).encode())
    for file in files(clip):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return cache / f"{digest.hexdigest()[:32]}.safetensors"


def store(clip: Clip, params: StoreParams, cache: Path) -> Path:
    """Make a clip's file, unless it is there.

    Returns:
        the file. What ended a clip early stands in it; the pictures before are kept.

    Raises:
        DataError: not one picture.
        AccessError: the clip cannot be read now, or the disk refuses.
        ConfigError: a folder of frames without a rate.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        path = place(clip, params, cache)
        if path.is_file():
            return path
        kept, seen, damage = _watch(clip, params)
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            save_file(kept, part, {"name": clip.name, "seen": str(seen), "damage": damage})
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise AccessError(f"{clip.path} -> {cache}: {error}") from None
    return path


def _watch(clip: Clip, params: StoreParams) -> tuple[dict[str, NDArray[Any]], int, str]:
    """The tensors of its file, pictures seen, and what ended it early."""
    data, offsets = bytearray(), [0]
    times: list[float] = []
    thumbs, sizes = [], []
    seen, late, damage = 0, 0, ""
    try:
        for frame in frames(clip, params.rate_hz):
            seen += 1
            late += bool(times) and frame.time_s < times[-1]
            if times and frame.time_s - times[-1] < SPARE / params.keep_hz:
                continue
            small = images.resize_for_laq(frame.image, params.size)
            done, jpeg = cv2.imencode(
                ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
            )
            assert done
            data += jpeg.tobytes()
            offsets.append(len(data))
            times.append(frame.time_s)
            thumbs.append(cuts.thumb(small))
            sizes.append(frame.image.shape[:2])
    except DataError as error:
        damage = str(error)
    if late and not damage:
        damage = f"{late} pictures are older than one before them, and left out"
    if not times:
        raise DataError(damage or f"{clip.path} has no pictures")
    return {
        "data": np.frombuffer(bytes(data), dtype=np.uint8),
        "offsets": np.array(offsets, dtype=np.int64),
        "times_s": np.array(times, dtype=np.float64),
        "thumbs": np.stack(thumbs),
        "sizes": np.array(sizes, dtype=np.int64),
        "states": states(clip, times),
    }, seen, damage  # fmt: skip


def states(clip: Clip, times_s: Sequence[float]) -> FloatArray:
    """(n, 5 a) as of `Stored`, of an episode that our recorder wrote; else (n, 0)."""
    if clip.kind == BAG:
        with suppress(LapaError):
            tracks = read_tracks(open_episode(clip.path))
            return np.stack([_state(tracks, round(1e9 * t)) for t in times_s])
    return np.zeros((len(times_s), 0))


def _state(tracks: Tracks, time_ns: int) -> FloatArray:
    """(5 a,) at a time; NaN where something is not known yet."""
    try:
        openings = tracks.openings(time_ns)
    except StaleInput:
        openings = np.full(len(tracks.arms), np.nan)
    places = tracks.tools(time_ns).reshape(len(tracks.arms), 3)
    each = np.column_stack([places, tracks.headings(time_ns), openings])
    return each.ravel()


def load(path: Path) -> Stored:
    """Open a clip's file; its pictures stay on disk.

    Raises:
        DataError: it is broken.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            told = file.metadata()
            parts = {k: file.get_tensor(k) for k in _PARTS}
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is broken, remove it: {error}") from None
    return Stored(path, told["name"], int(told["seen"]), told["damage"], **parts)
