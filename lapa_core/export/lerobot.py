# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Demonstrations as a LeRobot dataset v3.0: `observation.images.<camera>`, `observation.state`,
`action`, the words as tasks.

Episode by episode a piece is written (`piece`), then all are joined. Killed on the way, it goes
on where it was. Names and units are ours (`lapa_core.types`): deltas of the commanded tool pose
in the arm's base [m, rad], gripper 1 open. Needs pyarrow.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from lapa_core.data.report import DataReport
from lapa_core.errors import DataError
from lapa_core.export import layout, moments, piece, tables, video
from lapa_core.export.folder import Output, lasting
from lapa_core.export.layout import ACTION, STATE, Limits, Place
from lapa_core.export.piece import Piece, Run
from lapa_core.export.source import Source, fingerprint, read

KIND = "lerobot"
FORMAT = 1  # of pieces: another one makes older pieces worthless
PIECES = "pieces"
SOURCES = "meta/lapa_sources.json"
Progress = Callable[[int, int], None]  # episodes done, of how many


def export(
    source: Source,
    out: Path,
    limits: Limits | None = None,
    progress: Progress = lambda done, total: None,
) -> DataReport | None:
    """Write the dataset.

    Args:
        source: what is exported.
        out: folder to be written.
        limits: of the files' sizes.
        progress: called after every episode.

    Returns:
        What was exported and what was left out; None if exactly this was there already.

    Raises:
        DataError: an episode cannot be read, no step is left, or `out` holds something else.
        ConfigError: pyarrow or the encoder is missing; the robot's steps or pictures do not fit.
        RecordingError: the disk refuses.
    """
    tables.require()
    video.require()
    layout.check(source)
    keys = {f.name: fingerprint(source, f, FORMAT) for f in source.folders}
    output = Output(out, KIND)
    content = {"format": FORMAT, "episodes": keys}
    if output.is_whole(content):
        return None
    output.begin()
    try:
        with lasting(output.work):
            pieces = _pieces(source, output.work / PIECES, keys, progress)
            _assemble(source, output.work, pieces, limits or Limits())
            shutil.rmtree(output.work / PIECES)
        output.finish(content)
    finally:
        output.close()
    return source.report_of(p.report for p in pieces)


def _pieces(source: Source, root: Path, keys: dict[str, str], progress: Progress) -> list[Piece]:
    rate_hz = layout.rate(source.robot.step_time_s)
    found = []
    for done, folder in enumerate(source.folders):
        progress(done, len(source.folders))
        place, key = root / folder.name, keys[folder.name]
        made = piece.load(place, key)
        if made is None:
            steps = read(source, folder)
            made = piece.make(source, steps, place, key=key, rate_hz=rate_hz)
        found.append(made)
    progress(len(source.folders), len(source.folders))
    for stranger in sorted(root.iterdir()):  # of a call with other episodes
        if stranger.name not in keys:
            shutil.rmtree(stranger)
    return found


def _assemble(source: Source, root: Path, pieces: Sequence[Piece], limits: Limits) -> None:
    """Join the pieces into the files of the dataset."""
    for part in ("meta", "data", "videos"):  # of a call that was killed right here
        shutil.rmtree(root / part, ignore_errors=True)
    runs = [r for p in pieces for r in p.runs]
    if not runs:
        why = {k: v for p in pieces for k, v in _reasons(p).items()}
        raise DataError(f"no step is left to export: {why}")
    words = list(dict.fromkeys(r.task for r in runs))
    rate_hz = layout.rate(source.robot.step_time_s)
    rows, columns = _rows(runs, words), _columns(source, runs, words, rate_hz)
    made = [tables.frames(c) for c in columns]
    data = layout.places([t.nbytes for t in made], limits.data_mib * layout.MIB)
    for place, parts in groupby(zip(data, made, strict=True), lambda p: p[0]):
        tables.write(root / layout.DATA.format(**place._asdict()), (t for _, t in parts))
    for row, place in zip(rows, data, strict=True):
        row |= {f"data/{k}": v for k, v in place._asdict().items()}
    notes = {c: _videos(root, c, runs, rows, rate_hz, limits) for c in source.samples.cameras}
    _meta(source, root, runs, rows, columns, words, notes)


