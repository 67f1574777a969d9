# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Batches of latent pretraining: a function of the seed and the update's number alone.

Layout and loss of a sequence are those of `examples.latent_example`, called once for each
instruction; a batch only fills tokens and codes in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lapa_core.data.words import Wordings
from lapa_core.errors import DataError
from lapa_core.model import vocabulary
from lapa_core.model.tokenizer import TextTokenizer
from lapa_core.model.vocabulary import BOS_ID, Table
from lapa_core.train import examples
from lapa_core.train.examples import Batch
from lapa_core.train.latent.shards import Corpus

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """(n,) examples of a batch, and which wording of each instruction."""

    samples: IntArray
    wordings: IntArray


def sayable(corpus: Corpus, tokenizer: TextTokenizer) -> Corpus:
    """The examples whose instruction fits a prompt."""
    fits = np.ones(len(corpus.texts), dtype=bool)
    for number, text in enumerate(corpus.texts):
        try:
            vocabulary.words(tokenizer, text)
        except DataError:
            fits[number] = False
    return corpus if fits.all() else corpus.only(fits[corpus.said])


class LatentFeed:
    """A corpus as batches.

    Args:
        corpus: at least one example.
        tokenizer: of the words.
        num_codes: of the VQGAN.
        word_noise: share of the examples whose instruction has words that nobody has heard.
        pad_to: length of all sequences; 0 takes each batch's longest.
        seed: of the order and of all draws.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: TextTokenizer,
        num_codes: int,
        *,
        word_noise: float = 0.0,
        pad_to: int = 0,
        seed: int = 0,
    ) -> None:
        if not len(corpus):
            raise DataError("not one example to learn from")
        self._corpus, self._pad_to, self._seed = corpus, pad_to, seed
        self._wordings = Wordings(
            [corpus.texts[i] for i in corpus.said], {}, noise=word_noise, seed=seed
        )
        nothing = np.zeros((1, corpus.vision.shape[1]), dtype=np.int64)
        codes = np.zeros(corpus.latent.shape[1], dtype=np.int64)
        self._templates = [
            examples.latent_example(tokenizer, text, nothing, num_codes, codes)
            for text in self._wordings.texts
        ]
        self.lengths = np.array([len(t) for t in self._templates])
        self._plans: dict[tuple[int, int], list[Drawn]] = {}

    def __len__(self) -> int:
        """Number of examples."""
        return len(self._corpus)

    @property
    def picture_tokens(self) -> int:
        """Of a picture, its mark at the end included."""
        return int(self._corpus.vision.shape[1]) + 1

    def draw(self, number: int, size: int) -> Drawn:
        """The examples of batch `number` (from 0, over all epochs)."""
        epoch, place = divmod(number, max(len(self) // size, 1))
        plan = self._plans.get((epoch, size))
        if plan is None:
            plan = self._plan(epoch, size)
            self._plans = {(epoch, size): plan}
        return plan[place]

    def _plan(self, epoch: int, size: int) -> list[Drawn]:
        chance = np.random.default_rng((self._seed, epoch))
        wordings = self._wordings.draw(chance)
        found = examples.bucketed(self.lengths[wordings], size, chance)
        whole = [b for b in found if len(b) == size] or found
        return [Drawn(b, wordings[b]) for b in whole]

    def in_order(self, samples: IntArray) -> Drawn:
        """These examples with the words they came with."""
        return Drawn(samples, self._wordings.plain[samples])

    def clips(self, drawn: Drawn) -> list[str]:
        """Names of the clips they are from."""
        return sorted({self._corpus.clips[i] for i in self._corpus.clip[drawn.samples]})

    def batch(self, drawn: Drawn) -> Batch:
        """Equal to `examples.collate` of the examples' `latent_example`s."""
        lengths = self.lengths[drawn.wordings]
        longest = int(lengths.max()) - 1
        if self._pad_to and longest > self._pad_to:
            raise DataError(
                f"an example has {longest} tokens to read, and only {self._pad_to} are allowed"
            )
        width = self._pad_to or -(-longest // 8) * 8
        shape = (len(lengths), width + 1)
        ids, tables = np.full(shape, BOS_ID, dtype=np.int64), np.full(shape, int(Table.TEXT))
        loss = np.zeros(shape, dtype=np.float32)
        for i, wording in enumerate(drawn.wordings):
            template = self._templates[wording]
            n = len(template)
            ids[i, :n], tables[i, :n], loss[i, :n] = template.ids, template.tables, template.loss
        corpus = self._corpus
        ids[(tables == Table.VISION) & (ids == 0)] = corpus.vision[drawn.samples].ravel()
        ids[tables == Table.LATENT] = corpus.latent[drawn.samples].ravel()
        inputs, input_tables = ids[:, :-1].copy(), tables[:, :-1].copy()
        row = np.arange(len(lengths))
        short = lengths - 1 < width  # a row's last token is no input: it becomes a pad there
        inputs[row[short], lengths[short] - 1] = BOS_ID
        input_tables[row[short], lengths[short] - 1] = Table.TEXT
        arrays = (
            inputs,
            input_tables,
            ids[:, 1:].copy(),
            tables[:, 1:].copy(),
            loss[:, 1:].copy(),
        )
        return Batch(*(torch.from_numpy(a) for a in (*arrays, lengths - 1)))
