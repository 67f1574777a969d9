# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A checkpoint: one folder that holds everything a policy needs, saved whole or not at all.

config.json, model*.safetensors   the language model
vqgan/                            the image tokenizer, likewise
tokenizer.model                   sentencepiece
interface.json                    robot, dimensions, cameras, step time, preprocessing
action_bins.csv                   bin edges of the dimensions, in the reference's format
action_statistics.json            what the bins were made from
state_bins.csv                    ranges of the proprioception, where the model reads any
aim_bins.csv                      bin edges of the aim, where the model says one before it acts
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from lapa_core.errors import CheckpointError, ConfigError, unknown
from lapa_core.model import vocabulary
from lapa_core.model.action_tokenizer import ActionTokenizer
from lapa_core.model.interface import Interface
from lapa_core.model.lapa import LapaModel
from lapa_core.model.state_tokenizer import StateTokenizer
from lapa_core.model.tokenizer import TextTokenizer
from lapa_core.model.vqgan import Vqgan

INTERFACE, TOKENIZER, VQGAN = "interface.json", "tokenizer.model", "vqgan"
BINS, STATISTICS = "action_bins.csv", "action_statistics.json"
STATE_BINS, AIM_BINS = "state_bins.csv", "aim_bins.csv"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_Model = TypeVar("_Model", bound=PreTrainedModel)


@dataclass
class Checkpoint:
    """The parts of a checkpoint.

    Attributes:
        actions: bins of the actions; None where they are not known (a latent model, or an action
            model converted without them), and then no token becomes an action.
        statistics: what the bins were made from.
        states: bins of the proprioception; None where the model reads none.
        aims: bins of the aim; None where the model says none.
    """

    interface: Interface
    lapa: LapaModel
    vqgan: Vqgan
    tokenizer: TextTokenizer
    actions: ActionTokenizer | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict)
    states: StateTokenizer | None = None
    aims: ActionTokenizer | None = None

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        config = self.lapa.config
        check_parts(self.interface, config, self.vqgan.config, self.tokenizer, self.actions)
        check_states(self.interface, config, self.states)
        check_aims(self.interface, config, self.aims)

    @classmethod
    def from_pretrained(
        cls, path: str | Path, *, device: str = "cpu", dtype: str = "float32"
    ) -> Checkpoint:
        """Read a checkpoint folder.

        Args:
            path: the folder.
            device: a torch device.
            dtype: of the language model, one of `DTYPES`; the VQGAN is float32 always.

        Raises:
            CheckpointError: anything is missing, too much, or does not fit.
            ConfigError: there is no such device here.
        """
        check_device(device)
        if dtype not in DTYPES:
            raise CheckpointError(unknown("dtype", dtype, DTYPES, "from_pretrained"))
        folder = Path(path)
        interface = read_interface(folder)
        lapa = load_model(LapaModel, folder, DTYPES[dtype]).to(device).eval()
        vqgan = load_model(Vqgan, folder / VQGAN, torch.float32).to(device).eval()
        actions, statistics = None, {}
        if (folder / BINS).exists():
            actions = ActionTokenizer.from_csv(folder / BINS, interface.dimensions)
        if (folder / STATISTICS).exists():
            statistics = _mapping(folder, STATISTICS)
        states = None
        if (folder / STATE_BINS).exists():
            states = StateTokenizer.from_csv(folder / STATE_BINS)
        aims = None
        if (folder / AIM_BINS).exists():
            aims = ActionTokenizer.from_csv(folder / AIM_BINS, interface.aim)
        tokenizer = TextTokenizer.from_file(folder / TOKENIZER)
        return cls(interface, lapa, vqgan, tokenizer, actions, statistics, states, aims)

    def save_pretrained(self, path: str | Path) -> None:
        """Write the folder; an older checkpoint there is replaced only by a finished one."""
        with staged(path) as folder:
            with without_progress_bars():
                self.lapa.save_pretrained(folder)
                self.vqgan.save_pretrained(folder / VQGAN)
            write_small_files(
                folder, self.interface, self.tokenizer, self.actions, self.statistics,
                self.states, self.aims,
            )  # fmt: skip

    @property
    def num_bins(self) -> tuple[int, ...]:
        """Codes that mean something at each place of what is generated, `num_tokens` of them.

        Empty where nothing is known of the actions' bins.
        """
        if self.actions is None:
            return ()
        before = self.aims.num_bins if self.aims else ()
        return (*before, *self.actions.num_bins * self.interface.chunk_length)


def check_device(name: str) -> None:
    """Refuse a device that torch does not know or this machine does not have."""
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        has = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{unknown('device', name, has, 'this machine')}: {reason}") from None


