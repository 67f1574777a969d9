# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Pictures -> a VQGAN that tells what a policy must see: the recipe of `lapa pretrain vqgan`.

OUT is written when all is done, whole. Beside it OUT.run holds states to resume from, metrics and
curves. For small VQGANs: plain reconstruction, no adversary and no perceptual loss.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from lapa_core.data.augment import Augment
from lapa_core.errors import ConfigError
from lapa_core.model.checkpoint import check_device, staged, without_progress_bars
from lapa_core.model.vqgan import Vqgan
from lapa_core.policy.allocator import keep_freed_memory
from lapa_core.train.placing import interrupts, named_faults, products_type
from lapa_core.train.progress import Journal
from lapa_core.train.state import States
from lapa_core.train.vqgan.batches import PictureFeed
from lapa_core.train.vqgan.check import Verdict, judge
from lapa_core.train.vqgan.journal import PANELS, Standing
from lapa_core.train.vqgan.loop import Run
from lapa_core.train.vqgan.options import TokenizerOptions
from lapa_core.train.vqgan.parts import Trainee
from lapa_core.train.vqgan.pool import PicturePool

CONFIG, TRAINING = "config.json", "training.json"


def pretrain(
    vqgan: Vqgan,
    pool: PicturePool,
    output: Path,
    options: TokenizerOptions,
    *,
    source: str = "",
    moving: Sequence[str] = (),
    resume: bool = False,
    device: str = "cpu",
    say: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Verdict:
    """Train a tokenizer.

    Args:
        vqgan: its sizes; it is trained itself.
        pool: pictures; a share of its episodes is held back.
        output: folder of the VQGAN.
        source: where the VQGAN's weights come from; empty where they are random, and then the
            codebook is made anew.
        moving: cameras that move, of which no background is to be made.
        resume: go on from the newest state of `output`'s run, if there is one.
        device: a torch device.
        say: told what a person should know.
        clock: seconds that pass.

    Returns:
        what is to be said of it, by the pictures held back.

    Raises:
        TrainingError, ConfigError, CheckpointError: in one line what is wrong; what was saved
            before is as it was.
    """
    check_device(device)
    if options.decoder_share == 1.0 and not source:
        raise ConfigError("a decoder_share of 1 needs codes that are learnt: --from VQGAN")
    if options.threads:
        torch.set_num_threads(options.threads)
    if torch.device(device).type == "cpu":
        keep_freed_memory()
    precision = products_type(options.precision, torch.device(device))
    options = replace(options, precision=precision)
    learn, held = pool.split(options.held)
    backgrounds = learn.backgrounds(moving)
    say(f"{len(learn)} pictures to learn from, {len(held)} held back")
    for background in backgrounds:
        say(str(background))
    facts = {
        "options": asdict(options),
        "source": source,
        "data": pool.fingerprint(),
        "moving": [b.camera for b in backgrounds if not b.fixed],
        "sizes": _sizes(vqgan),
    }
    states = _open(output, options, facts, resume)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        trainee = Trainee(vqgan.to(device)).to(device)
    if source:
        trainee.codebook.set(vqgan.codebook.weight.detach().clone())
    feed = PictureFeed(
        learn, backgrounds, size=options.batch, cell=trainee.cell,
        augment=Augment() if options.augment else None, seed=options.seed,
    )  # fmt: skip
    standing = _train(trainee, feed, options, states, facts, clock)
    verdict = judge(vqgan, held, backgrounds)
    _save(vqgan, output, {**facts, "updates": standing.step, "verdict": verdict.to_json()})
    return verdict


def _open(
    output: Path, options: TokenizerOptions, facts: Mapping[str, Any], resume: bool
) -> States:
    """The run's own folder.

    Raises:
        ConfigError: `output` is something else, or of another run.
    """
    states = States(output.with_name(output.name + ".run"))
    if output.exists() and not is_vqgan(output):
        raise ConfigError(f"{output} exists and is no VQGAN; choose another --output")
    states.refuse_unless(resume)
    known = states.facts()
    wrong = options.differences(known["options"]) if known else []
    states.open(facts, wrong, ("source", "data", "moving", "sizes"))
    return states


def _train(
    trainee: Trainee,
    feed: PictureFeed,
    options: TokenizerOptions,
    states: States,
    facts: Mapping[str, Any],
    clock: Callable[[], float],
) -> Standing:
    """Train to the end of the time or the updates."""
    known = states.facts()
    standing = Standing(**known["standing"]) if known else Standing()
    panels = PANELS if options.curves else ()
    journal = Journal(states.folder, facts["options"], "none", standing.step, panels=panels)
    run = Run(trainee, feed, options, states, facts, standing, journal, clock)
    try:
        with named_faults(states.last), interrupts(1) as interrupted:
            if known:
                run.load(states.tensors())
            run.go(interrupted)
    finally:
        run.close()
    return standing


def is_vqgan(folder: Path) -> bool:
    """Whether a VQGAN was saved there, by itself."""
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("model_type") == Vqgan.config_class.model_type


def _save(vqgan: Vqgan, output: Path, facts: Mapping[str, Any]) -> None:
    """Write the VQGAN and where it comes from; an older one is replaced by the whole."""
    with staged(output, CONFIG) as folder:
        with without_progress_bars():
            vqgan.save_pretrained(folder)
        (folder / TRAINING).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _sizes(vqgan: Vqgan) -> dict[str, Any]:
    names = (
        "hidden_channels", "channel_mult", "num_res_blocks", "num_channels", "z_channels",
        "num_embeddings", "quantized_embed_dim", "num_groups", "code_parts", "patch",
    )  # fmt: skip
    return {name: getattr(vqgan.config, name) for name in names}
