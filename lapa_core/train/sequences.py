# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which sequences each update learns from: a function of the seed and the update's number alone.

So a run that is resumed needs no more than that number to go on with the same batches. Layout
and loss of a sequence are those of `examples`, asked for once for each wording; a batch only fills
numbers in, in arrays, so that one core feeds a fast GPU.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lapa_core.data.words import Wordings
from lapa_core.errors import DataError
from lapa_core.model.vocabulary import BOS_ID, Table
from lapa_core.train import examples
from lapa_core.train.examples import Batch, Example

IntArray = NDArray[np.int64]
MULTIPLE_OF = 8  # of a batch's length, so that shapes repeat


@dataclass(frozen=True)
class Drawn:
    """Samples of one batch: (n,) each.

    Attributes:
        samples: numbers of the samples.
        wordings: which alternative of the instruction.
        variants: which variant of the pictures.
    """

    samples: IntArray
    wordings: IntArray
    variants: IntArray

    def part(self, rank: int, world: int) -> Drawn:
        """A process' part; all have equally many, and what is left over is in none."""
        mine = slice(rank, len(self.samples) // world * world, world)
        return Drawn(self.samples[mine], self.wordings[mine], self.variants[mine])


class Sequences(ABC):
    """Samples as batches of sequences; what is in them is for the feeds to fill in.

    Args:
        wordings: of each sample's instruction.
        template: a wording's sequence, whose pictures and codes are all zero.
        variants: of each picture, to draw among; 1 draws none.
        times: (n,) how often an epoch has each sample; None has each once.
        pad_to: length of all sequences; 0 takes each batch's longest.
        seed: of the order and of all draws.

    Attributes:
        unit: what a sample is called.
        lengths: (w,) tokens of each wording's sequence.
    """

    unit = "samples"

    def __init__(
        self,
        wordings: Wordings,
        template: Callable[[str], Example],
        *,
        variants: int = 1,
        times: IntArray | None = None,
        pad_to: int = 0,
        seed: int = 0,
    ) -> None:
        self._wordings, self._variants = wordings, variants
        each = np.arange(len(wordings.plain))
        self._listed = each if times is None else np.repeat(each, times)
        self._pad_to, self._seed = pad_to, seed
        self._templates = [template(text) for text in wordings.texts]
        self.lengths = np.array([len(t) for t in self._templates])
        self._plans: dict[tuple[int, int], list[Drawn]] = {}

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._wordings.plain)

    @property
    @abstractmethod
    def picture_tokens(self) -> int:
        """Of a picture, its mark at the end included."""

    @abstractmethod
    def sources(self, drawn: Drawn) -> list[str]:
        """Names of what they are from, for a message."""

    @abstractmethod
    def _fill(
        self, drawn: Drawn, ids: IntArray, tables: IntArray, loss: NDArray[np.float32]
    ) -> dict[str, Tensor]:
        """Write into (n, T + 1) arrays what a template leaves open; gives more of `Batch`."""

    # --- which ---------------------------------------------------------------------------------

    def draw(self, number: int, size: int) -> Drawn:
        """The samples of batch `number` (from 0, over all epochs)."""
        epoch, place = divmod(number, max(len(self._listed) // size, 1))
        plan = self._plans.get((epoch, size))
        if plan is None:  # another thread may ask for another epoch meanwhile
            plan = self._plan(epoch, size)
            self._plans = {(epoch, size): plan}
        return plan[place]

    def _plan(self, epoch: int, size: int) -> list[Drawn]:
        """Every sample as often as is said; what fills no whole batch waits for another epoch."""
        chance = np.random.default_rng((self._seed, epoch))
        samples = self._listed
        wordings = self._wordings.draw(chance, samples)
        variants = np.zeros_like(samples)
        if self._variants > 1:
            variants = chance.integers(self._variants, size=len(samples))
        found = examples.bucketed(self.lengths[wordings], size, chance)
        whole = [b for b in found if len(b) == size] or found
        return [Drawn(samples[b], wordings[b], variants[b]) for b in whole]

    def share(self, number: int, size: int, rank: int, world: int) -> Drawn:
        """A process' part of batch `number`, `size` samples in each process.

        Raises:
            DataError: there are fewer samples than processes.
        """
        drawn = self.draw(number, size * world).part(rank, world)
        if not len(drawn.samples):
            raise DataError(f"{len(self)} {self.unit} are not enough for {world} processes")
        return drawn

    def in_order(self, samples: IntArray) -> Drawn:
        """These samples with the words they were recorded with and the plain pictures."""
        return Drawn(samples, self._wordings.plain[samples], np.zeros_like(samples))

    # --- what ----------------------------------------------------------------------------------

    def batch(self, drawn: Drawn) -> Batch:
        """Equal to `examples.collate` of the samples' examples.

        Raises:
            DataError: a sequence is longer than `pad_to`.
        """
        lengths = self.lengths[drawn.wordings]
        longest = int(lengths.max()) - 1
        if self._pad_to and longest > self._pad_to:
            raise DataError(
                f"an example has {longest} tokens to read, and only {self._pad_to} are allowed"
            )
        width = self._pad_to or -(-longest // MULTIPLE_OF) * MULTIPLE_OF
        shape = (len(lengths), width + 1)
        ids, tables = np.full(shape, BOS_ID, dtype=np.int64), np.full(shape, int(Table.TEXT))
        loss = np.zeros(shape, dtype=np.float32)
        for i, wording in enumerate(drawn.wordings):
            template = self._templates[wording]
            n = len(template)
            ids[i, :n], tables[i, :n], loss[i, :n] = template.ids, template.tables, template.loss
        more = self._fill(drawn, ids, tables, loss)
        # A row's last token is no input: it becomes a pad there.
        inputs, input_tables = ids[:, :-1].copy(), tables[:, :-1].copy()
        row = np.arange(len(lengths))
        short = lengths - 1 < width
        inputs[row[short], lengths[short] - 1] = BOS_ID
        input_tables[row[short], lengths[short] - 1] = Table.TEXT
        after = ids[:, 1:].copy(), tables[:, 1:].copy(), loss[:, 1:].copy()
        arrays = inputs, input_tables, *after, lengths - 1
        return Batch(*(torch.from_numpy(a) for a in arrays), **more)
