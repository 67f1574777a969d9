# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The driver stand-in as a process, and who watches it: for tests of the interbotix backend.

Every cell has a ROS namespace of its own: a driver that was killed lingers in the graph for
some 20 s, and must not be taken for the next test's.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from harness import Operator, spinning, wait_for
from interbotix_xs_msgs.msg import JointGroupCommand, JointSingleCommand
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from lapa_core import robot as robots
from lapa_ros import interface
from lapa_ros.processes import NodeProcess, stop_all

DRIVER = Path(__file__).with_name("xs_driver.py")
NEVER = ("torque_enable", "set_operating_modes", "set_motor_pid_gains")
_numbers = itertools.count()


class Driver:
    """One run of the stand-in."""

    def __init__(self, namespace: str, parameters: dict[str, object], log: Path) -> None:
        arguments = ["--ros-args", "-r", f"__ns:={namespace}/wx250s"]
        for name, value in parameters.items():
            arguments += ["-p", f"{name}:={json.dumps(value)}"]
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, str(DRIVER), *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=dict(os.environ),
                start_new_session=True,
            )

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=10)

    def kill(self) -> None:
        """End it as a pulled plug does."""
        self.process.kill()
        self.process.wait()


class Watcher(Node):
    """Hears what the driver says it was told, and the commands themselves."""

    def __init__(self, namespace: str) -> None:
        super().__init__("watcher", namespace=f"{namespace}/wx250s")
        self.records: list[dict[str, Any]] = []
        self.groups: list[tuple[float, list[float]]] = []
        self.singles: list[tuple[float, float]] = []
        q = interface.EVENT_QOS
        self.create_subscription(String, "record", self._on_record, q)
        self.create_subscription(JointGroupCommand, "commands/joint_group", self._on_group, q)
        self.create_subscription(JointSingleCommand, "commands/joint_single", self._on_single, q)
        self._set = self.create_client(SetParameters, "xs_sdk/set_parameters")

    def _on_record(self, msg: String) -> None:
        self.records.append(json.loads(msg.data))

    def _on_group(self, msg: JointGroupCommand) -> None:
        self.groups.append((time.monotonic(), list(msg.cmd)))

    def _on_single(self, msg: JointSingleCommand) -> None:
        self.singles.append((time.monotonic(), msg.cmd))

    @property
    def record(self) -> dict[str, Any]:
        """The newest record."""
        return wait_for(lambda: self.records and self.records[-1], "a record of the driver")

    def fault(self, **values: object) -> None:
        """Set parameters of the running driver."""
        request = SetParameters.Request(
            parameters=[Parameter(n, value=v).to_parameter_msg() for n, v in values.items()]
        )
        wait_for(self._set.service_is_ready, "the driver's parameters")
        future = self._set.call_async(request)
        wait_for(future.done, "the driver's answer")
        assert all(r.successful for r in future.result().results)


class Cell:
    """An arm node, a driver or none, an operator and a watcher."""

    def __init__(
        self, stack: ExitStack, tmp_path: Path, robot: str, parameters: dict[str, object]
    ) -> None:
        self.namespace = f"/cell{next(_numbers)}"
        self.operator = Operator(robots.load(robot), self.namespace)
        self.operator.act_as_policy()
        self.watcher = Watcher(self.namespace)
        self._tmp_path = tmp_path
        self._drivers: list[Driver] = []
        self.exit_code = 0  # that the arm node shall end with
        self.node = NodeProcess(
            "arm_node",
            {"robot": robot, "backend": "interbotix", "silence_s": 0.5, **parameters},
            tmp_path / "arm_node.log",
            remappings={"__ns": self.namespace},
        )
        # The driver ends last, as on a robot: what the arm node says at its end is heard.
        stack.callback(self._end_drivers)
        stack.callback(self._end_node)
        stack.enter_context(spinning(self.operator, self.watcher))
        # A service that knows its caller for a moment only may lose the answer.
        wait_for(lambda: self.operator.state[0], "the first authority")

    def start_driver(self, **parameters: object) -> Driver:
        """Run the stand-in; records begin anew."""
        log = self._tmp_path / f"driver{len(self._drivers)}.log"
        self.watcher.records.clear()
        self._drivers.append(Driver(self.namespace, parameters, log))
        return self._drivers[-1]

    def _end_node(self) -> None:
        code = stop_all([self.node])["arm_node"]
        assert code == self.exit_code, self.node.last_lines()

    def _end_drivers(self) -> None:
        for driver in self._drivers:
            driver.kill()

    def chunk(self, gripper: float = 1.0, **axes: float) -> JointTrajectory:
        """One step: `x`, `y`, ... `yaw` [m, rad] and the gripper's opening."""
        msg = self.operator.chunk()
        order = ("x", "y", "z", "roll", "pitch", "yaw")
        msg.points[0].positions = [*(axes.get(a, 0.0) for a in order), gripper]
        return msg

    def enable(self) -> None:
        """Enable once the driver is there and well."""
        wait_for(
            lambda: self.operator.call("enable").success,
            "enable",
            poll_s=0.1,
            seen=lambda: self.operator.call("enable").message,
        )

    def drive(self, gripper: float = 1.0) -> None:
        """Send zero steps until the arm obeys."""
        self.keep(gripper, lambda: self.operator.state[0] == "policy", "authority policy")

    def keep(
        self, gripper: float, done: Callable[[], Any], what: str, deadline_s: float = 15.0
    ) -> None:
        """Be a policy that asks for nothing but an opening, until something is so."""

        def again() -> Any:
            self.operator.send(self.chunk(gripper))
            return done()

        wait_for(again, what, deadline_s, poll_s=0.05, seen=lambda: self._seen())

    def _seen(self) -> object:
        return self.operator.state, self.watcher.records[-1:]

    def refused(self, *words: str) -> str:
        """Wait until `enable` is refused with these words; the whole answer."""
        last = [""]

        def says() -> str:
            answer = self.operator.call("enable")
            last[0] = answer.message
            return "" if answer.success or not all(w in last[0] for w in words) else last[0]

        return wait_for(says, f"a refusal that says {words}", poll_s=0.05, seen=lambda: last)

    def expect_hold(self, *words: str) -> None:
        """Wait until the arm holds for a reason with these words."""

        def holds() -> bool:
            state, reason = self.operator.state
            return state == "hold" and all(w in reason for w in words)

        wait_for(holds, f"a hold that says {words}", seen=lambda: self.operator.authority[-4:])

    def after(self, steps: int) -> dict[str, Any]:
        """The driver's record so many of its steps (10 ms each) from now."""
        until = self.watcher.record["steps"] + steps
        wait_for(lambda: self.watcher.record["steps"] >= until, f"{steps} steps of the driver")
        return self.watcher.record

    def check_manners(self) -> None:
        """What must never have been done to the driver was not done."""
        record = self.watcher.record
        assert not any(record["calls"][name] for name in NEVER), record["calls"]
        assert record["count"]["trajectory"] == 0
        assert record["count"]["not_finite"] == record["count"]["ignored"] == 0
        assert record["before_info"] == 0


@contextmanager
def cell(tmp_path: Path, robot: str = "wx250s", **parameters: object) -> Iterator[Cell]:
    """A cell whose processes end with the block; `parameters` are the arm node's."""
    with ExitStack() as stack:
        yield Cell(stack, tmp_path, robot, parameters)
