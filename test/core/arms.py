# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the tests of control and simulation share: published kinematics, a second arm, a rig."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from scipy.linalg import expm

from lapa_core import robot as robots
from lapa_core.control import ArmController, ControlParams
from lapa_core.robot import Arm, Robot
from lapa_core.robot.drivers import Drivers, standard
from lapa_core.sim import Simulation
from lapa_core.types import ActionChunk, JointCommand

PERIOD_S = 0.02
OPEN = 1.0

# Interbotix's mr_descriptions.py: screw axes [w, v] in the base frame, home pose M (rotation
# identity) of ee_gripper_link, URDF limits in degrees. Typed here, not read from our URDF.
SLIST = {
    "wx250s": [
        [0, 0, 1, 0, 0, 0],
        [0, 1, 0, -0.11065, 0, 0],
        [0, 1, 0, -0.36065, 0, 0.04975],
        [1, 0, 0, 0, 0.36065, 0],
        [0, 1, 0, -0.36065, 0, 0.29975],
        [1, 0, 0, 0, 0.36065, 0],
    ],
    "vx300s": [
        [0, 0, 1, 0, 0, 0],
        [0, 1, 0, -0.12705, 0, 0],
        [0, 1, 0, -0.42705, 0, 0.05955],
        [1, 0, 0, 0, 0.42705, 0],
        [0, 1, 0, -0.42705, 0, 0.35955],
        [1, 0, 0, 0, 0.42705, 0],
    ],
}
SLIST["wx250"] = [row for i, row in enumerate(SLIST["wx250s"]) if i != 3]  # no forearm_roll
SLIST["aloha_vx300s"] = SLIST["vx300s"]
M_XYZ = {
    "wx250": [0.458325, 0, 0.36065],
    "wx250s": [0.458325, 0, 0.36065],
    "vx300s": [0.536494, 0, 0.42705],
    "aloha_vx300s": [0.536494, 0, 0.42705],
}
LOWER = {
    "wx250": [-3.1415827, -1.8849556, -2.1467550, -1.7453293, -3.1415827],
    "aloha_vx300s": [-3.1415827, -1.8500490, -1.7627825, -3.1415827, -1.8675023, -3.1415827],
    "wx250s": [-3.1415827, -1.8849556, -2.1467550, -3.1415827, -1.7453293, -3.1415827],
    "vx300s": [-3.1415827, -1.8500490, -1.7627825, -3.1415827, -1.8675023, -3.1415827],
}
UPPER = {
    "wx250": [3.1415827, 1.9896753, 1.6057029, 2.1467550, 3.1415827],
    "aloha_vx300s": [3.1415827, 1.2566371, 1.6057029, 3.1415827, 2.2340214, 3.1415827],
    "wx250s": [3.1415827, 1.9896753, 1.6057029, 3.1415827, 2.1467550, 3.1415827],
    "vx300s": [3.1415827, 1.2566371, 1.6057029, 3.1415827, 2.2340214, 3.1415827],
}
FINGER = {
    "wx250": (0.015, 0.037),
    "wx250s": (0.015, 0.037),
    "vx300s": (0.021, 0.057),
    # Interbotix's 0.057 would stop ALOHA 2's fingers on their way: arm + horn, the linkage's end.
    "aloha_vx300s": (0.021, 0.0625),
}


def product_of_exponentials(model: str, position_rad: Sequence[float]) -> np.ndarray:
    """(4, 4) pose of the tool by Lynch and Park's formula, from the published tables alone."""
    pose = np.eye(4)
    for screw, angle in zip(SLIST[model], position_rad, strict=True):
        (wx, wy, wz), v = screw[:3], screw[3:]
        twist = np.zeros((4, 4))
        twist[:3, :3] = [[0, -wz, wy], [wz, 0, -wx], [-wy, wx, 0]]
        twist[:3, 3] = v
        pose = pose @ expm(twist * angle)
    home = np.eye(4)
    home[:3, 3] = M_XYZ[model]
    return pose @ home


def wx250s() -> Robot:
    return robots.load("wx250s")


