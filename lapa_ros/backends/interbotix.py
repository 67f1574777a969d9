# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""WidowX and ViperX arms through Interbotix' driver `xs_sdk`.

Commands go out on `commands/joint_group` (the arm) and `commands/joint_single` (the gripper).
Services are called for four things: to check the driver when it appears, to set the arm's time
profile then, to read the motors' error registers while the arm rests, and to restart the
gripper's motor when a person asks. Torque, operating modes and the driver's trajectory topic are
never touched: the first two drop the arm, the third cannot be stopped.

Whoever stops the *driver* switches the torque off and drops the arm. Stopping this node does not.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Mapping
from types import SimpleNamespace

from rclpy.duration import Duration
from rclpy.node import Node

from lapa_core import description as descriptions
from lapa_core.control import gripper_drive
from lapa_core.errors import ConfigError, UnsafeAction
from lapa_core.robot import Arm, Robot
from lapa_core.types import JointCommand
from lapa_ros import interface
from lapa_ros.backends.base import Backend
from lapa_ros.backends.interbotix_link import DriverLink

PACKAGE = "interbotix_xs_msgs"
LAST_WORD_NS = 200_000_000  # how long the end waits for the driver to have heard it
IDLE_S = 1.0  # hold this long before registers are read: a hold in mid-motion is no rest


def messages() -> SimpleNamespace:
    """The message and service classes used.

    Raises:
        ConfigError: the package is not installed; the text says where it comes from.
    """
    try:
        msg, srv = (importlib.import_module(f"{PACKAGE}.{part}") for part in ("msg", "srv"))
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"backend interbotix needs the ROS package {PACKAGE}, which is not found ({error}). "
            "No apt package has it: run Interbotix' install script or build interbotix_ros_core "
            "from source, and source that workspace before starting. The simulation runs without "
            "it: backend:=ros2_control"
        ) from None
    return SimpleNamespace(
        JointGroupCommand=msg.JointGroupCommand,
        JointSingleCommand=msg.JointSingleCommand,
        RegisterValues=srv.RegisterValues,
        Reboot=srv.Reboot,
        RobotInfo=srv.RobotInfo,
    )


class InterbotixArm:
    """One arm: its driver, its two publishers and its gripper's drive."""

    def __init__(self, node: Node, arm: Arm, kinds: SimpleNamespace) -> None:
        driver = arm.drivers.interbotix
        assert driver is not None  # Robot.with_backend and the robot file's reader see to it
        urdf = descriptions.for_arm(arm)
        self.link = DriverLink(node, arm, driver, urdf, kinds)
        self.drive = gripper_drive.make(driver.gripper, arm.gripper, urdf.linkage)
        self._arm = arm
        self._driver = driver
        self._kinds = kinds
        qos, topic = interface.COMMAND_QOS, f"{driver.namespace}/commands/"
        self.group_pub = node.create_publisher(kinds.JointGroupCommand, topic + "joint_group", qos)
        self.single_pub = node.create_publisher(
            kinds.JointSingleCommand, topic + "joint_single", qos
        )
        self.trajectory_topic = node.resolve_topic_name(topic + "joint_trajectory")
        self._opening: float | None = None
        self._restarts = 0
        self._blind = True

    def message(self, command: JointCommand) -> object:
        """The arm's joints as the driver's message, in the order its group has.

        Raises:
            UnsafeAction: a joint is missing or a position not finite. The driver checks nothing.
        """
        if tuple(command.joints) != self._arm.joints:
            raise UnsafeAction(
                f"command of {self._arm.name} names {list(command.joints)}, "
                f"valid: {list(self._arm.joints)}"
            )
        position = [float(p) for p in command.position_rad]
        if len(position) != len(self._arm.joints) or not all(map(math.isfinite, position)):
            raise UnsafeAction(
                f"command of {self._arm.name} must be {len(self._arm.joints)} finite numbers, "
                f"got {position}"
            )
        return self._kinds.JointGroupCommand(name=self._driver.group, cmd=position)

    def open_to(self, opening: float) -> None:
        """Remember the gripper's opening, 0 .. 1; `tick` brings it about."""
        self._opening = opening

    def tick(self, finger: float | None, now_s: float) -> None:
        """Command the gripper, in hold too: a PWM stays on the motor until another one comes."""
        if finger is not None and self._blind:
            self.link.look()  # whose joint states are these? Perhaps a new driver's.
        self._blind = finger is None
        if not self.link.ready or self._restarts != self.link.restarts:
            # A motor or driver that begins anew must not start by going where it last was told.
            self._restarts = self.link.restarts
            self._opening = None
            self.drive.forget()
        if self._opening is not None and self.link.ready:
            self._send_gripper(self.drive.step(self._opening, finger, now_s))

    def stop(self) -> None:
        """Stop the gripper where it is; what it holds it keeps. A command moves it again."""
        if self.link.ready and self._opening is not None:
            self._send_gripper(self.drive.rest())
        self._opening = None

    def close(self) -> None:
        """Leave the gripper as it shall stay; the arm's motors keep their goals by themselves."""
        if self.link.ready and self._opening is not None:
            self._send_gripper(self.drive.rest())
            # The process ends next, and nothing is sent again then.
            self.single_pub.wait_for_all_acked(Duration(nanoseconds=LAST_WORD_NS))

    def _send_gripper(self, value: float | None) -> None:
        if value is None:
            return
        if not math.isfinite(value):
            raise UnsafeAction(f"gripper of {self._arm.name} would be sent {value}")
        self.single_pub.publish(
            self._kinds.JointSingleCommand(name=self._driver.single, cmd=float(value))
        )


