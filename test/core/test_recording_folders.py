# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Names of episodes keep their promise, and nothing is ever deleted."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lapa_core.errors import RecordingError
from lapa_core.recording import episode, folders
from lapa_core.recording.episode import Episode

DRAFT = Episode(0, "stack", "op", "success", "", 0.0, "wx250s", "", "", "", "test")


def make(root: Path, n: int) -> Path:
    """A complete episode."""
    folder = folders.partial(root, n)
    folder.mkdir(parents=True)
    episode.write(dataclasses.replace(DRAFT, episode=n), folder)
    return folders.complete(folder)


def test_numbers_go_on_after_the_largest_whatever_its_state(tmp_path):
    root = tmp_path / "set"
    assert (folders.next_number(root), folders.episodes(root), folders.partials(root)) == (
        0,
        [],
        [],
    )
    kept = [make(root, n) for n in (0, 2, 12_345)]
    assert folders.partial(root, 12_346).name == "episode_12346.partial"
    folders.partial(root, 9).mkdir()
    (root / "episode_77").mkdir()  # not a name of ours: four digits
    (root / "episode_0100").write_text("a file")
    assert folders.episodes(root) == kept
    assert folders.partials(root) == [root / "episode_0009.partial"]
    assert folders.next_number(root) == 12_346


def test_complete_refuses_what_would_overwrite(tmp_path):
    done = make(tmp_path, 3)
    again = folders.partial(tmp_path, 3)
    again.mkdir()
    with pytest.raises(RecordingError, match=r"episode_0003 is there already: .* keeps its name"):
        folders.complete(again)
    assert again.is_dir() and episode.read(done).episode == 3
    with pytest.raises(RecordingError, match="complete already"):
        folders.complete(done)
    with pytest.raises(RecordingError, match="is no episode"):
        folders.complete(tmp_path)


def test_complete_brings_all_to_disk_before_the_name_and_the_name_after(tmp_path, monkeypatch):
    """In this order alone a power cut leaves no half episode under a whole name."""
    folder = folders.partial(tmp_path, 0)
    folder.mkdir()
    (folder / "a.mcap").write_bytes(b"x")
    (folder / ".reserve").write_bytes(b"x")
    said: list[str] = []
    sync, rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        said.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        said.append(f"rename to {Path(target).name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", lambda self, target: renamed(self, target))
    folders.complete(folder)
    assert said == [
        "a.mcap",
        "episode_0000.partial",
        "rename to episode_0000",
        tmp_path.name,
    ]
    assert [p.name for p in (tmp_path / "episode_0000").iterdir()] == ["a.mcap"]


def test_discarded_episodes_pile_up_and_are_marked(tmp_path):
    moved = []
    for _ in range(3):
        make(tmp_path, 0)
        moved.append(folders.discard(tmp_path / "episode_0000"))
    unfinished = folders.partial(tmp_path, 0)
    unfinished.mkdir()
    moved.append(folders.discard(unfinished))
    assert [m.relative_to(tmp_path).as_posix() for m in moved] == [
        "discarded/episode_0000",
        "discarded/episode_0000-1",
        "discarded/episode_0000-2",
        "discarded/episode_0000-3",
    ]
    assert {episode.read(m).outcome for m in moved[:3]} == {"discarded"}
    assert folders.next_number(tmp_path) == 0


def test_undo_takes_back_the_newest_again_and_again(tmp_path):
    for n in range(3):
        make(tmp_path, n)
    assert folders.undo_last(tmp_path).name == "episode_0002"
    assert folders.undo_last(tmp_path).name == "episode_0001"
    assert [f.name for f in folders.episodes(tmp_path)] == ["episode_0000"]
    folders.undo_last(tmp_path)
    with pytest.raises(RecordingError, match="no episode to take back"):
        folders.undo_last(tmp_path)
    assert len(list((tmp_path / "discarded").iterdir())) == 3


def test_a_folder_has_one_recorder_until_it_dies(tmp_path, repository):
    root = tmp_path / "new" / "set"
    code = (
        "import pathlib, sys\n"
        "from lapa_core.recording import folders\n"
        f"lock = folders.lock(pathlib.Path({str(root)!r}))\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=repository,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"locked\n"
        with pytest.raises(folders.InUseError, match=f"process {other.pid} records into"):
            folders.lock(root)
        other.kill()
    with folders.lock(root), pytest.raises(folders.InUseError, match=f"process {os.getpid()} "):
        folders.lock(root)
    folders.lock(root).release()


def test_free_room_is_told_also_of_folders_that_are_not_there(tmp_path):
    assert folders.free_bytes(tmp_path / "a" / "b") > 0