def vx300s() -> Robot:
    return robots.load("vx300s")


def two_arms() -> Robot:
    """Two WidowX arms facing each other across the table."""
    robot = wx250s()

    def arm(name: str, x: float, yaw: float) -> Arm:
        return dataclasses.replace(
            robot.arms[0],
            name=name,
            joint_states=f"{name}/joint_states",
            drivers=Drivers(standard(name)),
            base_xyz_m=np.array([x, 0.0, 0.0]),
            base_rpy_rad=np.array([0.0, 0.0, yaw]),
        )

    arms = (arm("left", 0.0, 0.0), arm("right", 0.9, np.pi))
    collision = dataclasses.replace(robot.collision, arms_m=0.02)
    return dataclasses.replace(robot, arms=arms, collision=collision, backend="ros2_control")


class Rig:
    """A controller that moves a simulation, with a clock that only `run` advances."""

    def __init__(self, robot: Robot, params: ControlParams | None = None) -> None:
        self.robot = robot
        self.sim = Simulation(robot)
        self.controller = ArmController(robot, params)
        self.now_s = 100.0
        self.commands: list[dict[str, JointCommand] | None] = []
        self.states_flow = True
        self.silent: set[str] = set()  # arms whose joint states have stopped

    @property
    def ros_now_ns(self) -> int:
        """A ROS clock with an offset of its own."""
        return 1_700_000_000_000_000_000 + round(self.now_s * 1e9)

    def run(self, seconds: float, each_tick: Callable[[], None] | None = None) -> None:
        for _ in range(round(seconds / PERIOD_S)):
            if self.states_flow:
                self.read_joints()
            if each_tick:
                each_tick()
            self.tick()

    def read_joints(self) -> None:
        for arm in self.robot.arms:
            if arm.name in self.silent:
                continue
            names, position, _ = self.sim.joint_state(arm.name)
            self.controller.on_joint_state(arm.name, names, position, self.now_s)

    def tick(self) -> None:
        commands = self.controller.tick(self.now_s)
        self.commands.append(commands)
        for name, command in (commands or {}).items():
            gripper = self.robot.arm(name).gripper
            targets = dict(zip(command.joints, map(float, command.position_rad), strict=True))
            targets[gripper.joint] = gripper.joint_position(command.gripper)
            self.sim.set_command(name, targets)
        self.sim.step(round(PERIOD_S / self.sim.timestep))
        self.now_s += PERIOD_S

    def send(
        self,
        delta: Sequence[float],
        source: str = "policy",
        age_s: float = 0.01,
        steps: int = 1,
    ) -> None:
        """Send a chunk of equal steps of one delta for all arms (numbers left out are 0, open)."""
        dims = len(self.robot.dimensions)
        row = np.zeros(dims)
        row[6::7] = OPEN
        row[: len(delta)] = delta
        chunk = ActionChunk(
            self.robot.dimensions,
            np.tile(row, (steps, 1)),
            np.arange(steps) * self.robot.step_time_s,
            self.ros_now_ns - round(age_s * 1e9),
        )
        self.controller.on_chunk(source, chunk, self.now_s, self.ros_now_ns)  # type: ignore[arg-type]

    def follow(self, deltas: Sequence[Sequence[float]], source: str = "policy") -> None:
        """Send one delta every step time, and wait a step time after the last."""
        for delta in deltas:
            self.send(delta, source)
            self.run(self.robot.step_time_s)

    def go_to_start(self, *names: str) -> None:
        """Bring these arms (none named: all) to their start pose; the others stay parked."""
        self.run(0.1)
        self.controller.enable(self.now_s)
        goals = {a.name: a.start_rad if a.name in names else a.park_rad for a in self.robot.arms}
        self.controller.move_to(goals if names else "start", self.now_s)
        self.run(9.0)
        assert not self.status.moving

    @property
    def status(self):
        return self.controller.status(self.now_s)

    def tool(self, arm: str = "") -> np.ndarray:
        """(3,) where the physics has the tool, in its base frame [m]."""
        return self.sim.tool_pose(arm or self.robot.arms[0].name).xyz_m
