# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Bins of the actions from the training set, and how much is lost in them.

How the edges are chosen is told by `bins`. What is stored here goes into the checkpoint as
`action_statistics.json`, and is printed before a training begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lapa_core.data import bins
from lapa_core.data.demos import DemoSet
from lapa_core.data.gripper_checks import GripperUse, check_gripper, check_polarity
from lapa_core.errors import DataError
from lapa_core.model.action_tokenizer import GRIPPER_EDGES, ActionTokenizer, is_gripper
from lapa_core.robot import Robot
from lapa_core.types import AXES, FloatArray

NUM_BINS = 256
# Half the width of the bin of a value that many steps share: below what an arm resolves.
SHARED_M, SHARED_RAD = 1e-4, 1e-3
CUT_MUCH = 0.05  # the outer bins of well-behaved steps cut less than 1 %
ROTATIONS = ("roll", "pitch", "yaw")


@dataclass(frozen=True)
class DimensionStatistics:
    """One dimension of the training set. Lengths in metres, angles in radians.

    Attributes:
        name: of the dimension.
        num_bins: valid tokens.
        lower, upper: what the first and last bin answer with.
        minimum, maximum, mean, std, q01, q99: of the samples.
        mean_error, worst_error: between a sample and what its bin answers with.
        cut: share of the samples beyond the outermost edges.
        frequent: values with bins of their own, most frequent first.
        constant: whether it never changes.
    """

    name: str
    num_bins: int
    lower: float
    upper: float
    minimum: float
    maximum: float
    mean: float
    std: float
    q01: float
    q99: float
    mean_error: float
    worst_error: float
    cut: float
    frequent: tuple[float, ...] = ()
    constant: bool = False


