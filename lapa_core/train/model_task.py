# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the tasks have in common that train the large model, be it on actions or latent actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator

from lapa_core.model.checkpoint import DTYPES, Checkpoint
from lapa_core.train import adapters, utilisation
from lapa_core.train.examples import Batch
from lapa_core.train.presets import TrainOptions
from lapa_core.train.reading import learn_to_read
from lapa_core.train.sequences import Sequences
from lapa_core.train.task import Task

NAMED = 5  # sources of a batch that are named in a message


class ModelTask(Task):
    """The task of predicting tokens that follow a picture and words.

    Args:
        checkpoint: whose model learns.
        feed: what it learns from.
        output: checkpoint folder.
        options: of the loop.
        accelerator: this process' device and the others'.
        source: what the feed's samples are from, in a message: "episodes".
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        feed: Sequences,
        output: Path,
        options: TrainOptions,
        accelerator: Accelerator,
        source: str,
    ) -> None:
        self.checkpoint, self.feed, self.output, self.options = checkpoint, feed, output, options
        self._accelerator, self._source = accelerator, source

    def read(self, say: Callable[[str], None]) -> None:
        """The stage before the first update, for new weights; all processes do the same."""
        made, device = self.checkpoint, self._accelerator.device
        made.lapa.to(device)
        learn_to_read(made.lapa, made.vqgan, self.feed, self.options, device, say)
        made.vqgan.to("cpu")

    def batch(self, number: int, rank: int, world: int) -> Batch:
        """A process' part of batch `number`."""
        return self.feed.batch(self.feed.share(number, self.options.batch, rank, world))

    def blame(self, number: int, rank: int, world: int) -> str:
        """What that batch is from."""
        drawn = self.feed.share(number, self.options.batch, rank, world)
        names = self.feed.sources(drawn)
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return f"{self._source} {', '.join(names[:NAMED])}{more}"

    def operations(self, tokens: float, samples: float) -> float:
        """See `Task`."""
        length = tokens / max(samples, 1.0)
        config = self.trainee.model.config
        return utilisation.operations(config, self.options.method, tokens, length)

    def export(self, step: int, errors: Mapping[str, float]) -> None:
        """Write the checkpoint; all processes give their shards, the first one writes."""
        lapa, first = self.trainee.model, self._accelerator.is_main_process
        weights = {}
        for name, tensor in adapters.merged(lapa, DTYPES[self.options.save_type]):
            if first:
                weights[name] = tensor
        if not first:
            return
        known = self.checkpoint.interface
        replace(
            self.checkpoint,
            lapa=adapters.plain(lapa.config, weights),
            interface=replace(known, origin=f"{known.origin}, {step} updates"),
            statistics={**self.checkpoint.statistics, "validation": dict(errors)},
        ).save_pretrained(self.output)
