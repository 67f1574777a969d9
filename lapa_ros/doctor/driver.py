# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The arm's driver: is it there, under the right name, listening, and set up as expected?

Message packages of drivers are imported where they are needed: many robots lack them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from lapa_core.errors import ConfigError
from lapa_core.robot import Arm, Robot
from lapa_core.robot.drivers import Interbotix
from lapa_ros.doctor.finding import Finding, judge
from lapa_ros.doctor.graph import Graph, command_topics, resolve
from lapa_ros.doctor.setup import start_driver

INFO = "get_robot_info"
XS_SERVICES = (
    INFO,
    "set_operating_modes",
    "set_motor_registers",
    "get_motor_registers",
    "torque_enable",
    "reboot_motors",
)
INFO_TIMEOUT_S = 2.0
SERVO_SERVICES = {"pose": ("switch_command_type", "pause_servo"), "twist": ("start_servo",)}


def check(graph: Graph, robot: Robot, namespace: str) -> list[Finding]:
    """Services and listeners of every arm's driver."""
    found = []
    for arm in robot.arms:
        start = start_driver(robot, arm.name)
        if robot.backend == "interbotix" and arm.drivers.interbotix is not None:
            found.append(xs_services(graph, arm.drivers.interbotix, namespace, start))
        elif robot.backend == "moveit_servo" and arm.drivers.moveit_servo is not None:
            servo = arm.drivers.moveit_servo
            wanted = [f"{servo.node}/{s}" for s in SERVO_SERVICES[servo.command]]
            found.append(_services(graph, "MoveIt Servo", wanted, namespace, start))
    if robot.backend == "interbotix" and any(f.level == "fail" for f in found):
        return found  # without its services there is nobody to listen
    start = start_driver(robot, robot.arms[0].name)
    return [*found, *listeners(graph, robot, namespace, start)]


def xs_services(graph: Graph, driver: Interbotix, namespace: str, start: str) -> Finding:
    """Services of Interbotix' `xs_sdk` under its namespace, or where they are instead."""
    wanted = [f"{driver.namespace}/{s}" for s in XS_SERVICES]
    missing = [n for n in wanted if resolve(namespace, n) not in graph.services]
    what = f"driver of {driver.namespace}"
    elsewhere = sorted(n.rpartition("/")[0] for n in graph.services if n.endswith(f"/{INFO}"))
    if len(missing) == len(wanted) and elsewhere:
        return Finding(
            "fail", what, f"its services are under {', '.join(elsewhere)}",
            resolve(namespace, driver.namespace),
            f"start the driver with robot_name:={driver.namespace}, or write namespace: "
            f"{elsewhere[0].strip('/')} under drivers: interbotix: of the robot file",
        )  # fmt: skip
    return _services(graph, what, wanted, namespace, start)


def _services(graph: Graph, what: str, wanted: list[str], namespace: str, start: str) -> Finding:
    names = [resolve(namespace, n) for n in wanted]
    missing = [n for n in names if n not in graph.services]
    return judge(
        what,
        f"missing services: {', '.join(missing)}" if missing else f"{len(names)} services",
        f"its services under {names[0].rpartition('/')[0]}",
        fail=start if missing else "",
    )


def listeners(graph: Graph, robot: Robot, namespace: str, start: str) -> list[Finding]:
    """Whether anybody obeys what arm_node would publish, and reads the type it publishes."""
    found = []
    for name, kind in command_topics(robot).items():
        topic = resolve(namespace, name)
        kinds = {e.kind for e in graph.subscribers.get(topic, ())}
        wrong = bool(kinds) and kind not in kinds
        advice = (
            f"the controller reads {', '.join(sorted(kinds))}: set kind: of this topic in the "
            "robot file (trajectory or forward) accordingly"
            if wrong
            else start
        )
        if not kinds and robot.backend != "interbotix":
            advice += " (`ros2 control list_controllers` must show it active)"
        found.append(
            judge(
                f"listener on {topic}",
                ", ".join(sorted({e.node for e in graph.subscribers.get(topic, ())})) or "none",
                f"a driver that reads {kind}",
                fail=advice if wrong or not kinds else "",
            )
        )
    return found


def robot_info(
    node: Any, graph: Graph, robot: Robot, namespace: str, spin: Callable[..., None]
) -> list[Finding]:
    """How Interbotix' driver is set up, through its one service that only reads.

    Args:
        node: an rclpy node.
        graph: where the services are looked up.
        robot: whose arms are asked for.
        namespace: of the robot.
        spin: called with a time [s] and a condition to end on.
    """
    if robot.backend != "interbotix":
        return []
    found = []
    for arm in robot.arms:
        driver = arm.drivers.interbotix
        if driver is None:
            continue
        service = resolve(namespace, f"{driver.namespace}/{INFO}")
        if service not in graph.services:
            continue  # said already
        try:
            kind = import_module("interbotix_xs_msgs.srv").RobotInfo
        except ImportError:
            continue  # said already, with how to install it
        client = node.create_client(kind, service)
        answers = []
        for cmd_type, name in (("group", driver.group), ("single", driver.single)):
            answers.append(_ask(client, kind, cmd_type, name, spin))
        node.destroy_client(client)
        if None in answers:
            advice = "the driver hangs: read its terminal; park or hold the arm, then restart it"
            found.append(
                Finding("fail", service, f"no answer in {INFO_TIMEOUT_S:g} s", "quick", advice)
            )
            continue
        found += judge_info(arm, driver, *answers)
    return found


def _ask(client: Any, kind: Any, cmd_type: str, name: str, spin: Callable[..., None]) -> Any:
    spin(INFO_TIMEOUT_S, client.service_is_ready)
    future = client.call_async(kind.Request(cmd_type=cmd_type, name=name))
    spin(INFO_TIMEOUT_S, future.done)
    return future.result() if future.done() else None


def judge_info(arm: Arm, driver: Interbotix, group: Any, gripper: Any) -> list[Finding]:
    """Findings from two `RobotInfo` responses, of the arm's group and of the gripper.

    What arm_node will refuse is asked of its own checks.
    """
    from lapa_ros.backends import interbotix_checks as checks

    what, where = f"driver of {driver.namespace}", f"driver {driver.namespace}"
    return [
        _fits(
            f"{what}: {driver.group}",
            f"mode {group.mode}, {group.profile_type} profile",
            f"position, time profile, joints {', '.join(arm.joints)}",
            partial(checks.check_group, group, arm, driver, where),
        ),
        _fits(
            f"{what}: {driver.single}",
            f"mode {gripper.mode}",
            " or ".join(checks.GRIPPER_MODES[driver.gripper.mode]),
            partial(checks.check_gripper, gripper, driver, where),
        ),
    ]


def _fits(what: str, measured: str, expected: str, check: Callable[[], None]) -> Finding:
    try:
        check()
    except ConfigError as error:
        advice = "mend it in the driver's mode or motor file, park the arm, restart the driver"
        return Finding("fail", what, str(error), expected, advice)
    return Finding("ok", what, measured, expected)
