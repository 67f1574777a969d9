# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The same scene with two sentences: whether it is language that decides.

Nothing but the words differs between the two trials of a pair, so a policy that does not listen
does the same in both. Knows nothing of MuJoCo.
"""

from __future__ import annotations

from dataclasses import replace

from lapa_core.sim.tasks import TASKS, Trial, make_trials


def make_pairs(split: str, n: int, seed: int) -> list[tuple[Trial, Trial]]:
    """`n` pairs of trials that share a scene and speak of two different things.

    The tasks take turns. In every other pair both sentences ask for the same task, where the
    split has two things for it; else for two tasks. The same arguments give the same pairs, and
    asking for more keeps those that were there.

    Raises:
        ConfigError: unknown split.
    """
    # A pair takes two trials at most from one task.
    rest = {task: make_trials(split, task, 2 * n + 2, seed) for task in TASKS}
    return [_pair(rest, number) for number in range(n)]


def _pair(rest: dict[str, list[Trial]], number: int) -> tuple[Trial, Trial]:
    first = number % len(TASKS)
    one = rest[TASKS[first]].pop(0)
    same_task_first = number % 2
    for turn in range(len(TASKS)):
        trials = rest[TASKS[(first + same_task_first + turn) % len(TASKS)]]
        for place, other in enumerate(trials):
            if other.target != one.target:
                return one, replace(trials.pop(place), seed=one.seed)
    raise AssertionError("two tasks of every split speak of different things")
