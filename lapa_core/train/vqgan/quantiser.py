# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A codebook that follows the latents by moving averages, and in which no code stays unused.

(van den Oord et al. 2017, *Neural Discrete Representation Learning*, appendix A.1; codes that die
are put where cells are represented worst, after Dhariwal et al. 2020, *Jukebox*.) The entries are
an `nn.Embedding`'s own weights, which no gradient changes.

n cells, K codes, D width. Knows nothing of pictures.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

DECAY = 0.98  # of a step: what a code stands for is an average over about 50 batches
# Cells a batch: dead is a code with less than one in the average's memory; how one begins anew.
DEAD, FRESH = 1 - DECAY, 10 * (1 - DECAY)
_LEAST = 1e-9  # uses below which a code stays where it is, for lack of digits
_NOISE = 0.01  # standard deviation between two codes that begin at the same cell


class MovingCodebook:
    """Codes as averages of the cells they stand for.

    Attributes:
        ready: whether there are codes yet; before, latents pass as they are.
        uses: (K,) moving average of the cells a batch gives to each.
        sums: (K, D) of those cells together.
    """

    def __init__(self, table: Tensor) -> None:
        """Take over (K, D) weights, which become averages from now on."""
        self._weight = table
        self.ready = False
        self.uses = torch.ones(len(table), device=table.device)
        self.sums = table.detach().clone()

    def __len__(self) -> int:
        """Number of codes."""
        return len(self._weight)

    @torch.no_grad()
    def begin(self, cells: Tensor, chance: torch.Generator) -> None:
        """Put every code at a cell of a batch, (n, D)."""
        order = torch.randperm(len(cells), generator=chance).to(cells.device)
        picked = cells[order.repeat(-(-len(self) // len(cells)))[: len(self)]]
        noise = torch.randn(picked.shape, generator=chance).to(cells.device)
        self.set(picked + _NOISE * noise, len(cells) / len(self))

    @torch.no_grad()
    def set(self, entries: Tensor, uses: float = 1.0) -> None:
        """Begin with these (K, D) entries, each as if used so often a batch."""
        self._weight.copy_(entries)
        self.uses = torch.full_like(self.uses, uses)
        self.sums = entries * uses
        self.ready = True

    @torch.no_grad()
    def codes(self, cells: Tensor) -> Tensor:
        """(n,) the code nearest to each of (n, D) cells; the distance is `Vqgan.encode`'s."""
        return (self._weight.square().sum(1) - 2 * cells @ self._weight.T).argmin(1)

    def entries(self, codes: Tensor) -> Tensor:
        """(n,) codes -> (n, D)."""
        return self._weight[codes]

    @torch.no_grad()
    def follow(self, cells: Tensor, codes: Tensor) -> None:
        """Move each code towards the cells that were given to it."""
        count = torch.bincount(codes, minlength=len(self)).to(self.uses)
        total = torch.zeros_like(self.sums).index_add_(0, codes, cells)
        self.uses.lerp_(count, 1 - DECAY)
        self.sums.lerp_(total, 1 - DECAY)
        seen = self.uses > _LEAST
        self._weight[seen] = self.sums[seen] / self.uses[seen, None]

    @torch.no_grad()
    def replace_dead(self, cells: Tensor, codes: Tensor, chance: torch.Generator) -> int:
        """Put codes that are hardly used at some of the cells farthest from theirs; how many."""
        dead = (self.uses < DEAD).nonzero().flatten()
        if not len(dead):
            return 0
        error = (cells - self._weight[codes]).square().sum(1)
        worst = error.topk(min(len(cells), 4 * len(dead) + 8)).indices
        order = torch.randperm(len(worst), generator=chance).to(cells.device)
        picked = cells[worst[order[: len(dead)]]]
        dead = dead[: len(picked)]
        self._weight[dead] = picked
        self.sums[dead] = picked * FRESH
        self.uses[dead] = FRESH
        return len(dead)

    def used(self) -> int:
        """Codes that are not dead."""
        return int((self.uses >= DEAD).sum())

    def perplexity(self) -> float:
        """As many codes, all used alike, would tell as much."""
        share = self.uses.double() / self.uses.sum()
        return float(torch.exp(-torch.xlogy(share, share).sum()))

    def tensors(self) -> dict[str, Tensor]:
        """What a run has to save; the entries are the table's."""
        return {"codebook/uses": self.uses, "codebook/sums": self.sums}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        self.uses.copy_(tensors["codebook/uses"])
        self.sums.copy_(tensors["codebook/sums"])


class MovingCodebooks:
    """The codebooks of a code's parts, each for its share of the latents' width.

    As `MovingCodebook`, but that codes are (n, P) entries of P parts.
    """

    def __init__(self, table: nn.Embedding, entries: int) -> None:
        """Take over a table's weights, `entries` rows a part."""
        table.weight.requires_grad_(False)
        self._parts = [MovingCodebook(rows) for rows in table.weight.data.split(entries)]

    @property
    def ready(self) -> bool:
        """Whether there are codes yet; before, latents pass as they are."""
        return all(part.ready for part in self._parts)

    @ready.setter
    def ready(self, ready: bool) -> None:
        for part in self._parts:
            part.ready = ready

    def _shares(self, cells: Tensor) -> tuple[Tensor, ...]:
        return cells.chunk(len(self._parts), -1)

    def begin(self, cells: Tensor, chance: torch.Generator) -> None:
        """Put every entry at a cell of a batch, (n, D)."""
        for part, share in zip(self._parts, self._shares(cells), strict=True):
            part.begin(share, chance)

    def set(self, entries: Tensor) -> None:
        """Begin with these entries, one part's after the other's."""
        for part, own in zip(self._parts, entries.split(len(self._parts[0])), strict=True):
            part.set(own)

    def codes(self, cells: Tensor) -> Tensor:
        """(n, P) the entry of each part nearest to each of (n, D) cells."""
        pairs = zip(self._parts, self._shares(cells), strict=True)
        return torch.stack([part.codes(share) for part, share in pairs], -1)

    def entries(self, codes: Tensor) -> Tensor:
        """(n, P) codes -> (n, D)."""
        pairs = zip(self._parts, codes.unbind(-1), strict=True)
        return torch.cat([part.entries(own) for part, own in pairs], -1)

    def follow(self, cells: Tensor, codes: Tensor) -> None:
        """Move each entry towards the cells that were given to it."""
        for part, share, own in zip(
            self._parts, self._shares(cells), codes.unbind(-1), strict=True
        ):
            part.follow(share, own)

    def replace_dead(self, cells: Tensor, codes: Tensor, chance: torch.Generator) -> int:
        """Put entries that are hardly used elsewhere; how many."""
        return sum(
            part.replace_dead(share, own, chance)
            for part, share, own in zip(
                self._parts, self._shares(cells), codes.unbind(-1), strict=True
            )
        )

    def used(self) -> int:
        """Entries that are not dead."""
        return sum(part.used() for part in self._parts)

    def perplexity(self) -> float:
        """As many entries, all used alike, would tell as much, were the parts independent."""
        return sum(part.perplexity() for part in self._parts)

    def tensors(self) -> dict[str, Tensor]:
        """What a run has to save; the entries are the table's."""
        each = [part.tensors() for part in self._parts]
        return {name: torch.cat([t[name] for t in each]) for name in each[0]}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        count = len(self._parts[0])
        own = {name: t.split(count) for name, t in tensors.items() if name.startswith("codebook/")}
        for number, part in enumerate(self._parts):
            part.load({name: shares[number] for name, shares in own.items()})
