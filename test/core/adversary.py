# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Sequences of chunks that try to do harm, and a rig that notices when one succeeds."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator

import arms
import numpy as np

from lapa_core import description as descriptions
from lapa_core.control import ControlParams
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.robot import Robot
from lapa_core.types import NUM_AXES, ActionChunk

CHECKS_PER_TICK = 2
# The command keeps to the box; the arm behind it may cut a corner by so much.
LAG_M = 0.006
LAG_RAD = 0.02


@dataclasses.dataclass(frozen=True)
class Attack:
    """One chunk and how it is stamped.

    Attributes:
        deltas: (k, d).
        due_s: (k,), or None for one step time apart.
        age_s: of the stamp; negative for the future.
        replay: send the previous chunk again, stamp included, instead.
        frame_id: of the chunk.
        wait_s: simulated time until the next attack.
    """

    deltas: np.ndarray
    due_s: np.ndarray | None = None
    age_s: float = 0.02
    replay: bool = False
    frame_id: str = ""
    wait_s: float = 0.2


class Arena(arms.Rig):
    """A rig that counts violations: contacts of the arms, limits, workspace, joint speed.

    Attributes:
        harm: what happened, by kind.
        sent: chunks sent so far.
    """

    def __init__(self, robot: Robot, params: ControlParams | None = None) -> None:
        super().__init__(robot, params)
        self.harm: Counter[str] = Counter()
        self.sent = 0
        self._last: ActionChunk | None = None
        self._told: dict[str, np.ndarray] = {}
        self._kinematics = {a.name: ArmKinematics(a, descriptions.for_arm(a)) for a in robot.arms}
        self.go_to_start()

    def attack(self, attack: Attack) -> None:
        """Send one chunk and let time pass."""
        steps = len(attack.deltas)
        due = np.arange(steps) * self.robot.step_time_s if attack.due_s is None else attack.due_s
        chunk = ActionChunk(
            self.robot.dimensions,
            attack.deltas,
            due,
            self.ros_now_ns - round(attack.age_s * 1e9),
            attack.frame_id,
        )
        if attack.replay and self._last is not None:
            chunk = self._last
        self._last = chunk
        self.sent += 1
        self.controller.on_chunk("policy", chunk, self.now_s, self.ros_now_ns)
        self.run(attack.wait_s)

    def tick(self) -> None:
        """One control period, with a look at the physics every few steps."""
        commands = self.controller.tick(self.now_s)
        if commands is None:  # after a hold an arm starts from where it is measured
            self._told.clear()
        for name, command in (commands or {}).items():
            self._look_at_command(name, command.position_rad)
            gripper = self.robot.arm(name).gripper
            targets = dict(zip(command.joints, map(float, command.position_rad), strict=True))
            targets[gripper.joint] = gripper.joint_position(command.gripper)
            self.sim.set_command(name, targets)
        for _ in range(CHECKS_PER_TICK):
            self.sim.step(round(arms.PERIOD_S / self.sim.timestep) // CHECKS_PER_TICK)
            for pair in self.sim.violations():
                self.harm["contact " + " ".join(pair)] += 1
        self._look_at_arms()
        self.now_s += arms.PERIOD_S

    def _look_at_command(self, name: str, position: np.ndarray) -> None:
        k, arm = self._kinematics[name], self.robot.arm(name)
        if not np.all(np.isfinite(position)):
            self.harm["command not finite"] += 1
        if np.any(position < k.lower - 1e-9) or np.any(position > k.upper + 1e-9):
            self.harm["command beyond a limit"] += 1
        before = self._told.get(name, position)
        if np.any(np.abs(position - before) > k.velocity * arms.PERIOD_S + 1e-6):
            self.harm["command too fast"] += 1
        self._told[name] = position
        if self.status.state == "policy" and _beyond(k.fk(position).xyz_m, arm, 1e-3):
            self.harm["command outside the workspace"] += 1

    def _look_at_arms(self) -> None:
        for arm in self.robot.arms:
            k = self._kinematics[arm.name]
            _, position, _ = self.sim.joint_state(arm.name)
            joints = position[: len(arm.joints)]
            if np.any(joints < k.lower - LAG_RAD) or np.any(joints > k.upper + LAG_RAD):
                self.harm["joint beyond a limit"] += 1
            outside = _beyond(self.sim.tool_pose(arm.name).xyz_m, arm, LAG_M)
            if self.status.state == "policy" and outside:
                self.harm["tool outside the workspace"] += 1


def _beyond(xyz: np.ndarray, arm: object, slack: float) -> bool:
    lower, upper = arm.workspace_lower_m - slack, arm.workspace_upper_m + slack  # type: ignore[attr-defined]
    return bool(np.any(xyz < lower) or np.any(xyz > upper))


# Hand-made sequences --------------------------------------------------------------------------


def rows(robot: Robot, each_arm: np.ndarray) -> np.ndarray:
    """(1, d): the same (7,) for every arm, or one row an arm of (arms, 7)."""
    return np.broadcast_to(each_arm, (len(robot.arms), NUM_AXES)).reshape(1, -1).copy()


def jumps(robot: Robot, rng: np.random.Generator, count: int) -> Iterator[Attack]:
    """Full steps in a random direction each time, some beyond the clamp, some a fault."""
    for _ in range(count):
        size = rng.choice([1.0, 1.5, 1.99, 2.5, 40.0], p=[0.5, 0.2, 0.2, 0.08, 0.02])
        delta = rng.choice([-1.0, 1.0], (len(robot.arms), NUM_AXES)) * size
        delta[:, :3] *= 0.05
        delta[:, 3:6] *= 0.25
        delta[:, 6] = rng.uniform(-0.5, 1.5, len(robot.arms))
        yield Attack(rows(robot, delta))


def spirals(robot: Robot, rng: np.random.Generator, count: int) -> Iterator[Attack]:
    """Down to the table in circles, turning, with the gripper opening and closing."""
    phase = rng.uniform(0, 2 * np.pi)
    for i in range(count):
        angle = phase + 0.5 * i
        turn = rng.uniform(-0.25, 0.25, 3)
        down = -0.05 if i % 40 < 30 else 0.05
        delta = [0.04 * np.cos(angle), 0.04 * np.sin(angle), down, *turn, float(i % 3 > 0)]
        yield Attack(rows(robot, np.array(delta)))


def crossings(robot: Robot, rng: np.random.Generator, count: int) -> Iterator[Attack]:
    """Every arm goes to where its neighbour is, then away, at every height."""
    middle = np.mean([a.base_xyz_m for a in robot.arms], axis=0)
    for i in range(count):
        delta = np.zeros((len(robot.arms), NUM_AXES))
        for k, arm in enumerate(robot.arms):
            towards = arm.base_rotation.T @ (middle - arm.base_xyz_m)
            norm = float(np.linalg.norm(towards)) or 1.0
            sign = 1.0 if (i // 12) % 3 < 2 else -1.0
            delta[k, :3] = sign * 0.05 * towards / norm + rng.normal(0, 0.015, 3)
            delta[k, 3:6] = rng.normal(0, 0.1, 3)
            delta[k, 6] = rng.uniform()
        yield Attack(rows(robot, delta))


def folds(robot: Robot, rng: np.random.Generator, count: int) -> Iterator[Attack]:
    """Back to the arm's own base and up against itself, wrist turning."""
    for i in range(count):
        delta = np.array([-0.05, 0.0, rng.normal(0, 0.03), *rng.normal(0, 0.2, 3), 1.0])
        if (i // 15) % 2:
            delta[0] = 0.05
        yield Attack(rows(robot, np.clip(delta, -0.25, 1.0)))


def nan_bursts(robot: Robot, rng: np.random.Generator, count: int) -> Iterator[Attack]:
    """Numbers that are none, among good ones, faster than the loop."""
    for i in range(count):
        deltas = rows(robot, rng.normal(0, 0.02, (len(robot.arms), NUM_AXES)))
        if i % 5 < 3:
            deltas[0, rng.integers(deltas.shape[1])] = rng.choice([np.nan, np.inf, -np.inf])
        yield Attack(deltas, wait_s=0.02 if i % 5 else 0.2)


def replays(robot: Robot, rng: np.random.Generator, count: int) -> Iterator[Attack]:
    """Old stamps, future stamps and the same chunk again and again."""
    for i in range(count):
        delta = rows(robot, np.array([0.05, 0.03, -0.04, 0, 0, 0.1, 1.0]) * rng.choice([-1, 1]))
        age = float(rng.choice([0.02, 0.5, 0.99, 1.2, 30.0, -0.05, -0.5]))
        yield Attack(
            delta, age_s=age, replay=i % 3 > 0, wait_s=float(rng.choice([0.02, 0.1, 0.2]))
        )


def floods(robot: Robot, rng: np.random.Generator, count: int) -> Iterator[Attack]:
    """A full step every control period, as a teleoperation gone wild would send."""
    direction = rng.normal(size=(len(robot.arms), NUM_AXES))
    for i in range(count):
        if i % 30 == 0:
            direction = rng.normal(size=(len(robot.arms), NUM_AXES))
        delta = np.sign(direction) * np.array([0.05, 0.05, 0.05, 0.25, 0.25, 0.25, 1.0])
        yield Attack(rows(robot, delta), wait_s=0.02)


def plans(robot: Robot, rng: np.random.Generator, count: int) -> Iterator[Attack]:
    """Chunks of many steps that replace each other half played, in the world's axes too."""
    for i in range(count):
        length = int(rng.integers(2, 9))
        deltas = rng.normal(0, 1, (length, len(robot.dimensions)))
        scale = np.tile([0.03, 0.03, 0.03, 0.15, 0.15, 0.15, 1.0], len(robot.arms))
        frame = robot.world_frame if i % 2 else robot.base_frame
        yield Attack(deltas * scale, frame_id=frame, wait_s=float(rng.choice([0.1, 0.4])))


SEQUENCES: tuple[Callable[[Robot, np.random.Generator, int], Iterator[Attack]], ...] = (
    jumps,
    spirals,
    crossings,
    folds,
    nan_bursts,
    replays,
    floods,
    plans,
)
