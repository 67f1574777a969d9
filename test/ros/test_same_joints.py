# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The same steps move the real arm's driver and the simulation to the same joints.

One series of a policy's decisions is played through `arm_node` twice: with the simulation behind
ros2_control, and with the stand-in for Interbotix' driver. Both begin in the same joints; after
every step the commanded joints must agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import interfaces
import numpy as np
import pytest
from harness import Operator, spinning, started, wait_for
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from lapa_core import robot as robots
from lapa_core.data import messages
from lapa_core.types import ActionChunk, Observation
from lapa_ros import convert, interface

if interfaces.available("interbotix_xs_msgs"):
    import xs_cell

pytestmark = [
    pytest.mark.slow,
    interfaces.needs_interbotix,
    pytest.mark.torch,
    pytest.mark.sim,
    pytest.mark.usefixtures("ros_context"),
]
NUM_STEPS = 26
SEED = 0  # its 26 decisions meet no limit
SAME_RAD = 1e-3
STILL_RAD = 2e-5  # between two commands: the step is over
STILL_TICKS = 5
SILENCE_S = 2.0  # of both runs; a busy machine may take its time between two steps
SIM_NAMESPACE = "/same_sim"


@dataclass
class Played:
    """One run: the commanded joints (n, 6) [rad] and executed deltas (n, 7) after each step.

    `begin` (6,) is the first command.
    """

    begin: np.ndarray
    joints: np.ndarray
    executed: np.ndarray


class Commands(Node):
    """Hears the simulated arm's joint targets."""

    def __init__(self) -> None:
        super().__init__("commands", namespace=SIM_NAMESPACE)
        self.positions: list[list[float]] = []
        topic = robots.load("wx250s").arms[0].drivers.ros2_control.arm.topic
        self.create_subscription(JointTrajectory, topic, self._keep, interface.EVENT_QOS)

    def _keep(self, msg: JointTrajectory) -> None:
        self.positions.append(list(msg.points[-1].positions))


def policy_steps(checkpoint: Path) -> np.ndarray:
    """(n, 7) deltas that the policy decides on, one picture each.

    The series stays clear of every limit: there a step is cut short in halvings, and a
    micrometre of difference may decide by how many.
    """
    from lapa_core.policy import Policy

    policy = Policy.from_checkpoint(checkpoint, sample=True, seed=SEED)
    rng = np.random.default_rng(SEED)
    (camera,) = policy.cameras
    deltas = []
    for _ in range(NUM_STEPS):
        picture = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
        seen = Observation(0, {camera: picture}, "put the red block in the bin")
        deltas.append(policy.infer(seen).chunk.deltas[0])
    return np.array(deltas)


def go_to_start(operator: Operator) -> None:
    """Enable, and move to the start pose: the simulation begins parked."""
    wait_for(lambda: operator.call("enable").success, "enable", poll_s=0.1)
    answer = operator.call("home")
    assert answer.success, answer.message
    wait_for(lambda: "arrived at start" in operator.state[1], "the start pose", 30.0)


def play(operator: Operator, steps: np.ndarray, commands: Callable[[], list]) -> Played:
    """Send each step once the one before has been followed to its end."""
    first = [0.0] * 6 + [1.0]
    wait_for(lambda: operator.call("enable").success, "enable", poll_s=0.1)
    since = len(commands())
    wait_for(
        lambda: send(operator, first) and operator.state[0] == "policy", "authority", poll_s=0.2
    )
    begin = wait_for(lambda: commands()[since:], "the first command")[0]
    settled(commands, len(commands()))
    joints, executed = [], []
    for step in steps:
        before = len(commands())
        sent_s = time.monotonic()
        stamp = send(operator, step)
        wait_for(
            lambda at=stamp: at in operator.executed_stamps(),
            f"step {len(joints)}",
            seen=lambda: operator.authority[-3:],
        )
        joints.append(settled(commands, before))
        assert time.monotonic() - sent_s < SILENCE_S, "too slow: the arm would have held"
        assert operator.state[0] == "policy", operator.state
        executed.append(list(operator.executed[-1].points[0].positions))
    return Played(np.array(begin), np.array(joints), np.array(executed))


def send(operator: Operator, step) -> int:
    """Publish one step; returns its stamp."""
    now = operator.get_clock().now().nanoseconds
    robot = operator.robot
    delta = np.asarray(step, dtype=np.float64)[None]
    chunk = ActionChunk(robot.dimensions, delta, np.zeros(1), now, robot.base_frame)
    return operator.send(convert.chunk_msg(chunk))


def settled(commands: Callable[[], list], since: int) -> list[float]:
    """The last of the commands from index `since` on, when they change no more."""

    def still() -> bool:
        heard = np.array(commands()[since:])
        # A step takes 10 ticks at 50 Hz; before that a rest is not its end.
        if len(heard) < 10 + STILL_TICKS:
            return False
        return bool(np.abs(np.diff(heard[-STILL_TICKS:], axis=0)).max() < STILL_RAD)

    wait_for(still, "the end of a step")
    return commands()[-1]


@pytest.fixture
def simulated(debug_checkpoint: Path, tmp_path: Path) -> SimpleNamespace:
    """The series and what the simulation's controllers were told."""
    steps = policy_steps(debug_checkpoint)
    operator, commands = Operator(robots.load("wx250s"), SIM_NAMESPACE), Commands()
    operator.act_as_policy()
    where = {"__ns": SIM_NAMESPACE}
    parameters = {"robot": "wx250s", "backend": "ros2_control", "silence_s": SILENCE_S}
    with (
        started("sim_node", {"robot": "wx250s"}, tmp_path / "sim.log", remappings=where),
        started("arm_node", parameters, tmp_path / "arm.log", remappings=where),
        spinning(operator, commands),
    ):
        go_to_start(operator)
        played = play(operator, steps, lambda: commands.positions)
    return SimpleNamespace(steps=steps, played=played)


def test_driver_and_simulation_are_told_the_same_joints(
    simulated: SimpleNamespace, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    sim: Played = simulated.played
    with xs_cell.cell(tmp_path, silence_s=SILENCE_S) as cell:
        cell.start_driver(start_rad=sim.begin.tolist())
        wait_for(lambda: cell.watcher.record, "the driver")
        real = play(cell.operator, simulated.steps, lambda: [p for _, p in cell.watcher.groups])
        cell.check_manners()
    assert len(real.joints) == len(sim.joints) == NUM_STEPS
    for played in (sim, real):
        np.testing.assert_allclose(played.executed, simulated.steps, rtol=0, atol=1e-6)
    per_step = np.abs(real.joints - sim.joints).max(axis=1)
    moved = np.abs(np.diff(sim.joints, axis=0)).max(axis=1)
    print(
        f"largest difference {per_step.max():.2e} rad in {NUM_STEPS} steps, "
        f"which moved a joint by {np.median(moved):.3f} rad (median)"
    )
    record_property("largest_difference_rad", float(per_step.max()))
    assert moved.max() > 0.05, "a series that hardly moves proves nothing"
    assert per_step.max() < SAME_RAD, per_step
    stamps = {messages.stamp_ns(m.header.stamp) for m in cell.operator.executed}
    assert len(stamps) >= NUM_STEPS
