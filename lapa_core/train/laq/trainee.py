# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The latent action quantiser with its loss, and what a batch of pairs is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from lapa_core.model.laq import Laq
from lapa_core.train.laq.options import STEADY, LaqOptions
from lapa_core.train.loss import Losses


@dataclass
class PairBatch:
    """Pairs, and the chance of their quantisation.

    Attributes:
        frames: (B, 3, 2, S, S) uint8, the earlier one first.
        noise: (B, N, Q) standard normal.
        lengths: (B,) codes of each.
    """

    frames: Tensor
    noise: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.frames)

    def to(self, device: torch.device, non_blocking: bool = False) -> PairBatch:
        """The same on another device."""
        frames, noise = (
            t.to(device, non_blocking=non_blocking) for t in (self.frames, self.noise)
        )
        return PairBatch(frames, noise, self.lengths)


class Trainee(nn.Module):
    """The quantiser with its loss; remembers what it last saw for whoever keeps its codes."""

    def __init__(self, model: Laq, options: LaqOptions) -> None:
        super().__init__()
        self.model, self._options = model, options
        self.ready = True  # whether there are codes yet
        self.seen: list[tuple[Tensor, Tensor]] = []
        self.revived = 0

    def forward(self, batch: PairBatch) -> Losses:
        """The losses of a batch."""
        frames = batch.frames.float() / 255.0
        model = self.model
        first, change = model.compare(frames)
        with torch.autocast(frames.device.type, enabled=False):
            told, codes, far = self._quantise(change.float(), batch.noise)
        drawn = model.redraw(frames[:, :, 0], first, model.quantiser.context(told))
        error = F.mse_loss(drawn.float(), frames[:, :, 1])
        if self.training:
            self.seen.append((change.detach().float(), codes))
        total = error + self._options.commitment * far
        nothing = torch.zeros((), device=frames.device)
        parts = {"drawing": error.detach(), "commitment": far.detach(),
                 "revived": nothing + self.revived}  # fmt: skip
        self.revived = 0
        return Losses(total, parts, nothing, nothing)

    def _quantise(self, change: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder is told, (B, N) codes, and how far they are from what changed."""
        quantiser = self.model.quantiser
        codes = quantiser.codes(change.detach())
        if self._options.quantiser != STEADY:
            return quantiser.substitute(change, codes, noise), codes, change.new_zeros(())
        if not self.ready:
            return change, codes, change.new_zeros(())
        entries = quantiser.entries(codes)
        # Straight through: the decoder is told the code, its gradient goes to what changed.
        told = change + (entries - change).detach()
        return told, codes, F.mse_loss(change, entries)
