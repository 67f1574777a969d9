# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The demo's summary, in words and JSON; writes it with the plot.

All numbers are computed here from recorded messages; the definitions stand with the code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapa_core.types import NUM_AXES, FloatArray
from lapa_ros.demo_plot import plot
from lapa_ros.demo_record import Record

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
    decided = [t for t, _ in record.decided if record.began_s <= t <= record.ended_s]
    seconds = record.ended_s - record.began_s
    policy = record.first_and_last("policy_node")[1][1]
    arm_before, arm_after = (values for _, values in record.first_and_last("arm_node"))
    interventions = {
        key.removeprefix("interventions_"): int(value) - int(arm_before.get(key, 0))
        for key, value in arm_after.items()
        if key.startswith("interventions_")
    }
    arms = {arm.name: of_arm(record, index) for index, arm in enumerate(record.robot.arms)}
    return {
        "robot": record.robot.name,
        "instruction": record.instruction,
        "trained": policy["trained"] == "True",
        "seconds": round(seconds, 2),
        "policy_rate_asked_hz": float(policy["asked_rate_hz"]),
        "policy_rate_reached_hz": round((len(decided) - 1) / (decided[-1] - decided[0]), 3)
        if len(decided) > 1
        else 0.0,
        "steps_executed": sum(record.began_s <= t <= record.ended_s for t, _ in record.executed),
        "image_age_ms": {k: float(policy[f"image_age_ms_{k}"]) for k in ("median", "p99")},
        "inference_ms": {k: float(policy[f"inference_ms_{k}"]) for k in ("median", "p99")},
        "command_to_motion_ms": _spread(command_to_motion_s(record)),
        "arms": arms,
        "every_arm_moved": all(arm["moved"] for arm in arms.values()),
        "arm_loop_hz": float(arm_after["rate_hz"]),
        "arm_loop_period_ms_p99": float(arm_after["period_ms_p99"]),
        "frames": frames(record),
        "simulated_collisions": collisions(record),
        "interventions": {k: n for k, n in interventions.items() if n},
        "holds": _holds(record),
    }


def of_arm(record: Record, index: int) -> dict[str, Any]:
    """Figures of one arm; `index` is its place in the robot file.

    A step of two arms is one message: `steps` counts those that asked this arm to move.
    """
    name = record.robot.arms[index].name
    columns = slice(index * NUM_AXES, index * NUM_AXES + NUM_AXES - 1)
    steps = [
        bool(np.any(chunk.deltas[:, columns]))
        for t, chunk in record.executed
        if record.began_s <= t <= record.ended_s
    ]
    travelled = travelled_m(record, name)
    return {
        "steps": sum(steps),
        "travelled_m": round(travelled, 3),
        "moved": travelled >= MOVED_M,
        "command_to_motion_ms": _spread(command_to_motion_s(record, name)),
    }


def travelled_m(record: Record, arm: str) -> float:
    """Length of the measured tool's way over the window [m]."""
    pose = np.array(record.poses[arm, "pose"]).reshape(-1, 8)
    times = np.arange(record.began_s, record.ended_s, WAY_STEP_S)
    if not len(pose) or not len(times):
        return 0.0
    way: FloatArray = np.stack([np.interp(times, pose[:, 0], pose[:, k]) for k in (1, 2, 3)], 1)
    return float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum())


def _spread(seconds: list[float]) -> dict[str, float | int | None]:
    """Median and 99th percentile in ms, and of how many; None where there are none."""
    return {
        "median": round(1e3 * float(np.median(seconds)), 1) if seconds else None,
        "p99": round(1e3 * float(np.percentile(seconds, 99)), 1) if seconds else None,
        "steps_measured": len(seconds),
    }


