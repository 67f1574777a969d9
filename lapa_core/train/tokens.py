# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Recorded episodes -> demonstrations with codes of the frozen VQGAN, kept on disk.

Each episode becomes one file in the cache, named after everything that went into it: the bag's
bytes, the VQGAN's weights, and every choice. A run that was killed goes on where it stopped, and
another run with the same choices reads the files. An episode that cannot be used is refused with
its reason and counted; the others are used. Knows nothing of language models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import torch

from lapa_core import crew
from lapa_core.data import demo_file
from lapa_core.data.demos import Demo, DemoSet, Traits, alike
from lapa_core.data.report import DataReport, EpisodeReport
from lapa_core.errors import DataError, LapaError, RecordingError
from lapa_core.model.vqgan import Vqgan
from lapa_core.train.encoding import Encoder, Lent, TokenParams
from lapa_core.train.sources import Source, open_source, traits_of

__all__ = ["Progress", "TokenParams", "build"]
SHOWN = 20  # refused episodes that an error names; the report has all


@dataclass(frozen=True)
class Progress:
    """How far the work is.

    Attributes:
        done, total: episodes.
        name: of the episode that was finished last.
        cached: whether it was read from the cache.
        error: why it was refused, or "".
    """

    done: int
    total: int
    name: str
    cached: bool
    error: str = ""


@dataclass(frozen=True)
class _Result:
    """Of one episode: where its file is or is to be; None where it was refused."""

    name: str
    path: Path | None
    cached: bool = False
    error: str = ""


def build(
    path: Path,
    *,
    vqgan: Vqgan,
    cache: Path,
    params: TokenParams | None = None,
    mapping: Path | None = None,
    workers: int = 1,
    progress: Callable[[Progress], None] | None = None,
    strict: bool = False,
) -> DemoSet:
    """Make the demonstrations of a data set.

    Args:
        path: its folder, or one episode's.
        vqgan: frozen; stays on its device, each worker process has a copy there.
        cache: folder of the files, made where it is missing.
        params: choices.
        mapping: what the topics mean in bags that we have not recorded.
        workers: processes; 1 works in this one.
        progress: told after every episode, in this thread.
        strict: whether one episode that cannot be used is an error.

    Raises:
        DataError: no episode at all, none that can be used, episodes of different robots, or,
            with `strict`, one that cannot be used; names each and why.
        RecordingError: the cache cannot be written, `DiskFullError` for want of room.
        ConfigError: a choice or the mapping is wrong.
    """
    params = params or TokenParams()
    source = open_source(path, params.labels, mapping, params.outcomes, params.flagged)
    _check_robot(source, params)
    _make_folder(cache)
    demo_file.clean(cache)
    encoder = Encoder(vqgan, params, cache)
    results = _all(source, encoder, workers, progress or (lambda _: None))
    return _join(source, params, results, strict)


def _check_robot(source: Source, params: TokenParams) -> None:
    """Refuse a mixture, and choices that no episode can meet, before anything is made.

    Raises:
        DataError: the episodes are of different robots.
        ConfigError: the robot has no such camera or state.
    """
    traits: dict[str, Traits] = {}
    for name in source.names:
        try:
            robot = source.robot(name)
        except (LapaError, KeyError):  # is said when its turn comes
            continue
        traits[name] = traits_of(robot)
        if len(traits) == 1:
            params.check(robot)
    if traits:
        alike(traits)


def _all(
    source: Source, encoder: Encoder, workers: int, tell: Callable[[Progress], None]
) -> list[_Result]:
    """Every episode's file, found or made; in the order of the names."""
    results: dict[str, _Result] = {}

    def take(result: _Result) -> None:
        results[result.name] = result
        tell(Progress(len(results), len(source.names), result.name, result.cached, result.error))

    missing: list[_Result] = []
    for name in source.names:
        found = _guarded(name, partial(encoder.find, source, name))
        if found.cached or found.error:
            take(found)
        else:
            missing.append(found)
    pieces = iter(missing)
    workers = max(1, min(workers, len(missing)))
    if workers == 1:
        for piece in pieces:
            take(_make(source, encoder, piece))
    else:
        with encoder.lent() as copy:
            crew.run(partial(_worker, source, copy), lambda: next(pieces, None), take, workers)
    return [results[n] for n in source.names]


@contextmanager
def _worker(source: Source, copy: Lent) -> Iterator[Callable[[_Result], _Result]]:
    """What another process works with; one thread each, or they would crowd the cores."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    yield partial(_make, source, copy.load())


def _make(source: Source, encoder: Encoder, missing: _Result) -> _Result:
    assert missing.path is not None
    path = missing.path
    return _guarded(missing.name, lambda: (encoder.make(source, missing.name, path), False))


def _guarded(name: str, work: Callable[[], tuple[Path, bool]]) -> _Result:
    """What came of it; whatever is wrong with the episode, but not a cache that takes no more."""
    try:
        return _Result(name, *work())
    except RecordingError:
        raise
    except (LapaError, OSError) as error:
        return _Result(name, None, error=f"{type(error).__name__}: {error}")


def _join(source: Source, params: TokenParams, results: list[_Result], strict: bool) -> DemoSet:
    """Read the files back as one set."""
    demos: list[Demo] = []
    traits: dict[str, Traits] = {}
    reports: list[EpisodeReport] = []
    for result in results:
        if result.path is None:
            reports.append(EpisodeReport(result.name, 0, 0, (), result.error))
            continue
        demo, traits[result.name], report = demo_file.load(result.path)
        demos.append(demo)
        reports.append(report)
    refused = [f"{r.name}: {r.error}" for r in reports if r.error]
    if refused and (strict or not demos):
        shown = refused[:SHOWN] + [f"and {len(refused) - SHOWN} more"] * (len(refused) > SHOWN)
        raise DataError(
            f"{len(refused)} of {len(results)} episodes of {source.path} cannot be used\n  "
            + "\n  ".join(shown)
        )
    common = alike(traits)
    whole = DataReport(
        source=str(source.path),
        episodes=tuple(reports),
        skipped=source.skipped,
        settings={**params.to_json(), **source.settings},
        findings=source.findings,
    )
    return DemoSet(
        robot=common.robot,
        dimensions=common.dimensions,
        cameras=common.cameras,
        state_names=common.state_names,
        step_time_s=common.step_time_s,
        gripper=common.gripper,
        demos=tuple(demos),
        report=whole,
    )


def _make_folder(cache: Path) -> None:
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(f"cannot make the cache {cache}: {error.strerror}") from None
