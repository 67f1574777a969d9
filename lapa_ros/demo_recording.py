# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa demo --record N`: an afternoon of recording without a person, through the real nodes.

The scripted demonstrator acts in the simulation as a person at the real arm would, through
`teleop/ee_delta`; arm_node moves the arm, recorder_node writes the episodes. This file presses
the buttons that a person would press.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from lapa_core import robot as robots
from lapa_core.errors import LapaError, StaleInput
from lapa_core.recording import episode as episodes
from lapa_core.recording import folders
from lapa_core.recording.status import RecorderStatus
from lapa_ros import interface, runtime
from lapa_ros.demonstrator import sentences
from lapa_ros.processes import NodeProcess, interrupt_deferred

READY_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 30.0  # saving waits for the disk
HOME_TIMEOUT_S = 60.0
ACT_TIMEOUT_S = 300.0
ATTEMPTS = 3  # of one episode, before the whole is given up
NICENESS = 5


class Director(Node):
    """Clients of everything a person could press, and ears."""

    def __init__(self) -> None:
        super().__init__("demo_director")
        q = interface
        self.authority = ("", "")
        self.demonstrator = ("", "")
        self.recorder: RecorderStatus | None = None
        self._instruction = self.create_publisher(String, q.INSTRUCTION, q.LATCHED_QOS)
        self.create_subscription(String, q.AUTHORITY, self._on_authority, q.LATCHED_QOS)
        self.create_subscription(String, q.DEMONSTRATOR, self._on_demonstrator, q.LATCHED_QOS)
        self.create_subscription(String, q.RECORDER_STATUS, self._on_recorder, q.LATCHED_QOS)
        names = ("enable", "hold", "home", *q.RECORDER_SERVICES, *q.SIM_SERVICES)
        self.presses = {name: self.create_client(Trigger, name) for name in names}

    def _on_authority(self, msg: String) -> None:
        self.authority = interface.parse_authority(msg.data)

    def _on_demonstrator(self, msg: String) -> None:
        self.demonstrator = interface.parse_authority(msg.data)

    def _on_recorder(self, msg: String) -> None:
        self.recorder = RecorderStatus.from_json(msg.data)

    def say(self, instruction: str) -> None:
        """Tell everybody what is to be done."""
        self._instruction.publish(String(data=instruction))


