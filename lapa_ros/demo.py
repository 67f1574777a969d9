# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa demo`: the real nodes around a simulated arm for a minute, then what happened.

Starts sim_node, arm_node and policy_node as separate processes over DDS, enables the arm,
homes it, lets the policy move it, and leaves a video, a plot and a summary. Ends by itself
with 0, or with 1 and the reason; Ctrl-C ends everything within three seconds.

With `--record N` a script demonstrates instead and N episodes are recorded (`demo_recording`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from lapa_core import paths
from lapa_core import robot as robots
from lapa_core.errors import CheckpointError, ConfigError, LapaError
from lapa_core.model.interface import Interface
from lapa_ros import environment
from lapa_ros.processes import NodeProcess, interrupt_deferred, leave, stop_all

INSTRUCTION = "put the red block in the bin"


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Command line of `lapa demo`."""
    parser = argparse.ArgumentParser(prog="lapa demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--robot", default="wx250s", help="a robot in config/robots, or a file")
    parser.add_argument("--seconds", type=float, default=60.0, help="time the policy moves")
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder of the results")
    parser.add_argument("--checkpoint", type=Path, help="default: the one shipped for the robot")
    parser.add_argument("--instruction", default=INSTRUCTION)
    parser.add_argument("--seed", type=int, default=0, help="of the scene and the sampling")
    parser.add_argument("--device", default="cpu", help="torch device of the policy")
    parser.add_argument("--camera-rate", type=float, default=0.0, help="Hz; 0: the robot file's")
    parser.add_argument(
        "--record", type=int, metavar="N", help="record N episodes of a scripted demonstrator"
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, help="with --record: times real time, at most 20"
    )
    parser.add_argument(
        "--images", default="auto", choices=("auto", "jpeg", "raw"), help="with --record"
    )
    args = parser.parse_args(argv)
    if args.record is not None and args.record < 1:
        raise ConfigError(f"--record must be 1 or more, got {args.record}")
    if not 0.1 <= args.speed <= 20.0 or (args.record is None and args.speed != 1.0):
        raise ConfigError(f"--speed must be 0.1 to 20, with --record; got {args.speed:g}")
    if not 1.0 <= args.seconds <= 24 * 3600:
        raise ConfigError(f"--seconds must be 1 to 86400, got {args.seconds:g}")
    return args


def checkpoint_for(robot: str, out: Path) -> Path:
    """The checkpoint shipped for the robot, else a random one of the same size, made once."""
    name = robots.load(robot).name
    for candidate in (f"models/lapa-micro-{name}",):
        try:
            return paths.share(candidate)
        except ConfigError:
            print(f"demo: no trained checkpoint ships for {name} yet", flush=True)
    made = out / f"random-micro-{name}"
    if not _usable(made, robot):
        shutil.rmtree(made, ignore_errors=True)
        print(f"demo: making a randomly initialised micro model in {made}", flush=True)
        command = [sys.executable, "-m", "lapa_core.cli", "init", str(made)]
        subprocess.run([*command, "--preset", "micro", "--robot", robot], check=True)
    return made


def _usable(made: Path, robot: str) -> bool:
    """Whether an earlier run left a checkpoint that this version reads and that fits the robot."""
    file = made / "interface.json"
    if not file.is_file() or not (made / "config.json").is_file():
        return False
    try:
        text = file.read_text(encoding="utf-8")
        Interface.from_json(text, str(file)).check_robot(robots.load(robot))
    except CheckpointError:
        return False
    return True


def start_nodes(args: argparse.Namespace, checkpoint: Path, nodes: list[NodeProcess]) -> None:
    """Start the three nodes, the slowest to load first, noting each in `nodes`."""
    logs = args.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    policy = {
        "robot": args.robot,
        "checkpoint": str(checkpoint.resolve()),
        "instruction": args.instruction,
        "device": args.device,
        # As the reference does with action tokens. A random model decoded greedily would
        # repeat one delta until the arm leans on the edge of its workspace.
        "sample": True,
        "seed": args.seed,
        "num_threads": 1,
    }
    sim = {"robot": args.robot, "seed": args.seed, "camera_rate_hz": args.camera_rate}
    rendering = {"MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
    for name, parameters, variables in (
        ("policy_node", policy, {}),
        ("sim_node", sim, rendering),
        # The simulated arm stands behind ros2_control, whatever moves the real one.
        ("arm_node", {"robot": args.robot, "backend": "ros2_control"}, {}),
    ):
        with interrupt_deferred():
            nodes.append(NodeProcess(name, parameters, logs / f"{name}.log", variables))


def run(args: argparse.Namespace) -> int:
    """The whole demo; returns the exit code."""
    args.out.mkdir(parents=True, exist_ok=True)
    if "ROS_DOMAIN_ID" not in os.environ:
        os.environ["ROS_DOMAIN_ID"] = environment.own_domain()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.update(environment.dds_variables())
    environment.remove_dead_segments()
    nodes: list[NodeProcess] = []
    try:
        # Imported here: DDS reads the profile when the first participant is made.
        if args.record is not None:
            from lapa_ros import demo_recording

            demo_recording.start_nodes(args, nodes)
            return demo_recording.record(args, nodes)
        start_nodes(args, args.checkpoint or checkpoint_for(args.robot, args.out), nodes)
        from lapa_ros import demo_monitor

        return demo_monitor.watch(args, nodes)
    finally:
        with interrupt_deferred():
            codes = stop_all(nodes)
        # -SIGINT: interrupted while Python was still importing.
        bad = {name: code for name, code in codes.items() if code not in (0, -signal.SIGINT)}
        if bad:
            print(f"demo: nodes did not end cleanly: {bad}; logs in {args.out / 'logs'}")


def main(argv: list[str] | None = None) -> int:
    """Entry point of `python -m lapa_ros.demo`."""
    try:
        return run(parse(argv))
    except KeyboardInterrupt:
        print("demo: interrupted", flush=True)
        return 130
    except LapaError as error:
        print(f"demo: {type(error).__name__}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    leave(main())
