# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Batches of latent pretraining: the sequences of `examples.latent_example`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lapa_core.data.words import Wordings
from lapa_core.errors import DataError
from lapa_core.model import vocabulary
from lapa_core.model.tokenizer import TextTokenizer
from lapa_core.model.vocabulary import Table
from lapa_core.train import examples
from lapa_core.train.latent.changes import Changes
from lapa_core.train.latent.shards import Corpus
from lapa_core.train.sequences import Drawn, IntArray, Sequences


def sayable(corpus: Corpus, tokenizer: TextTokenizer) -> Corpus:
    """The examples whose instruction fits a prompt."""
    fits = np.ones(len(corpus.texts), dtype=bool)
    for number, text in enumerate(corpus.texts):
        try:
            vocabulary.words(tokenizer, text)
        except DataError:
            fits[number] = False
    return corpus if fits.all() else corpus.only(fits[corpus.said])


class LatentFeed(Sequences):
    """A corpus as batches.

    Args:
        corpus: at least one example.
        tokenizer: of the words.
        num_codes: of the VQGAN.
        changes: asked which cells change, for a loss; None: nobody asks.
        word_noise: share of the examples whose instruction has words that nobody has heard.
        pad_to: length of all sequences; 0 takes each batch's longest.
        seed: of the order and of all draws.
    """

    unit = "examples"

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: TextTokenizer,
        num_codes: int,
        *,
        changes: Changes | None = None,
        word_noise: float = 0.0,
        pad_to: int = 0,
        seed: int = 0,
    ) -> None:
        if not len(corpus):
            raise DataError("not one example to learn from")
        self._corpus, self._changes = corpus, changes
        nothing = np.zeros((1, corpus.vision.shape[1]), dtype=np.int64)
        codes = np.zeros(corpus.latent.shape[1], dtype=np.int64)
        super().__init__(
            Wordings([corpus.texts[i] for i in corpus.said], {}, noise=word_noise, seed=seed),
            lambda text: examples.latent_example(tokenizer, text, nothing, num_codes, codes),
            pad_to=pad_to,
            seed=seed,
        )

    @property
    def picture_tokens(self) -> int:
        """Of a picture, its mark at the end included."""
        return int(self._corpus.vision.shape[1]) + 1

    def sources(self, drawn: Drawn) -> list[str]:
        """Names of the clips they are from."""
        return sorted({self._corpus.clips[i] for i in self._corpus.clip[drawn.samples]})

    def _fill(
        self, drawn: Drawn, ids: IntArray, tables: IntArray, loss: NDArray[np.float32]
    ) -> dict[str, Tensor]:
        """Write the pictures' and the latent actions' codes."""
        del loss
        ids[(tables == Table.VISION) & (ids == 0)] = self._corpus.vision[drawn.samples].ravel()
        ids[tables == Table.LATENT] = self._corpus.latent[drawn.samples].ravel()
        return {} if self._changes is None else {"changed": self._changes(drawn.samples)}
