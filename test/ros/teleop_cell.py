# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""teleop_node and arm_node as processes, an arm behind them, a person's hand in front."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import Operator, StandInArm, spinning, started, wait_for
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lapa_core import description
from lapa_core import robot as robots
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.robot import Robot
from lapa_core.teleop import gamepad
from lapa_ros import interface
from lapa_ros.processes import NodeProcess

PAD = gamepad.load("gamepad_ps4")
STOP_S = 0.6  # from letting go to standing still, transport and servos included


class Person(Node):
    """Somebody with a pad, a page, a pair of leaders; hears what teleoperation says."""

    def __init__(self, robot: Robot) -> None:
        super().__init__("person")
        self.status = ""
        self.deltas: list[JointTrajectory] = []
        self.axes, self.buttons = [0.0] * 8, [0] * 13
        self.sending = False
        self.shown: list[Joy] = []
        self._joy = self.create_publisher(Joy, "joy", 10)
        self._keys = self.create_publisher(String, interface.TELEOP_KEYS, 10)
        self.create_timer(0.05, self._send)
        self.create_subscription(
            String, interface.TELEOP_STATUS, self._on_status, interface.LATCHED_QOS
        )
        self.create_subscription(
            JointTrajectory, interface.TELEOP_EE_DELTA, self.deltas.append, interface.EVENT_QOS
        )
        self._asking = {n: self.create_client(Trigger, n) for n in interface.TELEOP_SERVICES}

    def _on_status(self, msg: String) -> None:
        self.status = msg.data

    def _send(self) -> None:
        if self.sending:
            self.shown.append(Joy(axes=self.axes, buttons=self.buttons))
            self._joy.publish(self.shown[-1])

    def hold(self, forward: float) -> None:
        """Hold the dead-man, then push the left stick."""
        self.buttons[PAD.dead_man] = 1
        self.showing()
        self.axes[1] = forward

    def showing(self) -> None:
        """Wait until the pad's state was sent, twice at least."""
        begun = len(self.shown)
        wait_for(lambda: len(self.shown) > begun + 2, "the pad's messages")

    def let_go(self) -> None:
        self.axes[1], self.buttons[PAD.dead_man] = 0.0, 0

    def press(self, event: str) -> None:
        """Press and let go of a button, long enough to be sent."""
        index = PAD.buttons[event]
        self.buttons[index] = 1
        self.showing()
        self.buttons[index] = 0

    def type(self, key: str) -> None:
        self._keys.publish(String(data=key))

    def call(self, name: str) -> Any:
        client = self._asking[f"teleop/{name}"]
        wait_for(client.service_is_ready, name)
        future = client.call_async(Trigger.Request())
        wait_for(future.done, f"answer of {name}")
        return future.result()


@dataclass
class Cell:
    """Arm node, teleop node, arm and people of one test."""

    robot: Robot
    arms: list[StandInArm]
    operator: Operator
    person: Person
    teleop: NodeProcess
    kinematics: list[ArmKinematics] = field(default_factory=list)

    def tool(self, index: int = 0) -> np.ndarray:
        """(3,) where the arm is [m]."""
        k = self.kinematics[index]
        return k.fk(self.arms[index].position[: len(k.joints)]).xyz_m

    def expect(self, state: str, words: str = "") -> None:
        wait_for(
            lambda: self.operator.state[0] == state and words in self.operator.state[1],
            f"authority {state} {words}",
            seen=lambda: (self.operator.authority[-5:], self.person.status),
        )

    def expect_status(self, words: str) -> None:
        wait_for(lambda: words in self.person.status, words, seen=lambda: self.person.status)

    def expect_rest(self) -> np.ndarray:
        """Where the arm comes to rest, which it must within `STOP_S` from now."""
        end = time.monotonic() + STOP_S
        wait_for(lambda: time.monotonic() > end, "the end of that time", STOP_S + 1)
        at = self.tool()
        ticks = len(self.arms[0].commands) + 6
        wait_for(
            lambda: len(self.arms[0].commands) > ticks or self.operator.state[0] != "teleop",
            "more commands",
        )
        assert np.linalg.norm(self.tool() - at) < 1e-3
        return self.tool()


@contextmanager
def cell(
    name: str, folder: Path, device: str, prefix: Sequence[str] = (), **more: object
) -> Iterator[Cell]:
    """Both nodes around a stand-in for every arm."""
    robot = robots.load(name).with_backend("ros2_control")
    arms = [StandInArm(replace(robot, arms=(arm,))) for arm in robot.arms]
    operator, person = Operator(robot), Person(robot)
    arm_params: dict[str, object] = {"robot": name, "backend": "ros2_control"}
    teleop_params = {"robot": name, "device": device, **more}
    with (
        started("arm_node", arm_params, folder / "arm.log"),
        started(
            "teleop_node", teleop_params, folder / "teleop.log", command_prefix=prefix
        ) as teleop,
        spinning(*arms, operator, person),
    ):
        wait_for(lambda: operator.state[0] and person.status, "both nodes", 20.0)
        wait_for(lambda: operator.call("enable").success, "an enabled arm", poll_s=0.2)
        kinematics = [ArmKinematics(a, description.for_arm(a)) for a in robot.arms]
        yield Cell(robot, arms, operator, person, teleop, kinematics)


def after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
