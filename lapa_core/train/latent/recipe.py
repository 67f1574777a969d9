# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Shards -> a latent model: the recipe of `lapa pretrain latent` on the loop.

OUT is the checkpoint with the least validation error so far, which `lapa finetune --from` takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from lapa_core.errors import CheckpointError
from lapa_core.model import interface
from lapa_core.model.checkpoint import DTYPES, Checkpoint
from lapa_core.train import adapters, initialise, loop
from lapa_core.train.curves import Panels
from lapa_core.train.latent.changes import Changes, LatentObjective
from lapa_core.train.latent.feed import LatentFeed, sayable
from lapa_core.train.latent.shards import Corpus
from lapa_core.train.loss import TEXT_WEIGHT
from lapa_core.train.model_task import ModelTask
from lapa_core.train.opening import begin, settle
from lapa_core.train.presets import TrainOptions
from lapa_core.train.start import Start
from lapa_core.train.task import Standing

PANELS: Panels = (
    ("loss", ("train/loss", "validation/loss"), "nats a code"),
    ("of guessing by frequency", ("validation/relative", "validation/other_words"), "loss"),
    ("codes right", ("train/token_accuracy", "validation/accuracy"), "share"),
    ("words, what changes", ("train/loss_text", "train/loss_changes"), "nats a token, a cell"),
    ("speed", ("train/tokens_per_s",), "tokens/s"),
    ("learning rate, gradient", ("train/lr", "train/gradient_norm"), ""),
)


class LearnLatents(ModelTask):
    """The task of telling latent actions from a picture and words."""

    panels = PANELS

    def __init__(
        self,
        checkpoint: Checkpoint,
        learn: Corpus,
        held: Corpus,
        output: Path,
        options: TrainOptions,
        accelerator: Accelerator,
        clean: bool,
        text_weight: float,
        changes: Changes | None = None,
    ) -> None:
        self.trainee = LatentObjective(
            checkpoint.lapa, options.point_weight if changes else 0.0, options.point_layer,
            clean=clean, text_weight=text_weight,
        )  # fmt: skip
        codes = checkpoint.vqgan.num_codes
        feed = LatentFeed(
            learn, checkpoint.tokenizer, codes, changes=changes, word_noise=options.word_noise,
            pad_to=options.pad_to, seed=options.seed,
        )  # fmt: skip
        super().__init__(checkpoint, feed, output, options, accelerator, "clips")
        self._held = LatentFeed(held, checkpoint.tokenizer, codes) if len(held) else None
        other = with_other_words(held, options.seed)
        self._other = LatentFeed(other, checkpoint.tokenizer, codes) if other else None
        self._guess = frequency_loss(learn, held, int(checkpoint.lapa.config.latent_vocab_size))

    @torch.no_grad()
    def validate(self, module: nn.Module, accelerator: Accelerator) -> dict[str, float] | None:
        """Loss and share of right codes on the clips held back, after true codes.

        `other_words` is that loss, of guessing's, when each picture is told what was said of
        another: no more than `relative`, and the words do not matter.
        """
        if self._held is None:
            return None
        loss, right = self._judge(self._held, module, accelerator)
        found = {"loss": loss, "accuracy": right, "relative": loss / self._guess}
        if self._other is not None:
            found["other_words"] = self._judge(self._other, module, accelerator)[0] / self._guess
        return found

    def _judge(
        self, feed: LatentFeed, module: nn.Module, accelerator: Accelerator
    ) -> tuple[float, float]:
        """Loss [nats a code] and share of right codes, of all processes."""
        rank, world = accelerator.process_index, accelerator.num_processes
        count = min(self.options.validation_samples, len(feed))
        chosen = np.linspace(0, len(feed) - 1, count).round().astype(np.int64)
        found = []
        size = self.options.batch
        for at in range(0, count, size * world):  # as often in each process
            mine = chosen[at : at + size * world][rank::world]
            count_for = len(mine)
            mine = mine if count_for else chosen[:1]  # asked, as all are, and not counted
            batch = feed.batch(feed.in_order(mine)).to(accelerator.device)
            losses = module(batch)
            right = float(losses.correct) / max(float(losses.counted), 1.0)
            found.append((count_for, float(losses.parts["latent"]), right))
        parts = np.array(gather_object(found) if world > 1 else found)
        loss = float(np.average(parts[:, 1], weights=parts[:, 0]))
        return loss, float(np.average(parts[:, 2], weights=parts[:, 0]))

    def told(self, errors: Mapping[str, float]) -> str:
        """Codes that are right, and the loss beside that of guessing."""
        return (
            f"codes right {100 * errors['accuracy']:.1f} %, loss {errors['loss']:.3f}, "
            f"{errors['relative']:.2f} of guessing by frequency"
            + (f" ({errors['other_words']:.2f} with another's words)"
               if "other_words" in errors else "")
        )  # fmt: skip


