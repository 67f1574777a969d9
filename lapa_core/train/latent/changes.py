# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""An additional loss: image tokens must tell which parts of the picture will have changed.

By the end of the clip, that is: where an arm will have come to and what it will have moved. That
depends on the words, and no action has to be known. A small model that begins from nothing finds
in latent actions alone how things go, and not which thing is meant, as with actions
(docs/log.md, rungs 3 and 4; `train.pointing`). The reference has no such loss: it begins with a
model that knows words and pictures. The head is used in training alone.

n examples, B in a batch, N image tokens of a picture, D hidden size, w width of a code's entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from numpy.typing import NDArray
from torch import Tensor, nn

from lapa_core.model.lapa import LapaModel
from lapa_core.model.vqgan import Vqgan, code_rows
from lapa_core.train.examples import Batch
from lapa_core.train.latent.shards import Corpus
from lapa_core.train.loss import Losses, Objective
from lapa_core.train.pointing import Listener

# Entries further apart than this share of what two cells of the corpus are, in the mean of
# squares, show something else. With the shipped tokenizer, in 60 simulated demonstrations: of the
# cells whose pixels changed by half a level and less 97.7 % were nearer, of those that changed by
# more than three 98.5 % further.
APART = 0.05
SAMPLE = 4096  # cells that the mean is taken of


class Changes:
    """Which cells of an example's picture look different in the last one of its clip.

    Args:
        corpus: its clips' examples in the order of time, as shards have them.
        vqgan: whose codes its picture tokens are.
    """

    def __init__(self, corpus: Corpus, vqgan: Vqgan) -> None:
        self._vision, self._sizes = corpus.vision, vqgan.config
        # Its own: the VQGAN itself may be on another device.
        self._table = vqgan.codebook.weight.detach().float().cpu().clone()
        last = np.zeros(len(corpus.clips), dtype=np.int64)
        last[corpus.clip] = np.arange(len(corpus))  # the last one stays
        self._last: NDArray[np.int64] = last[corpus.clip]
        chance = np.random.default_rng(0)
        cells = corpus.vision.reshape(-1)
        some, others = (cells[chance.integers(len(cells), size=SAMPLE)] for _ in range(2))
        self._apart = APART * float(self._squared(some, others).mean())

    def __len__(self) -> int:
        """Examples that something may come after."""
        return int((self._last != np.arange(len(self._last))).sum())

    def __call__(self, which: NDArray[np.int64]) -> Tensor:
        """(B, N) float32 of these examples: 1 where it will have changed; NaN of a clip's last."""
        here, there = self._vision[which], self._vision[self._last[which]]
        found = (self._squared(here, there) > self._apart).float()
        found[torch.from_numpy(self._last[which] == which)] = torch.nan
        return found

    def _squared(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> Tensor:
        """(...) mean squared distance of two codes' entries."""
        entries, parts = self._sizes.num_embeddings, self._sizes.code_parts
        here, there = (
            self._table[code_rows(torch.from_numpy(codes), entries, parts)]
            for codes in (one, other)
        )
        return (here - there).square().flatten(-2).mean(-1)


class Foresight(Listener):
    """Scores of "something else will be here", read from the tokens half-way."""

    def __init__(self, model: LapaModel, layer: int) -> None:
        super().__init__(model, layer)
        self.head = nn.Linear(model.config.hidden_size, 1)

    def forward(self, batch: Batch) -> Tensor:
        """() mean over the cells of which it is known; after the model's own forward.

        Args:
            batch: with `changed` (B, N), as of `Changes`.
        """
        assert batch.changed is not None
        seen = self.seen(batch, 1)[:, 0]
        known = torch.isfinite(batch.changed)
        with torch.autocast(seen.device.type, enabled=False):
            scores = self.head(self.norm(seen.float())).squeeze(-1)
            wanted = batch.changed.nan_to_num()
            lost = F.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
            return (lost * known).sum() / known.sum().clamp(min=1)


class LatentObjective(Objective):
    """The loss of latent actions, and where batches say what changes, `weight` times that of it.

    Args:
        model: to be trained.
        weight: 0: without.
        layer: as of `Listener`.
        others: as of `Objective`.
    """

    def __init__(self, model: LapaModel, weight: float, layer: int, **others: Any) -> None:
        super().__init__(model, "latent", **others)
        self._weight = weight
        self.foresight = Foresight(model, layer) if weight else None

    def forward(self, batch: Batch) -> Losses:
        """The losses of a batch."""
        losses = super().forward(batch)
        if self.foresight is None or batch.changed is None:
            return losses
        lost = self.foresight(batch)
        total = losses.total + self._weight * lost
        return losses._replace(total=total, parts={**losses.parts, "changes": lost.detach()})
