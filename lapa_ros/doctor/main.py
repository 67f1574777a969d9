# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa doctor`: the command line, and what is looked at in which order."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lapa_core import robot as robots
from lapa_core.errors import ConfigError, LapaError
from lapa_core.robot import BACKENDS, Robot
from lapa_ros.doctor import (
    compute,
    dds,
    driver,
    graph,
    pictures,
    report,
    setup,
    streams,
    system,
    usb,
)
from lapa_ros.doctor.finding import Finding

DISCOVERY_S = 4.0  # DDS finds a neighbour within 60 ms or, at times, 2.3 to 2.8 s
NICENESS = 5
DIAGNOSTICS_S = 1.0  # ours come twice a second


@dataclass(frozen=True)
class Heard:
    """What listening gave."""

    robot: Robot
    middleware: str
    graph: graph.Graph
    joints: Mapping[str, streams.JointLog]
    frames: Mapping[str, pictures.FrameLog]
    authority: str
    policy_status: str
    diagnostics: Mapping[str, Mapping[str, str]]
    info: list[Finding]


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Command line of `lapa doctor`."""
    parser = argparse.ArgumentParser(
        prog="lapa doctor",
        description="Checks what is running, measures it and says what to mend. Looks and "
        "listens only. Exit code 0: nothing fails.",
    )
    parser.add_argument("--robot", default="wx250s", help="a robot in config/robots, or a file")
    parser.add_argument("--backend", choices=BACKENDS, help="default: the robot file's")
    parser.add_argument("--namespace", default="", help="ROS namespace of the robot")
    parser.add_argument("--checkpoint", type=Path, help="also check this checkpoint folder")
    parser.add_argument("--device", help="torch device to try: cpu, cuda, cuda:1")
    parser.add_argument("--dtype", choices=compute.BYTES, default="float32")
    parser.add_argument("--seconds", type=float, default=3.0, help="time to measure, 1 to 600")
    parser.add_argument("--json", type=Path, help="also write the findings to this file")
    args = parser.parse_args(argv)
    if not 1.0 <= args.seconds <= 600.0:
        raise ConfigError(f"--seconds must be 1 to 600, got {args.seconds:g}")
    return args


def listen(robot: Robot, args: argparse.Namespace) -> Heard:
    """Hear what is running; ends early where nothing is."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from lapa_ros import runtime
    from lapa_ros.doctor.listen import Listener

    # Ctrl-C ends the doctor, not the context below its feet.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    # As much as policy_node does: the doctor must not disturb, and should hear what it hears.
    runtime.lower_thread_priority(NICENESS)
    node = Listener(robot, args.namespace)
    try:
        node.spin(DISCOVERY_S, node.hears_everything)
        if node.hears_anything():
            node.clear()
            node.spin(args.seconds)
        seen = graph.take(node)
        if seen.running(graph.ARM_NODE, args.namespace):
            node.spin(DIAGNOSTICS_S, lambda: graph.ARM_NODE in node.diagnostics)
        # The simulation stands behind ros2_control, whatever moves the real arm.
        if args.backend is None and seen.running(graph.SIMULATION, args.namespace):
            robot = robot.with_backend("ros2_control")
        return Heard(
            robot=robot,
            middleware=rclpy.get_rmw_implementation_identifier(),
            graph=seen,
            joints=node.joints,
            frames=node.frames,
            authority=node.authority,
            policy_status=node.policy_status,
            diagnostics=node.diagnostics,
            info=driver.robot_info(node, seen, robot, args.namespace, node.spin),
        )
    finally:
        node.close()
        rclpy.try_shutdown()


