# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A suite's trials in sim_node, one after the other: the same starts and judge as without ROS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import String

from lapa_core.data import messages
from lapa_core.errors import LapaError
from lapa_core.evaluate import films
from lapa_core.evaluate.live import LiveOutcome, LiveTrial
from lapa_core.evaluate.rollout import Task
from lapa_core.evaluate.scores import Score, score
from lapa_core.film import shrink
from lapa_core.robot import Robot
from lapa_ros import interface, runtime
from lapa_ros.evaluation.link import Link

ANSWER_TIMEOUT_S = 30.0  # building a scene takes a second
NICENESS = 10


class Trials:
    """Runs trials over nodes that are there.

    Attributes:
        link: the arm and the policy.
    """

    def __init__(self, node: Node, robot: Robot, cameras: tuple[str, ...], link: Link) -> None:
        """Use `node`.

        Args:
            node: spun by another thread.
            robot: that is simulated.
            cameras: shown in films.
            link: the arm and the policy.
        """
        self.link = link
        self._node, self._robot = node, robot
        self._number = 0
        self._outcome: LiveOutcome | None = None
        self._won: LiveOutcome | None = None
        self._reel: films.Reel | None = None
        self._pictures: dict[str, Image] = {}
        self._next_ns = 0
        self._cameras = cameras
        latched = interface.LATCHED_QOS
        self._asks = node.create_publisher(String, interface.SIM_TRIAL, latched)
        node.create_subscription(String, interface.SIM_OUTCOME, self._on_outcome, latched)

    def watch_cameras(self) -> None:
        """Listen to the cameras, for films; costs every picture's transport."""
        for name in self._cameras:
            topic = self._robot.camera(name).topic
            self._node.create_subscription(
                Image, topic, self._keeper(name), interface.CAMERA_SUB_QOS
            )

    def _keeper(self, name: str) -> Callable[[Image], None]:
        def keep(msg: Image) -> None:
            self._pictures[name] = msg
            reel, now_ns = self._reel, messages.stamp_ns(msg.header.stamp)
            if reel is None or name != self._cameras[0] or now_ns < self._next_ns:
                return
            if len(self._pictures) == len(self._cameras):
                self._next_ns = now_ns + round(self._robot.step_time_s * 1e9)
                size = films.WIDTH, films.HEIGHT
                reel.add({n: shrink(messages.image(m), size) for n, m in self._pictures.items()})

        return keep

    def _on_outcome(self, msg: String) -> None:
        self._outcome = LiveOutcome.from_json(msg.data)

    def run(self, task: Task, max_s: float, out: Path | None = None) -> Score:
        """One trial, from the start pose to its outcome.

        Args:
            task: which.
            max_s: of simulated time.
            out: folder of the results, where a film of it is wanted if it fails.

        Raises:
            LapaError: a node does not do its part.
        """
        began_s = time.monotonic()
        self.link.home()
        self._lay_out(task)
        if out is not None:
            self._next_ns = 0
            self._reel = films.Reel(task.trial.instruction, 1.0 / self._robot.step_time_s)
        reel, self._won = self._reel, None
        try:
            acted = self.link.act(task.trial.instruction, max_s, self._over)
        finally:
            self._reel = None
        outcome = self._won or self._now()
        result = score(
            task.index, task.trial, outcome, chance=outcome.chance, ended=acted.ended,
            steps=acted.steps, robot_s=acted.robot_s, wall_s=time.monotonic() - began_s,
            note=acted.note,
        )  # fmt: skip
        if reel is not None and out is not None and not result.strict:
            result = replace(result, film=reel.write(out, result))
        return result

    def _lay_out(self, task: Task) -> None:
        """Ask sim_node for the trial's scene, and wait until it stands."""
        self._number += 1
        self.link.wait(
            lambda: self._asks.get_subscription_count() > 0, ANSWER_TIMEOUT_S, "sim_node"
        )
        t = task.trial
        asked = LiveTrial(t.split, t.task, t.target, t.instruction, t.seed, t.scene, self._number)
        runtime.publish(self._node, self._asks, String(data=asked.to_json()))
        self.link.wait(
            lambda: self._outcome is not None and self._outcome.number == self._number,
            ANSWER_TIMEOUT_S,
            "sim_node to lay out the scene",
        )
        if self._now().refused:
            raise LapaError(f"sim_node refuses the trial: {self._now().refused}")

    def _now(self) -> LiveOutcome:
        assert self._outcome is not None
        return self._outcome

    def _over(self) -> str:
        """A success ends the trial: what the arm does until it holds counts no more."""
        now = self._now()
        if not now.success:
            return ""
        self._won = now
        return "done"
