# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Tasks on the simulated table: sentences, the splits they are tested in, and single trials.

Modelled on the three of the LAPA paper (knock over, cover, pick and place). What a policy is
trained on is every task and colour but three pairs, in the sentences of `TRAINED`; the splits
say what of a trial was in it. Knows nothing of MuJoCo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lapa_core.errors import ConfigError, unknown
from lapa_core.sim.things import BLOCKS, COLOURS, POSTS, TABLETOP, Scene, scene

PUT, KNOCK, COVER = TASKS = ("put", "knock", "cover")

# `{}` is the thing, such as "red block".
TRAINED: Mapping[str, tuple[str, ...]] = {
    PUT: ("put the {} in the bin", "place the {} in the bin", "drop the {} into the bin"),
    KNOCK: ("knock over the {}", "push over the {}", "knock the {} over"),
    COVER: ("cover the {} with the cup", "put the cup over the {}", "hide the {} under the cup"),
}
# Never trained on: other words, other order.
PARAPHRASED: Mapping[str, tuple[str, ...]] = {
    PUT: ("move the {} to the bin", "the {} goes into the bin"),
    KNOCK: ("topple the {}", "make the {} fall over"),
    COVER: ("lower the cup onto the {}", "the {} goes under the cup"),
}
# One colour a task that is never trained on; each colour is trained on in the other tasks.
HELD_OUT: Mapping[str, str] = {PUT: "green", KNOCK: "yellow", COVER: "red"}
SPLITS = ("seen", "unseen_combination", "unseen_object", "unseen_instruction")


@dataclass(frozen=True)
class Trial:
    """One attempt at one task.

    Attributes:
        split: one of `SPLITS`, or "train".
        task: one of `TASKS`.
        target: name of the thing that is spoken of, such as "red_block".
        instruction: what the policy is told.
        seed: of the places of everything.
        scene: name of what stands on the table.
    """

    split: str
    task: str
    target: str
    instruction: str
    seed: int
    scene: str = TABLETOP.name


def sentence(task: str, target: str, template: str | None = None) -> str:
    """The words for a task with a thing; the first of `TRAINED` where no template is given."""
    check_task(task)
    return (template or TRAINED[task][0]).format(target.replace("_", " "))


def check_task(task: str) -> None:
    """Refuse a task that is none."""
    if task not in TASKS:
        raise ConfigError(unknown("task", task, TASKS, "lapa_core.sim.tasks"))


def make_trials(split: str, task: str, n: int, seed: int, scene_name: str = "") -> list[Trial]:
    """`n` trials; the same arguments give the same ones, for every policy.

    Args:
        split, task: one of `SPLITS`, one of `TASKS`.
        n: how many.
        seed: of the draw, 0 or more.
        scene_name: what stands on the table; "": as the split says.

    Raises:
        ConfigError: unknown split, task or scene, one that has not what the task needs, or a
            seed below 0.
    """
    if split not in SPLITS:
        raise ConfigError(unknown("split", split, SPLITS, "lapa_core.sim.tasks"))
    check_task(task)
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, got {seed}")
    usual = POSTS if split == "unseen_object" else TABLETOP
    stands = _fit(scene(scene_name), [task]) if scene_name else usual
    # `hash` differs from run to run; this does not.
    rng = np.random.default_rng([seed, SPLITS.index(split), TASKS.index(task)])
    held_out = HELD_OUT[task]
    colours = [held_out] if split == "unseen_combination" else _others(held_out)
    templates = PARAPHRASED[task] if split == "unseen_instruction" else TRAINED[task]
    return [_trial(rng, split, task, colours[i % len(colours)], templates, stands)
            for i in range(n)]  # fmt: skip


def training_trials(
    n: int,
    seed: int,
    *,
    task_names: Sequence[str] = TASKS,
    colours: Sequence[str] = tuple(COLOURS),
    scene_name: str = TABLETOP.name,
    held_out: Mapping[str, str] = HELD_OUT,
) -> list[Trial]:
    """`n` trials for demonstrations, of the pairs of task and colour that may be trained on.

    Args:
        n: how many.
        seed: of the draw; no trial of `make_trials` has a scene of these.
        task_names, colours, scene_name: to draw from.
        held_out: task -> colour that is left out.

    Raises:
        ConfigError: nothing is left to draw from, or the scene has no such things.
    """
    for task in task_names:
        check_task(task)
    stands = _fit(scene(scene_name), task_names)
    pairs = [(t, c) for t in task_names for c in colours if held_out.get(t) != c]
    if not pairs:
        raise ConfigError(f"no pair of task and colour is left of {task_names} and {colours}")
    rng = np.random.default_rng([seed, len(SPLITS)])
    chosen = [pairs[i] for i in rng.integers(len(pairs), size=n)]
    return [_trial(rng, "train", task, colour, TRAINED[task], stands) for task, colour in chosen]


def _fit(stands: Scene, task_names: Sequence[str]) -> Scene:
    if stands is BLOCKS and set(task_names) != {PUT}:
        raise ConfigError(f"scene {BLOCKS.name} has no cup and nothing to knock over; "
                          f"valid: task {PUT}")  # fmt: skip
    return stands


def _trial(
    rng: np.random.Generator,
    split: str,
    task: str,
    colour: str,
    templates: Sequence[str],
    stands: Scene,
) -> Trial:
    noun = stands.things[0].noun
    target = f"{colour}_{noun}"
    words = sentence(task, target, templates[int(rng.integers(len(templates)))])
    # Odd seeds for training, even ones for trials: no scene is in both.
    seed = 2 * int(rng.integers(2**30)) + (split == "train")
    return Trial(split, task, target, words, seed, stands.name)


def _others(held_out: str) -> list[str]:
    return [c for c in COLOURS if c != held_out]
