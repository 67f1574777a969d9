# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The training loop, the only one: batch, loss, gradient, update; validate, keep the best, save.

The same on a CPU, a GPU, eight of them or several machines: `accelerate` says which processes
there are and on what, and wraps the module (DDP); `shard` splits it instead (FSDP). Knows nothing
of demonstrations or robots: what is learnt is a `Task`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from lapa_core.errors import TrainingError
from lapa_core.train import contents, placing, progress, utilisation
from lapa_core.train import optimizer as optimizers
from lapa_core.train.contents import Average
from lapa_core.train.placing import interrupts, named_faults
from lapa_core.train.prefetch import Prefetch
from lapa_core.train.presets import TrainOptions
from lapa_core.train.progress import Journal
from lapa_core.train.state import States
from lapa_core.train.task import Examples, Standing, Task

_OWN = "task/"  # what a task saves itself


def train(
    task: Task,
    options: TrainOptions,
    states: States,
    accelerator: Accelerator,
    facts: Mapping[str, Any],
    *,
    resume: bool = False,
) -> Standing:
    """Train to the end, or until the validation error has not fallen for long enough.

    Args:
        states: where states are saved; its newest is gone on from with `resume`.
        facts: saved with each state.

    Raises:
        TrainingError: a number that is not finite, a full disk, no memory, or an interrupt; says
            what state is left.
    """
    with named_faults(states.last):  # a model that does not fit is refused where it is placed
        return _train(task, options, states, accelerator, facts, resume)


def _train(
    task: Task,
    options: TrainOptions,
    states: States,
    accelerator: Accelerator,
    facts: Mapping[str, Any],
    resume: bool,
) -> Standing:
    rank, world = accelerator.process_index, accelerator.num_processes
    module = placing.place(task.trainee, options, accelerator)
    learner = optimizers.adamw(
        task.trainee.parameters(), lr=options.lr, weight_decay=options.weight_decay
    )
    average, standing = Average(task.trainee, options.ema), Standing()
    if resume and (known := states.facts()):
        standing = Standing(**known["standing"])
        if not options.patience or standing.worse < options.patience:
            standing.ended = ""  # more patience than when it ended
        tensors = states.tensors(options.shard)
        contents.scatter(tensors, task.trainee, learner)
        average.load(tensors)
        task.load({k.removeprefix(_OWN): t for k, t in tensors.items() if k.startswith(_OWN)})
        contents.set_random_state(tensors)
    numbers = range(standing.step * options.accumulate, options.steps * options.accumulate)
    feed = Prefetch(task.batch(n, rank, world) for n in numbers)
    with closing(feed), interrupts(world) as interrupted:
        journal = nullcontext()
        if accelerator.is_main_process:
            journal = Journal(
                states.folder, facts["options"], options.tracker, standing.step, panels=task.panels
            )
        with journal as shown:
            run = _Run(task, options, states, accelerator, facts, module, learner, average, shown)
            while standing.step < options.steps and not standing.ended:
                run.update(standing, feed)
                run.look_after(standing, bool(interrupted))
    return standing


