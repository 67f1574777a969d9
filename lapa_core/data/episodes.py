# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Recorded episodes: the folders of a data set, and one of them opened for reading.

Knows where things stand (`episode.yaml`, the bag, the robot's topics in it), not what is made
of them: that is `labels`, `samples` and `replay`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import yaml

from lapa_core import robot as robots
from lapa_core.data import streams
from lapa_core.data.bags import Bag
from lapa_core.errors import DataError
from lapa_core.recording import episode as episodes
from lapa_core.recording.episode import Episode
from lapa_core.robot import Camera, Robot

# Topics of `lapa_ros.interface`; the core does not import it.
EXECUTED = "executed/ee_delta"
AUTHORITY = "authority"
INSTRUCTION = "instruction"
PARTIAL = ".partial"  # an episode that is not complete


@dataclass(frozen=True)
class Recording:
    """An opened episode.

    Attributes:
        folder: where it lies.
        episode: its `episode.yaml`.
        robot: as it was recorded, or as given.
        bag: its messages.
        namespace: of the robot's topics in the bag, "" or such as "/left_cell".
    """

    folder: Path
    episode: Episode
    robot: Robot
    bag: Bag
    namespace: str

    @property
    def topics(self) -> tuple[str, ...]:
        """Names of the topics that have messages in the bag."""
        return tuple(t.name for t in self.bag.topics if t.messages)

    def topic(self, name: str) -> str:
        """A topic's name in the bag, whether it is there or not."""
        return streams.absolute(name, self.namespace)

    def require(self, name: str) -> str:
        """A topic's name in the bag.

        Raises:
            DataError: it is not there.
        """
        topic = self.topic(name)
        if topic not in self.topics:
            held = ", ".join(sorted(self.topics)) or "nothing"
            raise DataError(f"{self.folder} has no stream {topic}; it has {held}")
        return topic

    def camera_topic(self, camera: Camera) -> str:
        """Where the camera's pictures are, raw or compressed; a `DataError` if nowhere."""
        return streams.camera_topic(camera, self.topics, self.namespace)


def open_episode(folder: Path, robot: Robot | None = None) -> Recording:
    """Open an episode's folder; its bag's files are open only while they are read.

    Args:
        folder: of the episode.
        robot: instead of the copy in `episode.yaml`, such as one whose URDF lies beside it.

    Raises:
        DataError: no complete episode, or a bag that cannot be read.
        ConfigError: the robot file in it is wrong.
    """
    if folder.name.endswith(PARTIAL):
        raise DataError(f"{folder} is not complete: `lapa recover` rebuilds it")
    episode = episodes.read(folder)
    robot = robot or robots.parse(yaml.safe_load(episode.robot_yaml), str(folder / episodes.FILE))
    bag = Bag.open(folder)
    return Recording(folder, episode, robot, bag, _namespace([t.name for t in bag.topics]))


def find(
    path: Path,
    outcomes: Collection[str] = ("success",),
    flagged: bool = False,
) -> list[Path]:
    """Folders of the complete episodes of a data set, in the order of their numbers.

    Args:
        path: the folder of the data set, or one episode's, which is then taken in any case.
        outcomes: how they may have ended.
        flagged: whether those with serious findings are wanted too.

    Raises:
        DataError: none is there.
    """
    if (path / episodes.FILE).is_file():
        return [path]
    found = complete(path)
    wanted = []
    for folder in found:
        episode = episodes.read(folder)
        if episode.outcome in outcomes and (flagged or not episode.flagged):
            wanted.append(folder)
    if not wanted:
        raise DataError(
            f"{path} has no episode that ended with {', '.join(outcomes)}"
            f"{'' if flagged else ' and no serious finding'}; {len(found)} of any kind"
        )
    return wanted


def complete(path: Path) -> list[Path]:
    """Folders of all complete episodes of a data set, in the order of their numbers."""
    found = [
        p.parent for p in path.glob(f"*/{episodes.FILE}") if not p.parent.name.endswith(PARTIAL)
    ]
    return sorted(found, key=lambda folder: (len(_digits(folder)), _digits(folder), folder.name))


def _digits(folder: Path) -> str:
    """The number at the end of a folder's name, without leading zeros: 10000 is after 9999."""
    digits = re.search(r"\d*$", folder.name)
    return digits[0].lstrip("0") if digits else ""


def _namespace(topics: Collection[str]) -> str:
    """What stands before the robot's topics; "" where no arm was recorded.

    Raises:
        DataError: more than one robot.
    """
    ending = "/" + EXECUTED
    found = sorted({t.removesuffix(ending) for t in topics if t.endswith(ending)})
    if len(found) > 1:
        raise DataError(f"the bag holds more than one robot: namespaces {', '.join(found)}")
    return found[0] if found else ""
