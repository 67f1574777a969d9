# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The demo's figures, computed from recorded messages; the definitions stand with the code.

All are of the spans in which the policy had something to do. Writes them with the plot.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapa_core.types import NUM_AXES, FloatArray
from lapa_ros.demo_plot import plot
from lapa_ros.demo_record import Record
from lapa_ros.demo_tally import tally
from lapa_ros.demo_text import text

# A step smaller than this cannot be told from servo noise in the measured pose.
VISIBLE_STEP_M = 0.004
# An arm whose tool went less far than this over the whole run has not moved.
MOVED_M = 0.01
# The tool's way is summed over points this far apart: closer ones would add up servo noise.
WAY_STEP_S = 0.2
# Motion has begun when this share of the step is covered.
MOTION_SHARE = 0.1
# After this long a later step may be what is seen: the step counts as not measured.
MOTION_WINDOW_S = 0.5


def summarise(record: Record) -> dict[str, Any]:
    """All figures of the run; see the keys for units."""
    policy = record.around("policy_node")[-1][1][1]
    loop = record.around("arm_node")[-1][1][1]
    arms = {arm.name: of_arm(record, index) for index, arm in enumerate(record.robot.arms)}
    return {
        "robot": record.robot.name,
        "instruction": record.instruction,
        "trained": policy["trained"] == "True",
        "seconds": round(record.measured_s, 2),
        "policy_rate_asked_hz": float(policy["asked_rate_hz"]),
        "policy_rate_reached_hz": round(decision_rate_hz(record), 3),
        "steps_executed": sum(record.measured(t) for t, _ in record.executed),
        "image_age_ms": {k: float(policy[f"image_age_ms_{k}"]) for k in ("median", "p99")},
        "inference_ms": {k: float(policy[f"inference_ms_{k}"]) for k in ("median", "p99")},
        "command_to_motion_ms": _spread(command_to_motion_s(record)),
        "arms": arms,
        "every_arm_moved": all(arm["moved"] for arm in arms.values()),
        "arm_loop_hz": float(loop["rate_hz"]),
        "arm_loop_period_ms_p99": float(loop["period_ms_p99"]),
        "frames": frames(record),
        "simulated_collisions": collisions(record),
        "interventions": interventions(record),
        "holds": _holds(record),
        **tally(record.trials),
    }


def decision_rate_hz(record: Record) -> float:
    """Decisions in a second, from the first to the last one of each span; 0 without any."""
    by_span: dict[int, list[float]] = defaultdict(list)
    for t, _ in record.decided:
        if (span := record.span_of(t)) is not None:
            by_span[span].append(t)
    seconds = sum(times[-1] - times[0] for times in by_span.values())
    return sum(len(times) - 1 for times in by_span.values()) / seconds if seconds else 0.0


def interventions(record: Record) -> dict[str, int]:
    """How often each guard of the arm node changed or refused a step; those that never did not."""
    found: dict[str, int] = {}
    for (_, before), (_, after) in record.around("arm_node"):
        for key, value in after.items():
            if key.startswith("interventions_"):
                name = key.removeprefix("interventions_")
                found[name] = found.get(name, 0) + int(value) - int(before.get(key, 0))
    return {k: n for k, n in found.items() if n}


def of_arm(record: Record, index: int) -> dict[str, Any]:
    """Figures of one arm; `index` is its place in the robot file.

    A step of two arms is one message: `steps` counts those that asked this arm to move.
    """
    name = record.robot.arms[index].name
    columns = slice(index * NUM_AXES, index * NUM_AXES + NUM_AXES - 1)
    steps = [
        bool(np.any(chunk.deltas[:, columns]))
        for t, chunk in record.executed
        if record.measured(t)
    ]
    travelled = travelled_m(record, name)
    return {
        "steps": sum(steps),
        "travelled_m": round(travelled, 3),
        "moved": travelled >= MOVED_M,
        "command_to_motion_ms": _spread(command_to_motion_s(record, name)),
    }


def travelled_m(record: Record, arm: str) -> float:
    """Length of the measured tool's way over all spans [m]."""
    pose = np.array(record.poses[arm, "pose"]).reshape(-1, 8)
    length = 0.0
    for begin, end in record.spans if len(pose) else ():
        times = np.arange(begin, end, WAY_STEP_S)
        way: FloatArray = np.stack([np.interp(times, pose[:, 0], pose[:, k]) for k in (1, 2, 3)])
        length += float(np.linalg.norm(np.diff(way, axis=1), axis=0).sum())
    return length


