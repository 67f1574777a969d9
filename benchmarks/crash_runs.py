# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One run of the crash suite: a recorder in a process of its own, ended, recovered and judged."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from crash_check import Journal, Violation, check_complete, check_saved, lost_s

from lapa_core.recording import folders
from lapa_core.recording.recover import recover

WRITER = Path(__file__).with_name("crash_writer.py")
REPOSITORY = Path(__file__).resolve().parent.parent
LATEST_KILL_S = 2.0
LONG_S = 60.0


def spread(values: list[float]) -> dict[str, float]:
    """Median, 99th percentile and largest of some seconds."""
    ordered = sorted(values) or [0.0]
    picked = {"median": 0.5, "p99": 0.99, "max": 1.0}
    return {k: round(ordered[int(q * (len(ordered) - 1))], 3) for k, q in picked.items()}


def episode_s(chance: random.Random) -> float:
    """How long the episodes are: short ones are saved often, long ones show what a kill costs."""
    return chance.choice([chance.uniform(0.15, 0.8), LONG_S])


def kill_once(root: Path, chance: random.Random, *, kill_recover: bool = False) -> dict[str, Any]:
    """One run.

    Returns:
        What was lost, when it was killed, and how much was saved and recovered.

    Raises:
        Violation: something saved is lost or half-visible, or the recovered has a hole.
    """
    with Writer(root, episode_s(chance)) as writer:
        writer.wait_for("start")
        time.sleep(chance.uniform(0.0, LATEST_KILL_S))
        killed_ns = time.monotonic_ns()
        writer.process.kill()
    journal = writer.journal
    check_saved(journal, check_complete(root))
    interrupted = interrupt_recover(root, chance) if kill_recover else 0
    return judge(root, journal, killed_ns) | {"recover killed": interrupted}


def judge(root: Path, journal: Journal, killed_ns: int) -> dict[str, Any]:
    """Recover the data set and compare it with what was handed over."""
    left = folders.partials(root)
    reports = list(recover(root))
    if any(r.state in ("busy", "failed") for r in reports) or folders.partials(root):
        raise Violation(f"not recovered: {[r.text for r in reports]}")
    if any(r.state != "whole" for r in recover(root)):
        raise Violation("a second recover found something to do")
    contents = check_complete(root)
    check_saved(journal, contents)
    number = max(journal.handed)
    lost = lost_s(journal.handed[number], contents.get(number, {}), killed_ns)
    found = sum(len(n) for topics in contents.values() for n in topics.values())
    return {
        "lost_s": lost,
        "phase": journal.last,
        "episodes saved": len(journal.saved),
        "episodes recovered": len(left),
        "messages": found,
    }


def interrupt_recover(root: Path, chance: random.Random) -> int:
    """Kill `lapa recover` twice; what is visible must stay whole.

    Returns:
        How often it was still at work.
    """
    alive = 0
    for _ in range(2):
        command = [sys.executable, "-m", "lapa_core.cli", "recover", str(root)]
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as process:
            time.sleep(chance.uniform(0.1, 0.45))
            alive += process.poll() is None
            process.kill()
        check_complete(root)
    return alive


class Writer:
    """The child, and what it said so far."""

    def __init__(self, root: Path, seconds: float | None) -> None:
        argv = [str(root), *(["--until-told"] if seconds is None else ["--seconds", str(seconds)])]
        self.journal = Journal()
        self.process = subprocess.Popen(
            [sys.executable, str(WRITER), *argv],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._changed = threading.Condition()
        self._said: set[str] = set()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for its end (kill it first, or let it end) and for its last words."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._thread.join()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def tell(self) -> None:
        """Ask it to save."""
        assert self.process.stdin is not None
        self.process.stdin.write("save\n")
        self.process.stdin.flush()

    def wait_for(self, word: str, timeout_s: float = 30.0) -> bool:
        """Until it says a word; False when it does not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: word in self._said, timeout_s)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.journal.take(line)
                self._said.add(line.split()[0])
                self._changed.notify_all()
