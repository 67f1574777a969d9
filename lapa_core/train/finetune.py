# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Demonstrations -> a policy: the recipe of `lapa finetune` on the loop.

OUT is the checkpoint with the least validation error so far, complete and ready to run. Beside it
OUT.run holds what the run needs for itself: states to resume from, metrics, curves, adapters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from lapa_core.data.demos import DemoSet
from lapa_core.data.views import View
from lapa_core.errors import ConfigError
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.ways import Ways
from lapa_core.robot import Robot
from lapa_core.train import adapters, loop
from lapa_core.train.feed import Feed
from lapa_core.train.model_task import ModelTask
from lapa_core.train.opening import begin, run_folder, settle
from lapa_core.train.presets import TrainOptions
from lapa_core.train.start import Start, ready
from lapa_core.train.task import Standing
from lapa_core.train.validation import Trainee, Validator

Paraphrases = Mapping[str, Sequence[str]]


def finetune(
    start: Start,
    demos: DemoSet,
    output: Path,
    options: TrainOptions,
    *,
    held: DemoSet | None = None,
    paraphrases: Paraphrases | None = None,
    resume: bool = False,
    keep_adapter: bool = False,
    robot: Robot | None = None,
    accelerator: Accelerator | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Standing:
    """Train a policy.

    Args:
        start: whose weights to begin with; they are used up.
        demos: to learn from, and to hold some back.
        output: checkpoint folder; an older checkpoint there is replaced by the first better one.
        held: demonstrations for validation; None holds `options.validation` of `demos` back.
        paraphrases: instruction -> other words for it.
        resume: go on from the newest state of `output`'s run, if there is one.
        keep_adapter: also save the adapters alone, beside the states.
        robot: whose largest steps bound the outer bins.
        accelerator: this process' device and the others'; None makes one.
        say: told what a person should know, in the first process.

    Returns:
        how far it came, with the errors of the best validation.

    Raises:
        TrainingError, DataError, CheckpointError, ConfigError: in one line what is wrong; what
            was saved before is as it was.
    """
    options, accelerator = settle(options, accelerator)
    if held is None:
        demos, held = demos.split(options.validation, options.seed)
    facts = {
        "options": asdict(options),
        "start": start.name,
        "data": fingerprint(demos, held),
        "paraphrases": {k: list(v) for k, v in sorted((paraphrases or {}).items())},
    }
    states = begin(output, facts, options, accelerator, source=start.name, resume=resume)
    quiet = not accelerator.is_main_process
    checkpoint = ready(start, demos, options, robot=robot, say=(lambda _: None) if quiet else say)
    adapters.adapt(checkpoint.lapa, options, accelerator.device)
    task = Finetune(
        checkpoint, demos, held, output, options, paraphrases or {}, accelerator, robot
    )
    begins = not (resume and states.facts())
    if options.read_steps and begins and start.interface is None:
        task.read((lambda _: None) if quiet else say)
    if keep_adapter and options.method != "full":
        task.keep_adapter(run_folder(output) / "adapter", of=start.name)
    return loop.train(task, options, states, accelerator, facts, resume=resume)


class Finetune(ModelTask):
    """The task of learning actions from demonstrations."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        demos: DemoSet,
        held: DemoSet,
        output: Path,
        options: TrainOptions,
        paraphrases: Paraphrases,
        accelerator: Accelerator,
        robot: Robot | None = None,
    ) -> None:
        assert checkpoint.actions is not None  # `ready` made them
        bins = checkpoint.num_bins
        self.trainee = Trainee(checkpoint.lapa, spread_bins=options.label_spread, num_bins=bins)
        if checkpoint.aims is not None:
            self.trainee.ways = Ways(checkpoint.aims, checkpoint.states)
        views = None
        if options.point_weight:
            views = _views(robot, checkpoint)
            self.trainee.point(options.point_weight, options.point_layer, len(views[0].arms))
        feed = Feed(
            demos,
            checkpoint,
            paraphrases=paraphrases,
            word_noise=options.word_noise,
            augment=options.augment,
            pad_to=options.pad_to,
            seed=options.seed,
            views=views,
        )
        super().__init__(checkpoint, feed, output, options, accelerator, "episodes")
        self._adapter: tuple[Path, str] | None = None
        self._validator = None
        if held.num_steps:
            known = Feed(held, checkpoint)
            size = options.batch
            self._validator = Validator(known, checkpoint, options.validation_samples, size)

    def keep_adapter(self, folder: Path, of: str) -> None:
        """Also save the adapters alone, in `folder`, as those of the checkpoint `of`."""
        self._adapter = folder, of

    def validate(self, module: nn.Module, accelerator: Accelerator) -> dict[str, float] | None:
        """Errors on the demonstrations held back."""
        if self._validator is None:
            return None
        rank, world = accelerator.process_index, accelerator.num_processes
        found = self._validator.predict(module, accelerator.device, rank, world)
        return self._validator.errors(gather_object(found) if world > 1 else found)

    def told(self, errors: Mapping[str, float]) -> str:
        """The errors in millimetres and degrees, and the gripper's."""
        parts = [
            f"{errors[name]:.2f} {unit}"
            for name, unit in (("translation_mm", "mm"), ("rotation_deg", "deg"))
            if name in errors
        ]
        parts.append(f"gripper {100 * errors['gripper_accuracy']:.0f} %")
        return ", ".join(parts) + f", {errors['relative']:.2f} of a constant's"

    def export(self, step: int, errors: Mapping[str, float]) -> None:
        """Write the checkpoint, and the adapters if asked for."""
        adapter = adapters.alone(self.trainee.model) if self._adapter else {}
        super().export(step, errors)
        if self._adapter and self._accelerator.is_main_process:
            folder, source = self._adapter
            adapters.save_adapter(adapter, self.options, source, folder)


def _views(robot: Robot | None, checkpoint: Checkpoint) -> tuple[Robot, tuple[View, ...]]:
    """How the policy's cameras see, by the robot file.

    Raises:
        ConfigError: there is no robot file, or none of the cameras stands still.
    """
    interface = checkpoint.interface
    if robot is None:
        raise ConfigError(
            f"point_weight needs the robot file of {interface.robot}, for where its cameras "
            f"stand; use 0 without"
        )
    crop = interface.center_crop
    views = tuple(View(robot.camera(name), crop) for name in interface.cameras)
    if not any(view.fixed for view in views):
        raise ConfigError(
            f"point_weight needs a camera that stands still; {', '.join(interface.cameras)} of "
            f"{robot.name} do not. Use 0"
        )
    return robot, views


def fingerprint(*sets: DemoSet) -> str:
    """Of all that is learnt from: the same demonstrations in the same order give the same."""
    digest = hashlib.sha256()
    for demos in sets:
        digest.update(repr(demos.traits).encode())
        for demo in demos.demos:
            often = (demo.times,) if demo.times > 1 else ()
            digest.update(repr((demo.name, demo.instructions, *often)).encode())
            arrays = demo.codes, demo.actions, demo.state, demo.index, demo.places, demo.turns
            for array in arrays:
                digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def read_paraphrases(path: Path, instructions: set[str]) -> dict[str, tuple[str, ...]]:
    """Other words for instructions, one instruction a line: `words -> others | others`.

    Raises:
        ConfigError: it cannot be read, or a line is none, or no line is of these instructions.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the paraphrases {path}: {error}") from None
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words, arrow, others = line.partition("->")
        said = tuple(o.strip() for o in others.split("|") if o.strip())
        if not arrow or not words.strip() or not said:
            raise ConfigError(f"{path}:{number}: must be `instruction -> other | other`: {line!r}")
        found[words.strip()] = (*found.get(words.strip(), ()), *said)
    if not instructions & set(found):
        some = ", ".join(sorted(instructions)[:5])
        raise ConfigError(f"{path} has other words for none of the instructions: {some}")
    return found
