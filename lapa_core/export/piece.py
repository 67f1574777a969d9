# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One recorded episode on its way into a LeRobot dataset: its videos and numbers in a folder.

A LeRobot episode has no gaps: its frames are a step time apart, and an action chunk is read over
neighbours. So a recorded episode is cut into *runs*, of consecutive steps under the same words,
and every run becomes an episode there. A piece is whole when its `piece.json` is there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapa_core.data.report import EpisodeReport
from lapa_core.data.samples import LabelledSample
from lapa_core.errors import DataError
from lapa_core.export import moments, video
from lapa_core.export.source import Source, Steps, report_from_json, report_to_json
from lapa_core.recording import disk
from lapa_core.types import FloatArray

_FILE, _NUMBERS = "piece.json", "numbers.npz"


@dataclass(frozen=True)
class Run:
    """Consecutive steps of an episode under the same words: an episode of LeRobot.

    Attributes:
        name: of the recorded episode.
        first: place of its first step on that episode's grid.
        task: the words.
        actions: (n, d) labels, gripper 1 open.
        state: (n, s), empty where it is not exported.
        histograms: camera -> (3, 256) of its pictures, for the statistics.
        videos: camera -> file of n frames.
    """

    name: str
    first: int
    task: str
    actions: FloatArray
    state: FloatArray
    histograms: Mapping[str, NDArray[np.int64]]
    videos: Mapping[str, Path]

    def __len__(self) -> int:
        """Number of steps."""
        return len(self.actions)


@dataclass(frozen=True)
class Piece:
    """What became of one recorded episode."""

    runs: tuple[Run, ...]
    report: EpisodeReport


def load(folder: Path, key: str) -> Piece | None:
    """A piece made before, if it is whole and of the same episode and choices."""
    try:
        content = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return _piece(folder, content) if content["key"] == key else None


def make(source: Source, steps: Steps, folder: Path, *, key: str, rate_hz: int) -> Piece:
    """Write a piece; what is in the folder goes.

    Args:
        source: what is exported.
        steps: of the episode.
        folder: to be written.
        key: what the piece is made of, for `load`.
        rate_hz: frames a second of the videos.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    runs: list[_Writing] = []
    try:
        for sample in steps:
            if not runs or not runs[-1].continues(sample):
                if runs:
                    runs[-1].close()
                runs.append(_Writing(source, folder, len(runs), sample, rate_hz))
            runs[-1].add(sample)
    finally:
        if runs:
            runs[-1].close()
    arrays = {f"{name}.{r.number}": a for r in runs for name, a in r.arrays().items()}
    np.savez(folder / _NUMBERS, **arrays)  # type: ignore[arg-type]
    content = {
        "key": key,
        "name": steps.report.name,
        "cameras": source.samples.cameras,
        "runs": [{"first": r.first, "task": r.task} for r in runs],
        "report": report_to_json(steps.report),
    }
    disk.write_durably(folder / _FILE, json.dumps(content).encode())
    return _piece(folder, json.loads(json.dumps(content)))


class _Writing:
    """A run being written."""

    def __init__(
        self,
        source: Source,
        folder: Path,
        number: int,
        sample: LabelledSample,
        rate_hz: int,
    ) -> None:
        self.number, self.first = number, sample.index
        self.task = sample.observation.instruction
        self._names = source.state_names
        self._actions: list[FloatArray] = []
        self._state: list[list[float]] = []
        self._histograms = {c.name: np.zeros((3, 256), dtype=np.int64) for c in source.cameras}
        self._videos = {
            c.name: video.Writer(folder / _video(number, c.name), rate_hz, c.width, c.height)
            for c in source.cameras
        }

    def continues(self, sample: LabelledSample) -> bool:
        """Whether a step is the next one of this run."""
        is_next = sample.index == self.first + len(self._actions)
        return is_next and sample.observation.instruction == self.task

    def add(self, sample: LabelledSample) -> None:
        """Append a step."""
        seen = sample.observation
        self._actions.append(sample.action)
        self._state.append([seen.state[name] for name in self._names])
        for camera, writer in self._videos.items():
            writer.add(seen.images[camera])
            self._histograms[camera] += moments.histogram(seen.images[camera])

    def close(self) -> None:
        """Complete the videos."""
        for writer in self._videos.values():
            writer.close()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything that is no video."""
        return {
            "actions": np.array(self._actions),
            "state": np.array(self._state).reshape(len(self._actions), -1),
            "histograms": np.array(list(self._histograms.values())),
        }


def _piece(folder: Path, content: Mapping[str, Any]) -> Piece:
    cameras = content["cameras"]
    try:
        with np.load(folder / _NUMBERS) as arrays:
            runs = tuple(
                Run(
                    name=content["name"],
                    first=run["first"],
                    task=run["task"],
                    actions=arrays[f"actions.{i}"],
                    state=arrays[f"state.{i}"],
                    histograms=dict(zip(cameras, arrays[f"histograms.{i}"], strict=True)),
                    videos={c: folder / _video(i, c) for c in cameras},
                )
                for i, run in enumerate(content["runs"])
            )
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{folder} is broken; remove it and export again: {error}") from None
    return Piece(runs, report_from_json(content["report"]))


def _video(number: int, camera: str) -> str:
    return f"{number:03d}.{camera}.mp4"
