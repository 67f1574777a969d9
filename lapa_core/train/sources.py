# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The episodes of a data set, ours or mapped: which are wanted, what they are of, how to open one.

Can be sent to another process. Imports no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from lapa_core import robot as robots
from lapa_core.data import episodes
from lapa_core.data import mapping as mappings
from lapa_core.data.bags import Bag
from lapa_core.data.demos import Traits
from lapa_core.data.episodes import Recording
from lapa_core.errors import ConfigError, DataError
from lapa_core.model.interface import polarity
from lapa_core.recording import episode as episode_files
from lapa_core.robot import WORLD, Robot

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
        path: its folder.
        names: of the episodes that are wanted; unique.
        folders: where each lies.
        skipped: name of an episode that is not wanted -> why.
        mapping: of foreign bags; None: the recorder's own.
        robots: name of an episode -> its robot file's text; not of those that cannot be read.
        settings, findings: for the report.
    """

    path: Path
    names: tuple[str, ...]
    folders: Mapping[str, Path]
    skipped: Mapping[str, str] = field(default_factory=dict)
    mapping: mappings.Mapping | None = None
    robots: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    def open(self, name: str) -> Recording:
        """Open an episode.

        Raises:
            DataError: it cannot be read.
            ConfigError: its robot file is wrong.
        """
        if self.mapping is not None:
            return mappings.open_bag(self.folders[name], self.mapping)
        robot = self.robot(name) if name in self.robots else None
        return episodes.open_episode(self.folders[name], robot)

    def robot(self, name: str) -> Robot:
        """The robot of an episode, without opening its bag.

        Raises:
            ConfigError: its robot file is wrong.
        """
        if self.mapping is not None:
            return self.mapping.robot
        try:
            return _parsed(self.robots[name], str(self.path / episode_files.FILE))
        except ConfigError as error:
            raise ConfigError(f"{self.folders[name]}: {error}") from None

    def content_hash(self, name: str) -> str:
        """Of all that the episode is made from: names, sizes and bytes of its files.

        Raises:
            DataError: it is no episode, or its bag is not whole.
        """
        folder = self.folders[name]
        if self.mapping is None and name not in self.robots:
            episode_files.read(folder)  # says what is wrong with it
        digest = hashlib.sha256()
        if self.mapping is not None:
            digest.update(f"{self.mapping.text}\0{self.mapping.robot}\0".encode())
            files = list(Bag.open(folder).files)
        else:
            files = [folder / episode_files.FILE, *Bag.open(folder).files]
        for file in sorted(_all_files(files)):
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as content:
                while block := content.read(_BLOCK):
                    digest.update(block)
        return digest.hexdigest()


def traits_of(robot: Robot, cameras: tuple[str, ...] = (), state: tuple[str, ...] = ()) -> Traits:
    """What a robot's demonstrations must agree on."""
    return Traits(robot.name, robot.dimensions, robot.step_time_s, polarity(robot), cameras, state)


def robot_of(
    parts: Sequence[tuple[Source, Sequence[str]]], same_views: Sequence[str] = ()
) -> Robot:
    """The robot of these episodes: as it was recorded, which no file of its name need equal.

    Args:
        parts: data sets, and the names of the episodes of each; at least one name in all.
        same_views: of these cameras, none may have been moved from one episode to another.

    Raises:
        ConfigError: its robot file is wrong, or cameras were moved.
    """
    each = [(source, name) for source, names in parts for name in names]
    texts = {source.robots.get(name): (source, name) for source, name in reversed(each)}
    (source, name), *_ = each
    first, first_name = source.robot(name), name
    for source, name in texts.values() if same_views else ():
        if _stands(source.robot(name), same_views) != _stands(first, same_views):
            raise ConfigError(
                f"the cameras of {name} stand elsewhere than those of {first_name}, by the robot "
                f"files recorded with them, so --point-weight has no one view; use 0, or "
                f"demonstrations of one set-up"
            )
    return first


def _stands(robot: Robot, cameras: Sequence[str]) -> list[tuple[object, ...]]:
    """How each camera that is not carried about looks at the world."""
    return [
        (c.name, c.attached_to, *c.position_m.tolist(), *c.forward.tolist(), c.fovy_deg)
        for c in robot.cameras
        if c.attached_to == WORLD and c.name in cameras
    ]


def open_source(
    path: Path,
    labels: str,
    mapping: Path | None,
    outcomes: tuple[str, ...] = ("success",),
    flagged: bool = False,
) -> Source:
    """Look which episodes there are.

    Raises:
        DataError: none that is wanted.
        ConfigError: the mapping is wrong, or no labels of this kind can be had with it.
    """
    if not path.exists():
        raise DataError(f"no data set at {path}")
    if mapping is not None:
        return _mapped(path, labels, mappings.read(mapping))
    alone = (path / episode_files.FILE).is_file()  # then it is wanted in any case
    wanted: dict[str, Path] = {}
    skipped: dict[str, str] = {}
    texts: dict[str, str] = {}
    for folder in [path] if alone else episodes.complete(path):
        try:
            episode = episode_files.read(folder)
        except DataError:
            wanted[folder.name] = folder  # refused with its reason when its turn comes
            continue
        if not alone and episode.outcome not in outcomes:
            skipped[folder.name] = f"its outcome is {episode.outcome}"
        elif not alone and not flagged and episode.flagged:
            skipped[folder.name] = "the audit found something serious"
        else:
            wanted[folder.name] = folder
            texts[folder.name] = episode.robot_yaml
    if not wanted:
        raise DataError(
            f"{path} has no episode that ended with {', '.join(outcomes)}"
            f"{'' if flagged else ' and no serious finding'}; {len(skipped)} of any kind"
        )
    return Source(path, tuple(wanted), wanted, skipped, robots=texts)


def _mapped(path: Path, labels: str, mapping: mappings.Mapping) -> Source:
    if labels == "executed":
        raise ConfigError(
            f"{mapping.source}: a mapped bag has no executed steps; valid labels: commanded, "
            "reached"
        )
    findings: tuple[str, ...] = ()
    if not mapping.commanded and labels == "commanded":
        without = ", ".join(n for n, a in mapping.arms.items() if a.target is None)
        findings = (
            f"the mapping names no target of {without}: its labels are what the tool reached",
        )
    found = _named(mappings.find(path))
    settings = {"mapping": mapping.source}
    return Source(path, tuple(found), found, {}, mapping, {}, settings, findings)


def _named(folders: list[Path]) -> dict[str, Path]:
    """By name.

    Raises:
        DataError: two bags are called alike; one would be lost.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        name = folder.stem if folder.is_file() else folder.name
        if name in found:
            raise DataError(f"{found[name]} and {folder} have one name; rename or remove one")
        found[name] = folder
    return found


def _all_files(paths: list[Path]) -> list[Path]:
    """The files themselves, where one of them is a folder (a bag compressed as a whole)."""
    found = []
    for path in paths:
        found += [p for p in path.iterdir() if p.is_file()] if path.is_dir() else [path]
    return sorted(set(found))


@lru_cache(maxsize=4)
def _parsed(text: str, source: str) -> Robot:
    """The recorded robot; the same text is read once for all episodes."""
    return robots.parse(yaml.safe_load(text), source)
