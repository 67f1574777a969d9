# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A corpus through both networks, shard by shard, in as many processes as are wanted.

Stopped at any time it goes on with the shards that are missing; each is written once, whole.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapa_core import crew
from lapa_core.data.footage import clips
from lapa_core.data.footage.pairs import PairParams
from lapa_core.data.footage.store import StoreParams
from lapa_core.errors import ConfigError
from lapa_core.label import plan as plans
from lapa_core.label import shard as shards
from lapa_core.label import words
from lapa_core.label.plan import Plan

if TYPE_CHECKING:  # they bring torch, which whoever makes the plan for others does not need
    from lapa_core.model.idm import Idm
    from lapa_core.model.laq import Laq

PER_SHARD = 64
VQGAN = "vqgan"  # its folder in a checkpoint


@dataclass(frozen=True)
class Job:
    """What labels depend on; can be sent to another process.

    Attributes:
        coder: folder of a LAQ or of an inverse dynamics model, or file of the reference.
        vqgan: folder, or that of a checkpoint.
        params, wanted: which frames are kept, and what a pair is.
        center_crop: of the policy that is to be pretrained.
        words: CSV of instructions, or None.
        device: of both networks.
        true: codes are those of the motion a recording tells, in the inverse dynamics model's
            bins, and not what that model says.
    """

    coder: Path
    vqgan: Path
    params: StoreParams
    wanted: PairParams
    center_crop: bool = True
    words: Path | None = None
    device: str = "cpu"
    true: bool = False


@dataclass
class Outcome:
    """What became of the corpus, as far as this run labelled it.

    Attributes:
        examples: written.
        silent: of these, without words.
        left: frames that begin none, by reason.
        damaged: clip -> why not all, or nothing, of it is there.
    """

    examples: int = 0
    silent: int = 0
    left: Counter[str] = field(default_factory=Counter)
    damaged: dict[str, str] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        """Take in another's."""
        self.examples += other.examples
        self.silent += other.silent
        self.left += other.left
        self.damaged |= other.damaged


@contextmanager
def labelling(job: Job, plan: Plan) -> Iterator[Callable[[int], Outcome]]:
    """Gives what makes a shard, with both networks loaded."""
    import torch

    from lapa_core.label.clip import Labeller
    from lapa_core.train.start import read_vqgan

    listed = words.read_list(job.words) if job.words else {}
    vqgan, _ = read_vqgan(job.vqgan)
    labeller = Labeller(
        coder_of(job).to(job.device), vqgan.to(job.device), job.params, job.wanted,
        job.center_crop, lambda clip, time_s: words.of(clip, time_s, listed), job.true,
    )  # fmt: skip
    if job.device == "cpu":
        torch.set_num_threads(1)

    def make(number: int) -> Outcome:
        done = [labeller.label(plan.clips[i]) for i in plan.shards[number]]
        found = Outcome(
            silent=sum(not w for x in done for w in x.words),
            left=sum((x.left for x in done), Counter()),
            damaged={x.clip: x.damage for x in done if x.damage},
        )
        found.examples = shards.write(plan.file(number), done)
        return found

    yield make


def prepare(
    paths: Sequence[Path],
    output: Path,
    job: Job,
    cameras: Collection[str] = (),
    per_shard: int = PER_SHARD,
) -> tuple[Plan, dict[str, str]]:
    """Find the clips and fix the shards.

    Returns:
        the plan, and name -> why of what cannot be watched.

    Raises:
        DataError: nothing to watch, or the disk refuses.
        ConfigError: folders of frames without a rate, or `output` is of something else.
    """
    shards.arrow()  # before hours of work
    found, refused = clips.find_all(paths, cameras, job.params.rate_hz)
    config = coder_of(job).config
    facts: dict[str, Any] = {
        "codes": config.codebook_size,
        "length": config.code_seq_len,
        "words": words.fingerprint(job.words) if job.words else "",
        "laq": fingerprint(job.coder) + ("-true" if job.true else ""),
        "vqgan": fingerprint(inside if (inside := job.vqgan / VQGAN).is_dir() else job.vqgan),
        "center_crop": job.center_crop,
        "frames": asdict(job.params),
        "pairs": asdict(job.wanted),
    }
    return plans.open_plan(output, found, facts, per_shard), refused


def coder_of(job: Job) -> Laq | Idm:
    """The network that makes codes of pairs.

    Raises:
        CheckpointError: it cannot be loaded.
        ConfigError: true motions are asked for, and it is no inverse dynamics model; or it is one
            of another gap.
    """
    from lapa_core.model import idm, laq
    from lapa_core.train.idm.recipe import is_idm

    if is_idm(job.coder):
        found = idm.load(job.coder)
        if (known := found.config.gap_s) and abs(known - job.wanted.gap_s) > 1e-6:
            raise ConfigError(f"{job.coder} tells what is done in {known:g} s, and pairs are "
                              f"{job.wanted.gap_s:g} s apart: give --gap {known:g}")  # fmt: skip
        return found
    if job.true:
        raise ConfigError(f"true motions are told in the bins of an inverse dynamics model, and "
                          f"{job.coder} is none")  # fmt: skip
    return laq.load(job.coder)


def label(
    plan: Plan, job: Job, workers: int, say: Callable[[int, int], None], ray: str = ""
) -> Outcome:
    """Make the shards that are missing.

    Args:
        plan: of which shards.
        job: by which networks.
        workers: processes.
        say: told shards done, and in all.
        ray: address of a Ray cluster on whose machines the processes are; none are on others'.

    Raises:
        LapaError: a network cannot be loaded, or the disk refuses; shards made are whole.
    """
    if workers < 1:
        raise ConfigError(f"labelling needs 1 process or more, got {workers}")
    missing = plan.missing()
    queue, outcome = iter(missing), Outcome()
    done = len(plan.shards) - len(missing)

    def take(found: Outcome) -> None:
        nonlocal done
        done += 1
        outcome.add(found)
        say(done, len(plan.shards))

    if missing and ray:
        from lapa_core.label import on_ray

        on_ray.run(plan, job, missing, take, min(workers, len(missing)), ray)
    elif missing:
        setup = partial(labelling, job, plan)
        crew.run(setup, lambda: next(queue, None), take, min(workers, len(missing)))
    return outcome


def fingerprint(path: Path) -> str:
    """Of a network's weights: labels of another one must not be mixed in."""
    digest = hashlib.sha256()
    kinds = (".safetensors", ".pt")
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in kinds)
    if not files:
        raise ConfigError(f"{path} holds no network")
    for file in files:
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]
