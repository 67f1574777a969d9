# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One arm's `xs_sdk` driver: is it there, is it set up as the robot file says, is it well.

Nothing blocks: what is asked of the driver is written as a generator that yields its calls one
by one, and `poll` carries the answers to it. Until the start-up checks have passed `problem` says
why they have not, and nothing may be published: a group that the driver does not know ends it.
"""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any, NamedTuple

from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future

from lapa_core.description import Description
from lapa_core.errors import ConfigError, UnsafeAction
from lapa_core.robot import Arm
from lapa_core.robot.drivers import Interbotix
from lapa_ros.backends import interbotix_checks as checks

ANSWER_S = 2.0  # a call that takes longer is said; a register of one group takes milliseconds
RETRY_S = 6.0  # and given up: its driver has ended meanwhile
ERROR_PERIOD_S = 1.0  # reading a register stops the driver's commands and joint states meanwhile


class Call(NamedTuple):
    """A service call to be made: the service's full name, its client and what to send."""

    service: str
    client: Client
    request: Any


Steps = Generator[Call, Any, None]


class DriverLink:
    """What is known of one arm's driver, and the calls to it.

    Attributes:
        ready: whether the start-up checks have passed: commands may be published.
        commanding: whether this node commands at all (it does not in a dry run); the driver's
            registers are left alone until then.
        restarts: how often the driver or the gripper's motor has begun anew, this start included.
    """

    def __init__(
        self, node: Node, arm: Arm, driver: Interbotix, urdf: Description, srv: SimpleNamespace
    ) -> None:
        """Create the clients.

        Args:
            node: whose executor serves them.
            arm, driver: as in the robot file.
            urdf: of the arm, whose limits the driver's are compared with.
            srv: the classes RegisterValues, Reboot and RobotInfo of `interbotix_xs_msgs`.
        """
        self.ready = False
        self.commanding = False
        self.restarts = 0
        self._node = node
        self._arm = arm
        self._driver = driver
        self._urdf = urdf
        self._srv = srv
        self._info = self._client(srv.RobotInfo, "get_robot_info")
        self._set = self._client(srv.RegisterValues, "set_motor_registers")
        self._get = self._client(srv.RegisterValues, "get_motor_registers")
        self._reboot = self._client(srv.Reboot, "reboot_motors")
        self._instances: set[bytes] = set()
        self._steps: Steps | None = None
        self._call: Call | None = None
        self._future: Future | None = None
        self._asked_s = 0.0
        self._errors_read_s = -ERROR_PERIOD_S
        self._watching = False  # the motors' errors are being read, which must not delay motion
        self._gone = ""
        self._refused = ""
        self._silent = ""
        self._rebooting = ""
        self._errors: dict[str, str] = {}

    # What the backend asks ---------------------------------------------------------------

    def problem(self) -> str:
        """Why this arm must not be commanded now, or ""."""
        starting = "" if self.ready else f"checking the driver of {self._arm.name}"
        errors = "; ".join(e for e in self._errors.values() if e)
        return self._gone or self._refused or self._silent or starting or self._rebooting or errors

    def poll(self, now_s: float, idle: bool) -> None:
        """Go on with what is being asked; `idle` allows reading the motors' errors too."""
        self.look()
        if not self._gone and self._steps is None:
            self._begin_if_due(now_s, idle)
        if self._steps is not None:
            self._pump(now_s, idle)

    def reboot_gripper(self) -> str:
        """Ask the driver to restart the gripper's motor if it reports an error.

        Raises:
            UnsafeAction: the driver is not there, was not checked, or restarts it already.
        """
        service = self._service("reboot_motors")
        if not self.ready or self._rebooting:
            raise UnsafeAction(f"{service} cannot be called now: {self.problem()}")
        if not self._reboot.service_is_ready():
            raise UnsafeAction(f"no service {service}: is the driver running?")
        self._drop_call()
        self._rebooting = f"the gripper's motor of {self._arm.name} restarts"
        self._advance(self._restart_gripper())
        return f"asked {service} to restart {self._driver.single!r}; it does not hold meanwhile"

    # Is the driver there, and still the same ---------------------------------------------

    def look(self) -> None:
        """See who is there; what is known of a driver that has gone or begun anew is forgotten."""
        topic, service = self._arm.joint_states, self._service("get_robot_info")
        publishers = self._node.get_publishers_info_by_topic(topic)
        present = {bytes(p.endpoint_gid) for p in publishers}
        if not self._info.service_is_ready():
            self._gone = f"no service {service}: is the driver of {self._arm.name} running?"
        elif not present:
            self._gone = f"nobody publishes {self._node.resolve_topic_name(topic)}"
        else:
            self._gone = ""
        # A driver that was killed lingers in the graph for seconds; a new one shows at once.
        if self._gone or present - self._instances:
            self._forget()
        self._instances = set() if self._gone else present

    def _forget(self) -> None:
        """Whatever was known was of another driver."""
        self._drop_call()
        self.ready = False
        self._refused = self._silent = self._rebooting = ""
        self._errors = {}

    def _begin_if_due(self, now_s: float, idle: bool) -> None:
        if self.ready:
            if idle and now_s - self._errors_read_s >= ERROR_PERIOD_S:
                self._errors_read_s = now_s
                self._advance(self._read_errors())
                self._watching = True
        elif not self._refused:
            self._advance(self._start_up())

    # What is asked of it, in order -------------------------------------------------------

    def _start_up(self) -> Steps:
        arm, driver = self._arm, self._driver
        where = f"the driver {self._node.resolve_service_name(driver.namespace)}"
        group = yield self._ask(self._info, "get_robot_info", "group", driver.group)
        checks.check_group(group, arm, driver, where)
        single = yield self._ask(self._info, "get_robot_info", "single", driver.single)
        checks.check_gripper(single, driver, where)
        joints = self._urdf.joints
        lines = checks.narrower(group, arm.joints, joints)
        if len(single.joint_lower_limits) == len(single.joint_upper_limits) == 1:
            lines += checks.narrower(single, (arm.gripper.joint,), joints)
        if lines:
            self._node.get_logger().warning(f"{where} has narrower limits: {'; '.join(lines)}")
        if self.commanding:
            yield from self._set_profile()
        yield from self._read_errors()
        self.restarts += 1
        self.ready = True

    def _set_profile(self) -> Steps:
        for register, value in self._profile():
            yield self._ask(
                self._set, "set_motor_registers", "group", self._driver.group, register, value
            )
        for register, value in self._profile():
            got = yield self._read(register)
            self._check_profile(register, value, list(got.values))

    def _restart_gripper(self) -> Steps:
        service, name = "reboot_motors", self._driver.single
        request = self._srv.Reboot.Request(
            cmd_type="single", name=name, enable=True, smart_reboot=True
        )
        yield Call(self._service(service), self._reboot, request)
        register, value = self._profile()[0]
        got = yield self._read(register)
        if any(v != value for v in got.values):
            yield from self._set_profile()
        yield from self._read_errors()
        self._rebooting = ""
        self.restarts += 1

    def _read_errors(self) -> Steps:
        driver = self._driver
        for kind, name, motors in (
            ("single", driver.single, (driver.single,)),
            ("group", driver.group, self._arm.joints),
        ):
            got = yield self._ask(
                self._get, "get_motor_registers", kind, name, "Hardware_Error_Status"
            )
            if len(got.values) != len(motors):
                continue  # the driver could not read them: what was known stays known
            found = checks.hardware_errors(motors, got.values)
            if found and not self._errors.get(name):
                self._node.get_logger().error(f"{self._arm.name}: {found}")
            self._errors[name] = f"{self._arm.name}: {found}" if found else ""

    def _profile(self) -> tuple[tuple[str, int], tuple[str, int]]:
        driver = self._driver
        return (
            ("Profile_Velocity", driver.profile_velocity_ms),
            ("Profile_Acceleration", driver.profile_acceleration_ms),
        )

    def _check_profile(self, register: str, wanted: int, got: list[int]) -> None:
        """The answer to writing a register is empty, so what stands there is read back."""
        if not got or any(v != wanted for v in got):
            raise ConfigError(
                f"{register} of group {self._driver.group!r} of {self._arm.name} should be "
                f"{wanted} ms, {self._service('get_motor_registers')} says {got or 'nothing'}"
            )

    # The calls themselves ----------------------------------------------------------------

    def _pump(self, now_s: float, idle: bool) -> None:
        """Send the call that is due, or take its answer."""
        call = self._call
        if call is None:
            return
        if self._future is None:
            if self._watching and not idle:
                self._drop_call()  # the arm moves: what is left to read waits for the next rest
                return
            if not call.client.service_is_ready():
                self._silent = f"no service {call.service}: is the driver running?"
                return
            self._silent = ""
            self._future, self._asked_s = call.client.call_async(call.request), now_s
        elif self._future.done():
            self._silent = ""
            answer, steps = self._future.result(), self._steps
            self._future = None
            assert steps is not None
            self._advance(steps, answer)
            self._pump(now_s, idle)
        elif (waited_s := now_s - self._asked_s) > ANSWER_S:
            self._silent = f"no answer from {call.service} for {waited_s:.0f} s"
            if waited_s > RETRY_S:
                self._drop_call()
                self.ready = False
                self._rebooting = ""

    def _advance(self, steps: Steps, answer: Any = None) -> None:
        """Let the generator go on to its next call, or end."""
        self._steps = steps
        try:
            self._call = steps.send(answer)
        except StopIteration:
            self._drop_call()
        except ConfigError as error:
            self._drop_call()
            self.ready, self._refused, self._rebooting = False, str(error), ""
            self._node.get_logger().error(self._refused)

    def _drop_call(self) -> None:
        if self._future is not None and self._call is not None:
            self._call.client.remove_pending_request(self._future)
        self._steps = self._call = self._future = None
        self._watching = False

    def _client(self, kind: Any, service: str) -> Client:
        return self._node.create_client(kind, f"{self._driver.namespace}/{service}")

    def _service(self, service: str) -> str:
        return self._node.resolve_service_name(f"{self._driver.namespace}/{service}")

    def _read(self, register: str) -> Call:
        return self._ask(self._get, "get_motor_registers", "group", self._driver.group, register)

    def _ask(
        self, client: Client, service: str, kind: str, name: str, reg: str = "", value: int = 0
    ) -> Call:
        if client is self._info:
            request = self._srv.RobotInfo.Request(cmd_type=kind, name=name)
        else:
            request = self._srv.RegisterValues.Request(
                cmd_type=kind, name=name, reg=reg, value=value
            )
        return Call(self._service(service), client, request)
