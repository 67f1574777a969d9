# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the arm node needs of a driver.

A backend translates, it does not judge: what it is given has passed the safety contract. What it
knows of its driver's health it says in `problem`, and the controller holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from rclpy.node import Node

from lapa_core.errors import UnsafeAction
from lapa_core.robot import Robot
from lapa_core.types import JointCommand


class Backend(ABC):
    """One kind of driver, for all arms of one robot. Called from the node's one thread.

    Attributes:
        command_topics: the topics it publishes commands on, once each, under resolved names.
            Another publisher there is a rival; the arm node then holds.
        rival_topics: topics that move the same arm and that it never uses: nobody may.
        keeps_goal: in hold the driver goes on to the last command and stays there; False where it
            stops wherever it is.
        dry_run: nothing may be sent or changed; looking is allowed.
    """

    command_topics: tuple[str, ...] = ()
    rival_topics: tuple[str, ...] = ()
    keeps_goal = True

    def __init__(self, node: Node, robot: Robot, tick_s: float, dry_run: bool = False) -> None:
        """Create publishers and clients; waits for nobody.

        Args:
            node: whose executor serves them.
            robot: with a driver of this kind described for every arm.
            tick_s: control period [s].
            dry_run: `send` and `tick` will not be called.
        """
        self.dry_run = dry_run
        self.node = node
        self.robot = robot
        self.tick_s = tick_s

    @abstractmethod
    def send(self, commands: Mapping[str, JointCommand]) -> None:
        """Give every arm its command; all messages are built before the first is sent."""

    def problem(self) -> str:
        """Why commands would not arrive or not be obeyed now, or ""."""
        return ""

    def tick(  # noqa: B027 - most drivers need nothing
        self, fingers: Mapping[str, float | None], holding: bool, estopped: bool
    ) -> None:
        """Called every control period before `send`, in hold too.

        Args:
            fingers: arm -> measured position of the gripper's joint [m or rad], None where it
                is not believed.
            holding: whether no source and no move has the arms.
            estopped: whether an estop is latched: grippers stop too.
        """

    def reboot_grippers(self) -> str:
        """Restart the grippers' motors after an overload; returns what was done.

        Raises:
            UnsafeAction: this kind of driver has no such thing, or cannot do it now.
        """
        raise UnsafeAction(f"backend {self.robot.backend} cannot reboot motors")

    def close(self) -> None:  # noqa: B027 - most drivers need nothing
        """The node ends: leave the arm holding."""
