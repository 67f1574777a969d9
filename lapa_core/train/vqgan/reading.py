# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A data set's pictures -> a pool of them, drawn evenly over its episodes.

Actions, words and outcomes do not matter here. An episode whose pictures cannot be used is
refused by name and the others are read. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lapa_core.data import images, streams
from lapa_core.data.demos import Traits, alike
from lapa_core.data.episodes import Recording
from lapa_core.errors import ConfigError, DataError, LapaError
from lapa_core.recording.episode import OUTCOMES
from lapa_core.train.sources import Source, open_source, traits_of
from lapa_core.train.vqgan.pool import PicturePool, jpeg, spread

LIMIT = 20_000
SHOWN = 5  # episodes that an error names

Tell = Callable[[int, int], None]


def read(
    path: Path,
    *,
    cameras: Sequence[str] = (),
    limit: int = LIMIT,
    mapping: Path | None = None,
    center_crop: bool = False,
    progress: Tell = lambda done, total: None,
) -> PicturePool:
    """Read pictures of a data set, whatever the outcome of its episodes.

    Args:
        path: its folder, or one episode's.
        cameras: names; none: the robot's first.
        limit: pictures at most, of all episodes together.
        mapping: what the topics mean in bags that we have not recorded.
        center_crop: cut the pictures as `images.resize_for_model` does.
        progress: told episodes done, and in all.

    Raises:
        DataError: no picture that can be used, or episodes of different robots.
        ConfigError: no such camera, a wrong mapping or limit.
    """
    if limit < 2:
        raise ConfigError(f"a tokenizer cannot learn from {limit} pictures; at least 2")
    source = open_source(path, "commanded", mapping, OUTCOMES, flagged=True)
    survey = _survey(source, cameras)
    given = dict(
        zip(survey.counts, quotas(list(survey.counts.values()), limit), strict=True)
    )  # fmt: skip
    taken: list[tuple[str, str, bytes]] = []
    for done, name in enumerate(survey.traits, 1):
        try:
            own = [
                (name, camera, data)
                for camera in survey.cameras
                for data in _pictures(
                    source.open(name),
                    camera,
                    set(spread(survey.counts[name, camera], given[name, camera]).tolist()),
                    center_crop,
                )
            ]
        except (LapaError, OSError) as error:
            survey.refuse(name, error)
        else:
            taken += own
        progress(done, len(survey.traits))
    return _pool(path, survey, taken)


@dataclass
class _Survey:
    """What there is, before any picture is read.

    Attributes:
        cameras: names.
        counts: (episode, camera) -> pictures.
        traits: of the episodes that can be read.
        refused: name of an episode -> why.
    """

    cameras: tuple[str, ...] = ()
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    traits: dict[str, Traits] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def refuse(self, name: str, error: Exception) -> None:
        """An episode cannot be used."""
        self.refused[name] = f"{type(error).__name__}: {error}"


def _survey(source: Source, cameras: Sequence[str]) -> _Survey:
    found = _Survey()
    for name in source.names:
        try:
            recording = source.open(name)
        except (LapaError, OSError) as error:
            found.refuse(name, error)
            continue
        robot = recording.robot
        wanted = tuple(cameras) or (robot.cameras[0].name,)
        topics = {c: robot.camera(c) for c in wanted}  # a wrong name is nobody's fault but ours
        try:
            counts = {
                (name, c): recording.bag.topic(recording.camera_topic(camera)).messages
                for c, camera in topics.items()
            }
        except LapaError as error:
            found.refuse(name, error)
            continue
        found.counts |= counts
        found.traits[name] = traits_of(robot, wanted)
    if found.traits:
        found.cameras = alike(found.traits).cameras
    return found


def _pictures(
    recording: Recording, camera: str, wanted: set[int], center_crop: bool
) -> Iterator[bytes]:
    """The pictures of these numbers; all of the size that a policy would demand."""
    size = recording.robot.camera(camera)
    topic = recording.camera_topic(size)
    for frame in streams.frames(recording.bag, topic, wanted=wanted):
        height, width = frame.image.shape[:2]
        if (width, height) != (size.width, size.height):
            raise DataError(
                f"camera {camera} sent {width}x{height} images, the robot file says "
                f"{size.width}x{size.height}"
            )
        yield jpeg(images.resize_for_model(frame.image, center_crop))


def _pool(path: Path, survey: _Survey, taken: list[tuple[str, str, bytes]]) -> PicturePool:
    if len(taken) < 2:
        told = [f"{n}: {why}" for n, why in survey.refused.items()]
        shown = told[:SHOWN] + [f"and {len(told) - SHOWN} more"] * (len(told) > SHOWN)
        why = "; ".join(shown) or "its episodes hold none"
        raise DataError(f"{path} has {len(taken)} pictures to learn from: {why}")
    names = tuple(dict.fromkeys(name for name, _, _ in taken))
    places = {name: i for i, name in enumerate(names)}
    seen = tuple(c for c in survey.cameras if any(c == camera for _, camera, _ in taken))
    return PicturePool(
        seen,
        names,
        tuple(data for _, _, data in taken),
        np.array([seen.index(camera) for _, camera, _ in taken], dtype=np.int64),
        np.array([places[name] for name, _, _ in taken], dtype=np.int64),
        survey.refused,
    )


def quotas(counts: Sequence[int], limit: int) -> list[int]:
    """How many of each stream, so that none gives more than another could still give.

    Args:
        counts: pictures that each stream has.
        limit: of all together.
    """
    low, high = 0, max(counts, default=0)
    while low < high:  # the largest level at which all together stay within the limit
        middle = (low + high + 1) // 2
        if sum(min(c, middle) for c in counts) <= limit:
            low = middle
        else:
            high = middle - 1
    given = [min(c, low) for c in counts]
    more = [i for i, c in enumerate(counts) if c > low]
    for place in spread(len(more), limit - sum(given)):
        given[more[place]] += 1
    return given
