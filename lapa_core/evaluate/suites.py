# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Suites of trials: small YAML files in `config/suites`.

In simulation an item names a split and a task, and the starts follow from a seed. For a person
at a real arm it says the sentence itself, and how to lay out the scene. Knows no simulation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from lapa_core import paths
from lapa_core.errors import ConfigError, unknown
from lapa_core.yaml_section import Section

FOLDER = "config/suites"
MAX_EPISODES = 100_000
MAX_S = 3600.0
_OPTIONAL = ("description", "max_s")
_OPTIONAL_ITEM = ("instruction", "target", "objects", "layout", "scene")


@dataclass(frozen=True)
class Item:
    """Some trials of one split and task.

    Attributes:
        split, task: names that the table shows.
        episodes: how many.
        instruction: what to tell the robot; "" in simulation, where it follows from the seed.
        target: the object it means, or "".
        objects: how many objects lie there; 0: nobody says, so there is no chance to compare to.
        layout: how a person lays out the scene, or "".
        scene: what stands on the table in simulation, such as "blocks"; "": as the split says.
    """

    split: str
    task: str
    episodes: int
    instruction: str = ""
    target: str = ""
    objects: int = 0
    layout: str = ""
    scene: str = ""


@dataclass(frozen=True)
class Suite:
    """Trials and how long each may take.

    Attributes:
        name: of the file.
        description: one line.
        max_s: a trial ends there, in the robot's time.
        items: in order.
    """

    name: str
    description: str
    max_s: float
    items: tuple[Item, ...]

    @property
    def for_a_person(self) -> bool:
        """Whether it says the sentences itself, for a real arm."""
        return bool(self.items[0].instruction)

    def with_episodes(self, count: int | None) -> Suite:
        """The same suite with `count` trials an item; None leaves it."""
        if count is None:
            return self
        if not 1 <= count <= MAX_EPISODES:
            raise ConfigError(f"episodes must be 1 to {MAX_EPISODES}, got {count}")
        items = tuple(Item(**{**asdict(i), "episodes": count}) for i in self.items)
        return Suite(self.name, self.description, self.max_s, items)

    def with_max_s(self, max_s: float) -> Suite:
        """The same suite with another limit for each trial."""
        if not 0.0 < max_s <= MAX_S:
            raise ConfigError(f"a trial may take above 0 and up to {MAX_S:g} s, got {max_s:g}")
        return Suite(self.name, self.description, max_s, self.items)

    def require(self, for_a_person: bool) -> None:
        """Refuse a suite of the other kind."""
        if for_a_person and not self.for_a_person:
            raise ConfigError(
                f"suite {self.name} is for the simulation; one for a real arm says an "
                "`instruction` in every item"
            )
        if self.for_a_person and not for_a_person:
            raise ConfigError(
                f"suite {self.name} has instructions of its own, for a real arm; in simulation "
                "they follow from split, task and seed"
            )

    def as_json(self) -> dict[str, Any]:
        """For a results' folder."""
        return asdict(self) | {"items": [asdict(i) for i in self.items]}


def available() -> list[str]:
    """Names of the suites that ship."""
    return paths.names(FOLDER, ".yaml")


def load(suite: str) -> Suite:
    """Read a suite by its name or its file.

    Raises:
        ConfigError: there is none, or it is wrong.
    """
    path = Path(suite)
    if path.suffix not in (".yaml", ".yml"):
        if suite not in available():
            raise ConfigError(unknown("suite", suite, available(), FOLDER))
        path = paths.share(f"{FOLDER}/{suite}.yaml")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read suite {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"suite {path} is not YAML: {error}") from None
    return parse(content, path.stem, str(path))


def parse(content: object, name: str, source: str) -> Suite:
    """Read the content of a suite's file.

    Raises:
        ConfigError: naming key and place.
    """
    section = Section(content, source)
    description = section.text("description") if section.has("description") else ""
    max_s = section.positive("max_s")
    items = tuple(_item(s) for s in section.sections("trials"))
    section.finish(_OPTIONAL)
    seen: set[tuple[str, str, str]] = set()
    for item in items:
        key = item.split, item.task, item.instruction
        if key in seen:
            raise ConfigError(f"{source}: {item.split}/{item.task} is listed twice")
        seen.add(key)
    if len({bool(i.instruction) for i in items}) > 1:
        raise ConfigError(f"{source}: every item has an instruction, or none")
    return Suite(name, description, max_s, items)


def _item(section: Section) -> Item:
    item = Item(
        split=section.text("split"),
        task=section.text("task"),
        episodes=section.integer("episodes", minimum=1),
        instruction=section.text("instruction") if section.has("instruction") else "",
        target=section.text("target") if section.has("target") else "",
        objects=section.integer("objects", minimum=1) if section.has("objects") else 0,
        layout=section.text("layout") if section.has("layout") else "",
        scene=section.text("scene") if section.has("scene") else "",
    )
    section.finish(_OPTIONAL_ITEM)
    if item.scene and item.instruction:
        raise ConfigError(f"{section.where}: a scene is of the simulation, an instruction of a "
                          "real arm; one of them")  # fmt: skip
    if item.episodes > MAX_EPISODES:
        raise ConfigError(f"{section.where}: episodes must be at most {MAX_EPISODES}")
    return item