def frames(record: Record) -> dict[str, dict[str, float]]:
    """Frames published by the cameras and received by the policy over the window.

    The two nodes report at different times, so the published count is interpolated to the
    policy's report times; the difference is exact to about one frame.
    """
    (t0, first), (t1, last) = record.first_and_last("policy_node")
    reports = record.diagnostics["sim_node"]
    stamps = np.array([t for t, _ in reports])
    result = {}
    for camera in record.robot.cameras:
        received_key = f"camera_{camera.name}_received"
        if received_key not in last:
            continue  # a camera this policy does not look at
        counts = np.array([int(v[f"camera_{camera.name}_published"]) for _, v in reports])
        published = float(np.interp(t1, stamps, counts) - np.interp(t0, stamps, counts))
        received = int(last[received_key]) - int(first[received_key])
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
    (_, first), (_, last) = record.first_and_last("sim_node")
    return int(last.get("collisions", 0)) - int(first.get("collisions", 0))


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
            in_window = record.began_s <= t_executed <= record.ended_s
            if in_window and size >= VISIBLE_STEP_M and float(direction @ before) < 0.5:
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
        if record.began_s < t < record.ended_s and state != "policy"
    ]


def write_report(record: Record, out: Path) -> int:
    """Write plot and summary, print the summary; 1 if an arm was never moved by a delta."""
    summary = summarise(record)
    plot(record, out / "commanded_vs_reached.png")
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(_text(summary, out))
    return 0 if summary["steps_executed"] > 0 and summary["every_arm_moved"] else 1


def _collision_line(s: dict[str, Any]) -> str:
    return f"  collisions             {s['simulated_collisions'] or 'none'}"


def _arm_lines(arms: dict[str, dict[str, Any]]) -> list[str]:
    """What each of several arms did; one arm's figures stand in the other lines."""
    if len(arms) < 2:
        return []
    lines = []
    for name, arm in arms.items():
        motion = arm["command_to_motion_ms"]
        lines.append(
            f"  arm {name:<19}{arm['steps']} steps, tool travelled {arm['travelled_m']:.2f} m, "
            f"command to motion {motion['median']} ms median, {motion['p99']} ms p99"
        )
    still = [name for name, arm in arms.items() if not arm["moved"]]
    lines.append(f"  every arm moved        {'no: ' + ', '.join(still) if still else 'yes'}")
    return lines


def _text(s: dict[str, Any], out: Path) -> str:
    model = (
        "trained" if s["trained"] else "RANDOMLY INITIALISED, it shows the machinery, not skill"
    )
    interventions = ", ".join(f"{k} {n}" for k, n in s["interventions"].items()) or "none"
    camera_lines = [
        f"  frames, camera {name}   {c['dropped']} dropped of {c['published']:.0f}"
        for name, c in s["frames"].items()
    ]
    age, inference, motion = s["image_age_ms"], s["inference_ms"], s["command_to_motion_ms"]
    lines = [
        "",
        f'{s["robot"]}: "{s["instruction"]}"',
        f"  model                  {model}",
        f"  policy rate            {s['policy_rate_reached_hz']:.2f} Hz reached, "
        f"{s['policy_rate_asked_hz']:g} Hz asked",
        f"  steps executed         {s['steps_executed']} in {s['seconds']:g} s",
        f"  image age at decision  {age['median']:.0f} ms median, {age['p99']:.0f} ms p99",
        f"  inference              {inference['median']:.0f} ms median, "
        f"{inference['p99']:.0f} ms p99",
        f"  command to motion      {motion['median']} ms median, {motion['p99']} ms p99 "
        f"({motion['steps_measured']} steps)",
        *_arm_lines(s["arms"]),
        f"  arm loop               {s['arm_loop_hz']:.1f} Hz, period "
        f"{s['arm_loop_period_ms_p99']:.1f} ms p99",
        *camera_lines,
        f"  safety interventions   {interventions}",
        *([] if s["simulated_collisions"] is None else [_collision_line(s)]),
        f"  holds                  {len(s['holds'])}",
        *[f"    {hold}" for hold in s["holds"][:5]],
        f"  results in {out}/: demo.mp4, commanded_vs_reached.png, summary.json, logs/",
    ]
    return "\n".join(lines)
