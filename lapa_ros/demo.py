# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa demo`: the real nodes around a simulated arm for a minute, then what happened.

Starts sim_node, arm_node and policy_node as separate processes over DDS, enables the arm,
homes it, lets the policy move it, and leaves a video, a plot and a summary. A trained model is
given trials, two sentences a scene; others wander to one sentence. Ends by itself with 0, or with
1 and the reason; Ctrl-C ends everything within three seconds.

With `--record N` a script demonstrates instead and N episodes are recorded (`demo_recording`).
"""

from __future__ import annotations

from lapa_ros import offscreen  # noqa: F401 - before MuJoCo is imported

# isort: split
import argparse
import math
import os
import signal
import sys
from pathlib import Path

from lapa_core.errors import ConfigError, LapaError
from lapa_core.evaluate.rollout import Task
from lapa_ros import environment
from lapa_ros.demo_checkpoint import Model, choose
from lapa_ros.processes import NodeProcess, interrupt_deferred, leave, stop_all

LEAST_TRIAL_S = 2.0  # with the way back to the start pose
TRIAL_S = 20.0  # as in the shipped suites; the script needs 2 to 5


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Command line of `lapa demo`."""
    parser = argparse.ArgumentParser(prog="lapa demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--robot", default="wx250s", help="a robot in config/robots, or a file")
    parser.add_argument("--seconds", type=float, default=60.0,
        help="time the policy moves; no trial begins later, but two there are")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder of the results")
    parser.add_argument("--checkpoint", type=Path, help="default: the one that is shipped")
    parser.add_argument("--instruction", help="one throughout, instead of trials")
    parser.add_argument("--split", default="seen", help="of the trials: see lapa eval")
    parser.add_argument("--trial-seconds", type=float, default=TRIAL_S, help="a trial may take")
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
    if not 0.2 <= args.trial_seconds <= 3600:
        raise ConfigError(f"--trial-seconds must be 0.2 to 3600, got {args.trial_seconds:g}")
    return args


def start_nodes(args: argparse.Namespace, model: Model, nodes: list[NodeProcess]) -> None:
    """Start the three nodes, the slowest to load first, noting each in `nodes`."""
    logs = args.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    policy = {
        "robot": args.robot,
        "checkpoint": str(model.folder.resolve()),
        "instruction": model.instruction,
        "device": args.device,
        # As the reference does with action tokens. A random model decoded greedily would
        # repeat one delta until the arm leans on the edge of its workspace.
        "sample": not model.trained,
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


def plan(split: str, seconds: float, seed: int) -> list[Task]:
    """More trials than there is time for, two of each scene in turn; their index is their place.

    Raises:
        ConfigError: no such split.
    """
    from lapa_core.sim.pairs import make_pairs  # takes MuJoCo along

    pairs = make_pairs(split, 1 + math.ceil(seconds / LEAST_TRIAL_S / 2), seed)
    return [Task(index, trial) for index, trial in enumerate(t for pair in pairs for t in pair)]


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
        model = choose(args.robot, args.out, args.checkpoint, args.instruction)
        tasks = [] if model.instruction else plan(args.split, args.seconds, args.seed)
        start_nodes(args, model, nodes)
        from lapa_ros import demo_drive

        return demo_drive.drive(args, model.instruction, tasks, nodes)
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
