# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The open loop: what a policy would have done at each step of a recording, and what was done.

Observations are built by `lapa_core.data.samples` and answered by `lapa_core.policy`, as live.
A small error here is no success there; a large one, or one no better than that of always giving
the same action, says that closing the loop is no use yet.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lapa_core.data import spoken
from lapa_core.data.episodes import find, open_episode
from lapa_core.data.samples import SampleParams, Samples
from lapa_core.errors import CheckpointError, DataError, LapaError
from lapa_core.evaluate import aiming
from lapa_core.evaluate.dimension import Dimension, dimension
from lapa_core.types import FloatArray

if TYPE_CHECKING:
    from lapa_core.policy import Policy

UNITS = {"gripper": ("open", 1.0), **dict.fromkeys("xyz", ("mm", 1e3)),
         **dict.fromkeys(("roll", "pitch", "yaw"), ("deg", math.degrees(1.0)))}  # fmt: skip
HALF_OPEN = 0.5


@dataclass(frozen=True)
class Episode:
    """One recording, answered.

    Attributes:
        name: of its folder.
        index: (n,) places on the episode's grid of the steps that have an answer.
        recorded: (n, d) what was done [m, rad, 0..1].
        predicted: (n, k, d) what the policy gave, k steps ahead each; NaN where it refused.
        refused: how many observations or answers there are not, by reason.
        acted, said: (n, 2 a) where each arm's tool acted next and where the policy said that it
            would [m]; NaN where nobody knows.
        instruction: at the first of these steps.
    """

    name: str
    index: NDArray[np.int64]
    recorded: FloatArray
    predicted: FloatArray
    refused: dict[str, int]
    acted: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    said: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    instruction: str = ""


def answer(
    policy: Policy, path: Path, every: int = 1, say: Callable[[str], None] = print
) -> list[Episode]:
    """Ask the policy at every `every`-th step of the recordings under `path`.

    Raises:
        DataError: nothing there to compare with.
        CheckpointError: the recordings are of a robot that the policy does not fit.
    """
    found = []
    for folder in find(path):
        recording = open_episode(folder)
        policy.check_robot(recording.robot)
        state = policy.checkpoint.states is not None
        samples = Samples(recording, SampleParams(cameras=policy.cameras, state=state))
        episode = _answer(policy, samples, every)
        n, refused = len(episode.index), sum(episode.refused.values())
        say(f"{episode.name}: {n} steps" + (f", {refused} without an answer" if refused else ""))
        found.append(episode)
    if not any(len(e.index) for e in found):
        raise DataError(f"no step under {path} has an observation and an answer")
    return found


def _answer(policy: Policy, samples: Samples, every: int) -> Episode:
    policy.reset()
    names = spoken.names(policy.dimensions)
    steps: list[aiming.Step] = []
    rows, predicted, said, words = [], [], [], ""
    refused: dict[str, int] = {}
    for row, sample in enumerate(samples):
        steps.append(aiming.Step(sample.index, sample.time_ns, sample.action))
        if row % every:
            continue
        try:
            decision = policy.infer(sample.observation)
        except CheckpointError:
            raise  # such as a model without bins, which answers nothing
        except LapaError as error:
            refused[type(error).__name__] = refused.get(type(error).__name__, 0) + 1
            continue
        words = words or sample.observation.instruction
        rows.append(row)
        predicted.append(decision.chunk.deltas)
        said.append(aiming.said(decision.aim, names))
    for missing in samples.refused:
        refused[missing.error] = refused.get(missing.error, 0) + 1
    d, k = len(policy.dimensions), policy.chunk_length
    return Episode(
        samples.recording.folder.name,
        np.array([steps[r].index for r in rows], dtype=np.int64),
        np.array([steps[r].action for r in rows]).reshape(-1, d),
        np.array(predicted).reshape(-1, k, d),
        refused,
        aiming.acted(samples.tracks, steps)[rows],
        np.array(said).reshape(-1, len(names)),
        words,
    )


def errors(episodes: Sequence[Episode], names: Sequence[str], ahead: int = 0) -> list[Dimension]:
    """The errors of each dimension, of the step `ahead` of the chunk.

    Raises:
        DataError: no step so far ahead was recorded.
    """
    pairs = [_ahead(e, ahead) for e in episodes]
    recorded = np.concatenate([r for r, _ in pairs])
    predicted = np.concatenate([p for _, p in pairs])
    if not len(recorded):
        raise DataError(f"no step {ahead} ahead was recorded")
    return [_dimension(n, recorded[:, i], predicted[:, i]) for i, n in enumerate(names)]


def _ahead(episode: Episode, ahead: int) -> tuple[FloatArray, FloatArray]:
    """(m, d) what was done `ahead` steps later, and what was predicted for then."""
    place = {int(i): row for row, i in enumerate(episode.index)}
    rows = [(r, place[int(i) + ahead]) for r, i in enumerate(episode.index)
            if int(i) + ahead in place]  # fmt: skip
    asked = np.array([r for r, _ in rows], dtype=np.int64)
    then = np.array([t for _, t in rows], dtype=np.int64)
    return episode.recorded[then], episode.predicted[asked, ahead]


def _dimension(name: str, recorded: FloatArray, predicted: FloatArray) -> Dimension:
    axis = name.rpartition("/")[2]
    unit, scale = UNITS[axis]
    wrong = math.nan
    if axis == "gripper":
        wrong = float(np.mean((predicted > HALF_OPEN) != (recorded > HALF_OPEN)))
    return dimension(name, unit, scale, recorded, predicted, wrong)


def as_json(
    episodes: Sequence[Episode],
    by_step: Sequence[Sequence[Dimension]],
    places: Sequence[Dimension] = (),
) -> dict[str, Any]:
    """The numbers; `by_step` as of `errors` for each step of the chunk, `places` of `aiming`."""

    def plain(d: Dimension) -> dict[str, Any]:
        known = {k: v for k, v in vars(d).items() if k != "wrong"}
        return known | {"wrong_side": d.wrong if math.isfinite(d.wrong) else None}

    return {
        "episodes": [
            {"name": e.name, "steps": len(e.index), "refused": e.refused} for e in episodes
        ],
        "steps": sum(len(e.index) for e in episodes),
        "dimensions": [plain(d) for d in by_step[0]],
        "places": [plain(d) for d in places],
        "first_sight": [vars(s) for s in aiming.first_sights(episodes)],
        "mean_error_by_step": [{d.name: d.mean for d in step} for step in by_step],
    }


def write(
    folder: Path, episodes: Sequence[Episode], names: Sequence[str], chunk_length: int
) -> list[Dimension]:
    """Write `open_loop.json` and `open_loop.png`.

    Returns:
        the errors of a chunk's first step, and those of the places that the policy says.

    Raises:
        DataError: the disk refuses.
    """
    from lapa_core.evaluate import plots

    by_step = [errors(episodes, names)]
    for ahead in range(1, chunk_length):
        try:
            by_step.append(errors(episodes, names, ahead))
        except DataError:  # steps were left out, or the recordings are shorter than the chunk
            break
    places = aiming.errors(episodes, spoken.names(tuple(names)))
    text = json.dumps(as_json(episodes, by_step, places), indent=2) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "open_loop.json").write_text(text, encoding="utf-8")
        plots.open_loop(episodes, names, folder / "open_loop.png")
    except OSError as error:
        raise DataError(f"cannot write into {folder}: {error.strerror}") from error
    return [*by_step[0], *places]
