# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The demo's plot: where the tool was told to be, and where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapa_ros.demo_record import Record


def plot(record: Record, path: Path) -> None:
    """Commanded and reached tool pose over time: two columns an arm, position and rotation."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    arms = record.robot.arms
    figure, axes = pyplot.subplots(4, 2 * len(arms), figsize=(13 * len(arms), 9), squeeze=False)
    for index, arm in enumerate(arms):
        target = np.array(record.poses[arm.name, "target"])
        reached = np.array(record.poses[arm.name, "pose"])
        if not (len(target) and len(reached)):
            continue
        # The target in force at each reached sample: it jumps at the beginning of every step.
        held = target[np.clip(np.searchsorted(target[:, 0], reached[:, 0]) - 1, 0, None)]
        seconds = reached[:, 0] - record.began_s
        first = held[np.argmax(seconds >= 0), 4:]
        place = (1e3 * held[:, 1:4], 1e3 * reached[:, 1:4])
        turn = tuple(np.degrees(rotation_vector(first, p[:, 4:])) for p in (held, reached))
        apart = np.degrees(np.linalg.norm(rotation_vector(held[:, 4:], reached[:, 4:]), axis=1))
        distance = np.linalg.norm(place[0] - place[1], axis=1)
        position, rotation = axes[:, 2 * index], axes[:, 2 * index + 1]
        _curves(position, seconds, place, ("x [mm]", "y [mm]", "z [mm]"), distance, "apart [mm]")
        names = ("about x [deg]", "about y [deg]", "about z [deg]")
        _curves(rotation, seconds, turn, names, apart, "apart [deg]")
        position[0].set_title(f"{arm.name}: tool point in the base frame")
        rotation[0].set_title(f"{arm.name}: rotation since the policy took over")
        position[0].legend(loc="upper right")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def rotation_vector(
    start_wxyz: NDArray[np.float64], end_wxyz: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n, 3) axis times angle [rad] of the turns from one unit quaternion to the others.

    log(conj(start) * end), in the frame of `start`; the shorter way round.
    """
    start = np.broadcast_to(start_wxyz, end_wxyz.shape)
    w0, v0, w1, v1 = start[:, :1], -start[:, 1:], end_wxyz[:, :1], end_wxyz[:, 1:]
    w = w0 * w1 - np.sum(v0 * v1, axis=1, keepdims=True)
    v = w0 * v1 + w1 * v0 + np.cross(v0, v1)
    v = np.where(w < 0, -v, v)
    size = np.linalg.norm(v, axis=1, keepdims=True)
    scale = np.where(size > 1e-9, 2 * np.arctan2(size, np.abs(w)) / np.maximum(size, 1e-12), 2.0)
    return np.asarray(scale * v, dtype=np.float64)


def _curves(
    rows: Any,
    seconds: NDArray[np.float64],
    commanded_reached: tuple[NDArray[np.float64], ...],
    names: tuple[str, str, str],
    apart: NDArray[np.float64],
    apart_name: str,
) -> None:
    """Three rows of commanded and reached, one of what lies between them."""
    for row, name in enumerate(names):
        for values, label in zip(commanded_reached, ("commanded", "reached"), strict=True):
            rows[row].plot(seconds, values[:, row], label=label)
        rows[row].set_ylabel(name)
    rows[3].plot(seconds, apart, color="tab:red")
    rows[3].set_ylabel(apart_name)
    rows[3].set_xlabel("time since the policy took over [s]")
    for axis in rows:
        axis.grid(alpha=0.3)
