# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The scripted demonstrator behind `teleop/ee_delta`: a tireless person at the simulated arm.

It knows the scene from the simulation, as a person sees it, and the commanded target from the
topic that everybody sees. It takes over, does what the instruction says with one block, hands back
and says whether it succeeded.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from lapa_core.control.compose import Pose
from lapa_core.errors import ConfigError, LapaError
from lapa_core.rotation import rotation_from_quaternion
from lapa_core.sim import Simulation, world
from lapa_core.sim.expert import Expert
from lapa_core.sim.ways import OPEN
from lapa_core.types import NUM_AXES, ActionChunk
from lapa_ros import convert, interface, runtime

State = Literal["idle", "acting", "success", "failure"]
LONGEST_S = 60.0  # a demonstration takes 10 to 20 s


def sentence(block: str, arm: str = "") -> str:
    """The instruction that makes it put `block` into the bin, with one arm of several."""
    words = f"put the {block.replace('_', ' ')} in the bin"
    return f"{words} with the {arm} arm" if arm else words


def sentences(arms: tuple[str, ...]) -> list[str]:
    """Every instruction it understands."""
    named = arms if len(arms) > 1 else ("",)
    return [sentence(block, arm) for block in world.BLOCKS for arm in named]


class Demonstrator:
    """Acts once whenever it is asked to; driven by the physics' own time."""

    def __init__(self, node: Node, sim: Simulation) -> None:
        """Publish and listen through `node`."""
        self._node = node
        self._sim = sim
        self._robot = sim.robot
        self._instruction = ""
        self._targets: dict[str, Pose] = {}
        self._expert: Expert | None = None
        self._arm = ""
        self._next_ns = self._deadline_ns = 0
        self._hand_back = False
        self._pub = node.create_publisher(
            JointTrajectory, interface.TELEOP_EE_DELTA, interface.COMMAND_QOS
        )
        self._status_pub = node.create_publisher(
            String, interface.DEMONSTRATOR, interface.LATCHED_QOS
        )
        node.create_subscription(
            String, interface.INSTRUCTION, self._on_instruction, interface.LATCHED_QOS
        )
        for arm in self._robot.arms:
            node.create_subscription(
                PoseStamped,
                interface.ee_target(arm.name),
                partial(self._on_target, arm.name),
                interface.SENSOR_PUB_QOS,
            )
        self._say("idle", "waiting for sim/demonstrate")

    def _on_instruction(self, msg: String) -> None:
        self._instruction = msg.data

    def _on_target(self, arm: str, msg: PoseStamped) -> None:
        p, q = msg.pose.position, msg.pose.orientation
        rotation = rotation_from_quaternion(np.array([q.w, q.x, q.y, q.z]))
        self._targets[arm] = Pose(np.array([p.x, p.y, p.z]), rotation)

    def look_at(self, sim: Simulation) -> None:
        """Act in another scene from now on."""
        self._sim = sim

    def begin(self, now_ns: int) -> str:
        """Start to do what the instruction says; returns what that is.

        Raises:
            ConfigError: it acts already, does not understand the instruction, or no arm node
                tells where the target is.
        """
        if self._expert is not None:
            raise ConfigError("a demonstration is under way")
        block, arm = self._understood()
        if missing := [a.name for a in self._robot.arms if a.name not in self._targets]:
            raise ConfigError(f"no target pose of {', '.join(missing)}: arm_node is not there")
        self._arm = arm
        self._next_ns, self._deadline_ns = now_ns, now_ns + round(LONGEST_S * 1e9)
        self._expert = Expert(self._sim, arm, block)
        self._say("acting", self._instruction)
        return self._instruction

    def _understood(self) -> tuple[str, str]:
        """Block and arm of the instruction."""
        arms = tuple(a.name for a in self._robot.arms)
        named = arms if len(arms) > 1 else ("",)
        for block in world.BLOCKS:
            for arm in named:
                if self._instruction == sentence(block, arm):
                    return block, arm or arms[0]
        valid = "; ".join(sentences(arms))
        raise ConfigError(f"instruction {self._instruction!r} is not understood; valid: {valid}")

    def advance(self, now_ns: int) -> None:
        """Send the next delta when it is due; called by the physics, some hundred times a second.

        Args:
            now_ns: stamp of this moment on the robot's clock.
        """
        if self._hand_back:  # one step later, so that the last delta is still obeyed
            if now_ns >= self._next_ns:
                self._hand_back = False
                self._publish(np.zeros((0, len(self._robot.dimensions))), now_ns)
            return
        if self._expert is None or now_ns < self._next_ns:
            return
        self._next_ns += round(self._robot.step_time_s * 1e9)
        try:
            delta = self._expert.decide(self._targets[self._arm])
        except LapaError as error:
            self._end("failure", str(error))
            return
        row = np.zeros((len(self._robot.arms), NUM_AXES))
        row[:, -1] = OPEN
        row[[a.name for a in self._robot.arms].index(self._arm)] = delta
        self._publish(row.reshape(1, -1), now_ns)
        if self._expert.done:
            done = self._expert.succeeded()
            self._end("success" if done else "failure", self._instruction)
        elif now_ns > self._deadline_ns:
            self._end("failure", f"not done after {LONGEST_S:g} s")

    def _end(self, state: State, text: str) -> None:
        self._expert = None
        self._hand_back = True
        self._say(state, text)

    def _publish(self, deltas: np.ndarray, now_ns: int) -> None:
        chunk = ActionChunk(
            self._robot.dimensions, deltas, np.zeros(len(deltas)), now_ns, self._robot.base_frame
        )
        runtime.publish(self._node, self._pub, convert.chunk_msg(chunk))

    def _say(self, state: State, text: str) -> None:
        msg = String(data=interface.authority_text(state, text))
        runtime.publish(self._node, self._status_pub, msg)
