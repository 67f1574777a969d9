# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One trial in the closed loop: observe, decide, act, until it is done or its time is over.

Simulated time stands still while a policy thinks, but for the cell's latency. What the arm does
with an action is the controller's: it may clamp or refuse it, as on the robot.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lapa_core.errors import CheckpointError, ConfigError, LapaError
from lapa_core.evaluate import films
from lapa_core.evaluate.actors import Actor
from lapa_core.evaluate.scores import Score, score

if TYPE_CHECKING:
    from lapa_core.sim.cell import Cell
    from lapa_core.sim.tasks import Trial

# An arm that has held for so long holds for good: the same picture gives the same action.
HELD_S = 5.0
SETTLE_S = 1.0  # after the script's last step, until a thing lies still


@dataclass(frozen=True)
class Task:
    """A trial and its place among those of its split and task."""

    index: int
    trial: Trial


def run(
    cell: Cell,
    actor: Actor,
    task: Task,
    *,
    max_s: float,
    out: Path | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Score:
    """Run one trial.

    Args:
        cell, actor: where, and who.
        task: from where, and what.
        max_s: simulated seconds it may take.
        out: folder of the results, where a film of it is wanted if it fails.
        clock: seconds, for the wall time.

    Raises:
        CheckpointError, ConfigError: the policy or the simulation cannot be used at all.
    """
    began = clock()
    step_s = cell.robot.step_time_s
    cell.reset(task.trial)
    actor.begin(cell)
    reel = films.Reel(task.trial.instruction, 1.0 / step_s) if out else None
    ended, note = _loop(cell, actor, reel, math.ceil(max_s / step_s))
    outcome = cell.outcome()
    result = score(
        task.index,
        task.trial,
        outcome,
        chance=1.0 / len(cell.sim.scene.things),
        ended=ended,
        steps=cell.steps,
        robot_s=cell.steps * step_s,
        wall_s=clock() - began,
        note=note,
    )
    if reel is not None and out is not None and not result.strict:
        result = replace(result, film=reel.write(out, result))
    return result


def _loop(cell: Cell, actor: Actor, reel: films.Reel | None, max_steps: int) -> tuple[str, str]:
    """Act until the end; why it ended, and a remark."""
    step_s = cell.robot.step_time_s
    held = settling = 0
    while not cell.done:
        if reel is not None:
            size = films.WIDTH, films.HEIGHT
            reel.add({name: cell.frame(name, size) for name in cell.cameras})
        if cell.steps >= max_steps:
            return "time", cell.holds
        if held * step_s >= HELD_S:
            return "hold", cell.holds
        settling += actor.finished
        if settling * step_s > SETTLE_S:
            return "finished", ""
        try:
            chunk = actor.decide(cell)
        except (CheckpointError, ConfigError):
            raise  # such as no OpenGL, or a model without bins: of the set-up, in every trial
        except LapaError as error:
            return "refused", f"{type(error).__name__}: {error}"
        cell.act(chunk)
        held = held + 1 if cell.holds else 0
    return "done", ""