def _reasons(made: Piece) -> dict[str, str]:
    return {made.report.name: "; ".join(str(r) for r in made.report.removed) or "no step"}


def _rows(runs: Sequence[Run], words: Sequence[str]) -> list[dict[str, Any]]:
    """A row of `meta/episodes` for each run, without files and statistics."""
    ends = np.cumsum([len(r) for r in runs]).tolist()
    return [
        {
            "episode_index": i,
            "tasks": [run.task],
            "length": len(run),
            "dataset_from_index": ends[i] - len(run),
            "dataset_to_index": ends[i],
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        for i, run in enumerate(runs)
    ]


def _columns(
    source: Source, runs: Sequence[Run], words: Sequence[str], rate_hz: int
) -> list[dict[str, Any]]:
    """The frames of each run, column by column."""
    found, begin = [], 0
    for number, run in enumerate(runs):
        count = np.arange(len(run))
        vectors = {STATE: run.state} if source.state_names else {}
        found.append(
            {
                **vectors,
                ACTION: run.actions,
                "timestamp": count / rate_hz,
                "frame_index": count,
                "episode_index": np.full(len(run), number),
                "index": begin + count,
                "task_index": np.full(len(run), words.index(run.task)),
            }
        )
        begin += len(run)
    return found


def _videos(
    root: Path,
    camera: str,
    runs: Sequence[Run],
    rows: Sequence[dict[str, Any]],
    rate_hz: int,
    limits: Limits,
) -> dict[str, Any]:
    """Join a camera's videos and note in the rows where each run is; what they are."""
    key = layout.video_key(camera)
    parts = [(r.videos[camera], len(r)) for r in runs]
    found = layout.places([p.stat().st_size for p, _ in parts], limits.video_mib * layout.MIB)
    for place, group in groupby(range(len(runs)), lambda i: found[i]):
        members = list(group)
        path = root / _video_path(key, place)
        path.parent.mkdir(parents=True, exist_ok=True)
        video.join([parts[i] for i in members], rate_hz, path)
        frames = 0
        for i in members:
            begin, frames = frames, frames + len(runs[i])
            rows[i].update({f"videos/{key}/{k}": v for k, v in place._asdict().items()})
            rows[i][f"videos/{key}/from_timestamp"] = begin / rate_hz
            rows[i][f"videos/{key}/to_timestamp"] = frames / rate_hz
    return video.describe(root / _video_path(key, found[0]))


def _video_path(key: str, place: Place) -> str:
    return layout.VIDEO.format(video_key=key, **place._asdict())


def _meta(
    source: Source,
    root: Path,
    runs: Sequence[Run],
    rows: list[dict[str, Any]],
    columns: Sequence[dict[str, Any]],
    words: Sequence[str],
    notes: dict[str, dict[str, Any]],
) -> None:
    """Everything below `meta/`."""
    for row, run, column in zip(rows, runs, columns, strict=True):
        for feature, stats in _stats([run], [column]).items():
            row |= {f"stats/{feature}/{name}": value for name, value in stats.items()}
    tables.write(root / layout.EPISODES, [tables.rows(rows)])
    tables.write(root / layout.TASKS, [tables.tasks(words)])
    features = layout.features(source, notes)
    frames = sum(len(r) for r in runs)
    _json(root / layout.INFO, layout.info(source, features, len(runs), frames, len(words)))
    _json(root / layout.STATS, _stats(runs, columns))
    origins = [{"episode": r.name, "first_step": r.first, "steps": len(r)} for r in runs]
    _json(root / SOURCES, origins)


def _stats(runs: Sequence[Run], columns: Sequence[dict[str, Any]]) -> dict[str, moments.Stats]:
    found: dict[str, moments.Stats] = {}
    frames = sum(len(r) for r in runs)
    for camera in runs[0].histograms:
        counts = np.sum([r.histograms[camera] for r in runs], axis=0)
        found[layout.video_key(camera)] = moments.of_pictures(counts, frames)
    for name in columns[0]:
        found[name] = moments.of_vectors(np.concatenate([c[name] for c in columns]))
    return found


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False), encoding="utf-8")
