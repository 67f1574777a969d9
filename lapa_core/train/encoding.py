# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One recorded episode -> one demonstration: samples, filters, pictures through the VQGAN.

Pictures are decoded once, go through the VQGAN in batches, and are dropped. Which episodes there
are, and who works on which, is not known here; see `tokens`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from lapa_core.data import cuts, demo_file
from lapa_core.data.augment import Augment
from lapa_core.data.cuts import CutParams, Trail
from lapa_core.data.demos import Demo, Traits
from lapa_core.data.labels import SOURCES
from lapa_core.data.report import EpisodeReport, Removal
from lapa_core.data.samples import SampleParams, Samples
from lapa_core.data.state import names as state_names
from lapa_core.errors import ConfigError, DataError, RecordingError, unknown
from lapa_core.model.checkpoint import load_model, without_progress_bars
from lapa_core.model.vqgan import Vqgan
from lapa_core.robot import Robot
from lapa_core.train.codes import Codes, frozen, looks, weights_hash
from lapa_core.train.sources import Source, traits_of

FORMAT = 4  # to be raised with every change of what comes out


@dataclass(frozen=True)
class TokenParams:
    """Choices that make the demonstrations what they are.

    Attributes:
        cameras: names; none: the robot's first, as `lapa init`.
        state: names of `Observation.state` to keep, such as `arm/gripper`; none: no state.
        center_crop: as of the policy: variant 0 is the picture it would see.
        labels: where actions come from, one of `labels.SOURCES`.
        filters: which steps are left out.
        variants: looks of every picture: the policy's own, and `variants - 1` augmented ones.
        augment: how much those are changed.
        seed: of that chance.
        outcomes: how a wanted episode may have ended.
        flagged: whether episodes with a serious finding are wanted.
    """

    cameras: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    center_crop: bool = True
    labels: str = "commanded"
    filters: CutParams = field(default_factory=CutParams)
    variants: int = 4
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    outcomes: tuple[str, ...] = ("success",)
    flagged: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no choice."""
        if self.variants < 1:
            raise ConfigError(f"variants must be 1 or more, got {self.variants}")
        for what, names in (("camera", self.cameras), ("state", self.state)):
            if doubled := sorted({n for n in names if names.count(n) > 1}):
                raise ConfigError(f"{what} {', '.join(doubled)} is asked for more than once")
        if self.labels not in SOURCES:
            raise ConfigError(unknown("source of labels", self.labels, SOURCES, "the choices"))

    def check(self, robot: Robot) -> None:
        """Raise a `ConfigError` for a camera or a state that the robot does not have."""
        for name in self.cameras:
            robot.camera(name)
        for name in self.state:
            if name not in (known := state_names(robot)):
                raise ConfigError(unknown("state", name, known, robot.name))

    def to_json(self) -> dict[str, Any]:
        """All of it, of plain types."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


class Encoder:
    """Makes the cached file of an episode."""

    def __init__(self, vqgan: Vqgan, params: TokenParams, cache: Path) -> None:
        """Encode with this VQGAN, on the device it is on.

        Raises:
            ConfigError: more codes than 32 bits tell apart.
        """
        self._vqgan = frozen(vqgan)
        self._params, self._cache = params, cache
        self._weights = weights_hash(vqgan)

    def find(self, source: Source, name: str) -> tuple[Path, bool]:
        """Where the episode's file is, or is to be, and whether it is there and whole.

        Raises:
            DataError: the episode is none.
        """
        path = self._cache / f"{self._key(source, name)}.npz"
        if not path.is_file():
            return path, False
        try:
            demo_file.load(path)
        except DataError:
            return path, False  # of a disk that failed: made anew
        return path, True

    def make(self, source: Source, name: str, path: Path) -> Path:
        """Make the episode's file.

        Raises:
            DataError: the episode cannot be used.
            ConfigError: a choice does not fit the episode's robot.
            RecordingError: the file cannot be written.
        """
        demo, report, traits = self._read(source, name)
        demo_file.save(path, demo, traits, report)
        return path

    @contextmanager
    def lent(self) -> Iterator[Lent]:
        """What another process needs to make an equal encoder, as long as the block lasts.

        The weights go through a file: shared memory is small in many containers.
        """
        folder = demo_file.partial(self._cache / "vqgan")
        try:
            with without_progress_bars():
                self._vqgan.save_pretrained(folder)
            yield Lent(folder, str(self._vqgan.device), self._params, self._cache)
        except SafetensorError as error:  # hides an OSError of its own
            raise RecordingError(f"cannot write {folder}: {error}") from None
        finally:
            demo_file.remove(folder)

    def _key(self, source: Source, name: str) -> str:
        parts = [FORMAT, name, source.content_hash(name), self._weights, self._params.to_json()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]

    def _read(self, source: Source, name: str) -> tuple[Demo, EpisodeReport, Traits]:
        p = self._params
        recording = source.open(name)
        robot = recording.robot
        cameras = p.cameras or (robot.cameras[0].name,)
        samples = Samples(recording, SampleParams(cameras, bool(p.state), labels=p.labels))
        trail, states, words, tools, turns = Trail(), [], [], [], []
        codes = Codes(self._vqgan)
        for sample in samples:
            trail.add(sample)
            states.append([sample.observation.state[n] for n in p.state])
            words.append(sample.observation.instruction)
            tools.append(samples.tracks.told(sample.time_ns))
            turns.append(samples.tracks.told_headings(sample.time_ns))
            for camera in cameras:
                picture = sample.observation.images[camera]
                codes.add(looks(picture, p, name, sample.index, camera))
        kept, removed = cuts.apply(trail, p.filters)
        removed = (*_without_sample(samples), *removed)
        rows = np.flatnonzero(kept)
        found = len(samples.tracks.grid())
        if not len(rows):
            raise DataError(f"no step of {found} is left: " + "; ".join(map(str, removed)))
        demo = Demo(
            name=name,
            codes=codes.finish(len(words), len(cameras), p.variants)[:, rows],
            actions=np.array(trail.actions)[rows],
            state=np.array(states, dtype=np.float64).reshape(len(words), len(p.state))[rows],
            index=np.array(trail.index, dtype=np.int64)[rows],
            instructions=tuple(words[r] for r in rows),
            authority=tuple(trail.authority[r] for r in rows),
            tool=np.array(tools)[rows],
            heading=np.array(turns)[rows],
        )
        report = EpisodeReport(name, found, len(rows), removed)
        return demo, report, traits_of(robot, cameras, p.state)


@dataclass(frozen=True)
class Lent:
    """An encoder on its way to another process."""

    folder: Path
    device: str
    params: TokenParams
    cache: Path

    def load(self) -> Encoder:
        """The encoder."""
        vqgan: Any = load_model(Vqgan, self.folder, torch.float32)
        return Encoder(vqgan.to(self.device), self.params, self.cache)


def _without_sample(samples: Samples) -> list[Removal]:
    """The places of the grid that gave no sample, by reason."""
    found = []
    if samples.trimmed:
        found.append(Removal("idle at the ends", samples.trimmed))
    by_error: dict[str, list[Any]] = {}
    for refused in samples.refused:
        by_error.setdefault(refused.error, []).append(refused)
    for error, each in by_error.items():
        found.append(Removal(error, tuple(r.index for r in each), each[0].reason))
    return found
