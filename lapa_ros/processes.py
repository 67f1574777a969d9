# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Our nodes as separate processes: started with the right environment, ended in bounded time.

For `lapa demo` and the tests, which run where no `ros2 launch` is installed. On a robot the
launch files do the same.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from lapa_ros import environment

GRACE_S = 1.5  # from SIGINT to SIGABRT: with the rest of an ending it stays within 3 s
ABORT_S = 0.3  # and from there to SIGKILL
STARTED_BY = "LAPA_STARTED_BY"  # process id, for `end_with_starter`


class NodeProcess:
    """One node in a process of its own, its output kept in a file."""

    def __init__(
        self,
        node: str,
        parameters: Mapping[str, object],
        log: Path,
        extra_environment: Mapping[str, str] | None = None,
        remappings: Mapping[str, str] | None = None,
        command_prefix: Sequence[str] = (),
    ) -> None:
        self.node = node
        self.log = log
        arguments = ["--ros-args"]
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            arguments += ["-p", f"{name}:={_quoted(value, text)}"]
        for old, new in (remappings or {}).items():
            arguments += ["-r", f"{old}:={new}"]
        variables = {
            **os.environ,
            **environment.dds_variables(),
            "PYTHONFAULTHANDLER": "1",  # see `abort`
            STARTED_BY: str(os.getpid()),
            **(extra_environment or {}),
        }
        self._file = log.open("wb")
        # A session of its own: a Ctrl-C in the terminal reaches only the parent, which then
        # ends the nodes in order.
        self.process = subprocess.Popen(
            [*command_prefix, sys.executable, "-m", f"lapa_ros.{node}", *arguments],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=variables,
            start_new_session=True,
        )

    def running(self) -> bool:
        """Whether the process is still there."""
        return self.process.poll() is None

    def interrupt(self) -> None:
        """Ask it to end (SIGINT)."""
        if self.running():
            self.process.send_signal(signal.SIGINT)

    def abort(self) -> None:
        """End it at once, but let it write into its log where each thread hangs."""
        self.process.send_signal(signal.SIGABRT)
        try:
            self.process.wait(timeout=ABORT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self.running():
            self.process.kill()
        self.process.wait()

    def last_lines(self, count: int = 15) -> str:
        """The end of its output."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-count:])

    def close(self) -> None:
        """Release the log file."""
        self._file.close()


@contextmanager
def interrupt_deferred() -> Iterator[None]:
    """Let a Ctrl-C wait until the block is done: none may fall between a start and its record.

    A blocked signal would not do: a child inherits the mask and could not be interrupted.
    """
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt


def stop_all(nodes: list[NodeProcess], grace_s: float = GRACE_S) -> dict[str, int]:
    """Interrupt all, wait up to `grace_s` together, abort the rest; exit code of each."""
    for node in nodes:
        node.interrupt()
    deadline = time.monotonic() + grace_s
    for node in nodes:
        try:
            node.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            node.abort()
        node.close()
    return {node.node: int(node.process.returncode) for node in nodes}


def end_with_starter() -> None:
    """Send this node a SIGTERM when the process whose `NodeProcess` it is has ended.

    Killed, or told to end by a signal that it does not handle, that process can stop nobody, and
    its nodes have sessions of their own. A node that was started in another way is left alone, and
    so is one on a kernel without `pidfd_open` (Linux before 5.3).
    """
    starter = os.environ.get(STARTED_BY)
    if starter is None:
        return

    def end() -> None:
        print(f"the process that started this node ({starter}) has ended", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        pidfd = os.pidfd_open(int(starter))
    except ProcessLookupError:
        end()
        return
    except (OSError, ValueError):  # the latter: what stands there is no process
        return

    def wait() -> None:
        select.select([pidfd], [], [])
        end()

    threading.Thread(target=wait, name="starter", daemon=True).start()


def leave(code: int) -> NoReturn:
    """End this process now, after everything of ours has been closed.

    What Python would still do is to unload the OpenGL and DDS libraries, whose threads crash or
    hang in it: 1 of 120 simulations did.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _quoted(value: object, text: str) -> str:
    """As ROS reads parameter values: YAML. Strings are quoted, so that `yes` stays text."""
    return "'" + text.replace("'", "''") + "'" if isinstance(value, str) else text
