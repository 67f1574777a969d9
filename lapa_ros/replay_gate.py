# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What must hold before a replay moves a real arm, and the question to the person beside it.

Nothing is enabled here, and nothing sent.
"""

from __future__ import annotations

from typing import Any

import yaml

from lapa_core import robot as robots
from lapa_core.data import replay
from lapa_core.data.episodes import Recording
from lapa_core.errors import ConfigError, LapaError, UnsafeAction
from lapa_core.recording import episode as episodes
from lapa_ros.replay_link import Link

# While a person thinks nobody spins: what queued up is older than the answer.
DRAIN_S = 0.3
QUESTION = "replay: workspace clear, hand on the power switch? yes: "


def ask(
    link: Link, recording: Recording, plan: replay.Plan, running: dict[str, Any], yes: bool
) -> None:
    """Check, ask, and check again: an arm may be moved while the question stands.

    Args:
        link: to the arm.
        recording: the episode.
        plan: what will be played.
        running: parameters of the arm node that the plan was made for.
        yes: do not ask.

    Raises:
        ConfigError: another robot, or other parameters than `running`.
        UnsafeAction: estop, an arm elsewhere, another policy, or no yes.
        StaleInput: the arm node says nothing any more.
    """
    _check(link, recording, plan, running)
    arms = "the arm" if len(recording.robot.arms) == 1 else f"{len(recording.robot.arms)} arms"
    dry = "; dry run: nothing is sent to the driver" if running["dry_run"] else ""
    print(
        f"replay: {recording.robot.name} is {': '.join(link.authority)}\n"
        f"replay: will enable it, move {arms} up to {replay.START_M * 100:g} cm to where the "
        f"episode began,\nreplay: then send {len(plan.times_s)} deltas in "
        f"{plan.times_s[-1]:.1f} s "
        f"at speed_scale {running['speed_scale']:g}{dry}",
        flush=True,
    )
    if yes:
        return
    if _answer() != "yes":
        raise UnsafeAction("not confirmed: nothing was moved")
    link.spin_until(lambda: False, DRAIN_S)
    try:
        _check(link, recording, plan, running)
    except LapaError as error:
        raise type(error)(f"since the question was asked: {error}; nothing was moved") from None


def _answer() -> str:
    try:
        return input(QUESTION)
    except EOFError:  # nobody is there
        return ""


def _check(link: Link, recording: Recording, plan: replay.Plan, running: dict[str, Any]) -> None:
    """The arm node is the plan's, its robot the episode's, and the arm where it began."""
    now = link.parameters()
    changed = [f"{k} was {v!r}, is {now[k]!r}" for k, v in running.items() if now[k] != v]
    if changed:
        raise ConfigError("arm_node is another one: " + "; ".join(changed))
    recorded = robots.parse(
        yaml.safe_load(recording.episode.robot_yaml), str(recording.folder / episodes.FILE)
    )
    replay.check_robot(recorded, robots.load(now["robot"]))
    measured = link.measured_now()
    state, reason = link.authority
    if state == "estop":
        raise UnsafeAction(f"estop is latched ({reason}): call reset first")
    if state == "teleop":
        raise UnsafeAction(f"a person moves the arm ({reason}): hand back first")
    link.require_alone()
    if problem := replay.far_from_start(plan.start, measured):
        raise UnsafeAction(problem)
