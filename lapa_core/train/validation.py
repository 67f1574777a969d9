# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a policy would do on steps it did not learn from, in millimetres and degrees.

Codes are generated one after the other from what the model itself chose before, as on the robot:
after true codes the errors would flatter. Knows the loop's wrappers only by their `forward`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from numpy.typing import NDArray
from torch import Tensor, nn

from lapa_core.errors import DataError
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.lapa import LapaModel, causal_mask
from lapa_core.model.vocabulary import Table
from lapa_core.model.ways import Ways
from lapa_core.train.action_error import ActionError
from lapa_core.train.examples import Batch
from lapa_core.train.feed import Drawn, Feed
from lapa_core.train.loss import Losses, Objective
from lapa_core.train.pointing import Pointing


class Trainee(Objective):
    """An objective that can also generate, for what wraps it sees only what runs in `forward`.

    Attributes:
        pointing: another loss that is added, `point_weight` times, where batches have points.
        ways: which codes follow from others and are not chosen; None: none.
    """

    def __init__(self, *args: Any, **others: Any) -> None:
        super().__init__(*args, **others)
        # Not as class attributes: those would hide the module that takes their place.
        self.pointing: Pointing | None = None
        self.point_weight = 0.0
        self.ways: Ways | None = None

    def point(self, weight: float, layer: int, arms: int) -> None:
        """Also learn where the arms act next; see `Pointing`."""
        self.pointing, self.point_weight = Pointing(self.model, layer, arms), weight

    def forward(self, batch: Batch, num_bins: tuple[int, ...] | None = None) -> Losses | Tensor:
        """The losses of a batch; with `num_bins` the scores of its codes as generated."""
        if num_bins is not None:
            return free_scores(self.model, batch, num_bins, self.ways)
        losses = super().forward(batch)
        if self.pointing is None or batch.points is None:
            return losses
        point = self.pointing(batch)
        total = losses.total + self.point_weight * point
        return losses._replace(total=total, parts={**losses.parts, "point": point.detach()})


@torch.no_grad()
def free_scores(
    model: LapaModel, batch: Batch, num_bins: tuple[int, ...], ways: Ways | None = None
) -> Tensor:
    """(B, K, rows) scores of K codes, each after the model's own choices.

    Args:
        model: of actions.
        batch: sequences of one layout, so that all their codes stand at the same places.
        num_bins: (K,) valid codes of each place, or (d,) that repeat; only those are chosen.
        ways: which codes follow from those before, and from the batch's `here`.
    """
    codes = batch.target_tables[0] == Table.ACTION
    count, start = int(codes.sum()), int(codes.nonzero()[0, 0])
    ids, tables = batch.input_ids[:, : start + 1], batch.input_tables[:, : start + 1]
    total = start + count
    cache = model.new_cache(total, len(ids))
    later = F.pad(tables, (0, count - 1), value=int(Table.ACTION))
    known = torch.ones((len(ids), total), device=ids.device)
    mask = causal_mask(known, total, model.seen_whole(later))
    positions = torch.arange(total, device=ids.device).expand(len(ids), -1)
    scores: list[Tensor] = []
    said: list[Tensor] = []
    for i in range(count):
        first = 0 if i == 0 else start + i
        seen = first + ids.shape[1]
        hidden = model.backbone(
            model.embed(ids, tables),
            positions[:, first:seen],
            mask[:, :, first:seen, :seen],
            cache,
        )
        with torch.autocast(hidden.device.type, enabled=False):
            scores.append(model.logits(hidden[:, -1], Table.ACTION))
        valid = scores[-1][:, : num_bins[i % len(num_bins)]]
        ids = valid.argmax(-1, keepdim=True)
        if ways is not None and (way := ways.places.get(i)) and batch.here is not None:
            told, here = said[way.source][:, 0].cpu(), batch.here[:, way.state].cpu()
            ids = torch.from_numpy(ways.follow(i, told.numpy(), here.numpy()))[:, None].to(ids)
        said.append(ids)
        tables = torch.full_like(ids, Table.ACTION)
    return torch.stack(scores, dim=1)


class Validator:
    """Predicts a fixed choice of held-back steps.

    Args:
        feed: of the held-back demonstrations.
        checkpoint: whose bins the codes are of.
        samples: steps at most, spread evenly over them all.
        batch: steps predicted at once.
    """

    def __init__(self, feed: Feed, checkpoint: Checkpoint, samples: int, batch: int) -> None:
        assert checkpoint.actions is not None  # the recipe made or read them
        self._feed, self._actions, self._bins = feed, checkpoint.actions, checkpoint.num_bins
        count = min(samples, len(feed))
        chosen = np.linspace(0, len(feed) - 1, count).round().astype(np.int64)
        self._batches = list(_alike(feed, chosen, batch))
        true = np.concatenate([d.actions for d in feed.demos])
        if not np.any(true.min(axis=0) < true.max(axis=0)):
            raise DataError(
                "nothing moves in the episodes held back, so no error can be told from another; "
                "use another --seed, or --validation 0"
            )

    @torch.no_grad()
    def predict(
        self, trainee: nn.Module, device: torch.device, rank: int = 0, world: int = 1
    ) -> list[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64], float]]:
        """Scores, true tokens, true values and loss of this process' share of the batches.

        Every process calls `trainee` equally often, as sharded weights need.
        """
        bins = self._bins
        width = len(self._actions.num_bins)
        found = []
        for number in range(rank, -(-len(self._batches) // world) * world, world):
            batch = self._feed.batch(self._batches[min(number, len(self._batches) - 1)])
            moved = batch.to(device)
            scores = trainee(moved, bins).float().cpu().numpy()
            loss = float(trainee(moved).total)
            if number < len(self._batches):
                found.append(_steps(scores, batch, width, loss))
        return found

    def errors(
        self,
        found: list[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64], float]],
    ) -> dict[str, float]:
        """The errors of all processes' predictions together."""
        if not found:
            raise DataError("no step was predicted, so there is no error")
        errors = ActionError(self._actions)
        for scores, tokens, values, _ in found:
            errors.add(scores, tokens, values)
        sizes = np.array([len(tokens) for _, tokens, _, _ in found])
        loss = float(np.average([f[3] for f in found], weights=sizes))
        return {**errors.summary(), "loss": loss}


def _alike(feed: Feed, samples: NDArray[np.int64], size: int) -> Iterator[Drawn]:
    """Batches of samples with equally long instructions, so that none has pads."""
    drawn = feed.in_order(samples)
    lengths = feed.lengths[drawn.wordings]
    for length in np.unique(lengths):
        here = samples[lengths == length]
        for start in range(0, len(here), size):
            yield feed.in_order(here[start : start + size])


def _steps(
    scores: NDArray[np.float32], batch: Batch, width: int, loss: float
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64], float]:
    """Of (B, K, rows) scores, the steps that exist: (n, d, rows), (n, d) tokens and values."""
    assert batch.values is not None
    values = batch.values.numpy()
    exists = np.isfinite(values).all(-1)
    codes = batch.target_tables == Table.ACTION
    acting = exists.shape[1] * width  # the last so many; an aim may stand before them
    tokens = batch.target_ids[codes].numpy().reshape(len(exists), -1)[:, -acting:]
    tokens = tokens.reshape(*exists.shape, width)
    shaped = scores[:, -acting:].reshape(*exists.shape, width, -1)
    return shaped[exists], tokens[exists], values[exists], loss
