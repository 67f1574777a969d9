# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Every choice of a training run in one frozen dataclass, and three named sets of them.

The options of `lapa finetune` are made of the fields here. Knows nothing of torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Any

from lapa_core.data import spoken
from lapa_core.errors import ConfigError, unknown

METHODS = ("full", "lora", "qlora")
TYPES = ("float32", "bfloat16")
SCHEDULES = ("constant", "cosine")
TRACKERS = ("tensorboard", "wandb", "none")
HEADS = ("new", "keep")
TAKES = ("best", "last")
# May differ between a run and its continuation: none of them changes a weight that was learnt
# before; with a cosine, `steps` moves the rate from there on.
FREE = frozenset({"steps", "save_every", "keep", "log_every", "tracker", "patience", "threads"})


def option(default: Any, text: str, **others: Any) -> Any:
    """A field with its line of help, and its valid values as `choices`."""
    return field(default=default, metadata={"help": text, **others})


@dataclass(frozen=True)
class TrainOptions:
    """How a run trains; each field says what it is in its `help`."""

    steps: int = option(5000, "updates of the weights", least=1)
    batch: int = option(32, "examples a pass and process", least=1)
    accumulate: int = option(1, "passes an update", least=1)
    lr: float = option(2e-5, "learning rate; 2e-5 constant is the reference's", above=0)
    schedule: str = option("constant", "of the learning rate", choices=SCHEDULES)
    warmup: int = option(0, "first updates, over which the rate rises", least=0)
    weight_decay: float = option(0.0, "of matrices", least=0)
    clip: float = option(1.0, "largest norm of all gradients together", above=0)
    ema: float = option(0.0, "decay of a moving average of the weights, which is then what is "
                        "validated and saved; 0: none", least=0, below=1)  # fmt: skip
    method: str = option("full", "what learns: all weights, or adapters by frozen ones (qlora: "
                         "in 4 bits, CUDA only)", choices=METHODS)  # fmt: skip
    lora_rank: int = option(32, "rank of the adapters", least=1)
    lora_alpha: float = option(64.0, "the adapters' product is scaled by alpha / rank", above=0)
    lora_dropout: float = option(0.0, "share of the adapters' inputs left out", least=0, below=1)
    precision: str = option("float32", "type of products (weights that learn stay as `weights` "
                            "says); auto: bfloat16 where the processor has instructions for it",
                            choices=("auto", *TYPES))  # fmt: skip
    weights: str = option("float32", "type the weights are held in", choices=TYPES)
    save_type: str = option("float32", "type the saved checkpoint's weights have", choices=TYPES)
    gradient_checkpointing: bool = option(False, "compute activations twice instead of keeping")
    compile: bool = option(False, "torch.compile of the layers (needs a C++ compiler on a CPU)")
    shard: bool = option(False, "split weights, gradients and optimizer over the processes (FSDP)")
    chunk: int = option(1, "steps one inference gives", least=1)
    num_bins: int = option(256, "bins of a dimension", least=2)
    state_bins: int = option(64, "bins of a number of proprioception", least=2)
    places: bool = option(False, "each place in the pictures gets a learned vector; else only "
                          "where the start has such")  # fmt: skip
    label_spread: float = option(0.0, "spread each target over neighbouring bins: standard "
                                 "deviation in bins", least=0)  # fmt: skip
    aim_bins: int = option(0, "before the actions the model says, in so many bins an axis, where "
                           "the tool acts next; 0: it does not", least=0)  # fmt: skip
    aim_also: str = option("", "what else it says before the actions, a list with commas: end, "
                           "turn, left, offset, height (docs/finetune.md)")  # fmt: skip
    point_weight: float = option(0.0, "weight of another loss: image tokens tell the cell in "
                                 "which the tool acts next (latent: those that will have changed "
                                 "by the clip's end); 0: without", least=0)  # fmt: skip
    point_layer: int = option(0, "after how many layers they tell; 0: half of them", least=0)
    read_steps: int = option(0, "from scratch: first so many updates in which image tokens "
                             "learn to tell what the tokenizer's decoder draws of them",
                             least=0)  # fmt: skip
    smooth_start: bool = option(False, "new tables of places, state and actions start as "
                                "smooth curves, not at random")  # fmt: skip
    pad_to: int = option(0, "pad sequences to this length (reference: 384); 0: batches of like "
                         "length, padded to their longest", least=0)  # fmt: skip
    augment: bool = option(True, "draw among the cached variants of each picture")
    word_noise: float = option(
        0.0,
        "share of the examples whose instruction has words that "
        "nobody has heard, so that such are passed over",
        least=0,
        below=1,
    )
    action_head: str = option("new", "action table and head: new ones, or those of --from, with "
                              "its bins", choices=HEADS)  # fmt: skip
    validation: float = option(0.1, "share of the episodes held back", least=0, below=1)
    validate_every: int = option(500, "updates between validations", least=1)
    validation_samples: int = option(512, "steps predicted in each", least=1)
    take: str = option("best", "weights that the output has: those with the least validation "
                       "error, or the newest", choices=TAKES)  # fmt: skip
    patience: int = option(0, "stop after so many validations without a smaller action error; "
                           "0: never", least=0)  # fmt: skip
    save_every: int = option(500, "updates between saved states", least=1)
    keep: int = option(2, "saved states kept", least=1)
    log_every: int = option(20, "updates between entries of the metrics", least=1)
    tracker: str = option("tensorboard", "where curves go, beside metrics.jsonl", choices=TRACKERS)
    threads: int = option(0, "CPU threads; 0: torch's choice", least=0)
    seed: int = option(0, "of all chance: order, words, variants, new weights", least=0)

    def __post_init__(self) -> None:
        """Refuse what is out of range or does not go together."""
        for each in fields(self):
            check(each.name, getattr(self, each.name), each.metadata)
        spoken.also(self.aim_also)
        if self.shard and self.method == "qlora":
            raise ConfigError("4-bit weights cannot be sharded; use --method lora with --shard")
        if self.schedule == "cosine" and self.warmup >= self.steps:
            raise ConfigError(f"warmup {self.warmup} must be below steps {self.steps}")

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """What makes a run with the `other` options (as JSON has them) another run."""
        mine = asdict(self)
        return [
            f"{name}: {other.get(name)!r} then, {value!r} now"
            for name, value in mine.items()
            if name not in FREE and other.get(name) != value
        ]