class Recording:
    """One unattended session."""

    def __init__(self, director: Director, nodes: Sequence[NodeProcess], seed: int) -> None:
        self._director = director
        self._nodes = nodes
        self._rng = np.random.default_rng(seed)

    def run(self, robot: robots.Robot, count: int) -> None:
        """Record `count` episodes.

        Raises:
            LapaError: a node ended, an answer did not come, an episode failed again and again.
        """
        d = self._director
        self._until(lambda: d.recorder is not None, READY_TIMEOUT_S, "recorder_node")
        self._until(self._streams_are_there, READY_TIMEOUT_S, "the robot's streams")
        self._press("enable", patience_s=READY_TIMEOUT_S)  # arm_node may not have seen the arm yet
        self._home()
        tasks = sentences(tuple(a.name for a in robot.arms))
        saved = 0
        for attempt in range(count * ATTEMPTS):
            task = tasks[int(self._rng.integers(len(tasks)))]
            text = self._one(task)
            saved += text.startswith("saved")
            print(f"demo: {saved:3d} of {count}  {text}  ({task})", flush=True)
            if saved == count:
                return
            if attempt + 1 >= ATTEMPTS * (saved + 1):
                raise LapaError(f"{ATTEMPTS} attempts in a row failed; the last one: {text}")

    def _streams_are_there(self) -> bool:
        status = self._director.recorder
        return status is not None and status.state != "starting"

    def _one(self, task: str) -> str:
        """One episode from the new scene to `saved`; returns what became of it."""
        d = self._director
        self._press("sim/reset")
        d.say(task)
        self._until(
            lambda: d.recorder is not None and d.recorder.instruction == task,
            ANSWER_TIMEOUT_S,
            "the recorder to hear the task",
        )
        self._press("recorder/start")
        d.demonstrator = ("", "")
        self._press("sim/demonstrate", patience_s=ANSWER_TIMEOUT_S)  # it must hear the task first
        self._until(
            lambda: d.demonstrator[0] in ("success", "failure"), ACT_TIMEOUT_S, "the demonstrator"
        )
        done = d.demonstrator[0] == "success"
        # A failed demonstration teaches nothing here: a person would press the left arrow.
        text = self._press("recorder/save" if done else "recorder/discard")
        self._home()
        return text

    def _home(self) -> None:
        d = self._director
        self._press("home")
        self._until(
            lambda: d.authority[1].startswith("arrived at start"), HOME_TIMEOUT_S, "the start pose"
        )

    def _press(self, name: str, patience_s: float = 0.0) -> str:
        """Call a service, again while it refuses and there is patience; returns its answer."""
        client: Any = self._director.presses[name]
        self._until(client.service_is_ready, READY_TIMEOUT_S, f"service {name}")
        give_up_s = time.monotonic() + patience_s
        while True:
            future = client.call_async(Trigger.Request())
            self._until(future.done, ANSWER_TIMEOUT_S, f"an answer of {name}")
            response = future.result()
            if response.success:
                return str(response.message)
            if time.monotonic() > give_up_s:
                raise LapaError(f"{name}: {response.message}")
            again_s = time.monotonic() + 0.2
            self._until(lambda at=again_s: time.monotonic() > at, ANSWER_TIMEOUT_S, "")

    def _until(self, done: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            for node in self._nodes:
                if not node.running():
                    raise StaleInput(f"{node.node} ended by itself:\n{node.last_lines()}")
            if time.monotonic() > deadline:
                raise StaleInput(
                    f"waited {timeout_s:g} s for {what}; authority {self._director.authority}, "
                    f"demonstrator {self._director.demonstrator}"
                )
            try:
                rclpy.spin_once(self._director, timeout_sec=0.02)
            except (ExternalShutdownException, RCLError):
                if rclpy.ok():
                    raise
                raise KeyboardInterrupt from None  # rclpy has taken the signal


def start_nodes(args: argparse.Namespace, nodes: list[NodeProcess]) -> None:
    """Start the simulated robot, the arm's node and the recorder, noting each in `nodes`."""
    logs = args.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    # In the simulation's own time, which waits for a busy computer: no picture is ever missed.
    common: dict[str, object] = {"robot": args.robot, "use_sim_time": True}
    # The simulation makes the time, so it lives in the computer's.
    sim = {
        "robot": args.robot,
        "seed": args.seed,
        "clock": True,
        "speed": float(args.speed),
        "demonstrator": True,
        "camera_rate_hz": args.camera_rate,
    }
    recorder = common | {
        "folder": str((args.out / "episodes").resolve()),
        "episodes": args.record,
        "operator": "scripted demonstrator",
        "images": args.images,
    }
    rendering = {"MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
    for name, parameters, variables in (
        ("sim_node", sim, rendering),
        ("arm_node", common | {"backend": "ros2_control"}, {}),
        ("recorder_node", recorder, {}),
    ):
        with interrupt_deferred():
            nodes.append(NodeProcess(name, parameters, logs / f"{name}.log", variables))


def record(args: argparse.Namespace, nodes: Sequence[NodeProcess]) -> int:
    """Record over already starting nodes, then say what there is; returns the exit code."""
    robot = robots.load(args.robot)
    rclpy.init()
    runtime.lower_thread_priority(NICENESS)
    director = Director()
    began = time.monotonic()
    try:
        Recording(director, nodes, args.seed).run(robot, args.record)
    finally:
        director.destroy_node()
        rclpy.try_shutdown()
    return report(args.out / "episodes", time.monotonic() - began, args.out / "recording.json")


def report(root: Path, wall_s: float, path: Path) -> int:
    """Sum up a data set from its files; 0 when no episode has a finding and nothing is lost."""
    kept = [(f, episodes.read(f)) for f in folders.episodes(root)]
    size = sum(p.stat().st_size for f, _ in kept for p in f.iterdir())
    findings = [f"{f.name}: {x.text}" for f, e in kept for x in e.findings]
    summary = {
        "episodes": len(kept),
        "successes": sum(e.outcome == "success" for _, e in kept),
        "discarded": len(list((root / "discarded").glob("episode_*"))),
        "wall_s": round(wall_s, 1),
        "robot_s": round(sum(e.duration_s for _, e in kept), 1),
        "messages": sum(s.messages for _, e in kept for s in e.streams),
        "dropped": sum(s.dropped for _, e in kept for s in e.streams),
        "megabytes": round(size / 1e6, 1),
        "findings": findings,
    }
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(
        f"demo: {summary['episodes']} episodes, {summary['robot_s']} s of demonstration in "
        f"{summary['wall_s']} s, {summary['megabytes']} MB, {summary['messages']} messages, "
        f"{summary['dropped']} dropped, {len(findings)} findings; {root}",
        flush=True,
    )
    for line in findings[:10]:
        print(f"demo: finding: {line}", flush=True)
    return 1 if findings or summary["dropped"] else 0