class Interbotix(Backend):
    """All arms of a robot, each behind a driver of its own."""

    def __init__(self, node: Node, robot: Robot, tick_s: float, dry_run: bool = False) -> None:
        """As in the base.

        Raises:
            ConfigError: `interbotix_xs_msgs` is not installed, or the gripper's mode does not
                fit the URDF.
        """
        super().__init__(node, robot, tick_s, dry_run)
        kinds = messages()
        self._arms = {a.name: InterbotixArm(node, a, kinds) for a in robot.arms}
        self._hold_since_s: float | None = None
        self.command_topics = tuple(
            p.topic_name for a in self._arms.values() for p in (a.group_pub, a.single_pub)
        )
        self.rival_topics = tuple(a.trajectory_topic for a in self._arms.values())

    def send(self, commands: Mapping[str, JointCommand]) -> None:
        """Publish the joint goals of every arm, or of none while a driver is not ready.

        The gripper follows in `tick`.
        """
        outgoing = [(self._arms[n], c, self._arms[n].message(c)) for n, c in commands.items()]
        if not all(arm.link.ready for arm, _, _ in outgoing):
            return  # `problem` says why, and the controller holds at its next look
        for arm, command, msg in outgoing:
            arm.group_pub.publish(msg)
            arm.open_to(command.gripper)

    def problem(self) -> str:
        """What is wrong with the first driver that is not as it should be.

        Called several times a second, so this is also where the conversation with the drivers
        goes on.
        """
        now_s = time.monotonic()
        held_since = self._hold_since_s
        idle = held_since is not None and now_s - held_since > IDLE_S
        for arm in self._arms.values():
            arm.link.poll(now_s, idle)
        return next((p for a in self._arms.values() if (p := a.link.problem())), "")

    def tick(self, fingers: Mapping[str, float | None], holding: bool, estopped: bool) -> None:
        """Move the grippers on, and note how long the arms have been at rest."""
        now_s = time.monotonic()
        if not holding:
            self._hold_since_s = None
        elif self._hold_since_s is None:
            self._hold_since_s = now_s
        for name, arm in self._arms.items():
            arm.link.commanding = True
            if estopped:
                arm.stop()
            arm.tick(fingers[name], now_s)

    def reboot_grippers(self) -> str:
        """Ask every driver to restart its gripper's motor where it reports an error.

        The arm's own motors keep holding; their profile is set again if it got lost.

        Raises:
            UnsafeAction: a driver is not ready for it.
        """
        return "; ".join(arm.link.reboot_gripper() for arm in self._arms.values())

    def close(self) -> None:
        """Leave the arms holding: no torque is switched off, no new goal is sent."""
        for arm in self._arms.values():
            arm.close()
