# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A closed loop without ROS: simulation and controller in simulated time, one step at a time.

The controller is the one that arm_node wraps, with its limits, inverse kinematics and watchdogs;
the pictures, the state and the chunks are those of the nodes. Of transport and the threads' timing
there is one number, the latency, so that it runs many times faster than real time and gives the
same outcome every time. For one arm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from lapa_core import description as descriptions
from lapa_core.control import ArmController
from lapa_core.control.authority import SOURCES, Source
from lapa_core.control.compose import Pose
from lapa_core.data.state import of_target, of_tool
from lapa_core.errors import ConfigError
from lapa_core.robot import Robot
from lapa_core.sim.expert import Expert
from lapa_core.sim.judge import Judge, Outcome
from lapa_core.sim.ramp import TargetRamps
from lapa_core.sim.simulation import Simulation
from lapa_core.sim.tasks import Trial
from lapa_core.sim.things import scene
from lapa_core.types import NUM_AXES, ActionChunk, FloatArray, ImageArray, Observation

NS = 1_000_000_000
START_SPREAD_RAD = 0.12  # of each joint, where a start is drawn: some centimetres at the tool


class Cell:
    """One robot at its table.

    Attributes:
        robot: it.
        cameras: names of the cameras that an observation shows.
        latency_s: simulated seconds from an observation to the arrival of the chunk that answers
            it, to a control period, less than a step time; the arm goes on with the step before.
    """

    def __init__(
        self,
        robot: Robot,
        *,
        cameras: Sequence[str] | None = None,
        image_size: tuple[int, int] | None = None,
        source: Source = "policy",
        latency_s: float = 0.0,
    ) -> None:
        """Build nothing yet; the first `reset` does.

        Args:
            robot: with one arm.
            cameras: None: the robot's first.
            image_size: width, height of the pictures; None: as the robot file says.
            source: as whom `act` speaks to the controller.
            latency_s: see the class.

        Raises:
            ConfigError: several arms, no such camera, or a latency of a step time and more.
        """
        if len(robot.arms) != 1:
            raise ConfigError(f"{robot.source}: the tasks are for one arm, not {len(robot.arms)}")
        self.robot = robot
        self.cameras = tuple(cameras or (robot.cameras[0].name,))
        for name in self.cameras:
            robot.camera(name)
        self._arm = robot.arms[0]
        check_latency(latency_s, robot)
        self.latency_s = latency_s
        self._image_size = image_size
        self._source: Source = source
        self._descriptions = {self._arm.name: descriptions.for_arm(self._arm)}  # costs 0.1 s
        self._sims: dict[str, Simulation] = {}
        self._trial: Trial | None = None

    def reset(self, trial: Trial, start: np.random.Generator | None = None) -> None:
        """Begin a trial, the arm enabled in its start pose.

        Args:
            trial: what to do, and where things stand.
            start: draws a start pose around that of the robot file; None: exactly there.

        Raises:
            ConfigError: no such scene or thing.
        """
        if trial.scene not in self._sims:
            self._sims[trial.scene] = Simulation(self.robot, scene=scene(trial.scene))
        self._trial, self._sim = trial, self._sims[trial.scene]
        at = np.array(self._arm.start_rad, dtype=float)
        if start is not None:
            at = at + start.uniform(-START_SPREAD_RAD, START_SPREAD_RAD, size=len(at))
        self._sim.reset(trial.seed, {self._arm.name: at})
        self._controller = ArmController(self.robot, arm_descriptions=self._descriptions)
        self._ramps = TargetRamps(self._sim)
        self._judge = Judge(self._sim, trial)
        self._steps = 0
        self._listen()
        self._controller.enable(self._now_s)

    @property
    def sim(self) -> Simulation:
        """The physics of the running trial."""
        return self._sim

    @property
    def trial(self) -> Trial:
        """The running trial.

        Raises:
            ConfigError: none has begun.
        """
        if self._trial is None:
            raise ConfigError("no trial has begun; call reset first")
        return self._trial

    @property
    def _now_s(self) -> float:
        return self._sim.time_s + 1.0  # monotonic time, which is never 0

    @property
    def stamp_ns(self) -> int:
        """Simulated time now, as the stamps of observations."""
        return round(self._now_s * NS)

    @property
    def target(self) -> Pose:
        """The commanded pose of the tool, or the measured one before the first step."""
        status = self._controller.status(self._now_s)
        name = self._arm.name
        return status.target[name] if name in status.target else status.measured[name]

    @property
    def measured(self) -> Pose:
        """The measured pose of the tool."""
        return self._controller.status(self._now_s).measured[self._arm.name]

    @property
    def authority(self) -> tuple[str, str]:
        """Who moves the arm, and why."""
        status = self._controller.status(self._now_s)
        return status.state, status.reason

    @property
    def steps(self) -> int:
        """Decisions so far."""
        return self._steps

    @property
    def holds(self) -> str:
        """Why the arm does not do what it is told, or ""."""
        state, reason = self.authority
        return "" if state in SOURCES or self._steps == 0 else reason

    @property
    def done(self) -> bool:
        """Whether what was asked for is so."""
        return self._judge.outcome().success

    def state(self) -> dict[str, float]:
        """The measured and commanded state, as `Observation.state` names it."""
        measured, target = self.measured, self.target
        finger = self._controller.fingers(self._now_s)[self._arm.name]
        opening = self._arm.gripper.opening(float("nan") if finger is None else finger)
        name = self._arm.name
        return of_tool(name, measured.xyz_m, measured.rotation, opening) | of_target(
            name, target.xyz_m, target.rotation
        )

    def observe(self) -> Observation:
        """What a policy sees now."""
        pictures = {name: self.frame(name, self._image_size) for name in self.cameras}
        return Observation(self.stamp_ns, pictures, self.trial.instruction, self.state())

    def frame(self, camera: str, size: tuple[int, int] | None = None) -> ImageArray:
        """A picture of (H, W, 3), for a policy or a video."""
        width, height = size or (None, None)
        return self._sim.render(camera, width, height)

    def act(self, chunk: ActionChunk, source: Source | None = None) -> None:
        """Let a step time pass in which a chunk arrives; the next one replaces what is left of it.

        Args:
            chunk: deltas that answer what is seen now.
            source: who sends it; None: as the cell was made. Teleop hands back before a policy.
        """
        period_s = self._controller.params.period_s
        ticks = self.robot.step_time_s / period_s
        # No whole number of them, as at 20 Hz: steps take turns, so that time does not run away.
        count = round((self._steps + 1) * ticks) - round(self._steps * ticks)
        arrives = min(round(self.latency_s / period_s), count - 1)
        for number in range(count):
            if number == arrives:
                self._send(chunk, source or self._source)
            commands = self._controller.tick(self._now_s)
            for name, command in (commands or {}).items():
                fingers = self._arm.gripper.joint_position(command.gripper)
                targets = dict(zip(command.joints, command.position_rad.tolist(), strict=True))
                self._ramps.set(name, {**targets, self._arm.gripper.joint: fingers}, period_s)
            self._ramps.advance(period_s)
            self._listen()
            self._judge.update()
        self._steps += 1

    def _send(self, chunk: ActionChunk, source: Source) -> None:
        if source == "policy" and self.authority[0] == "teleop":
            nothing = self.chunk(np.empty((0, NUM_AXES)))
            self._controller.on_chunk("teleop", nothing, self._now_s, self.stamp_ns)
        self._controller.on_chunk(source, chunk, self._now_s, self.stamp_ns)

    def executed(self) -> list[ActionChunk]:
        """The steps begun since the last call, as the arm was really told them."""
        return self._controller.take_executed()

    def outcome(self) -> Outcome:
        """How the trial stands."""
        return self._judge.outcome(self._steps)

    def chunk(self, deltas: FloatArray) -> ActionChunk:
        """(k, 7) deltas that answer what is seen now."""
        due_s = np.arange(len(deltas)) * self.robot.step_time_s
        return ActionChunk(
            self.robot.dimensions, deltas, due_s, self.stamp_ns, self.robot.base_frame
        )

    def close(self) -> None:
        """Free what pictures need."""
        for sim in self._sims.values():
            sim.close()

    def _listen(self) -> None:
        names, position, _ = self._sim.joint_state(self._arm.name)
        self._controller.on_joint_state(self._arm.name, names, position, self._now_s)