@dataclass(frozen=True)
class Statistics:
    """What a checkpoint keeps of the actions it was trained on.

    Attributes:
        num_samples: steps.
        dimensions: in the order of the tokens.
        grippers: how each gripper was used.
        mean_error_mm, worst_error_mm: of a step's translation, as a vector, over all arms.
        mean_error_deg, worst_error_deg: of its rotation, likewise.
        findings: what a person should know, in full sentences.
    """

    num_samples: int
    dimensions: tuple[DimensionStatistics, ...]
    grippers: tuple[GripperUse, ...]
    mean_error_mm: float
    worst_error_mm: float
    mean_error_deg: float
    worst_error_deg: float
    findings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For `action_statistics.json`."""
        content = asdict(self)
        content["dimensions"] = {d.name: asdict(d) for d in self.dimensions}
        content["grippers"] = {g.name: asdict(g) for g in self.grippers}
        for each in (*content["dimensions"].values(), *content["grippers"].values()):
            del each["name"]
        content["findings"] = list(self.findings)
        return content

    def __str__(self) -> str:
        """A table for people."""
        lines = [
            f"{self.num_samples} steps; quantisation error of a step: mean "
            f"{self.mean_error_mm:.2f} mm and {self.mean_error_deg:.2f} deg, worst "
            f"{self.worst_error_mm:.2f} mm and {self.worst_error_deg:.2f} deg",
            f"  {'dimension':20} {'bins':>4} {'lower':>9} {'upper':>9} {'mean error':>12} worst",
        ]
        for d in self.dimensions:
            if is_gripper(d.name):
                continue
            scale, unit = _scale(d.name)
            lines.append(
                f"  {d.name:20} {d.num_bins:4} {scale * d.lower:9.2f} {scale * d.upper:9.2f} "
                f"{scale * d.mean_error:12.3f} {scale * d.worst_error:.3f} {unit}"
                + (" (constant)" if d.constant else "")
            )
        lines += [f"  {g}" for g in self.grippers]
        return "\n".join([*lines, *(f"  note: {f}" for f in self.findings)])


def fit(
    demos: DemoSet | FloatArray,
    dimensions: Sequence[str],
    num_bins: int = NUM_BINS,
    robot: Robot | None = None,
) -> tuple[ActionTokenizer, Statistics]:
    """Bins from a training set, and what they lose.

    Args:
        demos: the training set, or its (n, d) actions; grippers 1 open.
        dimensions: names of the d columns.
        num_bins: at most so many tokens a dimension; the gripper has two.
        robot: its largest steps bound the outer bins; None: the samples alone do.

    Returns:
        The tokenizer, and the statistics for the checkpoint.

    Raises:
        DataError: no samples, other dimensions, a number that is not finite, or a gripper
            outside 0 .. 1.
    """
    names = tuple(dimensions)
    actions = demos.actions() if isinstance(demos, DemoSet) else np.asarray(demos, np.float64)
    _check(actions, names, num_bins)
    edges, frequent = [], []
    for i, name in enumerate(names):
        row: FloatArray
        shared: tuple[float, ...] = ()
        if is_gripper(name):
            row = GRIPPER_EDGES
        else:
            half, bound = _half_width(name), _largest_step(name, robot)
            row, shared = bins.edges(actions[:, i], num_bins, half, bound)
        edges.append(row)
        frequent.append(shared)
    tokenizer = ActionTokenizer(names, tuple(edges))
    return tokenizer, _describe(demos, actions, tokenizer, frequent)


def _check(actions: FloatArray, names: tuple[str, ...], num_bins: int) -> None:
    if actions.ndim != 2 or actions.shape[1] != len(names) or not len(actions):
        raise DataError(
            f"actions of shape {actions.shape} give no bins of the {len(names)} dimensions "
            f"{', '.join(names)}; valid: (n, {len(names)}) with n above 0"
        )
    if num_bins < 2:
        raise DataError(f"num_bins must be 2 or more, got {num_bins}")
    bad = ~np.all(np.isfinite(actions), axis=0)
    if np.any(bad):
        wrong = ", ".join(n for n, b in zip(names, bad, strict=True) if b)
        raise DataError(f"actions hold numbers that are not finite in {wrong}")


def _describe(
    demos: DemoSet | FloatArray,
    actions: FloatArray,
    tokenizer: ActionTokenizer,
    frequent: Sequence[tuple[float, ...]],
) -> Statistics:
    answers = tokenizer.decode(tokenizer.encode(actions))
    errors = answers - actions
    found = tuple(
        _of_dimension(name, actions[:, i], errors[:, i], tokenizer.edges[i], frequent[i])
        for i, name in enumerate(tokenizer.dimensions)
    )
    columns = {n: i for i, n in enumerate(tokenizer.dimensions) if is_gripper(n)}
    uses = [check_gripper(n, actions[:, i]) for n, i in columns.items()]
    findings = [f for d in found for f in _remarks(d, len(actions))]
    findings += [f for use in uses for f in use.remarks()]
    if isinstance(demos, DemoSet):
        findings += check_polarity(demos)
    metres = _vector_errors(errors, tokenizer.dimensions, AXES[:3]) * 1e3
    turns = np.degrees(_vector_errors(errors, tokenizer.dimensions, ROTATIONS))
    return Statistics(
        num_samples=len(actions),
        dimensions=found,
        grippers=tuple(uses),
        mean_error_mm=float(metres.mean()),
        worst_error_mm=float(metres.max()),
        mean_error_deg=float(turns.mean()),
        worst_error_deg=float(turns.max()),
        findings=tuple(findings),
    )


def _of_dimension(
    name: str,
    samples: FloatArray,
    errors: FloatArray,
    edges: FloatArray,
    frequent: tuple[float, ...],
) -> DimensionStatistics:
    middles = (edges[:-1] + edges[1:]) / 2
    beyond = (samples < edges[0]) | (samples > edges[-1])
    q01, q99 = np.percentile(samples, (1, 99))
    return DimensionStatistics(
        name=name,
        num_bins=len(middles),
        lower=float(middles[0]),
        upper=float(middles[-1]),
        minimum=float(samples.min()),
        maximum=float(samples.max()),
        mean=float(samples.mean()),
        std=float(samples.std()),
        q01=float(q01),
        q99=float(q99),
        mean_error=float(np.abs(errors).mean()),
        worst_error=float(np.abs(errors).max()),
        cut=float(beyond.mean()),
        frequent=frequent,
        constant=bool(samples.min() == samples.max()),
    )


def _remarks(d: DimensionStatistics, count: int) -> list[str]:
    if is_gripper(d.name):
        return []
    scale, unit = _scale(d.name)
    if d.constant:
        value = f"{scale * d.mean:.3g} {unit}"
        return [f"{d.name} is {value} in all {count} steps: it has one bin, around that value"]
    found = []
    if d.cut > CUT_MUCH and d.cut * count > 4 * bins.OUTERMOST:
        found.append(
            f"{d.name}: {100 * d.cut:.0f} % of the steps go beyond what the outer bins answer "
            f"with, {scale * d.lower:.3g} and {scale * d.upper:.3g} {unit}: the robot's largest "
            f"step is smaller, or the unit is another"
        )
    if d.num_bins < 8:
        found.append(f"{d.name} has only {d.num_bins} bins: the training set holds few values")
    return found


def _vector_errors(errors: FloatArray, names: tuple[str, ...], axes: Sequence[str]) -> FloatArray:
    """(n * arms,) length of the error over three axes of each arm; one 0 where there are none."""
    arms = dict.fromkeys(n.rpartition("/")[0] for n in names)
    found = []
    for arm in arms:
        columns = [i for i, n in enumerate(names) if n in {f"{arm}/{a}" for a in axes}]
        if columns:
            found.append(np.linalg.norm(errors[:, columns], axis=1))
    return np.concatenate(found) if found else np.zeros(1)


def _is_turn(name: str) -> bool:
    return name.rpartition("/")[2] in ROTATIONS


def _scale(name: str) -> tuple[float, str]:
    """From metres or radians to what a person reads."""
    return (float(np.degrees(1.0)), "deg") if _is_turn(name) else (1e3, "mm")


def _half_width(name: str) -> float:
    return SHARED_RAD if _is_turn(name) else SHARED_M


def _largest_step(name: str, robot: Robot | None) -> float:
    """What the controller allows at most along one axis; infinite where no robot is given."""
    if robot is None or "/" not in name:
        return float("inf")
    arm = robot.arm(name.partition("/")[0])
    return arm.max_rotation_rad if _is_turn(name) else arm.max_translation_m
