# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Disks that fail, real ones: full, stalled, without power. Linux, as root; else left out.

- Full: a tmpfs and an ext4 file system of a few megabytes.
- Broken: an ext4 in a sparse file on a tmpfs that is smaller than it; what does not fit ends as
  an input/output error of the disk.
- Stalled: `fsfreeze` on an ext4 in a file (a loop device): every write and sync then hangs, as on
  a disk that does not answer, until it is thawed.
- Without power: the recorder is stopped, the file behind the loop device copied as it is, and the
  copy mounted. It holds what the file system had handed to the disk and nothing of what was still
  in memory, as after a pulled plug; ext4 replays its journal.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crash_check import Violation, check_complete, check_saved
from crash_runs import Writer, episode_s, judge, spread
from crash_writer import STRING, draft, write

from lapa_core.errors import DiskFullError, RecordingError
from lapa_core.recording import episode, folders
from lapa_core.recording.bag import BagWriter, Qos, Topic
from lapa_core.recording.recover import recover

SMALL_MB, LARGE_MB = 24, 256
STALLED_S = 1.5
PREFIX = "lapa_crash_"
TOPIC = "/camera"


def reason_not_to() -> str:
    """Why disks cannot be made here, or ""."""
    if os.geteuid() != 0:
        return "mounting needs root"
    missing = [t for t in ("mount", "mkfs.ext4", "fsfreeze") if shutil.which(t) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        with TemporaryDirectory(prefix=PREFIX) as made, disk(Path(made), SMALL_MB):
            return ""
    except subprocess.CalledProcessError as error:
        return f"{error.cmd[0]} is not allowed"


@contextlib.contextmanager
def disk(
    folder: Path, megabytes: int, *, tmpfs: bool = False, image: str = "img"
) -> Iterator[Path]:
    """A small file system of its own; yields where it is mounted. An image there is mounted."""
    place, file = folder / f"{image}-mounted", folder / image
    place.mkdir()
    if tmpfs:
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    else:
        if not file.exists():
            with file.open("wb") as made:
                made.truncate(megabytes << 20)
            _call("mkfs.ext4", "-q", "-m", "0", str(file))
        command = ["mount", "-o", "loop", str(file), str(place)]
    _call(*command)
    try:
        yield place
    finally:
        deadline = time.monotonic() + 20.0
        # a process that was killed lets go of its files a moment later
        while subprocess.run(["umount", str(place)], stderr=subprocess.DEVNULL).returncode:
            if time.monotonic() > deadline:
                raise Violation(f"{place} stays in use")
            time.sleep(0.05)


def full() -> dict[str, Any]:
    """Record until the disk is full: everything taken must be in a complete bag."""
    if reason := reason_not_to():
        return {"left out": reason}
    found: dict[str, Any] = {"violations": []}
    for kind in ("tmpfs", "ext4"):
        tmpfs = kind == "tmpfs"
        with (
            TemporaryDirectory(prefix=PREFIX) as made,
            disk(Path(made), SMALL_MB, tmpfs=tmpfs) as place,
        ):
            try:
                found[kind] = {"messages kept": fill_and_complete(place / "set")}
                fill_and_recover(place / "set")
            except Violation as error:
                found["violations"].append(f"{kind}: {error}")
    return found


def fill_and_complete(root: Path) -> int:
    """One episode, saved when the disk is full; returns how many messages it has."""
    folder, bag, taken = _record(root, 1_000_000)
    bag.close()
    episode.write(draft(0, "success"), folder)
    folders.complete(folder)
    numbers = check_complete(root)[0][TOPIC]
    if [n for n, _ in numbers] != list(range(taken)):
        raise Violation(f"{taken} messages were taken, {len(numbers)} are there")
    return taken


def fill_and_recover(root: Path) -> None:
    """One episode, left by a crash on a full disk: recovered once there is room."""
    shutil.rmtree(root)
    folder, bag, _ = _record(root, 40)
    bag.flush()
    bag.abort()
    ballast = root / "ballast"
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    before = {p.name: p.read_bytes() for p in folder.glob("*.mcap")}
    (report,) = recover(root)
    if report.state != "failed" or before != {
        p.name: p.read_bytes() for p in folder.glob("*.mcap")
    }:
        raise Violation(f"recover without room: {report.state}, {report.text}")
    ballast.unlink()
    (report,) = recover(root)
    numbers = check_complete(root).get(0, {}).get(TOPIC, [])
    if report.state != "saved" or [n for n, _ in numbers] != list(range(len(numbers))):
        raise Violation(f"recover with room: {report.state}, {report.text}")


def broken() -> dict[str, Any]:
    """Record until the disk reports an error: it is named, and never answered with a saved bag."""
    if reason := reason_not_to():
        return {"left out": reason}
    found: dict[str, Any] = {"violations": []}
    with (
        TemporaryDirectory(prefix=PREFIX) as made,
        disk(Path(made), SMALL_MB // 2, tmpfs=True) as thin,
        disk(thin, LARGE_MB) as place,
    ):
        bag, errors = BagWriter(folders.partial(place / "set", 0)), []
        topic = bag.add_topic(Topic(TOPIC, STRING, "string data\n", (Qos(),)))
        for act in (lambda: _write_for_ever(bag, topic), bag.close):
            try:
                act()
            except RecordingError as error:
                errors.append(type(error).__name__)
        bag.abort()
        if errors != ["RecordingError", "RecordingError"] or folders.episodes(place / "set"):
            found["violations"].append(f"a broken disk gave {errors}")
    return found


def stalls(runs: int, chance: random.Random) -> dict[str, Any]:
    """Save while the disk hangs: no answer before the data is on it, nothing half-visible."""
    if reason := reason_not_to():
        return {"left out": reason}
    violations, waited = [], []
    for run in range(runs):
        with TemporaryDirectory(prefix=PREFIX) as made, disk(Path(made), LARGE_MB) as place:
            try:
                waited.append(stall_once(place, chance, kill=run % 2 == 1))
            except Violation as error:
                violations.append(f"run {run}: {error}")
    return {"runs": runs, "save waited_s": spread(waited), "violations": violations}


def stall_once(place: Path, chance: random.Random, *, kill: bool) -> float:
    """One stall, with the recorder killed in it or left to finish; returns how long it took."""
    root = place / "set"
    with Writer(root, None) as writer:
        writer.wait_for("start")
        time.sleep(chance.uniform(0.3, 1.0))
        _call("fsfreeze", "-f", str(place))
        frozen = time.monotonic()
        try:
            writer.tell()
            if writer.wait_for("saved", STALLED_S) or folders.episodes(root):
                raise Violation("save answered while nothing could reach the disk")
            if kill:
                writer.process.kill()
        finally:
            _call("fsfreeze", "-u", str(place))
        if not kill and not writer.wait_for("saved"):
            raise Violation("save did not end after the stall")
        took = time.monotonic() - frozen
    check_saved(writer.journal, check_complete(root))
    lost = judge(root, writer.journal, int(frozen * 1e9))["lost_s"]
    if lost > 0.5:
        raise Violation(f"{lost:.3f} s from before the stall are lost")
    return took


def power_cuts(runs: int, chance: random.Random) -> dict[str, Any]:
    """Cut the power at random moments."""
    if reason := reason_not_to():
        return {"left out": reason}
    violations, lost, saved = [], [], 0
    for run in range(runs):
        with TemporaryDirectory(prefix=PREFIX) as made:
            try:
                one = cut_once(Path(made), chance)
            except Violation as error:
                violations.append(f"run {run}: {error}")
                continue
        lost.append(one["lost_s"])
        saved += one["episodes saved"]
    return {
        "runs": runs,
        "episodes saved": saved,
        "lost_s": spread(lost),
        "violations": violations,
    }


def cut_once(folder: Path, chance: random.Random) -> dict[str, Any]:
    """One power cut.

    Raises:
        Violation: as `crash_runs.judge`.
    """
    with disk(folder, LARGE_MB) as place, Writer(place / "set", episode_s(chance)) as writer:
        writer.wait_for("start")
        time.sleep(chance.uniform(0.3, 2.0))
        cut_ns = time.monotonic_ns()
        writer.process.send_signal(signal.SIGSTOP)
        _call("cp", "--sparse=always", str(folder / "img"), str(folder / "copy"))
        writer.process.kill()
    with disk(folder, LARGE_MB, image="copy") as place:
        check_saved(writer.journal, check_complete(place / "set"))
        return judge(place / "set", writer.journal, cut_ns)


def _write_for_ever(bag: BagWriter, topic: int) -> None:
    for number in itertools.count():
        write(bag, topic, TOPIC, number, 100_000, quiet=True)
        time.sleep(0.005)  # a sync has to come in between


def _record(root: Path, messages: int) -> tuple[Path, BagWriter, int]:
    """Write until so many are taken or the disk is full; returns how many were."""
    folder, taken = folders.partial(root, 0), 0
    bag = BagWriter(folder)
    episode.write(draft(0, "recovered"), folder)
    topic = bag.add_topic(Topic(TOPIC, STRING, "string data\n", (Qos(),)))
    with contextlib.suppress(DiskFullError):
        while taken < messages:
            taken += 1  # also the one that raises: it waits for `close`
            write(bag, topic, TOPIC, taken - 1, 100_000, quiet=True)
    return folder, bag, taken


def _call(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
