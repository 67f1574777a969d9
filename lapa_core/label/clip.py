# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One clip through both networks: picture tokens of each frame that begins a pair, and codes of
what is done in the pair: its latent action, or a motion.

n frames kept, m pairs, N codes of an action, V tokens of a picture. Of the frames themselves no
more are held than a pair is long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from lapa_core.data import cuts, images
from lapa_core.data.footage import moves, pairs, store
from lapa_core.data.footage.clips import Clip, Frame, frames
from lapa_core.data.footage.pairs import SLACK, PairParams
from lapa_core.data.footage.store import SPARE, StoreParams
from lapa_core.errors import DataError
from lapa_core.model.idm import Idm
from lapa_core.model.laq import Laq
from lapa_core.model.vqgan import Vqgan
from lapa_core.train.codes import frozen
from lapa_core.types import FloatArray, ImageArray

BATCH = 32
UNTOLD = "nobody says what was done"
Words = Callable[[Clip, float], str]  # a clip and a time -> what is done there


@dataclass(frozen=True)
class Labelled:
    """A clip's examples.

    Attributes:
        clip: its name.
        times_s: (m,) of the first frame of each pair.
        words: (m,) what is done.
        latent: (m, N) codes of what changes.
        vision: (m, V) tokens of the first frame.
        left: frames that begin no pair, by reason.
        damage: what ended the clip early, or why there is nothing of it.
    """

    clip: str
    times_s: FloatArray
    words: list[str]
    latent: NDArray[np.int64]
    vision: NDArray[np.int64]
    left: Counter[str] = field(default_factory=Counter)
    damage: str = ""


