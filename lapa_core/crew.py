# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Work shared out among processes, one piece at a time; which piece comes next may depend on what
came of those before.

The processes are started afresh (`spawn`) with one thread each, and end when the pipe to the
caller ends, whatever ended that. Knows nothing of the work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from lapa_core import errors
from lapa_core.errors import LapaError

# A worker's libraries would each start a thread a core.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LP_NUM_THREADS")
END_S = 5.0  # a worker ends when its piece has, or is ended

# Makes what does the work, in the process where it is done; can be sent to another process.
Setup = Callable[[], AbstractContextManager[Callable[[Any], Any]]]


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    busy: bool = False


def run(
    setup: Setup, following: Callable[[], Any | None], take: Callable[[Any], None], workers: int
) -> None:
    """Work until there is nothing left.

    Args:
        setup: gives a context with the function that does a piece.
        following: the next piece; None while there is none, which is asked again after results.
        take: told each result, in this process, as they come.
        workers: processes; 1 is this one.

    Raises:
        LapaError: of the work, or a process was killed.
    """
    if workers == 1:
        with setup() as do:
            while (piece := following()) is not None:
                take(do(piece))
        return
    crew: list[_Worker] = []
    try:
        _share_out(crew, setup, following, take, workers)
    finally:
        _end(crew)


def _share_out(
    crew: list[_Worker],
    setup: Setup,
    following: Callable[[], Any | None],
    take: Callable[[Any], None],
    workers: int,
) -> None:
    while True:
        while sum(w.busy for w in crew) < workers and (piece := following()) is not None:
            worker = next((w for w in crew if not w.busy), None)
            if worker is None:
                crew.append(worker := _start(setup))
            worker.busy = True
            with suppress(OSError):  # it has ended; what it said, or its exit code, is read next
                worker.pipe.send(piece)
        busy = {w.pipe: w for w in crew if w.busy}
        if not busy:
            return
        for pipe in wait(list(busy)):
            assert isinstance(pipe, Connection)
            take(_hear(busy[pipe]))


def _hear(worker: _Worker) -> Any:
    try:
        fault, result = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(END_S)
        raise LapaError(
            f"a worker process ended by itself (exit code {worker.process.exitcode}); what is "
            "done is kept: run the command again"
        ) from None
    if fault:
        raise _error(fault, result)
    worker.busy = False
    return result


def _end(crew: list[_Worker]) -> None:
    for worker in crew:
        worker.pipe.close()
        if worker.busy:  # nobody waits for what it is doing
            worker.process.terminate()
    for worker in crew:
        worker.process.join(END_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _start(setup: Setup) -> _Worker:
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=_work, args=(setup, its), daemon=True)
    with _one_thread():
        process.start()
    its.close()  # so that its end is heard here
    return _Worker(process, mine)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(setup: Setup, pipe: Connection) -> None:
    """A worker's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends it
    caller = multiprocessing.parent_process()
    assert caller is not None
    try:
        with setup() as do:
            while True:
                piece = pipe.recv()
                if not caller.is_alive():  # another may be in its place, and do this piece too
                    return
                pipe.send(("", do(piece)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except LapaError as error:
        pipe.send((type(error).__name__, str(error)))
    except Exception:
        pipe.send(("RuntimeError", traceback.format_exc()))


def _error(name: str, text: str) -> Exception:
    """The error of a worker, raised again here."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, LapaError):
        return kind(text)
    return RuntimeError(f"in a worker process:\n{text}")
