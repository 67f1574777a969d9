# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa replay EPISODE`: sends the recorded deltas through the controller, simulated first.

By default in a simulation of its own, in a ROS domain of its own. With `--real` on the robot
that runs in this domain, after a person's yes. Ends with 0 when the arm went the recorded way,
1 when it did not or had to stop, 2 when it refused; Ctrl-C makes the arm hold and ends within
three seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import rclpy
from rclpy.signals import SignalHandlerOptions

from lapa_core import robot as robots
from lapa_core.data import replay, ways
from lapa_core.data.episodes import Recording, open_episode
from lapa_core.errors import ConfigError, LapaError
from lapa_core.robot import Robot
from lapa_ros import environment, replay_gate, replay_player
from lapa_ros.processes import NodeProcess, interrupt_deferred, leave, stop_all
from lapa_ros.replay_link import Link

# Simulated on an idle computer: 0.2 mm in the median, 1.1 at most; on two cores under a load of 3
# to 9 up to some 20 at most, beyond this bound, for a late computer's arm cuts corners. What an
# arm with slack in its joints makes of it, a person decides.
TOLERANCE_MM, TOLERANCE_DEG = 10.0, 5.0
HOLD_TIMEOUT_S = 0.5
READY_TIMEOUT_S = 60.0  # starting the nodes, on a slow machine
DISCOVERY_S = 1.0  # until a policy that runs already shows
REAL_TIMEOUT_S = 10.0  # discovery alone


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Command line of `lapa replay`."""
    parser = argparse.ArgumentParser(
        prog="lapa replay", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("episode", type=Path, help="folder of the episode")
    parser.add_argument("--robot", default="", help="robot file; default: the episode's own copy")
    parser.add_argument("--real", action="store_true", help="on the robot of this ROS domain")
    parser.add_argument("--yes", action="store_true", help="with --real: do not ask")
    parser.add_argument(
        "--tolerance-mm", type=float, default=TOLERANCE_MM, help="largest distance"
    )
    parser.add_argument("--tolerance-deg", type=float, default=TOLERANCE_DEG, help="largest angle")
    parser.add_argument("--json", type=Path, help="also write the report there")
    parser.add_argument("--logs", type=Path, help="keep the simulation's logs in this folder")
    args = parser.parse_args(argv)
    if args.yes and not args.real:
        raise ConfigError("--yes answers the question of --real; a simulation asks nothing")
    return args


def run(args: argparse.Namespace) -> int:
    """The whole replay; returns the exit code."""
    recording = open_episode(args.episode, robots.load(args.robot) if args.robot else None)
    plan = replay.plan(recording)
    with tempfile.TemporaryDirectory(prefix="lapa_replay_") as scratch:
        logs = args.logs or Path(scratch)
        logs.mkdir(parents=True, exist_ok=True)
        with _nodes(args, recording, logs) as nodes, _link(recording.robot, nodes) as link:
            return _replay(link, args, recording, plan)


@contextmanager
def _nodes(
    args: argparse.Namespace, recording: Recording, logs: Path
) -> Iterator[list[NodeProcess]]:
    """The simulation, or nothing where the robot runs already."""
    os.environ.update(environment.dds_variables())
    environment.remove_dead_segments()
    nodes: list[NodeProcess] = []
    if args.real:
        yield nodes
        return
    # Never the domain of this shell: its robot must not hear of it.
    os.environ["ROS_DOMAIN_ID"] = environment.own_domain()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    robot = args.robot
    if not robot:
        file = logs / "robot.yaml"
        file.write_text(recording.episode.robot_yaml, encoding="utf-8")
        robot = str(file)
    # Nobody looks at the pictures: render as few as the node allows.
    sim = {"robot": robot, "camera_rate_hz": 1.0}
    rendering = {"MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
    try:
        for name, parameters, variables in (
            ("sim_node", sim, rendering),
            ("arm_node", {"robot": robot, "backend": "ros2_control"}, {}),
        ):
            with interrupt_deferred():
                nodes.append(NodeProcess(name, parameters, logs / f"{name}.log", variables))
        yield nodes
    finally:
        with interrupt_deferred():
            codes = stop_all(nodes)
        bad = {name: code for name, code in codes.items() if code not in (0, -signal.SIGINT)}
        if bad:
            print(f"replay: nodes did not end cleanly: {bad}; keep their logs with --logs")


@contextmanager
def _link(robot: Robot, nodes: list[NodeProcess]) -> Iterator[Link]:
    """The node; a Ctrl-C leaves the context alive, so that the arm can be told to hold."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    link = Link(robot, nodes)
    try:
        yield link
    finally:
        link.destroy_node()
        rclpy.try_shutdown()


def _replay(link: Link, args: argparse.Namespace, recording: Recording, plan: replay.Plan) -> int:
    link.wait_for_the_arm(REAL_TIMEOUT_S if args.real else READY_TIMEOUT_S)
    running = link.parameters()
    plan = replay.slowed(plan, running["speed_scale"])
    link.become_the_policy(DISCOVERY_S if args.real else 0.0)
    if args.real:
        replay_gate.ask(link, recording, plan, running, args.yes)
    try:
        link.call("enable")
        if not args.real:
            link.home()
        replay_player.approach(link, plan, running["speed_scale"], far=not args.real)
        link.wait_for_report()
        before = dict(link.interventions)
        stopped = replay_player.play(link, plan, running["speed_scale"])
    finally:
        with interrupt_deferred():
            link.hold(HOLD_TIMEOUT_S)
    link.wait_for_report()
    return _report(link, args, plan, before, stopped)


def _report(
    link: Link, args: argparse.Namespace, plan: replay.Plan, before: dict[str, int], stopped: str
) -> int:
    """Print how it went; 0 if the arm went the recorded way, to its end."""
    if stopped:
        print(f"replay: stopped {stopped}; the arm holds")
    found = {
        arm: ways.deviation(path, ways.as_path(link.paths[arm]))
        for arm, path in plan.path.items()
        if not stopped or len(link.paths[arm]) > 1  # it may have stopped before it moved
    }
    counts = {k: n - before.get(k, 0) for k, n in link.interventions.items()}
    counts = {k: n for k, n in counts.items() if n}
    for arm, d in found.items():
        print(
            f"replay: {arm}: tool {d.median_mm:.1f} mm and {d.median_deg:.2f} deg from the "
            f"recorded path (median), at most {d.max_mm:.1f} mm and {d.max_deg:.2f} deg; "
            f"{d.late_s:.2f} s late"
        )
    print(f"replay: {link.executed} of {link.sent} deltas executed")
    print(f"replay: holds: {'; '.join(link.holds) or 'none'}")
    print(f"replay: interventions: {counts or 'none'}", flush=True)
    good = not stopped and link.executed == link.sent
    good = good and all(
        d.max_mm <= args.tolerance_mm and d.max_deg <= args.tolerance_deg for d in found.values()
    )
    if args.json:
        report = {
            "paths": {arm: asdict(d) for arm, d in found.items()},
            "sent": link.sent,
            "executed": link.executed,
            "holds": link.holds,
            "stopped": stopped,
            "interventions": counts,
            "good": good,
        }
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if good else 1


def main(argv: list[str] | None = None) -> int:
    """Entry point of `python -m lapa_ros.replay`."""
    try:
        return run(parse(argv))
    except KeyboardInterrupt:
        print("replay: interrupted; the arm holds", flush=True)
        return 130
    except LapaError as error:
        print(f"replay: {type(error).__name__}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    leave(main())
