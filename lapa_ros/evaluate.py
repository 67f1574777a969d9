# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa eval CHECKPOINT --ros`: a suite's trials through the real nodes over DDS.

Starts sim_node, arm_node and policy_node in a ROS domain of its own and lets them follow the
simulation's clock. Starts, judge, records and tables are those of `lapa eval` without ROS; what is
added is the nodes' timing: transport, and a policy that thinks while the arm moves on.
"""

from __future__ import annotations

from lapa_ros import offscreen  # noqa: F401 - before MuJoCo is imported

# isort: split
import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from lapa_core.errors import ConfigError, LapaError, StaleInput
from lapa_core.evaluate import evaluation, results, suites
from lapa_core.evaluate.actors import robot_of
from lapa_core.evaluate.scores import Score
from lapa_core.evaluate.workers import Budget
from lapa_core.model.interface import Interface
from lapa_core.robot import Robot
from lapa_ros import environment, runtime
from lapa_ros.processes import NodeProcess, interrupt_deferred, leave, stop_all

HOME_ATTEMPTS = 3  # a busy computer alone breaks a way off
READY_TIMEOUT_S = 120.0  # starting the nodes and loading a model, on a slow machine
MAX_SPEED = 20.0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Command line of `lapa eval --ros`."""
    parser = argparse.ArgumentParser(
        prog="lapa eval --ros", description=(__doc__ or "").split("\n")[0]
    )
    add = parser.add_argument
    add("checkpoint", help="folder of the checkpoint")
    add("--suite", required=True, help=f"{', '.join(suites.available())}, or a YAML file")
    add("--episodes", type=int, help="trials of each item; default: as the suite says")
    add("--seed", type=int, default=0, help="of the starts: the same as without --ros")
    add("--out", type=Path, help="folder of the results; default eval_out/<policy>/<suite>-ros")
    add("--videos", type=int, default=4, help="films of failures, at most")
    add("--max-s", type=float, help="simulated seconds a trial may take; default: the suite's")
    add("--robot", default="", help="robot file; default: the checkpoint's")
    add("--device", default="cpu", help="torch device of the policy")
    add("--dtype", choices=("float32", "bfloat16"), default="float32")
    add("--sample", action="store_true", help="draw actions instead of taking the likeliest")
    add("--sample-seed", type=int, default=0, help="of the draw")
    add("--speed", type=float, default=1.0,
        help="simulated seconds in a second; an inference must fit into a step")  # fmt: skip
    add("--camera-rate", type=float, default=0.0, help="Hz; 0: the robot file's")
    args = parser.parse_args(argv)
    if not 0.1 <= args.speed <= MAX_SPEED:
        raise ConfigError(f"--speed must be 0.1 to {MAX_SPEED:g}, got {args.speed:g}")
    if args.videos < 0:
        raise ConfigError(f"--videos must be 0 or more, got {args.videos}")
    return args


def run(args: argparse.Namespace) -> int:
    """The whole evaluation; returns the exit code."""
    robot = robot_of(args.checkpoint, args.robot)
    suite = suites.load(args.suite).with_episodes(args.episodes)
    if args.max_s is not None:
        suite = suite.with_max_s(args.max_s)
    name = Path(args.checkpoint).resolve().name
    out = args.out or Path("eval_out") / name / f"{suite.name}-ros"
    about = evaluation.description(
        suite, args.seed, args.checkpoint, robot.name,
        mode="ros", sample=args.sample, draw=args.sample_seed, speed=args.speed,
        camera_rate=args.camera_rate, dtype=args.dtype, device=args.device,
    )  # fmt: skip
    wanted = evaluation.tasks_of(suite, args.seed)
    with results.Results(out, about) as found:
        missing = [t for t in wanted if (t.trial.split, t.trial.task, t.index) not in found.done]
        if missing:
            with _nodes(args, robot, out / "logs") as nodes, _spun() as node:
                _trials(args, robot, nodes, node, missing, suite.max_s, found)
        keys = {(t.trial.split, t.trial.task, t.index) for t in wanted}
        scores = results.ordered([s for s in found.scores if s.key in keys], about)
    print(evaluation.write(out, scores, checkpoint=Path(args.checkpoint)))
    print(f"{name}: results, report, films and logs in {out}", flush=True)
    return 0


