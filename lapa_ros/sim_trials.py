# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Trials in the simulated robot: `sim/trial` lays out a scene, `sim/outcome` says how it stands.

The judge is that of `lapa_core.sim`; it looks at the physics, never at who moves the arm. Both
topics are latched JSON, see `lapa_core.evaluate.live`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from rclpy.node import Node
from std_msgs.msg import String

from lapa_core.errors import ConfigError, LapaError
from lapa_core.evaluate.live import LiveOutcome, LiveTrial
from lapa_core.robot import Robot
from lapa_core.sim import Simulation
from lapa_core.sim.judge import Judge, Outcome
from lapa_core.sim.tasks import COVER, Trial, check_task
from lapa_core.sim.things import scene
from lapa_ros import interface, runtime

SAY_EVERY_S = 0.2  # of the robot's time; what changes is said at once


class SimTrials:
    """The trial under way, if any. `begin`, `end` and `watch` need the physics' lock."""

    def __init__(self, node: Node, robot: Robot, sim: Simulation) -> None:
        """Publish through `node`.

        Args:
            node: of the simulation.
            robot: with one arm, for the tasks' sake; else every trial is refused.
            sim: what runs now.
        """
        self._node, self._robot = node, robot
        self._sims = {sim.scene.name: sim}
        self._timestep = sim.timestep
        self._judge: Judge | None = None
        self._number = 0
        self._chance = 0.0
        self._said: Outcome | None = None
        self._began_ns = self._next_ns = 0
        self._pub = node.create_publisher(String, interface.SIM_OUTCOME, interface.LATCHED_QOS)

    def read(self, text: str) -> LiveTrial | None:
        """Understand a message and build its scene, which takes a second; None: it is refused.

        Needs no lock. What is refused is said on `sim/outcome`.
        """
        number = 0
        try:
            asked = LiveTrial.from_json(text)
            number = asked.number
            if len(self._robot.arms) != 1:
                raise ConfigError(f"the tasks are for one arm, not {len(self._robot.arms)}")
            stands = scene(asked.scene)
            stands.thing(asked.target)
            check_task(asked.task)
            if asked.task == COVER and stands.cup is None:
                raise ConfigError(f"scene {stands.name} has no cup to cover a thing with")
            if asked.scene not in self._sims:
                self._sims[asked.scene] = Simulation(
                    self._robot, timestep=self._timestep, scene=stands
                )
        except LapaError as error:
            self._node.get_logger().warning(f"trial refused: {error}")
            self._publish(LiveOutcome(number, refused=str(error)))
            return None
        return asked

    def begin(self, asked: LiveTrial, sim: Simulation, now_ns: int) -> Simulation:
        """Lay out what `read` has understood; returns the simulation that runs from now on.

        The arms stay where they are, at rest, and their grippers are open.
        """
        fields = {f.name for f in dataclasses.fields(Trial)}
        trial = Trial(**{k: v for k, v in vars(asked).items() if k in fields})
        chosen = self._sims[trial.scene]
        chosen.reset(trial.seed, {a.name: self._joints(sim, a.name) for a in self._robot.arms})
        self._judge = Judge(chosen, trial)
        self._number, self._chance = asked.number, 1.0 / len(chosen.scene.things)
        self._began_ns, self._said = now_ns, None
        self.watch(now_ns)
        return chosen

    def _joints(self, sim: Simulation, arm: str) -> np.ndarray:
        names, position, _ = sim.joint_state(arm)
        return np.array([position[names.index(j)] for j in self._robot.arm(arm).joints])

    def end(self) -> None:
        """A scene of somebody else's: nothing is judged any more."""
        self._judge = None

    def watch(self, now_ns: int) -> None:
        """Look at the physics, after every period; say what has changed, and the time."""
        if self._judge is None:
            return
        self._judge.update()
        outcome = self._judge.outcome()
        if outcome == self._said and now_ns < self._next_ns:
            return
        self._said, self._next_ns = outcome, now_ns + round(SAY_EVERY_S * 1e9)
        o = outcome
        self._publish(
            LiveOutcome(
                self._number, o.success, o.strict, float(o.credit), o.right_object,
                o.first_touched, o.note, (now_ns - self._began_ns) * 1e-9, self._chance,
            )
        )  # fmt: skip

    def _publish(self, outcome: LiveOutcome) -> None:
        runtime.publish(self._node, self._pub, String(data=outcome.to_json()))

    def close(self) -> None:
        """Free the calling thread's renderers of every scene."""
        for sim in self._sims.values():
            sim.close()