class _Run:
    """The parts of a running training, and its one step."""

    def __init__(
        self,
        task: Task,
        options: TrainOptions,
        states: States,
        accelerator: Accelerator,
        facts: Mapping[str, Any],
        module: nn.Module,
        learner: torch.optim.Optimizer,
        average: Average,
        journal: Journal | None,
    ) -> None:
        self.task, self.options, self.states, self.accelerator = task, options, states, accelerator
        self.facts, self.module, self.learner = facts, module, learner
        self.average, self.journal = average, journal
        self.parameters = list(contents.learning(task.trainee).values())
        self.module.train()
        self.since, self.updates = time.monotonic(), 0
        self.parts: dict[str, float] = {}  # of the loss, in this process
        self.counts = torch.zeros(5, dtype=torch.float64)  # loss, samples, tokens, right, asked

    def update(self, standing: Standing, feed: Prefetch) -> None:
        """One update of the weights."""
        options, accelerator = self.options, self.accelerator
        rate = options.lr * rate_factor(options, standing.step)
        for group in self.learner.param_groups:
            group["lr"] = rate
        loss = 0.0
        for part in range(options.accumulate):
            batch: Examples = next(feed)
            last = part == options.accumulate - 1
            quiet = nullcontext() if last else accelerator.no_sync(self.module)
            with quiet:
                with placing.autocast(options, accelerator.device):
                    losses = self.module(batch.to(accelerator.device, non_blocking=True))
                accelerator.backward(losses.total / options.accumulate)
            loss += float(losses.total.detach()) / options.accumulate
            for name, value in losses.parts.items():
                share = float(value) / options.accumulate
                self.parts[name] = self.parts.get(name, 0.0) + share
            seen = (0, len(batch), batch.lengths.sum(), losses.correct, losses.counted)
            self.counts += torch.tensor([float(n) for n in seen])
        norm = optimizers.clip_gradients(self.parameters, options.clip)
        norm = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
        self._check_finite(standing.step, loss, norm)
        self.learner.step()
        self.learner.zero_grad(set_to_none=True)
        standing.step += 1
        self.task.updated(standing.step)
        self.average.update(standing.step)
        self.counts[0] += loss
        self.updates += 1
        if standing.step % options.log_every == 0 or standing.step == options.steps:
            self._log(standing, {"lr": rate, "gradient_norm": norm})

    def look_after(self, standing: Standing, interrupted: bool) -> None:
        """Validate, export and save where it is due."""
        options, step = self.options, standing.step
        last = step == options.steps
        if step % options.validate_every == 0 or last:
            self._validate(standing)
        if step % options.save_every == 0 or last or standing.ended or interrupted:
            if standing.best is None:  # nothing held back: the newest weights are the best
                self._export(step, {})
            self._save(standing)
        if interrupted and not last:
            raise TrainingError(f"interrupted; {self.states.last()}, go on with --resume")

    def _validate(self, standing: Standing) -> None:
        self.module.eval()
        products = placing.autocast(self.options, self.accelerator.device)
        with self.average.applied(), products:
            errors = self.task.validate(self.module, self.accelerator)
        self.module.train()
        if errors is None:
            return
        better = standing.best is None or errors["relative"] < standing.best["relative"]
        standing.worse = 0 if better else standing.worse + 1
        if better:
            standing.best = {"step": standing.step, **errors}
        if better or self.options.take == "last":
            self._export(standing.step, errors)
        if self.options.patience and standing.worse >= self.options.patience:
            standing.ended = f"no smaller error in {standing.worse} validations"
        if self.journal:
            self.journal.validated(standing.step, errors, self.task.told(errors), better)

    def _export(self, step: int, errors: Mapping[str, float]) -> None:
        with self.average.applied():
            self.task.export(step, errors)

    def _save(self, standing: Standing) -> None:
        """All processes write their parts; the first makes them a state if all could."""
        first = self.accelerator.is_main_process
        tensors = contents.random_state()
        if first or self.options.shard:
            tensors |= contents.gather(self.task.trainee, self.learner) | self.average.tensors()
            tensors |= {_OWN + name: t for name, t in self.task.tensors().items()}
        problem: TrainingError | None = None
        try:
            self.states.write_part(standing.step, tensors)
        except TrainingError as error:
            problem = error
        failed = torch.tensor(float(problem is not None), device=self.accelerator.device)
        if float(self.accelerator.reduce(failed)) > 0:
            raise problem or TrainingError(f"another process could not save; {self.states.last()}")
        if first:
            self.states.finish(standing.step, {**self.facts, "standing": asdict(standing)})
        self.accelerator.wait_for_everyone()

    def _check_finite(self, step: int, loss: float, norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        numbers = range(step * self.options.accumulate, (step + 1) * self.options.accumulate)
        made_of = "; ".join(self.task.blame(n, rank, world) for n in numbers)
        raise TrainingError(
            f"step {step + 1}: loss {loss:g}, gradient norm {norm:g}, learnt from {made_of}; "
            f"{self.states.last()}. A lower --lr or a longer --warmup may help"
        )

    def _log(self, standing: Standing, values: dict[str, float]) -> None:
        now = time.monotonic()
        spent, self.since = now - self.since, now
        standing.seconds += spent
        counts = self.accelerator.reduce(self.counts.float().to(self.accelerator.device)).tolist()
        steps, self.updates = self.updates, 0
        parts = {f"loss_{n}": v / steps for n, v in self.parts.items()}
        self.parts.clear()
        self.counts.zero_()
        if self.journal:
            values = {
                "loss": counts[0] / steps / self.accelerator.num_processes,
                **parts,
                **values,
                "token_accuracy": counts[3] / max(counts[4], 1),
                "samples_per_s": counts[1] / spent,
                "tokens_per_s": counts[2] / spent,
                "seconds_per_step": spent / steps,
                "memory_gb": progress.memory_gb(self.accelerator.device),
            }
            if top := utilisation.peak_tflops(self.accelerator.device):
                used = self.task.operations(counts[2], counts[1]) / spent
                values["mfu"] = used / (top * 1e12 * self.accelerator.num_processes)
            self.journal.add(standing.step, values, "train")
            self.journal.show(standing.step, self.options.steps, values)


def rate_factor(options: TrainOptions, step: int) -> float:
    """Share of the learning rate for the update after `step` others."""
    if options.schedule == "cosine":
        return optimizers.warmup_cosine(options.warmup, options.steps)(step)
    return min((step + 1) / max(options.warmup, 1), 1.0)
