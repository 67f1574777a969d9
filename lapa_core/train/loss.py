# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What training makes smaller: the reference's losses, computed only where they are asked for.

B examples, T tokens, n asked positions, D hidden size. Hidden states are gathered first, so that
a head never scores a position without loss. Knows nothing of data, optimizers or devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from lapa_core.errors import ConfigError
from lapa_core.model.lapa import LapaModel
from lapa_core.model.vocabulary import Table
from lapa_core.train.examples import Batch

TEXT_WEIGHT = 0.01  # the reference's, of the words in latent pretraining; the codes have the rest
# Smoothing reaches over at most this share of a dimension's bins, so that the two of a gripper
# stay what they are (exp(-8), 0.03 %, on the other).
_LARGEST_SPREAD = 1 / 8


class Losses(NamedTuple):
    """Result of one batch; a tuple, so that wrappers of modules find the tensors in it.

    Attributes:
        total: () what to differentiate.
        parts: () each, named, detached: what to show.
        correct: () number of codes (latent or action) whose highest score is the target.
        counted: () number of codes that were asked for.
    """

    total: Tensor
    parts: dict[str, Tensor]
    correct: Tensor
    counted: Tensor


class Scored(NamedTuple):
    """Scores at the positions of one table that carry loss, in the order of the batch.

    Attributes:
        logits: (n, rows) float32.
        targets: (n,) int64.
        weights: (n,) float32.
        example: (n,) int64 row of the batch.
        rank: (n,) int64 which code of its example it is, counted from 0 (of this table).
    """

    logits: Tensor
    targets: Tensor
    weights: Tensor
    example: Tensor
    rank: Tensor


class Objective(nn.Module):
    """A model with its loss as one module, whose `forward` is a whole training step's forward.

    Wrappers (DDP, FSDP, compile) watch what runs inside `forward`; a head applied outside would
    escape them.

    Args:
        model: the model to be trained.
        kind: "action" or "latent".
        spread_bins, num_bins: as in `action_loss`.
        clean, text_weight: as in `latent_loss`.
    """

    def __init__(
        self,
        model: LapaModel,
        kind: str = "action",
        *,
        spread_bins: float = 0.0,
        num_bins: Sequence[int] | None = None,
        clean: bool = False,
        text_weight: float = TEXT_WEIGHT,
    ) -> None:
        super().__init__()
        if kind not in ("action", "latent"):
            raise ConfigError(f"unknown kind of loss {kind!r}; valid: 'action', 'latent'")
        self.model = model
        self.kind = kind
        self._action = {"spread_bins": spread_bins, "num_bins": num_bins}
        self._latent = {"clean": clean, "text_weight": text_weight}

    def forward(self, batch: Batch) -> Losses:
        """The losses of a batch."""
        if self.kind == "action":
            return action_loss(self.model, batch, **self._action)
        return latent_loss(self.model, batch, **self._latent)


def action_loss(
    model: LapaModel,
    batch: Batch,
    *,
    spread_bins: float = 0.0,
    num_bins: Sequence[int] | None = None,
) -> Losses:
    """Mean over each example's action codes, then over the examples (as the reference).

    Args:
        model: anything with `LapaModel`'s `forward` and `logits`.
        batch: of `action_example`s.
        spread_bins: standard deviation, in bins, of a Gaussian that the target is spread with; 0
            asks for one bin, as the reference. Neighbouring bins are neighbouring actions.
        num_bins: (d,) valid codes of each dimension, needed for spreading; no probability is
            asked for beyond them.
    """
    hidden = model(batch.input_ids, batch.input_tables)
    return action_loss_of(
        _score(model, hidden, batch, Table.ACTION), len(batch), spread_bins, num_bins
    )


