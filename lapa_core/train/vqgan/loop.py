# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The loop of an image tokenizer's training: batch, loss, gradient, codebook; log, save.

One process, one device. Which stage an update is of follows from the share of the run that is
over, by updates or by the clock.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lapa_core.errors import TrainingError
from lapa_core.train import contents
from lapa_core.train import optimizer as optimizers
from lapa_core.train.prefetch import Prefetch
from lapa_core.train.progress import Journal
from lapa_core.train.state import States
from lapa_core.train.vqgan.batches import PictureBatch, PictureFeed, Stage
from lapa_core.train.vqgan.journal import Standing, Window, line
from lapa_core.train.vqgan.options import TokenizerOptions
from lapa_core.train.vqgan.parts import Trainee

BETAS, DECAY = (0.9, 0.98), 1e-4  # of AdamW
FINAL = 0.02  # share of the learning rate at the end
CLIP = 1.0
REPLACE_EVERY, REPLACE_UNTIL = 20, 0.8  # updates; share of the encoder's time
BEGIN_AT = 0.1  # share of a part's time, after which warm-up ends and a codebook begins anyhow
DECODER_RATE = 2.0  # times the encoder's: its inputs stay what they are


class Run:
    """A running training."""

    def __init__(
        self,
        trainee: Trainee,
        feed: PictureFeed,
        options: TokenizerOptions,
        states: States,
        facts: Mapping[str, Any],
        standing: Standing,
        journal: Journal,
        now_s: Callable[[], float],
    ) -> None:
        self.trainee, self.feed, self.options, self.states = trainee, feed, options, states
        self.facts, self.standing, self.journal, self._now_s = facts, standing, journal, now_s
        self.device = trainee.vqgan.device
        self.products = torch.autocast(
            self.device.type, torch.bfloat16, enabled=options.precision == "bfloat16"
        )
        self._window = Window()
        self._batches: Prefetch | None = None
        self._enter(standing.part)
        trainee.codebook.ready = trainee.codebook.ready or standing.ready

    def go(self, interrupted: list[int]) -> None:
        """Run to the end; saves before it ends by itself, or because it was told to."""
        standing, options = self.standing, self.options
        self._batches, begun = Prefetch(self._make(), ahead=1), standing.step
        since = saved = self._now_s()
        while options.progress(standing.step, standing.seconds) < 1.0:
            self._update(next(self._batches))
            now = self._now_s()
            standing.seconds += now - since
            self._window.seconds += now - since
            since = now
            if standing.step % options.log_every == 0:
                self._log()
            if interrupted or now - saved >= options.save_seconds:
                self._save()
                saved = self._now_s()
            if interrupted:
                raise TrainingError(f"interrupted; {self.states.last()}, go on with --resume")
        if not self.trainee.codebook.ready or standing.part != "decoder":
            raise TrainingError(
                f"the time was over after {standing.step} updates, before the decoder had any; "
                f"give it more --minutes"
            )
        if standing.step > begun:
            self._save()

    def close(self) -> None:
        """Stop making batches and close the journal."""
        if self._batches is not None:
            self._batches.close()
        self.journal.close()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on with saved weights, AdamW and codebook."""
        contents.scatter(tensors, self.trainee, self.optimizer)
        for name, parameter in self._frozen().items():
            parameter.data.copy_(tensors[f"frozen/{name}"])
        self.trainee.codebook.load(tensors)

    def _make(self) -> Iterator[PictureBatch]:
        for number in itertools.count(self.standing.step):
            over = self.options.progress(number, self.standing.seconds)
            stage = Stage.at(over, self.options.decoder_share, self.options.whole_share)
            yield self.feed.batch(number, stage)

    def _enter(self, part: str) -> None:
        """Let one part learn, with an optimizer of its own."""
        if part != self.standing.part:
            self.standing.part, self.standing.part_step = part, 0
            self._window = Window()
        self.parameters = self.trainee.learn(part)
        self.optimizer = optimizers.adamw(
            self.parameters, lr=self.options.lr, betas=BETAS, weight_decay=DECAY
        )

    def _update(self, batch: PictureBatch) -> None:
        standing, batch = self.standing, batch.to(self.device)
        if batch.stage.part != standing.part:
            self._enter(batch.stage.part)
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.lr * self._rate(batch.stage)
        if standing.part == "encoder":
            made = self.trainee.encoder_update(batch, self.products)
        else:
            made = self.trainee.decoder_update(batch, self.products, self.feed.part)
        made.loss.backward()
        norm = float(optimizers.clip_gradients(self.parameters, CLIP))
        self._check_finite(float(made.loss.detach()), norm, batch)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if made.cells is not None:
            self._follow(made.cells, made.codes, batch.stage)
        standing.step += 1
        standing.part_step += 1
        self._window.count(made, len(batch))

    def _rate(self, stage: Stage) -> float:
        """Of the highest learning rate: up over the warm-up, down in half a cosine."""
        rise = max(
            (self.standing.part_step + 1) / max(self.options.warmup, 1), stage.done / BEGIN_AT
        )
        most = DECODER_RATE if stage.part == "decoder" else 1.0
        return most * min(rise, 1.0) * (0.5 * (1 + math.cos(math.pi * stage.done)) + FINAL)

    def _follow(self, cells: Tensor, codes: Tensor | None, stage: Stage) -> None:
        """Move the codebook, or begin it."""
        codebook, standing = self.trainee.codebook, self.standing
        seed = np.random.default_rng((self.options.seed, standing.step, 1)).integers(2**62)
        chance = torch.Generator().manual_seed(int(seed))
        if codes is None:
            if standing.step >= self.options.warmup or stage.done >= BEGIN_AT:
                codebook.begin(cells, chance)
                standing.ready = True
            return
        codebook.follow(cells, codes)
        if standing.step % REPLACE_EVERY == 0 and stage.done < REPLACE_UNTIL:
            replaced = codebook.replace_dead(cells, codes, chance)
            standing.replaced += replaced
            self._window.replaced += replaced

    def _check_finite(self, loss: float, norm: float, batch: PictureBatch) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        raise TrainingError(
            f"update {self.standing.step + 1}: loss {loss:g}, gradient norm {norm:g}, learnt from "
            f"{self.feed.blame(batch)}; {self.states.last()}. A lower --lr may help"
        )

    def _log(self) -> None:
        standing, window = self.standing, self._window
        over = self.options.progress(standing.step, standing.seconds)
        self._window = Window()
        quantised = standing.part == "encoder" and self.trainee.codebook.ready
        values = window.values(self.trainee.codebook if quantised else None)
        values["lr"] = float(self.optimizer.param_groups[0]["lr"])
        self.journal.add(standing.step, values, standing.part)
        self.journal.live(line(standing, over, values))

    def _frozen(self) -> dict[str, torch.nn.Parameter]:
        return {n: p for n, p in self.trainee.named_parameters() if not p.requires_grad}

    def _save(self) -> None:
        tensors = contents.gather(self.trainee, self.optimizer) | self.trainee.codebook.tensors()
        tensors |= {f"frozen/{name}": p for name, p in self._frozen().items()}
        self.states.write_part(self.standing.step, tensors)
        self.states.finish(
            self.standing.step, {**self.facts, "standing": asdict(self.standing)}
        )  # fmt: skip
