# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A complete action checkpoint with random weights: runs at once, knows nothing.

For trying the whole chain without a download, and as the start of a training from nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lapa_core.data.state import TARGET
from lapa_core.errors import ConfigError, unknown
from lapa_core.model import vocabulary
from lapa_core.model.action_tokenizer import ActionTokenizer
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.configuration import preset
from lapa_core.model.interface import for_robot
from lapa_core.model.lapa import LapaModel
from lapa_core.model.state_tokenizer import StateTokenizer
from lapa_core.model.tokenizer import TextTokenizer
from lapa_core.model.vqgan import Vqgan
from lapa_core.robot import Robot
from lapa_core.types import AXES, FloatArray

# Enough words that a prompt stays well under its 128 tokens.
_WORDS = (
    "put the carrot on the plate", "take the broccoli out of the pot", "open the drawer",
    "put the spoon on the towel", "stack the green block on the yellow block",
    "move the red cube to the left of the bowl", "close the microwave", "pick up the blue cup",
    "put the eggplant in the basket", "push the small black box to the right side of the table",
    "fold the cloth", "turn the lever", "place the orange ball between the two white cans",
    "slide the knife into the sink", "lift the lid from the pan and put it down",
)  # fmt: skip
# Scale of the synthetic steps against the largest allowed one; Bridge's steps gather near zero.
_LAPLACE_SCALE = 0.2
_STATE_BINS = 64  # of each value


def checkpoint(
    preset_name: str,
    robot: Robot,
    *,
    seed: int = 0,
    tokenizer: TextTokenizer | None = None,
    dtype: torch.dtype = torch.float32,
    state: Sequence[str] = (),
    vision_positions: bool = False,
) -> Checkpoint:
    """Make a random checkpoint for a robot; the same seed gives the same weights.

    Args:
        preset_name: one of `configuration.PRESETS`.
        tokenizer: of the words; None trains a small one on a few sentences.
        dtype: of the language model's weights.
        state: names of `Observation.state` that it reads; the reference reads none.
        vision_positions: whether the places in the picture have learned vectors; in the
            reference they have none.

    Raises:
        ConfigError: no such preset, or no such state.
    """
    sizes = preset(preset_name)
    states = state_bins(robot, state) if state else None
    places = sizes.vqgan_config().codes_per_image + 1
    lapa_config = sizes.lapa_config(
        state_vocab_size=states.num_ids if states else 0,
        vision_positions=places if vision_positions else 0,
    )
    tokenizer = tokenizer or small_tokenizer(min(lapa_config.vocab_size, 512))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vqgan = Vqgan(sizes.vqgan_config()).eval()
        default = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            lapa = LapaModel(lapa_config).eval()
        finally:
            torch.set_default_dtype(default)
    interface = for_robot(
        robot,
        center_crop=True,  # as the reference serves actions
        trained=False,
        origin=f"random weights, preset {preset_name}, seed {seed}",
        state=tuple(state),
    )
    actions = synthetic_bins(robot, lapa_config.action_vocab_size)
    statistics = _statistics(robot, actions)
    return Checkpoint(interface, lapa, vqgan, tokenizer, actions, statistics, states)


def state_bins(robot: Robot, names: Sequence[str]) -> StateTokenizer:
    """Bins over the workspaces, all angles and all openings.

    Raises:
        ConfigError: a name that is none of the robot's state.
    """
    ends: dict[str, tuple[float, float]] = {}
    for arm in robot.arms:
        box = zip(arm.workspace_lower_m.tolist(), arm.workspace_upper_m.tolist(), strict=True)
        each = (*box, *[(-math.pi, math.pi)] * 3, (0.0, 1.0))
        ends |= dict(zip((f"{arm.name}/{a}" for a in AXES), each, strict=True))
        ends |= dict(zip((f"{arm.name}/{TARGET}{a}" for a in AXES[:-1]), each[:-1], strict=True))
    for name in names:
        if name not in ends:
            raise ConfigError(unknown("state", name, ends, robot.source))
    lower, upper = (tuple(ends[n][i] for n in names) for i in (0, 1))
    return StateTokenizer(tuple(names), lower, upper, _STATE_BINS)


def small_tokenizer(vocab_size: int, sentences: Iterable[str] = ()) -> TextTokenizer:
    """A byte-fallback tokenizer that knows the prompt, these sentences and kitchen words.

    What all sequences have in common is a piece each: nine tokens of words instead of some thirty.
    """
    said = [*dict.fromkeys(sentences), *_WORDS]
    prompts = [vocabulary.prompt_text(w).replace("<s> ", "") for w in said]
    return TextTokenizer.train([*prompts, *said], vocab_size, whole=vocabulary.ALWAYS)


def synthetic_bins(robot: Robot, num_bins: int) -> ActionTokenizer:
    """Quantile bins of a zero-centred Laplace distribution cut at the robot's largest step."""
    edges: list[FloatArray] = []
    for arm in robot.arms:
        edges += [arm.max_translation_m * _unit_edges(num_bins)] * 3
        edges += [arm.max_rotation_rad * _unit_edges(num_bins)] * 3
        edges.append(_gripper_edges(num_bins))
    return ActionTokenizer(robot.dimensions, tuple(edges))


def _gripper_edges(num_bins: int) -> FloatArray:
    """Openings 0, 1/(n-1), ..., 1: random weights know no binary gripper, every token counts."""
    half = 0.5 / (num_bins - 1)
    return np.linspace(-half, 1 + half, num_bins + 1)


def _unit_edges(num_bins: int) -> FloatArray:
    """Edges in -1 .. 1 with the same probability between neighbours.

    The quantile function of a Laplace distribution of scale b cut at 1 is
    `-b log(1 - p (1 - exp(-1/b)))` for the upper half, p from 0 to 1.
    """
    p = np.linspace(-1, 1, num_bins + 1)
    inside = 1 - np.abs(p) * (1 - np.exp(-1 / _LAPLACE_SCALE))
    return np.asarray(-np.sign(p) * _LAPLACE_SCALE * np.log(inside), dtype=np.float64)


def _statistics(robot: Robot, actions: ActionTokenizer) -> Mapping[str, Any]:
    return {
        "source": f"synthetic: zero-centred Laplace cut at the largest step of {robot.name}",
        "synthetic": True,
        "num_samples": 0,
        "dimensions": {
            name: {"min": float(row[0]), "max": float(row[-1])}
            for name, row in zip(actions.dimensions, actions.edges, strict=True)
        },
    }