def judge(heard: Heard, variables: Mapping[str, str], args: argparse.Namespace) -> list[Finding]:
    """All findings, in the order in which they should be mended."""
    robot, seen = heard.robot, heard.graph
    simulated = bool(seen.running(graph.SIMULATION, args.namespace))
    checked, need, looked = compute.checkpoint(args.checkpoint, robot, args.dtype)
    # Models of ours look through the first camera unless they say otherwise.
    looked = looked or (robot.cameras[0].name,)
    frames = [
        f if camera.name in looked else pictures.only_watched(f)
        for camera in robot.cameras
        for f in judge_camera(heard, camera, simulated, args)
    ]
    losses = [f.level for f in frames if f.what.endswith(pictures.LOST)]
    lost = any(level != "ok" for level in losses)
    found = [*setup.robot_file(robot), *setup.packages(robot)]
    if simulated and args.backend is None:
        found.append(Finding("ok", "simulation", "running, so backend ros2_control is looked at"))
    found += dds.environment(variables, heard.middleware, bool(losses) and not lost)
    found += dds.receive_buffer(variables, lost)
    found += machine(robot)
    found += [*driver.check(seen, robot, args.namespace), *heard.info]
    for arm in robot.arms:
        topic = graph.resolve(args.namespace, arm.joint_states)
        count = len(seen.publishers.get(topic, ()))
        start = setup.start_driver(robot, arm.name)
        found += streams.check(arm, topic, heard.joints[arm.joint_states], count, start)
    found += frames
    found += graph.rivals(seen, robot, args.namespace)
    found += graph.nodes(seen, args.namespace)
    found += graph.authority(heard.authority, heard.diagnostics.get(graph.ARM_NODE, {}))
    found += graph.policy(heard.policy_status)
    return [*found, *checked, *compute.check(args.device, need)]


def machine(robot: Robot) -> list[Finding]:
    """The computer and its serial ports."""
    return [
        system.platform(),
        *system.processor(),
        system.disk(robot, Path.cwd()),
        *usb.check(needed=robot.backend == "interbotix"),
    ]


def judge_without_ros(robot: Robot, problem: Finding, args: argparse.Namespace) -> list[Finding]:
    """What can be said where ROS itself is missing."""
    checked, need, _ = compute.checkpoint(args.checkpoint, robot, args.dtype)
    more = compute.check(args.device, need)
    return [*setup.robot_file(robot), problem, *machine(robot), *checked, *more]


def judge_camera(
    heard: Heard, camera: robots.Camera, simulated: bool, args: argparse.Namespace
) -> list[Finding]:
    """Findings about one camera."""
    topic = graph.resolve(args.namespace, camera.topic)
    mine = {graph.resolve(args.namespace, c.topic) for c in heard.robot.cameras}
    around = pictures.Around(
        topic=topic,
        kinds=heard.graph.kinds(topic),
        others=[t for t in heard.graph.image_topics() if t not in mine],
        simulated=simulated,
        step_time_s=heard.robot.step_time_s,
    )
    return pictures.check(camera, heard.frames[camera.name], around)


def run(args: argparse.Namespace) -> int:
    """Examine and report; returns the exit code."""
    began = time.monotonic()
    robot = robots.load(args.robot)
    if args.backend:
        robot = robot.with_backend(args.backend)
    variables = dds.prepare()
    problem = setup.ros()
    if problem is not None:
        findings = judge_without_ros(robot, problem, args)
    else:
        heard = listen(robot, args)
        robot = heard.robot
        findings = judge(heard, variables, args)
    report.show(findings)
    if args.json:
        about = {
            "robot": robot.name,
            "backend": robot.backend,
            "namespace": args.namespace,
            "host": os.uname().nodename,
            "took_s": round(time.monotonic() - began, 2),
        }
        report.write_json(findings, about, args.json)
    return report.exit_code(findings)


def main(argv: list[str] | None = None) -> int:
    """Entry point of `python -m lapa_ros.doctor`."""
    try:
        return run(parse(argv))
    except KeyboardInterrupt:
        print("doctor: interrupted", flush=True)
        return 130
    except LapaError as error:
        print(f"doctor: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
