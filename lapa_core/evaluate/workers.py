# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Trials in several processes, each with a cell and a model of its own, and one thread.

The processes are started afresh (`spawn`), take one trial at a time, and write nothing but
films; results go to the caller. They end when the pipe to the caller ends, whatever ended that.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from lapa_core import errors
from lapa_core.errors import LapaError
from lapa_core.evaluate import actors, rollout
from lapa_core.evaluate.actors import Job
from lapa_core.evaluate.rollout import Task
from lapa_core.evaluate.scores import Score

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
END_S = 5.0  # a worker ends when its trial has, or is ended


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    filming: bool = False


class Budget:
    """How many more failures are wanted as film; trials being filmed count until they end."""

    def __init__(self, films: int) -> None:
        self._left = films

    def take(self) -> bool:
        """Whether the next trial is filmed."""
        if self._left <= 0:
            return False
        self._left -= 1
        return True

    def give_back(self) -> None:
        """One that was filmed has left no film."""
        self._left += 1


def run(
    job: Job,
    tasks: Sequence[Task],
    *,
    workers: int,
    films: int,
    take: Callable[[Score], None],
) -> None:
    """Run all tasks; `take` is called in this process with each result, as they come.

    Args:
        job: who acts, and where.
        tasks: in the order they are begun.
        workers: processes; 1 is this one.
        films: at most so many failures leave a film.
        take: told each result.

    Raises:
        LapaError: the policy or the robot cannot be used, or a process was killed.
    """
    if not tasks:
        return
    budget = Budget(films)
    if workers == 1:
        _here(job, tasks, budget, take)
    else:
        _Pool(job, deque(tasks), min(workers, len(tasks)), budget, take).run()


def _here(job: Job, tasks: Sequence[Task], budget: Budget, take: Callable[[Score], None]) -> None:
    cell, actor = actors.make(job)
    try:
        for task in tasks:
            filming = budget.take()
            score = rollout.run(
                cell, actor, task, max_s=job.max_s, out=job.out if filming else None
            )
            if filming and not score.film:
                budget.give_back()
            take(score)
    finally:
        cell.close()


class _Pool:
    """Processes and what they are doing."""

    def __init__(
        self,
        job: Job,
        tasks: deque[Task],
        count: int,
        budget: Budget,
        take: Callable[[Score], None],
    ) -> None:
        self._job, self._tasks, self._budget, self._take = job, tasks, budget, take
        self._count = count
        self._workers: list[_Worker] = []

    def run(self) -> None:
        """Until every task has a result."""
        try:
            for _ in range(self._count):
                self._workers.append(_start(self._job))
            for worker in self._workers:
                self._give(worker)
            left = len(self._workers)
            while left:
                pipes = [w.pipe for w in self._workers if not w.pipe.closed]
                for pipe in wait(pipes):
                    worker = next(w for w in self._workers if w.pipe is pipe)
                    self._hear(worker)
                    if not self._give(worker):
                        left -= 1
        finally:
            self._end()

    def _give(self, worker: _Worker) -> bool:
        """The next task; without one the worker ends."""
        if not self._tasks:
            worker.pipe.close()
            return False
        worker.filming = self._budget.take()
        try:
            worker.pipe.send((self._tasks.popleft(), worker.filming))
        except OSError:  # it has ended; what it said, or its exit code, is read next
            return True
        return True

    def _hear(self, worker: _Worker) -> None:
        try:
            told = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(END_S)
            raise LapaError(
                f"a worker of the evaluation ended by itself (exit code "
                f"{worker.process.exitcode}); what is done is kept: run the command again"
            ) from None
        if not isinstance(told, Score):
            raise _error(*told)
        if worker.filming and not told.film:
            self._budget.give_back()
        self._take(told)

    def _end(self) -> None:
        for worker in self._workers:
            worker.pipe.close()
        unfinished = bool(self._tasks)
        for worker in self._workers:
            if unfinished:  # nobody waits for what it is doing
                worker.process.terminate()
            worker.process.join(END_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _start(job: Job) -> _Worker:
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=_work, args=(job, its), name="evaluation", daemon=True)
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        process.start()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    its.close()  # so that its end is heard here
    return _Worker(process, mine)


def _work(job: Job, pipe: Connection) -> None:
    """A worker's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends it
    try:
        cell, actor = actors.make(job)
        try:
            while True:
                task, filming = pipe.recv()
                out = job.out if filming else None
                pipe.send(rollout.run(cell, actor, task, max_s=job.max_s, out=out))
        finally:
            cell.close()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except LapaError as error:
        pipe.send((type(error).__name__, str(error)))
    except Exception:
        pipe.send(("", traceback.format_exc()))


def _error(name: str, text: str) -> Exception:
    """The error of a worker, raised again here."""
    kind = getattr(errors, name, None) if name else None
    if isinstance(kind, type) and issubclass(kind, LapaError):
        return kind(text)
    return RuntimeError(f"in a worker of the evaluation:\n{text}")
