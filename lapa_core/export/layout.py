# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where things stand in a LeRobot dataset v3.0, and its `meta/info.json`.

The names, limits and keys are those of `lerobot.datasets` (0.4.4 and 0.6.2, which agree).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lapa_core.errors import ConfigError, DataError
from lapa_core.export.source import Source

VERSION = "v3.0"
STATE, ACTION, PICTURES = "observation.state", "action", "observation.images."
INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
_PLACE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATA = f"data/{_PLACE}.parquet"
VIDEO = f"videos/{{video_key}}/{_PLACE}.mp4"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
CHUNK_FILES = 1000
MIB = 1 << 20
COUNTERS = ("frame_index", "episode_index", "index", "task_index")


@dataclass(frozen=True)
class Limits:
    """Sizes above which a file is followed by a next one [MiB]; LeRobot's own."""

    data_mib: float = 100
    video_mib: float = 200


class Place(NamedTuple):
    """A file of the dataset, as LeRobot numbers them."""

    chunk_index: int
    file_index: int


def places(sizes: Sequence[float], limit: float) -> list[Place]:
    """The file of each of some parts, in order; none grows beyond the limit by a further part."""
    found: list[Place] = []
    number, filled = 0, 0.0
    for size in sizes:
        if filled and filled + size > limit:
            number, filled = number + 1, 0.0
        filled += size
        found.append(Place(*divmod(number, CHUNK_FILES)))
    return found


def rate(step_time_s: float) -> int:
    """Frames a second; LeRobot knows whole numbers only.

    Raises:
        ConfigError: it is none.
    """
    found = round(1.0 / step_time_s)
    if found < 1 or abs(found * step_time_s - 1.0) > 1e-6:
        raise ConfigError(
            f"a step of {step_time_s:g} s is {1 / step_time_s:g} frames a second; a LeRobot "
            "dataset has a whole number of them"
        )
    return found


def video_key(camera: str) -> str:
    """Name of a camera's feature."""
    return PICTURES + camera


def features(source: Source, videos: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every feature of the dataset, by name.

    Args:
        source: what is exported.
        videos: camera -> what is noted of its videos.
    """

    def vector(names: Sequence[str]) -> dict[str, Any]:
        return {"dtype": "float32", "shape": [len(names)], "names": list(names)}

    found: dict[str, dict[str, Any]] = {}
    for camera in source.cameras:
        found[video_key(camera.name)] = {
            "dtype": "video",
            "shape": [camera.height, camera.width, 3],
            "names": ["height", "width", "channels"],
            "info": videos[camera.name],
        }
    if source.state_names:
        found[STATE] = vector(source.state_names)
    found[ACTION] = vector(source.robot.dimensions)
    found["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    counter = {"dtype": "int64", "shape": [1], "names": None}
    return found | {name: dict(counter) for name in COUNTERS}


def info(
    source: Source, content: dict[str, dict[str, Any]], episodes: int, frames: int, tasks: int
) -> dict[str, Any]:
    """Content of `meta/info.json`."""
    limits = Limits()
    return {
        "codebase_version": VERSION,
        "robot_type": source.robot.name,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": limits.data_mib,
        "video_files_size_in_mb": limits.video_mib,
        "fps": rate(source.robot.step_time_s),
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA,
        "video_path": VIDEO if source.cameras else None,
        "features": content,
    }


def check(source: Source) -> None:
    """Refuse what such a dataset cannot hold, before anything is decoded.

    Raises:
        ConfigError: the step time is no whole number of frames a second.
        DataError: pictures with an odd side; a camera whose name has a slash.
    """
    rate(source.robot.step_time_s)
    for camera in source.cameras:
        if camera.width % 2 or camera.height % 2:
            raise DataError(
                f"camera {camera.name} has {camera.width}x{camera.height} pixels; the sides of a "
                "video must be even"
            )
        if "/" in camera.name:
            raise DataError(f"camera {camera.name}: LeRobot's names have no slash")
