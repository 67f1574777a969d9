# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What keeps all codes of a latent action quantiser in use, and what the reference does instead.

n pairs, N codes of a pair, K codes to choose from, Q wide; P places that share a codebook.

Steady: codes are moving averages of the changes they stand for (van den Oord et al. 2017,
appendix A.1), begun as the means of what was seen (k-means); a code that hardly any pair of a
place is given begins anew at one of its pairs. Nothing of it follows a gradient.
Reference: `replace_unused_codebooks` puts dead codes on top of live ones, 1e-12 beside them, where
the nearest is still the live one; after 5000 updates not even that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from lapa_core.errors import ConfigError
from lapa_core.model.laq.quantiser import Quantiser
from lapa_core.train.laq.options import LaqOptions

SEEN = 4096  # changes of a place that are remembered, to begin codes at
ROUNDS = 20  # of k-means
EVERY = 10  # updates between looks for the dead
THRESHOLD = 0.01  # the reference's: codes a pair below which one is replaced
_EPS = 1e-12  # the reference's


class Keeper(Protocol):
    """Looks after a codebook between updates."""

    ready: bool

    def saw(self, change: Tensor, codes: Tensor) -> None:
        """Take in a batch's (n, N, Q) changes and their (n, N) codes, of all processes."""

    def update(self, step: int) -> int:
        """After update `step` (from 1); how many codes began anew."""

    def tensors(self) -> dict[str, Tensor]:
        """What a run has to save."""

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave."""


class Steady:
    """Codes as moving averages.

    Attributes:
        ready: whether there are codes yet.
    """

    def __init__(self, quantiser: Quantiser, options: LaqOptions, seed: int, begun: bool) -> None:
        """Take over the codebook.

        Args:
            quantiser, options: whose, and how.
            seed: of what chance there is.
            begun: its codes are learnt already.
        """
        self._quantiser, self._options = quantiser, options
        quantiser.codebook.requires_grad_(False)
        books, size, width = self._books.shape
        device = self._books.device
        self.uses = torch.ones(books, size, device=device)
        self.sums = self._books.clone()
        self._seen = torch.zeros(books, 0, width, device=device)
        self._chance = torch.Generator().manual_seed(seed)
        self.ready = begun

    @property
    def _books(self) -> Tensor:
        """(books, K, Q) the model's own entries."""
        return self._quantiser.books().detach()

    @torch.no_grad()
    def saw(self, change: Tensor, codes: Tensor) -> None:
        """Remember, and move each code towards what it was given for."""
        books = len(self._books)
        cells = change.transpose(0, 1).reshape(books, -1, change.shape[-1])  # (books, m, Q)
        self._seen = torch.cat([self._seen, cells], 1)[:, -SEEN:]
        if not self.ready:
            return
        given = codes.T.reshape(books, -1)
        chosen = torch.nn.functional.one_hot(given, self._books.shape[1]).to(cells.dtype)
        share = 1 - self._options.decay
        self.uses.lerp_(chosen.sum(1), share)
        self.sums.lerp_(chosen.transpose(1, 2) @ cells, share)
        used = self.uses > _EPS
        self._books[used] = self.sums[used] / self.uses[used].unsqueeze(-1)

    @torch.no_grad()
    def update(self, step: int) -> int:
        """Begin, or put dead codes where pairs are."""
        if not self.ready:
            if step < self._options.begin:
                return 0
            for book in range(len(self._books)):
                self._begin(book)
            self.ready = True
            return 0
        if step % EVERY:
            return 0
        return sum(self._revive(book) for book in range(len(self._books)))

    def _begin(self, book: int) -> None:
        """The means of what was seen (Lloyd 1982), begun far apart (Arthur 2007)."""
        cells, size = self._seen[book], self._books.shape[1]
        if len(cells) < size:  # several codes may begin at one of them
            cells = cells.repeat(-(-size // len(cells)), 1)
        means = cells[self._draw(torch.ones(len(cells)), 1)]
        while len(means) < size:
            far = torch.cdist(cells, means).min(1).values.square()
            means = torch.cat([means, cells[self._draw(far, 1)]])
        for _ in range(ROUNDS):
            given = torch.cdist(cells, means).argmin(1)
            for code in range(size):
                if (own := given == code).any():
                    means[code] = cells[own].mean(0)
        given = torch.cdist(cells, means).argmin(1)
        counts = torch.bincount(given, minlength=size).to(means)
        self._set(book, torch.arange(size, device=means.device), means, counts / counts.sum())

    def _revive(self, book: int) -> int:
        share = self.uses[book] / self.uses[book].sum()
        dead = (share * len(share) < self._options.dead_share).nonzero().flatten()
        cells = self._seen[book]
        dead = dead[: len(cells)]
        if not len(dead):
            return 0
        far = torch.cdist(cells, self._books[book]).min(1).values.square()
        entries = cells[self._draw(far, len(dead))]
        fair = torch.full((len(dead),), 1 / len(share), device=share.device)
        self._set(book, dead, entries, fair)
        return len(dead)

    def _set(self, book: int, codes: Tensor, entries: Tensor, share: Tensor) -> None:
        """Give codes new entries, each as if used for so much of the pairs."""
        total = max(float(self.uses[book].sum()), 1.0)
        self._books[book, codes] = entries
        self.uses[book, codes] = share * total
        self.sums[book, codes] = entries * (share * total).unsqueeze(-1)

    def _draw(self, weights: Tensor, count: int) -> Tensor:
        """Places drawn by weight."""
        likely = weights.double().cpu() + 1e-12
        return torch.multinomial(likely, count, generator=self._chance).to(self._books.device)

    def tensors(self) -> dict[str, Tensor]:
        """What a run has to save; the entries are the model's, and do not learn."""
        return {
            "books": self._books, "uses": self.uses, "sums": self.sums, "seen": self._seen,
            "chance": self._chance.get_state(), "ready": torch.tensor(float(self.ready)),
        }  # fmt: skip

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        device = self._books.device
        self._books.copy_(tensors["books"])
        self.uses, self.sums, self._seen = (
            tensors[name].to(device) for name in ("uses", "sums", "seen")
        )
        self._chance.set_state(tensors["chance"])
        self.ready = bool(tensors["ready"])


class AsReference:
    """Codes by gradient through the substituted noise, dead ones replaced as the reference does.

    Attributes:
        ready: always.
    """

    ready = True

    def __init__(self, quantiser: Quantiser, seed: int) -> None:
        """Look after this codebook; `seed` of what chance there is.

        Raises:
            ConfigError: places have codebooks of their own, which the reference does not know.
        """
        if quantiser.codebooks > 1:
            raise ConfigError("the reference's quantiser has one codebook for all places, this "
                              "model one for each; use --quantiser steady")  # fmt: skip
        self._quantiser = quantiser
        self._used = torch.zeros(len(quantiser.codebook))
        self._batch = 0
        self._chance = torch.Generator().manual_seed(seed)

    def saw(self, change: Tensor, codes: Tensor) -> None:
        """Count; the reference counts a code once a batch, however often it was chosen."""
        self._batch = len(change)
        self._used[codes.unique().cpu()] += 1

    @torch.no_grad()
    def update(self, step: int) -> int:
        """Every 10th update to 100, every 100th to 1000, every 500th to 5000."""
        every = next((e for e, end in ((10, 100), (100, 1000), (500, 5000)) if step < end), 0)
        if not every or step % every:
            return 0
        table, size = self._quantiser.codebook.data, len(self._used)
        alive = (self._used / self._batch >= THRESHOLD).nonzero().flatten()
        dead = (self._used / self._batch < THRESHOLD).nonzero().flatten()
        noise = _EPS * torch.randn(table.shape, generator=self._chance).to(table)
        if not len(alive):
            table += noise
        else:
            rows = alive.repeat(-(-size // len(alive)))
            if len(alive) < len(dead):
                rows = rows[torch.randperm(len(rows), generator=self._chance)]
            table[dead] = table[rows[: len(dead)]] + noise[: len(dead)]
        self._used.zero_()
        return len(dead)

    def tensors(self) -> dict[str, Tensor]:
        """What a run has to save."""
        batch = torch.tensor(float(self._batch))
        return {"used": self._used, "batch": batch, "chance": self._chance.get_state()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        self._used.copy_(tensors["used"])
        self._batch = int(tensors["batch"])
        self._chance.set_state(tensors["chance"])