def _spread(seconds: list[float]) -> dict[str, float | int | None]:
    """Median and 99th percentile in ms, and of how many; None where there are none."""
    return {
        "median": round(1e3 * float(np.median(seconds)), 1) if seconds else None,
        "p99": round(1e3 * float(np.percentile(seconds, 99)), 1) if seconds else None,
        "steps_measured": len(seconds),
    }


def frames(record: Record) -> dict[str, dict[str, float]]:
    """Frames published by the cameras and received by the policy over the spans.

    The two nodes report at different times, so the published count is interpolated to the
    policy's report times; the difference is exact to about one frame a span.
    """
    reports = record.diagnostics["sim_node"]
    stamps = np.array([t for t, _ in reports])
    result = {}
    for camera in record.robot.cameras:
        received_key = f"camera_{camera.name}_received"
        if received_key not in record.diagnostics["policy_node"][-1][1]:
            continue  # a camera this policy does not look at
        counts = np.array([int(v[f"camera_{camera.name}_published"]) for _, v in reports])
        published, received = 0.0, 0
        for (t0, first), (t1, last) in record.around("policy_node"):
            published += float(np.interp(t1, stamps, counts) - np.interp(t0, stamps, counts))
            received += int(last[received_key]) - int(first[received_key])
        result[camera.name] = {
            "published": round(published, 1),
            "received": received,
            "dropped": max(0, round(published - received)),
        }
    return result


def collisions(record: Record) -> int | None:
    """How often links began to touch what they must not, None where no simulation tells."""
    if not record.diagnostics["sim_node"]:
        return None
    return sum(
        int(last.get("collisions", 0)) - int(first.get("collisions", 0))
        for (_, first), (_, last) in record.around("sim_node")
    )


def command_to_motion_s(record: Record, only: str = "") -> list[float]:
    """From a delta's publication until the measured tool has covered 10 % of the step [s].

    Of all arms, or of the `only` one. Measured along the direction of the step, at the 50 Hz of
    the measured pose, for steps of at least 4 mm that turn by more than 60 degrees from the step
    before: what is left of that one then does not count as motion.
    """
    published = {chunk.stamp_ns: t for t, chunk in record.decided}
    result: list[float] = []
    for index, arm in enumerate(record.robot.arms):
        if only not in ("", arm.name) or not record.poses[arm.name, "pose"]:
            continue
        pose = np.array(record.poses[arm.name, "pose"])
        columns = slice(index * NUM_AXES, index * NUM_AXES + 3)
        previous = np.zeros(3)
        for t_executed, chunk in record.executed:
            step = chunk.deltas[-1, columns]
            size = float(np.linalg.norm(step))
            direction, before = step / max(size, 1e-9), previous
            previous = direction
            if (
                record.measured(t_executed)
                and size >= VISIBLE_STEP_M
                and float(direction @ before) < 0.5
            ):
                t = published.get(chunk.stamp_ns, t_executed)
                result += _first_motion(pose, t, direction, MOTION_SHARE * size)
    return result


def _first_motion(
    pose: NDArray[np.float64], t: float, direction: NDArray[np.float64], share_m: float
) -> list[float]:
    before = np.searchsorted(pose[:, 0], t) - 1
    after = pose[(pose[:, 0] > t) & (pose[:, 0] < t + MOTION_WINDOW_S)]
    if before < 0 or not len(after):
        return []
    covered = (after[:, 1:4] - pose[before, 1:4]) @ direction
    moved = np.flatnonzero(covered >= share_m)
    return [float(after[moved[0], 0] - t)] if len(moved) else []


def _holds(record: Record) -> list[str]:
    return [
        f"{t - record.began_s:.1f} s: {state}: {reason}"
        for t, state, reason in record.authority
        if record.measured(t) and state != "policy"
    ]


def write_report(record: Record, out: Path) -> int:
    """Write plot and summary, print the summary; 1 if an arm was never moved by a delta."""
    summary = summarise(record)
    plot(record, out / "commanded_vs_reached.png")
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(text(summary, out))
    return 0 if summary["steps_executed"] > 0 and summary["every_arm_moved"] else 1
