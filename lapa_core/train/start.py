# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a training starts from: a checkpoint, or nothing but an image tokenizer; made ready.

`ready` gives the complete checkpoint that training then only changes the weights of: bins of the
demonstrations, new table and head of the actions, and the interface of their robot. Knows
nothing of the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lapa_core.data import spoken, statistics
from lapa_core.data.demos import DemoSet
from lapa_core.errors import CheckpointError, ConfigError, DataError, unknown
from lapa_core.model import fresh, vocabulary
from lapa_core.model.action_tokenizer import ActionTokenizer
from lapa_core.model.checkpoint import DTYPES, TOKENIZER, VQGAN, Checkpoint, load_model
from lapa_core.model.configuration import Preset, preset
from lapa_core.model.interface import Interface
from lapa_core.model.lapa import LapaModel
from lapa_core.model.state_tokenizer import StateTokenizer
from lapa_core.model.tokenizer import TextTokenizer
from lapa_core.model.vqgan import Vqgan
from lapa_core.robot import Robot
from lapa_core.train import initialise
from lapa_core.train.presets import TrainOptions

SCRATCH = "scratch"
AIM_MARGIN_M = 0.01  # beyond where the tools acted in the demonstrations


@dataclass
class Start:
    """Where the weights come from.

    Attributes:
        lapa, vqgan, tokenizer: the networks, and the words.
        name: for people: a folder, or "scratch".
        center_crop: whether pictures lose their upper and lower tenth before they are encoded.
        actions, states: bins of a checkpoint that is gone on from.
        interface: of that checkpoint.
    """

    lapa: LapaModel
    vqgan: Vqgan
    tokenizer: TextTokenizer
    name: str
    center_crop: bool = True  # as the reference serves actions
    actions: ActionTokenizer | None = None
    states: StateTokenizer | None = None
    interface: Interface | None = None
    aims: ActionTokenizer | None = None

    @classmethod
    def checkpoint(cls, path: str | Path, dtype: str = "float32") -> Start:
        """From a checkpoint folder, of latent codes or of actions."""
        found = Checkpoint.from_pretrained(path, dtype=dtype)
        crop = found.interface.center_crop if found.interface.kind == "action" else True
        return cls(
            found.lapa, found.vqgan, found.tokenizer, str(path), crop, found.actions,
            found.states, found.interface, found.aims,
        )  # fmt: skip

    @classmethod
    def scratch(
        cls,
        size: str,
        *,
        vqgan: Vqgan | None = None,
        tokenizer: TextTokenizer | None = None,
        sentences: Iterable[str] = (),
        codebook: bool = False,
        seed: int = 0,
        changes: Mapping[str, int] | None = None,
    ) -> Start:
        """From random weights.

        Args:
            size: one of `configuration.PRESETS`.
            vqgan: trained; None takes a random one of that size, through which nothing is seen.
            tokenizer: None trains a small one on the sentences.
            sentences: instructions, whose words become pieces of their own.
            codebook: start the image tokens from the VQGAN's codebook.
            seed: of the weights.
            changes: sizes of the language model that differ from the preset's.
        """
        preset_ = preset(size)
        known = preset_.lapa_config().to_dict()
        for name in changes or {}:
            if name not in known:
                raise ConfigError(unknown("size", name, known, f"the {size} model"))
        config = preset_.lapa_config(**(changes or {}))
        heads, width = config.num_attention_heads, config.hidden_size
        if min((changes or {"": 1}).values()) < 1 or width % (2 * heads):
            raise ConfigError(
                f"a model of these sizes cannot be made: each must be 1 or more, and hidden_size "
                f"{width} a multiple of twice the {heads} num_attention_heads"
            )
        tokenizer = tokenizer or fresh.small_tokenizer(
            min(config.vocab_size, 512), sorted(set(sentences))
        )
        vqgan = vqgan or random_vqgan(preset_, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config.vocab_size = max(config.vocab_size, len(tokenizer))
            entries, parts = vqgan.config.num_embeddings, vqgan.config.code_parts
            config.vision_parts = parts
            config.vision_entries = entries if parts > 1 else 0
            needed = vocabulary.end_of_vision(entries * parts) + 1
            config.vision_vocab_size = max(config.vision_vocab_size, needed)
            lapa = LapaModel(config)
        initialise.widen_layers(lapa)
        if codebook:
            initialise.vision_from_codebook(lapa, vqgan, seed)
        sizes = "".join(f", {name} {number}" for name, number in sorted((changes or {}).items()))
        begun = ", codebook" if codebook else ""
        return cls(lapa, vqgan, tokenizer, f"{SCRATCH} ({size}{sizes}{begun}, seed {seed})")


def random_vqgan(sizes: Preset, seed: int) -> Vqgan:
    """An untrained VQGAN, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Vqgan(sizes.vqgan_config()).eval()


def read_vqgan(path: Path) -> tuple[Vqgan, TextTokenizer | None]:
    """A VQGAN from its folder, or that of a checkpoint and then with its tokenizer."""
    inside = path / VQGAN
    vqgan = load_model(Vqgan, inside if inside.is_dir() else path, torch.float32).eval()
    words = path / TOKENIZER
    return vqgan, TextTokenizer.from_file(words) if words.is_file() else None


def ready(
    start: Start,
    demos: DemoSet,
    options: TrainOptions,
    *,
    robot: Robot | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Checkpoint:
    """The checkpoint to be trained: bins, new tables and heads, interface of the robot.

    Args:
        demos: those to learn from; bins and ranges are made of these alone.
        robot: its largest steps bound the outer bins; None: the demonstrations alone do.
        say: told what the bins lose.

    Raises:
        CheckpointError: the head is to be kept, and fits the demonstrations' robot not.
        DataError: the demonstrations give no bins.
    """
    keep = options.action_head == "keep"
    facts: Mapping[str, Any]
    if keep:
        actions, facts = _kept(start, demos), {"source": f"the bins of {_short(start.name)}"}
    else:
        actions, found = statistics.fit(demos, demos.dimensions, options.num_bins, robot)
        facts = found.to_json()
        say(str(found))
    states = _states(start, demos, options, keep)
    sizes = start.lapa.config
    had = {} if start.interface is None else {n: p.shape for n, p in _weights(start.lapa)}
    lapa = initialise.add_action_head(
        start.lapa,
        sizes.action_vocab_size if keep else options.num_bins,
        keep_action=keep,
        state_rows=states.num_ids if states else 0,
        vision_positions=_places(start, demos, options.places),
        seed=options.seed,
    ).to(DTYPES[options.weights])
    if options.smooth_start:
        learnt = {n for n, p in _weights(lapa) if had.get(n) == p.shape}
        learnt -= set() if keep else set(initialise.NEW_TABLES)
        initialise.smooth_tables(
            lapa, states.num_bins if states else 0, len(demos.cameras), options.seed, learnt=learnt
        )
    aims = _aims(start, demos, options, keep, say)
    interface = Interface(
        kind="action",
        robot=demos.robot,
        dimensions=demos.dimensions,
        cameras=demos.cameras,
        step_time_s=demos.step_time_s,
        chunk_length=options.chunk,
        num_tokens=options.chunk * len(demos.dimensions) + (len(aims.dimensions) if aims else 0),
        center_crop=start.center_crop,
        trained=True,
        origin=f"{_short(start.name)}, trained on {len(demos)} demonstrations "
        f"({demos.num_steps} steps)",
        gripper=demos.gripper,
        state=demos.state_names,
        aim=aims.dimensions if aims else (),
    )
    return Checkpoint(interface, lapa, start.vqgan, start.tokenizer, actions, facts, states, aims)


def _short(name: str) -> str:
    """A folder's own name: where it lay is nobody's business who is given the checkpoint."""
    return Path(name).name


def _weights(model: Any) -> Iterable[tuple[str, torch.Tensor]]:
    return model.named_parameters()


def _places(start: Start, demos: DemoSet, wanted: bool) -> int:
    """Rows of the table of places: each code of each picture, and the marks after them."""
    has = int(start.lapa.config.vision_positions)
    needed = len(demos.cameras) * (demos.demos[0].codes.shape[-1] + 1)
    if not has and not wanted:
        return 0
    if has and has < needed:
        raise ConfigError(
            f"{start.name} knows {has} places in the pictures, {len(demos.cameras)} cameras have "
            f"{needed}; use fewer cameras, or start from a checkpoint made for as many"
        )
    return max(has, needed)


def _kept(start: Start, demos: DemoSet) -> ActionTokenizer:
    """The source's bins, where its head means the same numbers."""
    if start.actions is None or start.interface is None:
        raise CheckpointError(f"{start.name} has no actions to keep; use --action-head new")
    pairs = {
        "dimensions": (start.interface.dimensions, demos.dimensions),
        "gripper": (start.interface.gripper, demos.gripper),
        "step_time_s": (start.interface.step_time_s, demos.step_time_s),
    }
    wrong = [f"{k}: {a} there, {b} here" for k, (a, b) in pairs.items() if a != b]
    if wrong:
        raise CheckpointError(
            f"the actions of {start.name} mean something else: {'; '.join(wrong)}; use "
            f"--action-head new"
        )
    return start.actions


def _aims(
    start: Start,
    demos: DemoSet,
    options: TrainOptions,
    keep: bool,
    say: Callable[[str], None] = lambda _: None,
) -> ActionTokenizer | None:
    """Bins over where the tools act in the demonstrations, and a little more.

    Equal ones for places and turns; for offsets ones that grow with the square root of what is
    left to go, so that the last centimetres are told to the millimetre. A checkpoint that is
    gone on from keeps its own: its tables know what they mean.
    """
    if not options.aim_bins:
        return None
    names = spoken.names(demos.dimensions, spoken.also(options.aim_also))
    if keep and start.aims is not None:
        if start.aims.dimensions != names:
            before = ", ".join(n.rpartition("/")[2] for n in start.aims.dimensions)
            say(f"it goes on saying what {start.name} says before it acts: {before}")
        return start.aims
    rows = start.lapa.config.action_vocab_size if keep else options.num_bins
    if options.aim_bins >= rows:  # one row says that it is not known
        raise ConfigError(f"aim_bins must be below the action table's {rows} rows, got "
                          f"{options.aim_bins}")  # fmt: skip
    where = np.concatenate([spoken.of_demo(d, names) for d in demos.demos])
    known = np.isfinite(where).any(axis=0)
    if not known.all():
        raise DataError(
            f"the demonstrations never tell {', '.join(np.array(names)[~known])}; say less "
            f"(--aim-also) or nothing (--aim-bins 0)"
        )
    low, high = np.nanmin(where, axis=0) - AIM_MARGIN_M, np.nanmax(where, axis=0) + AIM_MARGIN_M
    edges = []
    for name, a, b in zip(names, low, high, strict=True):
        if name.rpartition("/")[2].partition("_")[0] in (spoken.OFFSET, spoken.WAY):
            u = np.linspace(-1.0, 1.0, options.aim_bins + 1)
            edges.append(np.sign(u) * u**2 * max(-a, b))
        else:
            edges.append(np.linspace(a, b, options.aim_bins + 1))
    return ActionTokenizer(names, tuple(edges))


def _states(
    start: Start, demos: DemoSet, options: TrainOptions, keep: bool
) -> StateTokenizer | None:
    if not demos.state_names:
        return None
    if keep and start.states is not None and start.states.names == demos.state_names:
        return start.states
    samples = np.concatenate([d.state for d in demos.demos])
    return StateTokenizer.from_samples(demos.state_names, samples, options.state_bins)
