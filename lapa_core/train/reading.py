# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A first stage for a model from nothing: its image tokens learn to tell what they stand for.

The released LAPA began with a model that had read a billion pictures (LWM). To one that has read
none, a code is a name that means nothing, and finding out what it means through the actions that
follow takes most of a training. But what codes mean is known: the image tokenizer's own decoder
draws it. Asked to draw it as well, cell by cell, the first half of the layers have learnt to read
after a few minutes (docs/log.md, rung 9); what is then learnt of words and actions is learnt of
things that are seen. No label is used, and the head that draws is thrown away.

n pictures, N image tokens each in s rows of s, D hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from numpy.typing import NDArray
from torch import Tensor, nn

from lapa_core.model.lapa import LapaModel
from lapa_core.model.vocabulary import Table
from lapa_core.model.vqgan import Vqgan
from lapa_core.train import optimizer as optimizers
from lapa_core.train.examples import Batch
from lapa_core.train.placing import autocast
from lapa_core.train.presets import TrainOptions

PICTURES = 3000  # that are drawn once with the decoder, which is slow; 24 kB each in 8x8 cells
BATCH = 32  # samples an update; each asks as many questions as its pictures have cells
LR, WARMUP = 2e-3, 100  # cosine to 0; twice the rate for actions bears the denser answers
DOTS = 8  # a side, of a cell as it is to be drawn; four pixels each in 8x8 cells
AROUND = 4  # dots on each side, so that a token has to look at its neighbours
_CHANGE = 0.2  # of -1 .. 1: what differs by more from what is always there counts in full
_LEAST = 0.03  # weight of what never changes
_REPORT = 100  # updates between two lines for a person


def learn_to_read(
    model: LapaModel,
    vqgan: Vqgan,
    feed: Pictures,
    options: TrainOptions,
    device: torch.device,
    say: Callable[[str], None] = lambda _: None,
    *,
    batch_size: int = BATCH,
) -> float:
    """Train the image tokens' tables and the first half of the layers; the rest is as it was.

    The same arguments give the same weights.

    Args:
        model: on `device`, with full weights.
        vqgan: whose decoder draws the codes.
        feed: whose pictures are read, with the words and the state before them.
        options: `read_steps` updates, `seed`, `precision`.
        say: told how far it is, every now and then.
        batch_size: samples an update.

    Returns:
        the share of what changes in the pictures that was not told, over the last updates; 1 is
        what a token that always draws the same would leave.
    """
    chance = np.random.default_rng([options.seed, 1])
    rows = chance.permutation(len(feed))[:PICTURES]
    drawn = _drawn(vqgan, feed, rows, device)
    lesson = _Lesson(model, options, device)
    left, was = 1.0, model.training
    model.train()
    with _shallow(model, lesson.depth):
        for step in range(options.read_steps):
            chosen = chance.integers(len(rows), size=batch_size)
            batch = _up_to_the_pictures(feed.batch(feed.in_order(rows[chosen])))
            lesson.update(step, batch.to(device), drawn[chosen].float())
            if (step + 1) % _REPORT == 0 or step + 1 == options.read_steps:
                left = lesson.left()
                say(f"reading: {step + 1} of {options.read_steps} updates, {left:.0%} of what "
                    f"changes in the pictures is not read yet")  # fmt: skip
    model.train(was)
    return left


class Pictures(Protocol):
    """Samples with pictures, as the feeds of the recipes are.

    Attributes:
        picture_tokens: of a picture, its mark at the end included.
    """

    @property
    def picture_tokens(self) -> int:
        """See above."""

    def __len__(self) -> int:
        """Samples."""

    def in_order(self, samples: NDArray[np.int64]) -> Any:
        """These samples, as `batch` takes them."""

    def batch(self, drawn: Any) -> Batch:
        """A batch of them."""


