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
        moves: (B, m) what the arm did, each of a mean of 0 and a spread of 1; NaN where nobody
            says, and (B, 0) where it is not asked for.
        others: (B, 3, 2, S, S) uint8 what another camera saw then; None where it is not asked for.
        known: (B,) bool of which of them there is one.
    """

    frames: Tensor
    noise: Tensor
    lengths: Tensor
    moves: Tensor
    others: Tensor | None = None
    known: Tensor | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def to(self, device: torch.device, non_blocking: bool = False) -> PairBatch:
        """The same on another device."""
        frames, noise, moves, others, known = (
            t if t is None else t.to(device, non_blocking=non_blocking)
            for t in (self.frames, self.noise, self.moves, self.others, self.known)
        )
        return PairBatch(frames, noise, self.lengths, moves, others, known)


class Trainee(nn.Module):
    """The quantiser with its loss; remembers what it last saw for whoever keeps its codes.

    Args:
        model: that learns.
        options: of its losses.
        moves: numbers of a motion that are to be told from the codes; the head for them is not
            part of the model.
    """

    def __init__(self, model: Laq, options: LaqOptions, moves: int = 0) -> None:
        super().__init__()
        self.model, self._options = model, options
        config = model.config
        self.motion = nn.Linear(config.code_seq_len * config.quant_dim, moves) if moves else None
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
        context = model.quantiser.context(told)
        drawn = model.redraw(frames[:, :, 0], first, context)
        error = drawing_error(drawn.float(), frames, self._options.change_weight)
        if self.training:
            self.seen.append((change.detach().float(), codes))
        total = error + self._options.commitment * far
        nothing = torch.zeros((), device=frames.device)
        parts = {"drawing": error.detach(), "commitment": far.detach(),
                 "revived": nothing + self.revived}  # fmt: skip
        if self.motion is not None:
            motion = self._motion_error(told, batch.moves)
            total = total + self._options.motion_weight * motion
            parts["motion"] = motion.detach()
        if batch.others is not None:
            seen = self._view_error(batch, context)
            total = total + self._options.view_weight * seen
            parts["view"] = seen.detach()
        self.revived = 0
        return Losses(total, parts, nothing, nothing)

    def _view_error(self, batch: PairBatch, context: Tensor) -> Tensor:
        """Of drawing another camera's second frame from its first and these codes."""
        assert batch.others is not None and batch.known is not None
        if not batch.known.any():
            return context.sum() * 0.0
        frames = batch.others[batch.known].float() / 255.0
        before = frames[:, :, 0]
        patches = self.model.patches(before.unsqueeze(2))
        drawn = self.model.redraw(before, patches, context[batch.known])
        return drawing_error(drawn.float(), frames, self._options.change_weight)

    def _motion_error(self, told: Tensor, moves: Tensor) -> Tensor:
        """Huber's, of the pairs of which somebody says what was done; of none it is 0."""
        assert self.motion is not None
        known = torch.isfinite(moves)
        off = self.motion(told.flatten(1).float()) - moves.nan_to_num()
        error = F.smooth_l1_loss(off, torch.zeros_like(off), reduction="none")
        return (error * known).sum() / known.sum().clamp(min=1)

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


def drawing_error(drawn: Tensor, frames: Tensor, change_weight: float) -> Tensor:
    """Mean squared error of (B, 3, H, W) drawings of the second of (B, 3, 2, H, W) frames.

    Most of a picture stands still, and an arm's few pixels count for little in the mean. A share
    `change_weight` of the error is taken with the weights of how much each pixel changes, which
    are 1 in the mean of each pair.
    """
    off = (drawn - frames[:, :, 1]).square()
    if not change_weight:
        return off.mean()
    change = (frames[:, :, 1] - frames[:, :, 0]).abs().mean(dim=1, keepdim=True)
    weight = change / change.mean(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    return (off * (1 - change_weight + change_weight * weight)).mean()
