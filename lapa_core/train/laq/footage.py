# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""All that a latent action quantiser learns from: pairs of pictures of many clips.

Clips are decoded once, in processes of their own; training reads small JPEG. Imports no torch.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapa_core import crew
from lapa_core.data.footage import clips, moves, pairs, store
from lapa_core.data.footage.clips import Clip
from lapa_core.data.footage.pairs import PairParams
from lapa_core.data.footage.split import held_back, recording, shared
from lapa_core.data.footage.store import Stored, StoreParams
from lapa_core.errors import ConfigError, DataError
from lapa_core.types import FloatArray, ImageArray

SHOWN = 5
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Report:
    """What became of the footage.

    Attributes:
        clips, pictures, pairs: that are learnt from; pictures as they are kept.
        seconds: of footage, together.
        left: pictures that begin no pair, by reason.
        refused: name of a clip -> why nothing of it is used.
        damaged: name of a clip -> what ended it early.
    """

    clips: int
    pictures: int
    pairs: int
    seconds: float
    left: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """For a person."""
        found = [
            f"{self.clips} clips, {self.seconds / 60:.1f} min, {self.pictures} pictures kept, "
            f"{self.pairs} pairs"
        ]
        found += [
            f"  {count} pictures begin none: {why}" for why, count in sorted(self.left.items())
        ]
        for what, those in (("refused", self.refused), ("damaged", self.damaged)):
            found += [f"  {what}: {n}: {why}" for n, why in list(those.items())[:SHOWN]]
            if len(those) > SHOWN:
                found.append(f"  {what}: and {len(those) - SHOWN} more")
        return found


@dataclass(frozen=True)
class Footage:
    """Pairs to draw from.

    Attributes:
        clips: their files.
        owner: (n,) clip of each pair.
        rows: (n, k) its pictures there, the earlier one first; k is 2, or more of a film.
        report: what was left out.
        sources: what each clip was read from; empty where nobody asks.
    """

    clips: tuple[Stored, ...]
    owner: NDArray[np.int64]
    rows: NDArray[np.int64]
    report: Report
    sources: tuple[Clip, ...] = ()

    def __len__(self) -> int:
        """Pairs."""
        return len(self.owner)

    def pictures(self, which: NDArray[np.int64]) -> ImageArray:
        """(m, k, size, size, 3) RGB of these pairs."""
        count = self.rows.shape[1]
        found: list[ImageArray | None] = [None] * len(which)
        for clip in np.unique(self.owner[which]):
            mine = np.flatnonzero(self.owner[which] == clip)
            flat = list(self.clips[clip].pictures(self.rows[which[mine]].reshape(-1)))
            for number, place in enumerate(mine):
                found[place] = np.stack(flat[number * count : (number + 1) * count])
        return np.stack([f for f in found if f is not None])

    def moves(self, which: NDArray[np.int64]) -> FloatArray:
        """(m, 5 a) as of `data.footage.moves`, of the true states; NaN where nobody says."""
        width = max(c.states.shape[1] for c in self.clips)
        found = np.full((len(which), width), np.nan)
        for clip in np.unique(self.owner[which]):
            mine, states = self.owner[which] == clip, self.clips[clip].states
            if states.shape[1] == width:
                found[mine] = moves.between(states, self.rows[which[mine]])
        return found

    def names(self, which: NDArray[np.int64]) -> list[str]:
        """The clips of these pairs, each once."""
        return [self.clips[c].name for c in dict.fromkeys(self.owner[which].tolist())]

    def split(self, share: float, seed: int) -> tuple[Footage, Footage]:
        """To learn from, and to hold back: whole recordings, by the names of their clips.

        Raises:
            DataError: one clip cannot be split.
        """
        if not share:
            nothing = np.zeros(len(self), dtype=bool)
            return self, self.only(nothing)
        names = [c.path.name for c in self.clips]
        of = [recording(c.name) for c in self.sources]
        chosen = np.isin(self.owner, held_back(self.owner, names, share, seed, of))
        return self.only(~chosen), self.only(chosen)

    def only(self, chosen: NDArray[np.bool_]) -> Footage:
        """Some of the pairs."""
        return replace(self, owner=self.owner[chosen], rows=self.rows[chosen])

    def fingerprint(self) -> str:
        """The same footage and pairs give the same."""
        digest = hashlib.sha256()
        for clip in self.clips:
            digest.update(clip.path.name.encode())
        digest.update(self.owner.tobytes())
        digest.update(self.rows.tobytes())
        digest.update(shared(recording(c.name) for c in self.sources))
        return digest.hexdigest()[:16]


