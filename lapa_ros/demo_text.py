# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The demo's summary in words, from the figures of `demo_report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lapa_ros import demo_tally


def text(s: dict[str, Any], out: Path) -> str:
    """For the terminal, several lines."""
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
        f"{s['robot']}: {_what(s)}",
        f"  model                  {model}",
        *demo_tally.lines(s),
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


def _what(s: dict[str, Any]) -> str:
    """What the policy was given to do."""
    if not s["trials"]:
        return f'"{s["instruction"]}"'
    splits = ", ".join(dict.fromkeys(trial["split"] for trial in s["trials"]))
    return f"{len(s['trials'])} trials, split {splits}"


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
