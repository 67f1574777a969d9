# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What there is to see in a folder, and the pictures of each of it, one after the other.

Whole videos are never held. Imports no torch; what decodes is PyAV, cv2 and our own messages.
"""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from av.error import FFmpegError

from lapa_core.data import images, streams
from lapa_core.data.bags import Bag
from lapa_core.errors import AccessError, ConfigError, DataError, LapaError
from lapa_core.types import ImageArray

VIDEOS = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".m4v")
PICTURES = (".png", ".jpg", ".jpeg")
BAGS = (".mcap", ".db3")
METADATA = "metadata.yaml"  # of a rosbag2 folder
_ENDS = 1 << 16  # bytes at either end of a file that tell it from others of its size
_OF_THE_SYSTEM = {errno.EIO, errno.EACCES, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE}
VIDEO, FRAMES, BAG = "video", "frames", "bag"


@dataclass(frozen=True)
class Clip:
    """One thing to watch from its beginning to its end.

    Attributes:
        name: below the folder it was found in; of a bag with the topic after a colon.
        path: file or folder.
        kind: `VIDEO`, `FRAMES` or `BAG`.
        topic: of a bag.
    """

    name: str
    path: Path
    kind: str
    topic: str = ""


@dataclass(frozen=True)
class Frame:
    """A picture, and when it was taken [s], counted from anywhere."""

    time_s: float
    image: ImageArray


def find(path: Path, cameras: Collection[str] = ()) -> tuple[list[Clip], dict[str, str]]:
    """Everything that can be watched in a folder and below, sorted by name.

    Args:
        path: a folder, or one file.
        cameras: only these of a bag: parts of the topic's name, such as `front`. None: all.

    Returns:
        the clips, and name -> why of what looks like one and is none.

    Raises:
        DataError: no such file or folder, or nothing to watch in it.
    """
    if not path.exists():
        raise DataError(f"there is no {path}")
    refused: dict[str, str] = {}
    found = list(_walk(path, path, cameras, refused))
    if not found and not refused:
        raise DataError(
            f"nothing to watch in {path}; valid: videos ({', '.join(VIDEOS)}), folders of frames "
            f"({', '.join(PICTURES)}) and rosbag2 folders with a camera"
        )
    return found, refused


def find_all(
    paths: Sequence[Path], cameras: Collection[str] = (), rate_hz: float = 0.0
) -> tuple[list[Clip], dict[str, str]]:
    """Everything in several folders; without a rate folders of frames are refused by name.

    Raises:
        DataError: no such folder, or nothing to watch in one.
        ConfigError: a rate below 0, or there is nothing but frames, and no rate.
    """
    if rate_hz < 0:
        raise ConfigError(f"a rate must be 0 or more, got {rate_hz:g}")
    found: list[Clip] = []
    refused: dict[str, str] = {}
    for path in paths:
        here, wrong = find(path, cameras)
        found += here
        refused |= {str(path / name): why for name, why in wrong.items()}
    bare = [c for c in found if c.kind == FRAMES] if not rate_hz else []
    if bare and len(bare) == len(found):
        raise ConfigError(f"the frames in {bare[0].path} have no times: give their rate")
    refused |= {str(c.path): "a folder of frames, and no rate is given" for c in bare}
    return [c for c in found if c not in bare], refused


def origin(clip: Clip, paths: Sequence[Path]) -> int:
    """Which of the paths given to `find_all` a clip was found in; of nested ones the innermost."""
    inside = [n for n, path in enumerate(paths) if clip.path.is_relative_to(path)]
    return max(inside, key=lambda n: len(paths[n].parts))


def mark(clip: Clip) -> str:
    """Of a clip's files, without reading all of them: names, sizes, beginnings and ends.

    Raises:
        AccessError: one cannot be read.
    """
    digest = hashlib.sha256(f"{clip.kind} {clip.topic}".encode())
    try:
        for file in files(clip):
            size = file.stat().st_size
            digest.update(f"{file.name} {size}".encode())
            with file.open("rb") as stream:
                digest.update(stream.read(_ENDS))
                stream.seek(max(size - _ENDS, 0))
                digest.update(stream.read())
    except OSError as error:
        raise AccessError(f"cannot read {clip.path}: {error}") from None
    return digest.hexdigest()[:16]


def files(clip: Clip) -> list[Path]:
    """What a clip is made of."""
    if clip.path.is_file():
        return [clip.path]
    kinds = PICTURES if clip.kind == FRAMES else BAGS
    inside = [p for p in clip.path.iterdir() if p.is_file() and p.suffix.lower() in kinds]
    return sorted(inside, key=lambda p: _natural(p.name))


def _walk(
    path: Path, root: Path, cameras: Collection[str], refused: dict[str, str]
) -> Iterator[Clip]:
    name = str(path.relative_to(root)) if path != root else path.name
    if path.is_file():
        if path.suffix.lower() in VIDEOS:
            yield Clip(name, path, VIDEO)
        elif path.suffix.lower() in BAGS:
            yield from _bag(path, name, cameras, refused)
        return
    try:
        inside = sorted(path.iterdir(), key=lambda p: _natural(p.name))
    except OSError as error:
        refused[name] = f"cannot be opened: {error.strerror}"
        return
    kinds = {p.suffix.lower() for p in inside if p.is_file()}
    if (path / METADATA).is_file() and kinds & set(BAGS):
        yield from _bag(path, name, cameras, refused)
        return
    # Beside a video or a bag a picture is its thumbnail, or a plot.
    if kinds & set(PICTURES) and not kinds & {*VIDEOS, *BAGS}:
        yield Clip(name, path, FRAMES)
    for each in inside:
        if not each.name.startswith("."):
            yield from _walk(each, root, cameras, refused)


def _bag(
    path: Path, name: str, cameras: Collection[str], refused: dict[str, str]
) -> Iterator[Clip]:
    try:
        topics = Bag.open(path).topics
    except LapaError as error:
        refused[name] = str(error)
        return
    shown = [t.name for t in topics if t.type in streams.IMAGE_TYPES and t.messages]
    wanted = [t for t in shown if not cameras or any(c in t.split("/") for c in cameras)]
    if not wanted:
        asked = f" of {', '.join(cameras)}" if cameras else ""
        refused[name] = f"no pictures{asked}; topics with pictures: {', '.join(shown) or 'none'}"
    for topic in wanted:
        yield Clip(f"{name}:{topic}", path, BAG, topic)


def frames(clip: Clip, rate_hz: float = 0.0) -> Iterator[Frame]:
    """Its pictures, in the order they were taken.

    Args:
        clip: what to watch.
        rate_hz: of a folder of frames, which does not say it.

    Raises:
        DataError: it cannot be decoded, from there on.
        AccessError: it cannot be read now.
        ConfigError: a folder of frames without a rate.
    """
    if clip.kind == VIDEO:
        yield from _video(clip.path)
    elif clip.kind == FRAMES:
        yield from _pictures(clip.path, rate_hz)
    else:
        for frame in streams.frames(Bag.open(clip.path), clip.topic):
            # When it arrived: the clock that all else in the bag is told by.
            yield Frame(1e-9 * frame.arrived_ns, frame.image)


def _video(path: Path) -> Iterator[Frame]:
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path} has no video in it")
            stream = container.streams.video[0]
            stream.thread_type = "NONE"  # one process each is faster than threads for all
            rate = float(stream.average_rate or 0)
            for number, frame in enumerate(container.decode(stream)):
                time_s = frame.time
                if time_s is None:
                    if not rate:
                        raise DataError(f"{path} tells neither times nor a rate of its frames")
                    time_s = number / rate
                image = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
                yield Frame(float(time_s), image)
    except (PermissionError, TimeoutError, BlockingIOError) as error:
        raise AccessError(f"cannot read {path}: {error}") from None
    except FFmpegError as error:
        if getattr(error, "errno", 0) in _OF_THE_SYSTEM:
            raise AccessError(f"cannot read {path}: {error}") from None
        raise DataError(f"{path} cannot be decoded: {error}") from None
    except OSError as error:
        raise AccessError(f"cannot read {path}: {error}") from None


def _pictures(path: Path, rate_hz: float) -> Iterator[Frame]:
    if rate_hz <= 0:
        raise ConfigError(f"the frames in {path} have no times: give their rate")
    for number, file in enumerate(files(Clip("", path, FRAMES))):
        try:
            image = images.decode_compressed(file.read_bytes(), file.suffix)
        except OSError as error:
            raise AccessError(f"cannot read {file}: {error}") from None
        except (LapaError, cv2.error) as error:
            raise DataError(f"{file}: {error}") from None
        yield Frame(number / rate_hz, image)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """So that frame 10 comes after frame 9."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts]
