# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A kill at every place where it can make a difference: no moment is left to chance.

    python benchmarks/crash_points.py

Between two calls that change the disk, one kill is as good as another. So a process that saves an
episode, and one that recovers one, is killed before its first such call, before its second, and so
on until it comes through; after each, what `crash_check` asks for must hold.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crash_check import Violation, check_complete
from crash_writer import STRING, draft, write

from lapa_core.recording import episode, folders
from lapa_core.recording.bag import BagWriter, Qos, Topic
from lapa_core.recording.recover import recover

CALLS = (
    "open",
    "writev",
    "fsync",
    "rename",
    "replace",
    "unlink",
    "mkdir",
    "ftruncate",
    "posix_fallocate",
)
TOPIC, MESSAGES = "/camera", 12


def main() -> int:
    """Go through both; print how many places there were, as JSON."""
    with tempfile.TemporaryDirectory(prefix="lapa_crash_") as made:
        content = {"save": saves(Path(made)), "recover": recovers(Path(made))}
    print(json.dumps(content))
    return 0


def saves(folder: Path) -> int:
    """Kill a recorder before each of its calls; returns how many it makes."""
    point, through, root = 0, False, folder / "saved"
    while not through:
        said, through = _killed_before(point, lambda: _save(root))
        there = _numbers(root)
        if "saved" in said and there != list(range(MESSAGES)):
            raise Violation(f"call {point}: saved, and {there} is there")
        if root.exists():
            list(recover(root))
        there, flushed = _numbers(root), MESSAGES // 2 if "flushed" in said else 0
        if folders.partials(root) or there != list(range(len(there))) or len(there) < flushed:
            raise Violation(f"call {point}: {flushed} messages were flushed, {there} recovered")
        shutil.rmtree(root, ignore_errors=True)
        point += 1
    return point - 1


def recovers(folder: Path) -> int:
    """Kill `recover` before each of its calls; returns how many it makes."""
    cut, root, point, through = folder / "cut", folder / "recovered", 0, False
    _killed_before(10_000, lambda: _save(cut, half=True))
    while not through:
        shutil.copytree(cut, root)
        _, through = _killed_before(point, lambda: list(recover(root)))
        _numbers(root)  # nothing half-visible
        list(recover(root))
        if (there := _numbers(root)) != list(range(MESSAGES // 2)) or folders.partials(root):
            raise Violation(f"call {point}: {there} recovered")
        shutil.rmtree(root)
        point += 1
    return point - 1


def _save(root: Path, *, half: bool = False) -> None:
    with folders.lock(root):
        folder = folders.partial(root, 0)
        bag = BagWriter(folder)
        episode.write(draft(0, "recovered"), folder)
        topic = bag.add_topic(Topic(TOPIC, STRING, "string data\n", (Qos(),)))
        for number in range(MESSAGES):
            write(bag, topic, TOPIC, number, 100, quiet=True)
            if number == MESSAGES // 2 - 1:
                bag.flush()
                os.write(1, b"flushed\n")
                if half:
                    os.kill(os.getpid(), signal.SIGKILL)
        bag.close()
        episode.write(draft(0, "success"), folder)
        folders.complete(folder)
        os.write(1, b"saved\n")


def _numbers(root: Path) -> list[int]:
    """Of the messages that are visible."""
    contents: dict[int, Any] = check_complete(root)
    return [number for number, _ in contents.get(0, {}).get(TOPIC, [])]


def _killed_before(point: int, act: Callable[[], object]) -> tuple[str, bool]:
    """Run `act` in a process that is killed before its call number `point`.

    Returns:
        What it said, and whether it came through before that.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(theirs, 1)
        _count_calls(point)
        act()
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as stream:  # noqa: PTH123 - a descriptor
        said = stream.read().decode()
    _, status = os.waitpid(child, 0)
    if not (os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0):
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            raise Violation(f"call {point}: the process failed by itself")
        return said, False
    return said, True


def _count_calls(point: int) -> None:
    """Let the process kill itself before its call number `point`."""
    made = 0

    def counting(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal made
            if made == point:
                os.kill(os.getpid(), signal.SIGKILL)
            made += 1
            return call(*args, **kwargs)

        return wrapper

    for name in CALLS:
        setattr(os, name, counting(getattr(os, name)))


if __name__ == "__main__":
    sys.exit(main())