def with_other_words(corpus: Corpus, seed: int) -> Corpus | None:
    """The same pictures and codes, each with what was said of another; None: all say the same."""
    if len(np.unique(corpus.said)) < 2:
        return None
    chance = np.random.default_rng(seed)
    other = corpus.said[chance.integers(len(corpus), size=len(corpus))]
    while (same := other == corpus.said).any():
        other[same] = corpus.said[chance.integers(len(corpus), size=int(same.sum()))]
    return replace(corpus, said=other)


def frequency_loss(learn: Corpus, held: Corpus, size: int) -> float:
    """Mean loss [nats a code] of guessing each place's codes as often as they are there."""
    judged = held if len(held) else learn
    total = 0.0
    for place in range(learn.latent.shape[1]):
        counts = np.bincount(learn.latent[:, place], minlength=size) + 1.0
        total -= float(np.log(counts / counts.sum())[judged.latent[:, place]].mean())
    return max(total / learn.latent.shape[1], 1e-9)


def pretrain(
    start: Start,
    corpus: Corpus,
    output: Path,
    options: TrainOptions,
    *,
    clean: bool = False,
    text_weight: float = TEXT_WEIGHT,
    resume: bool = False,
    accelerator: Accelerator | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Standing:
    """Train a latent model.

    Args:
        start: whose weights to begin with; they are used up.
        corpus: a share of its clips is held back.
        output: checkpoint folder.
        options: of the loop.
        clean, text_weight: as of `loss.latent_loss`.
        resume: go on from the newest state of `output`'s run, if there is one.
        accelerator: this process' device and the others'; None makes one.
        say: told what a person should know, in the first process.

    Returns:
        how far it came, with the errors of the best validation.

    Raises:
        TrainingError, DataError, CheckpointError, ConfigError: in one line what is wrong; what
            was saved before is as it was.
    """
    options, accelerator = settle(options, accelerator)
    whole, corpus = corpus, sayable(corpus, start.tokenizer)
    learn, held = corpus.split(options.validation, options.seed)
    facts: dict[str, Any] = {
        "options": asdict(options), "start": start.name, "data": corpus.fingerprint(),
        "loss": [clean, text_weight],
    }  # fmt: skip
    lines = [f"{len(learn)} examples to learn from, {len(held)} held back"]
    if long := len(whole) - len(corpus):
        lines.insert(
            0, f"{long} examples are left out: their instruction is too long for a prompt"
        )
    changes = Changes(learn, start.vqgan) if options.point_weight else None
    if changes is not None and not len(changes):
        lines.append(
            "no clip has two examples: nobody knows what changes, and point_weight is off"
        )
        changes = None
    if changes is not None:  # a run from before, whose options say so already, did without
        facts["changes"] = True
    states = begin(output, facts, options, accelerator, source=start.name, resume=resume,
                   say=say, lines=lines)  # fmt: skip
    checkpoint = _ready(start, corpus, options)
    words = text_weight > 0
    adapters.adapt(checkpoint.lapa, options, accelerator.device, "latent", words)
    task = LearnLatents(checkpoint, learn, held, output, options, accelerator, clean, text_weight,
                        changes)  # fmt: skip
    begins = not (resume and states.facts())
    if options.read_steps and begins and start.interface is None:
        task.read(say if accelerator.is_main_process else lambda _: None)
    return loop.train(task, options, states, accelerator, facts, resume=resume)


def _ready(start: Start, corpus: Corpus, options: TrainOptions) -> Checkpoint:
    """The checkpoint that training then only changes the weights of."""
    rows = int(start.lapa.config.latent_vocab_size)
    if (most := int(corpus.latent.max()) + 1) > rows:
        raise CheckpointError(f"{start.name} knows {rows} latent codes, the shards have {most}")
    origin = (
        f"{Path(start.name).name}, pretrained on {len(corpus)} latent actions of "
        f"{len(corpus.clips)} clips"
    )
    codes, crop = corpus.latent.shape[1], corpus.center_crop
    made_for = interface.latent(codes, origin, trained=True, center_crop=crop)
    lapa = start.lapa.to(DTYPES[options.weights])
    if options.smooth_start and start.interface is None:
        initialise.smooth_tables(lapa, seed=options.seed)
    return Checkpoint(made_for, lapa, start.vqgan, start.tokenizer)
