# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How far predicted actions are from true ones: millimetres, degrees, and the gripper's share.

Token accuracy says little: 90 % of it has meant no success at all. So each error stands beside
that of the best constant action, which a policy that ignores the picture would reach. Knows
nothing of models; each prediction is made after the true tokens before it, which flatters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lapa_core.errors import DataError
from lapa_core.model.action_tokenizer import ActionTokenizer, is_gripper
from lapa_core.train.examples import Batch
from lapa_core.train.loss import Scored
from lapa_core.types import AXES, UNITS, FloatArray

_UNITS = dict(zip(AXES, UNITS, strict=True))
_SHOWN = {"m": ("mm", 1e3), "rad": ("deg", 180 / np.pi)}  # unit of `types` -> (shown, factor)


class ActionError:
    """Gathers predictions and tells their error; d dimensions, n steps so far.

    Args:
        actions: bins of the tokens.

    Attributes:
        undecodable: number of tokens that had no bin in their dimension, on which a live policy
            holds the arm. Their error is counted as that of the highest score among valid ones.
    """

    def __init__(self, actions: ActionTokenizer) -> None:
        self._actions = actions
        self._predicted: list[FloatArray] = []
        self._true: list[FloatArray] = []
        self.undecodable = 0

    def __len__(self) -> int:
        """Number of steps."""
        return sum(len(rows) for rows in self._true)

    def add(
        self,
        logits: NDArray[np.floating],
        tokens: NDArray[np.int64],
        values: FloatArray | None = None,
    ) -> None:
        """Count n steps.

        Args:
            logits: (n, d, rows) scores.
            tokens: (n, d) true tokens.
            values: (n, d) true actions; None takes the middle of the true tokens' bins.
        """
        sizes = self._actions.num_bins
        if logits.ndim != 3 or logits.shape[:2] != tokens.shape or tokens.shape[1] != len(sizes):
            raise DataError(
                f"scores of shape {logits.shape} and tokens of {tokens.shape} do not fit the "
                f"dimensions {', '.join(self._actions.dimensions)}"
            )
        beyond = np.arange(logits.shape[2])[None, :] >= np.array(sizes)[:, None]
        self.undecodable += int(
            np.take_along_axis(beyond[None], logits.argmax(-1)[..., None], -1).sum()
        )
        chosen = np.where(beyond, -np.inf, logits).argmax(-1)
        self._predicted.append(self._actions.decode(chosen))
        true = self._actions.decode(tokens) if values is None else np.asarray(values, np.float64)
        self._true.append(true)

    def add_batch(self, scored: Scored, batch: Batch) -> None:
        """Count the steps of a batch that exist.

        Args:
            scored: of `score_actions` for this batch.
            batch: of `action_example`s.
        """
        width = len(self._actions.dimensions)
        if len(scored.targets) % width:
            raise DataError(
                f"{len(scored.targets)} action tokens are no whole steps of {width} dimensions"
            )
        logits = scored.logits.detach().float().cpu().numpy()
        tokens = scored.targets.cpu().numpy().reshape(-1, width)
        values = None
        if batch.values is not None:
            rows = batch.values.cpu().numpy().reshape(-1, width)
            values = rows[np.isfinite(rows).all(-1)]
            if values.shape != tokens.shape:
                raise DataError(f"{len(values)} actions for {len(tokens)} steps of tokens")
        self.add(logits.reshape(*tokens.shape, -1), tokens, values)

    def summary(self) -> dict[str, float]:
        """Errors by name, for curves and for stopping.

        Returns:
            for each dimension its mean error, as `<dimension>_mm`, `_deg` or, of a gripper,
            `_accuracy`; `<arm's>translation_mm` and `rotation_deg`, mean lengths of the error;
            `gripper_accuracy`; `undecodable`, share of tokens without a bin; `relative`, the
            number to stop by: the error as a share of the best constant action's, 1 for a
            policy that ignores its input; the mean of translation's, rotation's and the
            grippers', each all of its dimensions together, so that an axis that hardly moves
            counts as little as it does to the arm.

        Raises:
            DataError: nothing was added.
        """
        if not len(self):
            raise DataError("no action was predicted, so there is no error")
        true, predicted = np.concatenate(self._true), np.concatenate(self._predicted)
        out: dict[str, float] = {}
        shares: dict[str, list[tuple[float, float]]] = {}
        for i, name in enumerate(self._actions.dimensions):
            error, constant = _errors(name, predicted[:, i], true[:, i])
            label, value = _shown(name, error)
            out[label] = value
            shares.setdefault(_kind(name), []).append((error, constant))
        out.update(_lengths(self._actions.dimensions, predicted - true))
        grippers = [v for k, v in out.items() if k.endswith("_accuracy")]
        out["gripper_accuracy"] = float(np.mean(grippers)) if grippers else float("nan")
        out["undecodable"] = self.undecodable / true.size
        sums = [np.sum(pairs, axis=0) for pairs in shares.values()]
        relative = [error / constant for error, constant in sums if constant > 0]
        out["relative"] = float(np.mean(relative)) if relative else float("nan")
        return out


def _kind(name: str) -> str:
    """What a dimension can be added up with: those of its unit."""
    return "gripper" if is_gripper(name) else _UNITS.get(name.rsplit("/", 1)[-1], name)


def _errors(
    name: str, predicted: NDArray[np.float64], true: NDArray[np.float64]
) -> tuple[float, float]:
    """Mean error of a dimension, and that of the best constant; of a gripper, shares of errors."""
    if is_gripper(name):
        is_open = true > 0.5
        return float(np.mean((predicted > 0.5) != is_open)), float(
            min(is_open.mean(), 1 - is_open.mean())
        )
    return float(np.abs(predicted - true).mean()), float(np.abs(true - np.median(true)).mean())


def _shown(name: str, error: float) -> tuple[str, float]:
    unit = _UNITS.get(name.rsplit("/", 1)[-1], "")
    if is_gripper(name):
        return f"{name}_accuracy", 1 - error
    shown, factor = _SHOWN.get(unit, (unit or "error", 1.0))
    return f"{name}_{shown}", factor * error


def _lengths(dimensions: tuple[str, ...], error: FloatArray) -> dict[str, float]:
    """Mean length of the error's translation and rotation, over all arms."""
    out = {}
    for label, axes, factor in (
        ("translation_mm", AXES[:3], 1e3),
        ("rotation_deg", AXES[3:6], 180 / np.pi),
    ):
        arms = sorted({d.rpartition("/")[0] for d in dimensions})
        columns = [
            [i for i, d in enumerate(dimensions) if d.rpartition("/")[::2] == (arm, axis)]
            for arm in arms
            for axis in axes
        ]
        if all(columns):
            picked = error[:, [c[0] for c in columns]].reshape(len(error), len(arms), len(axes))
            out[label] = float(factor * np.linalg.norm(picked, axis=-1).mean())
    return out
