# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One policy through a suite, and what is written of it.

Starts follow from the suite's items and a seed alone: the same for every policy. What stands in
the folder already is not run again.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lapa_core.errors import DataError
from lapa_core.evaluate import compare, page, results, table, workers
from lapa_core.evaluate.actors import EXPERT, Job, robot_of
from lapa_core.evaluate.compare import Comparison
from lapa_core.evaluate.results import Results
from lapa_core.evaluate.rollout import Task
from lapa_core.evaluate.scores import Score
from lapa_core.evaluate.suites import Suite

SUMMARY, TABLE, REPORT = "summary.json", "table.md", "report.html"
SAY_EVERY_S = 5.0
CURVES = "curves.png"  # of `lapa finetune`, in its folder or beside its checkpoint
OPEN_LOOP = "open_loop.png"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        suite: with its numbers of episodes.
        seed: of the starts.
        workers: processes.
        films: at most so many failures leave a film.
    """

    suite: Suite
    seed: int
    workers: int = 1
    films: int = 0


def tasks_of(suite: Suite, seed: int) -> list[Task]:
    """The trials of a suite in simulation, one of each item in turn.

    So the rates of a run that was cut short are of all items alike.

    Raises:
        ConfigError: unknown split or task, or a suite for a person.
    """
    from lapa_core.sim.tasks import make_trials

    suite.require(for_a_person=False)
    found = [
        Task(index, trial)
        for item in suite.items
        for index, trial in enumerate(
            make_trials(item.split, item.task, item.episodes, seed, item.scene)
        )
    ]
    return sorted(found, key=lambda t: t.index)


def description(suite: Suite, seed: int, policy: str, robot: str, **more: Any) -> dict[str, Any]:
    """What `run.json` says: whatever changes a result."""
    items = [{k: v for k, v in i.items() if k != "episodes"} for i in suite.as_json()["items"]]
    return {
        "suite": suite.name,
        "items": items,
        "episodes": {f"{i.split}/{i.task}": i.episodes for i in suite.items},
        "max_s": suite.max_s,
        "seed": seed,
        "robot": robot,
        "policy": policy if policy == EXPERT else results.fingerprint(Path(policy)),
        "checkpoint": "" if policy == EXPERT else Path(policy).name,
        **more,
    }


def evaluate(request: Request, job: Job, say: Callable[[str], None] = print) -> list[Score]:
    """Run what is missing; returns the scores of the whole suite.

    Args:
        request: which trials.
        job: who acts; its `out` is the folder of the results.
        say: told how far it is.

    Raises:
        LapaError: suite, policy or folder cannot be used.
    """
    wanted = tasks_of(request.suite, request.seed)
    robot = robot_of(job.policy, job.robot)
    run = description(
        request.suite, request.seed, job.policy, robot.name,
        mode="simulation", sample=job.sample, draw=job.seed, dtype=job.dtype,
        image_size=list(job.image_size) if job.image_size else None,
        latency_s=job.latency_s, workers=request.workers, device=job.device,
    )  # fmt: skip
    with Results(job.out, run) as found:
        keys = {(t.trial.split, t.trial.task, t.index) for t in wanted}
        missing = [t for t in wanted if (t.trial.split, t.trial.task, t.index) not in found.done]
        if len(missing) < len(wanted):
            say(f"{len(wanted) - len(missing)} of {len(wanted)} trials are there already")
        progress = Progress(len(missing), say)
        films = request.films - sum(bool(s.film) for s in found.scores)

        def take(score: Score) -> None:
            found.add(score)
            progress.tell(score)

        workers.run(job, missing, workers=request.workers, films=films, take=take)
        return results.ordered([s for s in found.scores if s.key in keys], run)


class Progress:
    """Says every few seconds how far it is, and at the end."""

    def __init__(
        self,
        total: int,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._say, self._clock = total, say, clock
        self._began_s = self._said_s = clock()
        self._scores: list[Score] = []

    def tell(self, score: Score) -> None:
        """One more trial is done."""
        self._scores.append(score)
        now, done = self._clock(), len(self._scores)
        if now - self._said_s < SAY_EVERY_S and done < self._total:
            return
        self._said_s = now
        spent = max(now - self._began_s, 1e-9)
        row = table.rows(self._scores)[-1]
        speed = sum(s.robot_s for s in self._scores) / spent
        self._say(
            f"{done} of {self._total} trials, {speed:.1f} x real time, "
            f"{spent * (self._total - done) / done:.0f} s left; strict {row.strict.mean:.0%}"
        )


def write(
    folder: Path,
    scores: Sequence[Score],
    comparisons: Sequence[Comparison] = (),
    checkpoint: Path | None = None,
) -> str:
    """Write summary, table and page into a results' folder; returns the table for a terminal.

    Raises:
        DataError: the disk refuses; the trials themselves stay what they are.
    """
    try:
        return _write(folder, scores, comparisons, checkpoint)
    except OSError as error:
        raise DataError(f"cannot write the report in {folder}: {error.strerror}") from error


def _write(
    folder: Path,
    scores: Sequence[Score],
    comparisons: Sequence[Comparison],
    checkpoint: Path | None,
) -> str:
    run = results.read_run(folder)
    found = table.rows(scores)
    summary = {
        "run": run,
        "rows": [table.as_json(r) for r in found],
        "comparisons": [compare.as_json(c) for c in comparisons],
    }
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    lines = [table.cells(r) for r in found]
    (folder / TABLE).write_text(table.markdown(table.HEADER, lines) + "\n", encoding="utf-8")
    title = f"{run.get('checkpoint') or run['policy']}: suite {run['suite']}"
    text = page.page(
        title,
        run,
        found,
        scores,
        comparisons=comparisons,
        pictures=_pictures(folder, checkpoint),
    )
    (folder / REPORT).write_text(text, encoding="utf-8")
    return table.terminal(table.HEADER, lines)


def _pictures(folder: Path, checkpoint: Path | None) -> list[str]:
    """Curves of the training, copied beside the page, and plots that stand there."""
    if checkpoint is not None:
        for curves in (checkpoint / CURVES, checkpoint.resolve().parent / CURVES):
            if curves.is_file():
                shutil.copyfile(curves, folder / CURVES)
                break
    return [name for name in (CURVES, OPEN_LOOP) if (folder / name).is_file()]