def check(name: str, value: Any, rule: Mapping[str, Any]) -> None:
    """Raise a `ConfigError` for a value outside what its `option` allows."""
    if "choices" in rule and value not in rule["choices"]:
        raise ConfigError(unknown(name, value, rule["choices"], "the training options"))
    if "least" in rule and not value >= rule["least"]:
        raise ConfigError(f"{name} must be {rule['least']} or more, got {value}")
    if "above" in rule and not value > rule["above"]:
        raise ConfigError(f"{name} must be above {rule['above']}, got {value}")
    if "below" in rule and not value < rule["below"]:
        raise ConfigError(f"{name} must be below {rule['below']}, got {value}")


PRESETS: dict[str, dict[str, Any]] = {
    # As small as it goes: seconds on a CPU, the same path.
    "debug": {
        "steps": 12, "batch": 4, "lr": 3e-3, "validate_every": 6, "validation_samples": 8,
        "save_every": 4, "log_every": 2, "validation": 0.25, "num_bins": 32, "threads": 1,
    },
    # A few million weights from nothing; two CPU cores in hours, one GPU in minutes.
    "micro": {
        "steps": 20000, "batch": 16, "lr": 1e-3, "schedule": "cosine", "warmup": 200,
        "weight_decay": 0.02, "ema": 0.998, "validate_every": 1000, "save_every": 1000,
        "label_spread": 4.0, "aim_bins": 128, "aim_also": "end,turn,left,way",
        "point_weight": 1.0, "smooth_start": True, "places": True, "state_bins": 128,
        "precision": "auto", "word_noise": 0.2, "read_steps": 1000, "take": "last",
    },
    # The released LAPA-7B on one 24 GB GPU. A rate ten times the full fine-tune's is LoRA's habit.
    "7b": {
        "steps": 5000, "batch": 4, "accumulate": 8, "lr": 2e-4, "warmup": 100, "method": "qlora",
        "precision": "bfloat16", "weights": "bfloat16", "save_type": "bfloat16",
        "gradient_checkpointing": True,
    },
}  # fmt: skip


def resolve(preset: str, **changes: Any) -> TrainOptions:
    """The options of a preset with changes; None leaves the preset's.

    Raises:
        ConfigError: an unknown preset or option, or a value out of range.
    """
    if preset not in PRESETS:
        raise ConfigError(unknown("preset", preset, PRESETS, "lapa_core.train.presets"))
    known = {f.name for f in fields(TrainOptions)}
    for name in changes:
        if name not in known:
            raise ConfigError(unknown("option", name, known, "the training options"))
    given = {k: v for k, v in changes.items() if v is not None}
    return replace(TrainOptions(**PRESETS[preset]), **given)


def defaults() -> dict[str, Any]:
    """Name of each option -> its value where no preset says otherwise."""
    return {f.name: f.default for f in fields(TrainOptions) if f.default is not MISSING}