class Labeller:
    """Both networks, and how they are asked.

    Args:
        coder, vqgan: ready to encode, on the device they are on; the coder is a `Laq` or an `Idm`.
        params: how many frames a second are kept, and the rate of folders of frames.
        wanted: what a pair is.
        center_crop: of the policy that is to be pretrained.
        words: what is done in a clip.
        true: the codes of an `Idm` are to be those of the motion that a recording tells.
    """

    def __init__(
        self, coder: Laq | Idm, vqgan: Vqgan, params: StoreParams, wanted: PairParams,
        center_crop: bool, words: Words, true: bool = False,
    ) -> None:  # fmt: skip
        self._coder, self._vqgan = coder.eval(), frozen(vqgan)
        self._params, self._wanted, self._crop = params, wanted, center_crop
        self._words, self._true = words, true

    def label(self, clip: Clip) -> Labelled:
        """All examples of a clip; what damages it is told, not raised.

        Raises:
            AccessError: it cannot be read now.
        """
        seen = _Watching(self._coder, self._vqgan, self._wanted, self._crop, not self._true)
        damage = ""
        last = -np.inf
        try:
            for frame in frames(clip, self._params.rate_hz):
                if frame.time_s - last >= SPARE / self._params.keep_hz:
                    seen.take(frame)
                    last = frame.time_s
        except DataError as error:
            damage = str(error)
        if not len(seen):
            nothing = np.zeros((0, 0), dtype=np.int64)
            return Labelled(clip.name, np.zeros(0), [], nothing, nothing, damage=damage)
        rows, left = pairs.pairs(seen, self._wanted)
        if self._true:
            rows, latent = self._motions(clip, seen.times_s, rows, left)
            tokens = seen.tokens(rows)
        else:
            latent, tokens = seen.codes(rows), seen.tokens(rows)
        begun = seen.times_s[rows[:, 0]]
        said = [self._words(clip, float(t)) for t in begun]
        return Labelled(clip.name, begun, said, latent, tokens, left, damage)

    def _motions(
        self, clip: Clip, times_s: FloatArray, rows: NDArray[np.int64], left: Counter[str]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pairs whose motion is told, and the codes of these; the others are counted."""
        assert isinstance(self._coder, Idm)  # the job has seen to it
        width = len(self._coder.config.dimensions)
        true = np.full((len(rows), width), np.nan)
        states = store.states(clip, times_s.tolist())
        if states.shape[1] == width:
            true = moves.between(states, rows)
        told = np.isfinite(true).all(axis=1)
        if silent := int((~told).sum()):
            left[UNTOLD] += silent
        return rows[told], self._coder.binned(torch.from_numpy(true[told])).numpy()


class _Watching:
    """A clip's frames as they come, and what both networks say of them."""

    def __init__(
        self, coder: Laq | Idm, vqgan: Vqgan, wanted: PairParams, crop: bool, compares: bool
    ) -> None:
        self._coder, self._vqgan, self._wanted, self._crop = coder, vqgan, wanted, crop
        self._compares = compares  # whether the coder is asked at all
        self._times: list[float] = []
        self._thumbs: list[ImageArray] = []
        self._sizes: list[tuple[int, int]] = []
        self._small: dict[int, ImageArray] = {}  # of the last frames, as the coder sees them
        self._shown: list[ImageArray] = []  # of the last frames, as the VQGAN sees them
        self._tokens: list[NDArray[np.int64]] = []
        self._open: list[int] = []  # frames whose second one has not come yet
        self._ready: list[tuple[int, int, ImageArray]] = []  # pairs that wait for a batch
        self._codes: dict[tuple[int, int], NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self._times)

    @property
    def times_s(self) -> FloatArray:
        """(n,) as `pairs` wants them."""
        return np.array(self._times)

    @property
    def thumbs(self) -> ImageArray:
        """(n, 24, 32)."""
        return np.stack(self._thumbs)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(n, 2)."""
        return np.array(self._sizes, dtype=np.int64)

    def take(self, frame: Frame) -> None:
        """The next frame.

        Raises:
            DataError: it is no picture, or too elongated to be shown; nothing of it is kept.
        """
        small = images.resize_for_laq(frame.image, self._coder.config.image_size)
        self._shown.append(images.resize_for_model(frame.image, self._crop))
        self._times.append(frame.time_s)
        self._thumbs.append(cuts.thumb(small))
        self._sizes.append(frame.image.shape[:2])
        number = len(self._times) - 1
        self._small[number] = small
        self._open.append(number)
        self._close(frame.time_s)
        if len(self._shown) == BATCH:
            self._see()

    def _close(self, now_s: float) -> None:
        """Pair what is so long ago with the nearer one of the last two frames."""
        gap_s = self._wanted.gap_s
        while self._open and self._times[self._open[0]] + gap_s <= now_s:
            self._pair(self._open.pop(0))
        first = self._open[0] if self._open else len(self._times) - 1
        for old in [n for n in self._small if n < min(first, len(self._times) - 1)]:
            del self._small[old]

    def _pair(self, first: int) -> None:
        wanted_s = self._times[first] + self._wanted.gap_s
        last = len(self._times) - 1
        near = min((last - 1, last), key=lambda n: (abs(self._times[n] - wanted_s), n))
        if (
            self._compares
            and near > first
            and near in self._small
            and abs(self._times[near] - wanted_s) <= (SLACK * self._wanted.gap_s)
        ):
            both = np.stack([self._small[first], self._small[near]])
            self._ready.append((first, near, both))
            if len(self._ready) == BATCH:
                self._compare()

    def tokens(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(m, V) of the first frames of these pairs, when all have come."""
        if self._shown:
            self._see()
        return np.concatenate(self._tokens)[rows[:, 0]]

    def codes(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(m, N) of these pairs, when all frames have come."""
        for first in self._open:  # their second one is the last frame, a little early
            if first in self._small:
                self._pair(first)
        self._open = []
        self._compare()
        found = [self._codes[int(i), int(j)] for i, j in rows]
        length = self._coder.config.code_seq_len
        return np.array(found, dtype=np.int64).reshape(len(rows), length)

    @torch.inference_mode()
    def _see(self) -> None:
        pixels = torch.from_numpy(np.stack([images.normalise(p) for p in self._shown]))
        self._tokens.append(self._vqgan.encode(pixels.to(self._vqgan.device)).cpu().numpy())
        self._shown = []

    @torch.inference_mode()
    def _compare(self) -> None:
        if not self._ready:
            return
        part = torch.from_numpy(np.stack([both for _, _, both in self._ready]))
        pixels = part.permute(0, 4, 1, 2, 3).to(self._coder.device).float() / 255.0
        codes = self._coder.encode(pixels).cpu().numpy()
        for (first, second, _), found in zip(self._ready, codes, strict=True):
            self._codes[first, second] = found
        self._ready = []