def check_parts(
    interface: Interface,
    lapa: PretrainedConfig,
    vqgan: PretrainedConfig,
    tokenizer: TextTokenizer,
    actions: ActionTokenizer | None,
) -> None:
    """Refuse parts that do not fit together, before any weight is read or written."""
    vocabulary.check_sizes(
        lapa.vocab_size, len(tokenizer), lapa.vision_vocab_size, vqgan.num_embeddings,
        vqgan.code_parts,
    )  # fmt: skip
    parts = {lapa.vision_parts: vqgan.code_parts}
    if vqgan.code_parts > 1:
        parts |= {lapa.vision_entries: vqgan.num_embeddings}
    if any(read != made for read, made in parts.items()):
        raise CheckpointError(
            f"the model reads codes of {lapa.vision_parts} parts of {lapa.vision_entries}, the "
            f"VQGAN gives {vqgan.code_parts} of {vqgan.num_embeddings}"
        )
    rows = getattr(lapa, f"{interface.kind}_vocab_size")
    if not rows:
        raise CheckpointError(f"the model has no {interface.kind} table, so it cannot be one")
    if actions is None:
        return
    if actions.dimensions != interface.dimensions:
        raise CheckpointError(
            f"bins of {', '.join(actions.dimensions)} for a checkpoint of "
            f"{', '.join(interface.dimensions)}"
        )
    if max(actions.num_bins) > rows:
        raise CheckpointError(f"{max(actions.num_bins)} action bins for a table of {rows} rows")


def check_states(
    interface: Interface, lapa: PretrainedConfig, states: StateTokenizer | None
) -> None:
    """Refuse proprioception that interface, bins and table do not agree on."""
    names, rows = (states.names, states.num_ids) if states else ((), 0)
    if names != interface.state or rows > lapa.state_vocab_size:
        raise CheckpointError(
            f"the checkpoint reads the state {', '.join(interface.state) or 'of nothing'}, has "
            f"bins of {', '.join(names) or 'nothing'} with {rows} ids and a table of "
            f"{lapa.state_vocab_size} rows"
        )


def check_aims(interface: Interface, lapa: PretrainedConfig, aims: ActionTokenizer | None) -> None:
    """Refuse an aim that interface, bins and table do not agree on."""
    names = aims.dimensions if aims else ()
    if names != interface.aim or (aims and max(aims.num_bins) > lapa.action_vocab_size):
        raise CheckpointError(
            f"the checkpoint says the aim {', '.join(interface.aim) or 'of nothing'}, has bins of "
            f"{', '.join(names) or 'nothing'} and {lapa.action_vocab_size} rows for them"
        )


def read_interface(folder: str | Path) -> Interface:
    """What a checkpoint folder was made for, without reading its weights."""
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"no checkpoint folder at {folder}")
    return Interface.from_json(_read(folder, INTERFACE), str(folder / INTERFACE))


def write_small_files(
    folder: Path,
    interface: Interface,
    tokenizer: TextTokenizer,
    actions: ActionTokenizer | None,
    statistics: Mapping[str, Any],
    states: StateTokenizer | None = None,
    aims: ActionTokenizer | None = None,
) -> None:
    """Write everything but the networks."""
    (folder / INTERFACE).write_text(interface.to_json(), encoding="utf-8")
    (folder / TOKENIZER).write_bytes(tokenizer.model)
    if actions is not None:
        (folder / BINS).write_text(actions.to_csv(), encoding="utf-8")
    if statistics:
        (folder / STATISTICS).write_text(json.dumps(statistics, indent=2) + "\n", "utf-8")
    if states is not None:
        (folder / STATE_BINS).write_text(states.to_csv(), encoding="utf-8")
    if aims is not None:
        (folder / AIM_BINS).write_text(aims.to_csv(), encoding="utf-8")


def _read(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8")
    except OSError as error:
        raise CheckpointError(
            f"{folder} is no checkpoint: cannot read {name} ({error.strerror})"
        ) from None
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{folder / name} is damaged: {error}") from None


def _mapping(folder: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(_read(folder, name))
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{folder / name} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{folder / name} holds no mapping")
    return content


@contextmanager
def staged(path: str | Path, marker: str = INTERFACE) -> Iterator[Path]:
    """Give a temporary folder beside `path` that takes its place when the block ends well.

    Args:
        path: where the folder will be.
        marker: file without which a folder that stands there already is not replaced.

    Raises:
        CheckpointError: something that is no checkpoint stands at `path`, or it cannot be
            written, for want of space or of the right to.
    """
    target = Path(path).absolute()
    if target.exists() and not (target / marker).is_file():
        raise CheckpointError(f"{target} exists and is no checkpoint; choose another place")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    replaced = target.with_name(f".{target.name}.{os.getpid()}.replaced")
    try:
        partial.mkdir(parents=True)
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                file.chmod(0o644)  # safetensors writes for its owner alone
        _replace(target, partial, replaced)
    except (OSError, SafetensorError) as error:  # the latter hides an OSError of its own
        raise CheckpointError(f"cannot write {target}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _replace(target: Path, new: Path, aside: Path) -> None:
    """Put `new` at `target`; what stood there is removed last, or put back on failure."""
    if target.exists():
        target.rename(aside)
    try:
        new.rename(target)
    except OSError:
        if aside.exists():
            aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def load_model(kind: type[_Model], folder: Path, dtype: torch.dtype) -> _Model:
    """Read one network; every tensor must be there, be known, and have its shape."""
    config = _config(kind, folder)
    with without_progress_bars():
        return kind.from_pretrained(folder, config=config, dtype=dtype)


def _config(kind: type[PreTrainedModel], folder: Path) -> PretrainedConfig:
    content = _mapping(folder, "config.json")
    wanted = kind.config_class.model_type
    if content.get("model_type") != wanted:
        raise CheckpointError(
            f"{folder / 'config.json'} is of a {content.get('model_type')!r}, not a {wanted!r}"
        )
    return kind.config_class.from_dict(content)


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """No progress bars of transformers: they would end up in a node's log."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
