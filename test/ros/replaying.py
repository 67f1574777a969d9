# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A simulated robot on the test's domain, its motion recorded; and `lapa replay` as a process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from geometry_msgs.msg import PoseStamped
from harness import Operator, StandInArm, spinning, started, wait_for
from std_msgs.msg import String
from taping import Tape
from trajectory_msgs.msg import JointTrajectory

from lapa_core import paths
from lapa_core import robot as robots
from lapa_core.types import ActionChunk
from lapa_ros import convert, interface


def motion(dims: int, count: int = 10) -> list[np.ndarray]:
    """A loop of some centimetres with turns and a closing gripper, for every arm."""
    steps = []
    for k in range(count):
        turn, share = 2 * np.pi * k / count, 10 / count
        xyz = 0.02 * share * np.array([np.cos(turn), np.sin(turn), 0.5 * np.sin(2 * turn)])
        rpy = 0.08 * share * np.array([np.sin(turn), 0.5 * np.cos(turn), -np.sin(turn)])
        steps.append(np.tile(np.concatenate([xyz, rpy, [float(k < count / 2)]]), dims // 7))
    return steps


class Cell:
    """Simulation (or a stand-in arm) and arm node as processes, and an operator."""

    def __init__(
        self, name: str, speed_scale: float, folder: Path, stack: ExitStack, simulated: bool
    ) -> None:
        self.robot = robots.load(name).with_backend("ros2_control")
        self.text = paths.share(f"config/robots/{name}.yaml").read_text(encoding="utf-8")
        rendering = {"MUJOCO_GL": "egl"}
        sim = {"robot": name, "camera_rate_hz": 1.0}
        if simulated:
            stack.enter_context(
                started("sim_node", sim, folder / "sim.log", extra_environment=rendering)
            )
        else:
            self.driver = StandInArm(self.robot)
            stack.enter_context(spinning(self.driver))
        arm = {"robot": name, "backend": "ros2_control", "speed_scale": speed_scale}
        stack.enter_context(started("arm_node", arm, folder / "arm.log"))
        self.operator = Operator(self.robot)

    def enable(self) -> None:
        wait_for(lambda: self.operator.state[0] == "hold", "arm_node", 60.0)
        wait_for(lambda: self.operator.call("enable").success, "enable", 60.0)

    def go_home(self) -> None:
        """Home; again where a busy machine has made the arm hold on its way."""
        self.enable()

        def arrived() -> bool:
            reason = self.operator.state[1]
            if "moving to start" not in reason and "arrived at start" not in reason:
                self.operator.call("home")
            return "arrived at start" in self.operator.state[1]

        assert self.operator.call("home").success
        wait_for(arrived, "the start pose", 60.0, poll_s=0.2, seen=lambda: self.operator.state)

    def demonstrate(self, folder: Path, steps: list[np.ndarray], rate_hz: float = 5.0) -> Path:
        """Record steps sent at a rate."""
        q, operator = interface, self.operator
        topics = {
            q.EXECUTED_EE_DELTA: (JointTrajectory, q.EVENT_QOS),
            q.AUTHORITY: (String, q.LATCHED_QOS),
        }
        for arm in self.robot.arms:
            topics[q.ee_pose(arm.name)] = (PoseStamped, q.EVENT_QOS)
            topics[q.ee_target(arm.name)] = (PoseStamped, q.EVENT_QOS)
        tape = Tape(topics)
        with spinning(tape):
            wait_for(lambda: tape.count(q.ee_pose(self.robot.arms[0].name)), "poses")
            operator.act_as_policy()
            wait_for(operator._pub.get_subscription_count, "arm_node to listen")
            due = time.monotonic()
            for k, delta in enumerate(steps):
                now = operator.get_clock().now().nanoseconds
                names, frame = self.robot.dimensions, self.robot.base_frame
                chunk = ActionChunk(names, delta[None], np.zeros(1), now, frame)
                operator.send(convert.chunk_msg(chunk))
                wait_for(lambda k=k: tape.count(q.EXECUTED_EE_DELTA) > k, f"step {k}", poll_s=1e-3)
                due += 1 / rate_hz
                wait_for(lambda due=due: time.monotonic() >= due, "the step's time", poll_s=1e-3)
            wait_for(lambda: "silent" in operator.state[1], "the end of the last step")
            operator.resign_as_policy()
            return tape.write(folder, self.robot, self.text, "draw a loop")


@contextmanager
def running(
    name: str, folder: Path, speed_scale: float = 1.0, simulated: bool = True
) -> Iterator[Cell]:
    with ExitStack() as stack:
        cell = Cell(name, speed_scale, folder, stack, simulated)
        with spinning(cell.operator):
            # A stand-in stands at its start pose already.
            cell.go_home() if simulated else cell.enable()
            yield cell


def replay_command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "lapa_core.cli", "replay", *map(str, arguments)]


def lapa_replay(*arguments: object, answer: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        replay_command(*arguments), capture_output=True, text=True, timeout=100, input=answer
    )