Piece = tuple[int, Clip]
Made = tuple[int, str, str]  # which clip, its file, or why there is none


@contextmanager
def _storing(params: StoreParams, cache: Path) -> Iterator[Callable[[Piece], Made]]:
    """Gives what makes a clip's file."""

    def make(piece: Piece) -> Made:
        number, clip = piece
        try:
            return number, str(store.store(clip, params, cache)), ""
        except DataError as error:
            return number, "", str(error)

    yield make


def read(
    paths: Sequence[Path],
    cache: Path,
    *,
    params: StoreParams,
    wanted: Sequence[PairParams],
    cameras: Collection[str] = (),
    workers: int = 1,
    progress: Tell = lambda done, total: None,
) -> Footage:
    """Find, decode where that is not done yet, and pair.

    Args:
        paths: folders or files.
        cache: where the clips' files go.
        params: how pictures are kept.
        wanted: what a pair is, of each path.
        cameras: of bags; none: all.
        workers: processes that decode.
        progress: told clips done, and in all.

    Raises:
        DataError: no such place, nothing to watch, or not one pair.
        ConfigError: a folder of frames without a rate.
    """
    if workers < 1:
        raise ConfigError(f"decoding needs 1 process or more, got {workers}")
    found, refused = clips.find_all(paths, cameras, params.rate_hz)
    files: dict[int, str] = {}
    queue = iter(enumerate(found))

    def take(made: Made) -> None:
        number, files[number], why = made
        if why:
            refused[str(found[number].path)] = why
        progress(len(files), len(found))

    setup = partial(_storing, params, cache)
    crew.run(setup, lambda: next(queue, None), take, min(workers, max(len(found), 1)))
    there = [i for i in range(len(found)) if files[i]]
    kept = [store.load(Path(files[i])) for i in there]
    each = [wanted[clips.origin(found[i], paths)] for i in there]
    return replace(pair(kept, each, refused), sources=tuple(found[i] for i in there))


def pair(kept: Sequence[Stored], wanted: Sequence[PairParams], refused: dict[str, str]) -> Footage:
    """All pairs of these clips.

    Args:
        kept: their files.
        wanted: what a pair is, of each clip.
        refused: what cannot be watched, and why.

    Raises:
        DataError: there is none.
    """
    owner, rows = [np.zeros(0, dtype=np.int64)], [np.zeros((0, 2), dtype=np.int64)]
    left: Counter[str] = Counter()
    used = 0
    for number, (clip, params) in enumerate(zip(kept, wanted, strict=True)):
        own, gone = pairs.pairs(clip, params)
        left += gone
        used += bool(len(own))
        owner.append(np.full(len(own), number))
        rows.append(own)
    report = Report(
        clips=used,
        pictures=sum(map(len, kept)),
        pairs=sum(map(len, owner)),
        seconds=sum(float(c.times_s[-1] - c.times_s[0]) for c in kept),
        left=left,
        refused=refused,
        damaged={c.name: c.damage for c in kept if c.damage},
    )
    if not report.pairs:
        raise DataError("not one pair of pictures to learn from:\n" + "\n".join(report.lines()))
    return Footage(tuple(kept), np.concatenate(owner), np.concatenate(rows), report)