def action_loss_of(
    scored: Scored,
    num_examples: int,
    spread_bins: float = 0.0,
    num_bins: Sequence[int] | None = None,
) -> Losses:
    """`action_loss` of scores that are there already."""
    hard = F.cross_entropy(scored.logits, scored.targets, reduction="none")
    plain = _mean(hard, scored, num_examples)
    total = plain
    if spread_bins > 0:
        if num_bins is None:
            raise ConfigError("spread_bins needs num_bins, the number of bins of each dimension")
        soft = spread_targets(scored, spread_bins, num_bins)
        total = _mean(-(soft * scored.logits.log_softmax(-1)).sum(-1), scored, num_examples)
    return Losses(total, {"action": plain.detach()}, *_correct(scored))


def spread_targets(scored: Scored, spread_bins: float, num_bins: Sequence[int]) -> Tensor:
    """(n, rows) probabilities around each target, 0 beyond the dimension's own bins."""
    rows = scored.logits.shape[-1]
    sizes = torch.as_tensor(list(num_bins), device=scored.targets.device)
    size = sizes[scored.rank % len(sizes)][:, None]
    place = torch.arange(rows, device=size.device)[None]
    width = (size * _LARGEST_SPREAD).clamp(max=spread_bins)
    exponent = -0.5 * ((place - scored.targets[:, None]) / width) ** 2
    return exponent.masked_fill(place >= size, -torch.inf).softmax(-1)


def latent_loss(
    model: LapaModel, batch: Batch, *, clean: bool = False, text_weight: float = TEXT_WEIGHT
) -> Losses:
    """0.99 of the latent codes' loss and 0.01 of the words' around them.

    Args:
        model: anything with `LapaModel`'s `forward` and `logits`.
        batch: of `latent_example`s.
        clean: False follows the reference, where a misplaced parenthesis asks the text head for
            id 0 at the positions of latent codes. True leaves those positions out.
        text_weight: 0 spares the text head; the codes then weigh 1.
    """
    hidden = model(batch.input_ids, batch.input_tables)
    scored = _score(model, hidden, batch, Table.LATENT)
    latent = _mean(
        F.cross_entropy(scored.logits, scored.targets, reduction="none"), scored, len(batch)
    )
    if text_weight == 0:
        return Losses(latent, {"latent": latent.detach()}, *_correct(scored))
    words = _score(model, hidden, batch, Table.TEXT, () if clean else (Table.LATENT,))
    text = _mean(F.cross_entropy(words.logits, words.targets, reduction="none"), words, len(batch))
    total = (1 - text_weight) * latent + text_weight * text
    parts = {"latent": latent.detach(), "text": text.detach()}
    return Losses(total, parts, *_correct(scored))


def score_actions(model: LapaModel, batch: Batch) -> Scored:
    """Scores of all action codes of a batch, each after the true ones before it."""
    hidden = model(batch.input_ids, batch.input_tables)
    return _score(model, hidden, batch, Table.ACTION)


def _score(
    model: LapaModel,
    hidden: Tensor,
    batch: Batch,
    table: Table,
    as_zero: tuple[Table, ...] = (),
) -> Scored:
    """Scores of a table where its ids are asked for, and of id 0 where those of others are."""
    own = batch.target_tables == table
    asked = own
    for other in as_zero:
        asked = asked | (batch.target_tables == other)
    where = (asked & (batch.loss > 0)).nonzero(as_tuple=True)
    targets = torch.where(own, batch.target_ids, 0)[where]
    rank = (own.cumsum(-1) - 1)[where]
    with torch.autocast(hidden.device.type, enabled=False):  # scores are float32, as elsewhere
        logits = model.logits(hidden[where], table)
    return Scored(logits, targets, batch.loss[where], where[0], rank)


def _mean(losses: Tensor, scored: Scored, num_examples: int) -> Tensor:
    """Weighted mean within each example, then over all; an example without loss counts as 0."""
    sums = losses.new_zeros((2, num_examples))
    weighted = torch.stack([losses * scored.weights, scored.weights])
    sums = sums.index_add(1, scored.example, weighted)
    return (sums[0] / sums[1].clamp(min=1e-10)).mean()


def _correct(scored: Scored) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        correct = (scored.logits.argmax(-1) == scored.targets).sum()
    return correct, torch.tensor(len(scored.targets), device=correct.device)