def _trials(
    args: argparse.Namespace,
    robot: Robot,
    nodes: list[NodeProcess],
    node: Node,
    missing: list[evaluation.Task],
    max_s: float,
    found: results.Results,
) -> None:
    from lapa_ros.evaluation.link import Link
    from lapa_ros.evaluation.simulated import Trials

    def alive() -> None:
        for process in nodes:
            if not process.running():
                raise StaleInput(f"{process.node} ended by itself:\n{process.last_lines()}")

    text = (Path(args.checkpoint) / "interface.json").read_text(encoding="utf-8")
    cameras = Interface.from_json(text, args.checkpoint).cameras
    trials = Trials(node, robot, cameras, Link(node, alive, HOME_ATTEMPTS))
    budget = Budget(args.videos - sum(bool(s.film) for s in found.scores))
    if args.videos:
        trials.watch_cameras()
    trials.link.ready(READY_TIMEOUT_S)
    progress = evaluation.Progress(len(missing), lambda t: print(f"eval: {t}", flush=True))
    for task in missing:
        filming = budget.take()
        score: Score = trials.run(task, max_s, found.folder if filming else None)
        if filming and not score.film:
            budget.give_back()
        found.add(score)
        progress.tell(score)


@contextmanager
def _nodes(args: argparse.Namespace, robot: Robot, logs: Path) -> Iterator[list[NodeProcess]]:
    """The three nodes, in a domain where nobody else hears them."""
    os.environ["ROS_DOMAIN_ID"] = environment.own_domain()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.update(environment.dds_variables())
    environment.remove_dead_segments()
    logs.mkdir(parents=True, exist_ok=True)
    name = args.robot or robot.name
    common: dict[str, object] = {"robot": name, "use_sim_time": True}
    policy = common | {
        "checkpoint": str(Path(args.checkpoint).resolve()),
        "device": args.device,
        "dtype": args.dtype,
        "sample": args.sample,
        "seed": args.sample_seed,
        "num_threads": 1,
        "autostart": True,
    }
    # The simulation makes the time, so it lives in the computer's.
    sim = {"robot": name, "clock": True, "speed": float(args.speed),
           "camera_rate_hz": float(args.camera_rate)}  # fmt: skip
    rendering = {"MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
    nodes: list[NodeProcess] = []
    try:
        for node, parameters, variables in (
            ("policy_node", policy, {}),
            ("sim_node", sim, rendering),
            ("arm_node", common | {"backend": "ros2_control"}, {}),
        ):
            with interrupt_deferred():
                nodes.append(NodeProcess(node, parameters, logs / f"{node}.log", variables))
        yield nodes
    finally:
        with interrupt_deferred():
            codes = stop_all(nodes)
        bad = {n: code for n, code in codes.items() if code not in (0, -signal.SIGINT)}
        if bad:
            print(f"eval: nodes did not end cleanly: {bad}; logs in {logs}")


@contextmanager
def _spun() -> Iterator[Node]:
    """A node that lives in the simulation's time, spun by a thread of its own."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    parameter = rclpy.Parameter("use_sim_time", value=True)
    node = Node("evaluation", parameter_overrides=[parameter])
    try:
        with runtime.spun(node):
            yield node
    finally:
        rclpy.try_shutdown()


def main(argv: list[str] | None = None) -> int:
    """Entry point of `python -m lapa_ros.evaluate`."""
    try:
        return run(parse(argv))
    except KeyboardInterrupt:
        print("eval: interrupted; run it again to go on", flush=True)
        return 130
    except LapaError as error:
        print(f"lapa eval: {type(error).__name__}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    leave(main())
