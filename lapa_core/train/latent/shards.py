# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The examples of `lapa label` in memory: one picture's tokens and one latent action a row.

n examples, V tokens of a picture, N codes of an action. Half a kilobyte an example, so millions
fit. Imports no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapa_core.data.footage.split import held_back, recording, shared
from lapa_core.errors import DataError
from lapa_core.label import lines, shard
from lapa_core.label.plan import read_manifest
from lapa_core.label.words import SILENT

UNKNOWN = ""  # what the reference's jsonl does not say


@dataclass(frozen=True)
class Corpus:
    """Examples.

    Attributes:
        texts: different instructions.
        said: (n,) which of them.
        vision: (n, V).
        latent: (n, N).
        clips: names of the clips.
        clip: (n,) which of them.
        vqgan: fingerprint of the VQGAN whose tokens these are, or `UNKNOWN`; of several one.
        center_crop: whether pictures were cropped before.
        codes: different codes of each place of an action.
        silent: examples without words, which say `SILENT`.
    """

    texts: tuple[str, ...]
    said: NDArray[np.int64]
    vision: NDArray[np.int64]
    latent: NDArray[np.int64]
    clips: tuple[str, ...]
    clip: NDArray[np.int64]
    vqgan: str
    center_crop: bool
    codes: int
    silent: int = 0

    def __len__(self) -> int:
        """Examples."""
        return len(self.said)

    def only(self, chosen: NDArray[np.bool_]) -> Corpus:
        """Some of the examples."""
        return Corpus(
            self.texts, self.said[chosen], self.vision[chosen], self.latent[chosen], self.clips,
            self.clip[chosen], self.vqgan, self.center_crop, self.codes, self.silent,
        )  # fmt: skip

    def split(self, share: float, seed: int) -> tuple[Corpus, Corpus]:
        """To learn from, and to hold back: whole recordings, by the names of their clips.

        Raises:
            DataError: one clip cannot be split.
        """
        if not share:
            return self, self.only(np.zeros(len(self), dtype=bool))
        of = [recording(name) for name in self.clips]
        held = np.isin(self.clip, held_back(self.clip, self.clips, share, seed, of))
        return self.only(~held), self.only(held)

    def fingerprint(self) -> str:
        """The same examples in the same order give the same."""
        digest = hashlib.sha256(repr((self.texts, self.clips, self.center_crop)).encode())
        for array in (self.said, self.vision, self.latent, self.clip):
            digest.update(array.tobytes())
        digest.update(shared(map(recording, self.clips)))
        return digest.hexdigest()[:16]


def read(folders: Sequence[Path]) -> Corpus:
    """All shards of some folders, or the reference's jsonl.

    Raises:
        DataError: a shard cannot be read or is missing, there is no example, the examples are
            not alike, or the folders are of different image tokenizers or latent actions.
    """
    texts: dict[str, int] = {}
    clips: dict[str, int] = {}
    said, clip, vision, latent, facts = [], [], [], [], []
    silent = 0
    for folder in folders:
        facts.append(_manifest(folder))
        for example in _examples(folder):
            silent += not example["instruction"].strip()
            words = example["instruction"].strip() or SILENT
            said.append(texts.setdefault(words, len(texts)))
            name = f"{folder.name}/{example['clip']}" if len(folders) > 1 else example["clip"]
            clip.append(clips.setdefault(name, len(clips)))
            vision.append(np.array(example["vision"], dtype=np.int64))
            latent.append(np.array(example["latent"], dtype=np.int64))
    if not said:
        raise DataError(f"no example in {', '.join(map(str, folders))}")
    for what, rows in (("picture tokens", vision), ("codes", latent)):
        if len(counts := {len(row) for row in rows}) > 1:
            raise DataError(f"examples have different numbers of {what}: {sorted(counts)}")
    for what, key in (("image tokenizers", "vqgan"), ("latent actions", "laq"),
                      ("crops", "center_crop")):  # fmt: skip
        if len({f[key] for f in facts} - {UNKNOWN}) > 1:
            raise DataError(f"{', '.join(map(str, folders))} are of different {what}")
    return Corpus(
        tuple(texts), np.array(said), np.stack(vision), np.stack(latent), tuple(clips),
        np.array(clip), *_common(facts, latent), silent,
    )  # fmt: skip


def files(folder: Path) -> list[Path]:
    """The shards of a folder.

    Raises:
        DataError: it is none, or lacks some.
    """
    count = len(_manifest(folder)["shards"])
    return [folder / f"shard-{i:05d}.parquet" for i in range(count)]


def _common(
    facts: Sequence[Mapping[str, Any]], latent: Sequence[NDArray[np.int64]]
) -> tuple[str, bool, int]:
    """VQGAN, crop and number of codes, as far as one of the folders says."""
    known = {k: v for f in facts for k, v in f.items() if v != UNKNOWN}
    codes = int(known.get("codes", max(int(row.max()) for row in latent) + 1))
    return str(known.get("vqgan", UNKNOWN)), bool(known.get("center_crop", False)), codes


def _examples(folder: Path) -> Iterator[dict[str, Any]]:
    if folder.suffix == lines.SUFFIX:
        yield from lines.read(folder)
        return
    for file in sorted(folder.glob("shard-*.parquet")):
        yield from shard.read(file)


def _manifest(folder: Path) -> dict[str, Any]:
    """What a folder of shards is, all of which are there."""
    if folder.suffix == lines.SUFFIX:
        return dict.fromkeys(("vqgan", "laq", "center_crop", "codes"), UNKNOWN)
    known = read_manifest(folder)
    wanted = [f"shard-{i:05d}.parquet" for i in range(len(known["shards"]))]
    if missing := [name for name in wanted if not (folder / name).is_file()]:
        raise DataError(
            f"{folder} lacks {len(missing)} of {len(wanted)} shards, such as {missing[0]}: "
            "`lapa label` goes on with it"
        )
    return known
