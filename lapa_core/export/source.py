# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which episodes and steps are exported: the same samples, labels and cuts as of training.

Everything that can be refused without decoding a picture is refused before anything is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from lapa_core.data import cuts
from lapa_core.data.cuts import CutParams, Trail
from lapa_core.data.demos import Traits, alike
from lapa_core.data.episodes import Recording, find, open_episode
from lapa_core.data.report import DataReport, EpisodeReport, Removal
from lapa_core.data.samples import LabelledSample, SampleParams, Samples
from lapa_core.errors import ConfigError, DataError, LapaError
from lapa_core.recording import episode
from lapa_core.robot import Camera, Robot


@dataclass(frozen=True)
class Source:
    """Episodes of one robot, and what is taken from each.

    Attributes:
        folders: the episodes.
        robot: theirs.
        samples, cuts: how steps are made and which are left out; cameras are named.
    """

    folders: tuple[Path, ...]
    robot: Robot
    samples: SampleParams
    cuts: CutParams

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """Those whose pictures are exported."""
        return tuple(self.robot.camera(name) for name in self.samples.cameras)

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of `Observation.state`."""
        return self.robot.dimensions if self.samples.state else ()

    def report_of(self, episodes: Iterable[EpisodeReport]) -> DataReport:
        """The report on all episodes."""
        settings = {"labels": self.samples.labels, "cameras": self.samples.cameras}
        return DataReport(str(self.folders[0].parent), tuple(episodes), settings=settings)


@dataclass(frozen=True)
class Steps:
    """The steps of one episode that are exported, and the report on the others."""

    samples: Samples
    kept: frozenset[int]
    report: EpisodeReport

    def __iter__(self) -> Iterator[LabelledSample]:
        """The samples, pictures included, in order."""
        return (s for s in self.samples if s.index in self.kept)


def open_source(
    path: Path,
    samples: SampleParams | None = None,
    cut: CutParams | None = None,
    outcomes: Collection[str] = ("success",),
    flagged: bool = False,
    first_camera: bool = False,
) -> Source:
    """Find the episodes, and see that they belong together.

    Args:
        path: data set, or one episode.
        samples: without cameras: all of the robot, or its first one.
        cut: which steps are left out.
        outcomes, flagged: see `episodes.find`.
        first_camera: whether no cameras mean the first.

    Raises:
        DataError: no episodes, of several robots, or one lacks a stream.
        ConfigError: the robot has no such camera, or one is named twice.
    """
    folders = tuple(find(path, outcomes, flagged))
    samples = samples or SampleParams()
    recordings = {f.name: open_episode(f) for f in folders}
    robot = next(iter(recordings.values())).robot
    names = samples.cameras or tuple(c.name for c in robot.cameras[: 1 if first_camera else None])
    if len(set(names)) < len(names):
        raise ConfigError(f"a camera twice: {', '.join(names)}")
    alike({name: _traits(r) for name, r in recordings.items()})
    sizes = {_sizes(r, names): name for name, r in recordings.items()}
    if len(sizes) > 1:
        each = "; ".join(f"{size} in {name}" for size, name in sizes.items())
        raise DataError(f"the pictures of {', '.join(names)} differ in size: {each}")
    return Source(folders, robot, replace(samples, cameras=names), cut or CutParams())


def read(source: Source, folder: Path) -> Steps:
    """Read an episode once, to decide which of its steps are exported.

    Raises:
        DataError: it cannot be read; names the episode.
    """
    try:
        samples = Samples(open_episode(folder), source.samples)
        trail = Trail()
        for sample in samples:
            trail.add(sample)
    except LapaError as error:
        raise DataError(f"{folder.name}: {error}") from None
    kept, removed = cuts.apply(trail, source.cuts)
    refused = sorted(samples.refused, key=lambda r: r.error)
    removals = [
        Removal(error, tuple(r.index for r in group), group[0].reason)
        for error, group in ((e, list(g)) for e, g in groupby(refused, lambda r: r.error))
    ]
    removals += [Removal("idle end", samples.trimmed)] if samples.trimmed else []
    indexes = [i for i, keep in zip(trail.index, kept, strict=True) if keep]
    found = len(samples.tracks.grid())
    report = EpisodeReport(folder.name, found, len(indexes), (*removals, *removed))
    return Steps(samples, frozenset(indexes), report)


def fingerprint(source: Source, folder: Path, *more: object) -> str:
    """Tells whether what was made of an episode still is what would be made of it.

    Of `episode.yaml` the content counts, of the bag's files name, size and time: bags are large,
    and never changed in place.
    """
    parts = [repr(source.samples), repr(source.cuts), repr(more)]
    parts.append((folder / episode.FILE).read_text(encoding="utf-8"))
    for file in sorted(f for f in folder.iterdir() if f.is_file()):
        status = file.stat()
        parts.append(f"{file.name} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def report_to_json(report: EpisodeReport) -> dict[str, Any]:
    """A report that `report_from_json` reads."""
    return asdict(report)


def report_from_json(content: Mapping[str, Any]) -> EpisodeReport:
    """A report from what `report_to_json` made, through a file."""
    removed = tuple(Removal(r["reason"], tuple(r["steps"]), r["note"]) for r in content["removed"])
    return EpisodeReport(content["name"], content["found"], content["used"], removed)


def _traits(recording: Recording) -> Traits:
    """What must be the same in all episodes, but for the cameras."""
    robot = recording.robot
    polarities = sorted({a.gripper.polarity for a in robot.arms})
    return Traits(robot.name, robot.dimensions, robot.step_time_s, ", ".join(polarities))


def _sizes(recording: Recording, cameras: Collection[str]) -> tuple[tuple[int, int], ...]:
    """Width and height of the cameras' pictures; every camera is looked up in the bag."""
    try:
        found = [recording.robot.camera(name) for name in cameras]
        for camera in found:
            recording.camera_topic(camera)
    except (DataError, ConfigError) as error:
        raise type(error)(f"{recording.folder.name}: {error}") from None
    return tuple((c.width, c.height) for c in found)
