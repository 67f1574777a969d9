# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A teleoperator and the controller it speaks to, on one clock, as the two nodes are wired."""

from __future__ import annotations

from collections.abc import Callable

import arms
import numpy as np

from lapa_core.robot import Robot
from lapa_core.teleop import Teleoperator, TeleopSettings
from lapa_core.teleop.reading import ArmInput, Device, Reading
from lapa_core.types import ActionChunk, FloatArray


class Hand:
    """A device of the test: it says what it was last told to say."""

    name = "hand"

    def __init__(self) -> None:
        self.arms: dict[str, ArmInput] = {}
        self.events: list[str] = []
        self.problem = ""
        self.released = 0

    def read(self, now_s: float) -> Reading:
        events, self.events = tuple(self.events), []
        return Reading(dict(self.arms), events, self.problem)

    def release(self) -> None:
        self.released += 1


class TeleopRig(arms.Rig):
    """The rig of the controller with a teleoperator in front, whose messages take one tick."""

    def __init__(
        self, robot: Robot, device: Device, settings: TeleopSettings | None = None
    ) -> None:
        super().__init__(robot)
        self.settings = settings or TeleopSettings()
        self.teleoperator = Teleoperator(robot, device, self.settings)
        self.sent: list[FloatArray] = []
        self.lose: Callable[[], bool] = lambda: False
        self._due_s = 0.0
        self._told: FloatArray = np.full(len(robot.arms), np.nan)
        self._outbox: list[Callable[[], None]] = []

    def operate(self, seconds: float, each_tick: Callable[[], None] | None = None) -> None:
        """Run arm and teleoperator; `each_tick` moves the hand first."""

        def tick() -> None:
            if each_tick:
                each_tick()
            self._hear()
            for deliver in self._outbox:
                deliver()
            self._outbox = []
            if self.now_s >= self._due_s:
                self._due_s = max(self._due_s, self.now_s - 0.1) + 1.0 / self.settings.rate_hz
                self._operate()

        self.run(seconds, tick)

    def _hear(self) -> None:
        """What arm_node has published since the last tick."""
        status, t = self.status, self.teleoperator
        if (status.state, status.reason) != (t._state, t._reason):
            t.on_authority(status.state, status.reason)
        for chunk in self.controller.take_executed():
            t.on_executed(chunk)
            self._told = chunk.deltas[-1, 6::7]
        if not status.enabled:
            self._told = np.full(len(self.robot.arms), np.nan)
        for arm, told in zip(self.robot.arms, self._told, strict=True):
            t.on_gripper_target(arm.name, float(told))
            if arm.name in status.target:
                t.on_target(arm.name, status.target[arm.name], self.now_s)
            names, position, _ = self.sim.joint_state(arm.name)
            finger = position[list(names).index(arm.gripper.joint)]
            t.on_opening(arm.name, arm.gripper.opening(float(finger)))

    def _operate(self) -> None:
        output = self.teleoperator.tick(self.now_s)
        names, stamp = self.robot.dimensions, self.ros_now_ns
        if output.hand_back:
            self._post(ActionChunk(names, np.zeros((0, len(names))), np.zeros(0), stamp))
        if output.delta is not None:
            self.sent.append(output.delta)
            self.teleoperator.on_sent(stamp, output.delta, self.now_s)
            if not self.lose():
                self._post(ActionChunk(names, output.delta[None], np.zeros(1), stamp))

    def _post(self, chunk: ActionChunk) -> None:
        self._outbox.append(
            lambda: self.controller.on_chunk("teleop", chunk, self.now_s, self.ros_now_ns)
        )