class _Lesson:
    """What learns, and its one step."""

    def __init__(self, model: LapaModel, options: TrainOptions, device: torch.device) -> None:
        self._model, self._options, self._device = model, options, device
        self.depth = (len(model.model.layers) + 1) // 2
        self._draws = _Drawing(model).to(device)
        learns = [model.vision_embed, *model.model.layers[: self.depth], self._draws]
        if model.config.vision_positions:
            learns.append(model.vision_position)
        self._parameters = [p for module in learns for p in module.parameters()]
        self._learner = optimizers.adamw(
            self._parameters, lr=LR, weight_decay=options.weight_decay
        )
        self._rate = optimizers.warmup_cosine(WARMUP, max(options.read_steps, WARMUP + 1))
        self._missed, self._told = 0.0, 0.0

    def update(self, step: int, batch: Batch, drawn: Tensor) -> None:
        """Learn from (n, c, 3, s DOTS, s DOTS) pictures of a batch."""
        for group in self._learner.param_groups:
            group["lr"] = LR * self._rate(step)
        with autocast(self._options, self._device):
            hidden = self._model(batch.input_ids, batch.input_tables)
        error, total, weight = self._draws(hidden, batch, drawn)
        (error / weight).backward()
        optimizers.clip_gradients(self._parameters, self._options.clip)
        self._learner.step()
        self._model.zero_grad(set_to_none=True)  # words and state have gradients too
        self._draws.zero_grad(set_to_none=True)
        self._missed += float(error.detach())
        self._told += float(total)

    def left(self) -> float:
        """The share of what changes that was not told since this was last asked."""
        left = self._missed / max(self._told, 1e-9)
        self._missed, self._told = 0.0, 0.0
        return left


class _Drawing(nn.Module):
    """From an image token's state to the dots of its cell and around it."""

    def __init__(self, model: LapaModel) -> None:
        super().__init__()
        self.side = DOTS + 2 * AROUND
        self.head = nn.Linear(model.config.hidden_size, 3 * self.side**2)
        for parameter in self.head.parameters():  # it begins with what is always there
            nn.init.zeros_(parameter)

    def forward(
        self, hidden: Tensor, batch: Batch, drawn: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """() weighted squared error, the same of drawing nothing, and the sum of the weights.

        Args:
            hidden: (n, T, D) states of whole sequences.
            batch: that they are of.
            drawn: (n, c, 3, s DOTS, s DOTS) what differs from what is always there.
        """
        count, pictures = drawn.shape[:2]
        seen = hidden[batch.input_tables == Table.VISION].view(
            count, pictures, -1, hidden.shape[-1]
        )
        seen = seen[:, :, :-1].flatten(0, 1).float()  # without the mark at the end
        change = drawn.flatten(0, 1)
        weight = (change.abs().amax(1, keepdim=True) / _CHANGE).clamp(max=1) + _LEAST
        wanted, weight = (self._cells(x) for x in (change, weight.expand_as(change)))
        with torch.autocast(hidden.device.type, enabled=False):
            error = (weight * (self.head(seen.float()) - wanted) ** 2).sum()
        return error, (weight * wanted**2).sum(), weight.sum()

    def _cells(self, dots: Tensor) -> Tensor:
        """(n, C, s DOTS, s DOTS) -> (n, N, C side side), with what is around each cell."""
        padded = F.pad(dots, (AROUND,) * 4)
        return F.unfold(padded, self.side, stride=DOTS).transpose(1, 2)


@torch.no_grad()
def _drawn(vqgan: Vqgan, feed: Pictures, rows: np.ndarray, device: torch.device) -> Tensor:
    """(n, c, 3, s DOTS, s DOTS) float16: the samples' pictures, less their median."""
    vqgan = vqgan.to(device)
    parts = []
    for start in range(0, len(rows), BATCH):
        batch = feed.batch(feed.in_order(rows[start : start + BATCH]))
        seen, tokens = batch.input_tables == Table.VISION, feed.picture_tokens
        cameras = int(seen[0].sum()) // tokens
        codes = batch.input_ids[seen].view(-1, tokens)
        pixels = vqgan.decode(codes[:, :-1].to(device)).permute(0, 3, 1, 2)
        side = round((codes.shape[1] - 1) ** 0.5)
        dots = F.adaptive_avg_pool2d(pixels, side * DOTS)
        parts.append(dots.unflatten(0, (-1, cameras)).half())
    found = torch.cat(parts)
    return found - found.float().median(0).values.half()


def _up_to_the_pictures(batch: Batch) -> Batch:
    """Without what comes after them: of that nothing is asked."""
    end = int((batch.input_tables == Table.VISION).nonzero()[:, 1].max()) + 1
    cut = [getattr(batch, n)[:, :end] for n in ("input_ids", "input_tables", "target_ids",
                                                "target_tables", "loss")]  # fmt: skip
    return Batch(*cut, lengths=batch.lengths.clamp(max=end))


@contextmanager
def _shallow(model: LapaModel, count: int) -> Iterator[None]:
    """A model of its first layers for a while."""
    layers = model.model.layers
    model.model.layers = layers[:count]
    try:
        yield
    finally:
        model.model.layers = layers