def check_latency(latency_s: float, robot: Robot) -> None:
    """Refuse a latency that a cell cannot have: a `ConfigError`."""
    if not 0.0 <= latency_s < robot.step_time_s:
        raise ConfigError(f"the latency must be 0 s or more and less than the step time of "
                          f"{robot.step_time_s:g} s, got {latency_s:g} s")  # fmt: skip


class Decides(Protocol):
    """Whoever moves the arm of a cell."""

    def decide(self, cell: Cell) -> ActionChunk:
        """The chunk for what is seen now."""


class ExpertPolicy:
    """The scripted demonstrator as a policy."""

    def __init__(
        self, cell: Cell, rng: np.random.Generator | None = None, strays: bool = True
    ) -> None:
        """Plan for the cell's trial; `rng` and `strays` as of `Expert`."""
        trial = cell.trial
        arm = cell.robot.arms[0].name
        self._expert = Expert(cell.sim, arm, trial.target, trial.task, rng, strays)

    @property
    def done(self) -> bool:
        """Whether the demonstration is over."""
        return self._expert.done

    @property
    def expert(self) -> Expert:
        """Who demonstrates."""
        return self._expert

    def decide(self, cell: Cell) -> ActionChunk:
        """One step."""
        return cell.chunk(self._expert.decide(cell.target)[None])
