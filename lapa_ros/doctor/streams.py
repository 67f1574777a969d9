# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a few seconds of joint states say about an arm. Knows nothing of ROS.

Whether a sample is believed is asked of the control's own monitor, so that the doctor and
arm_node cannot disagree.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from lapa_core import description
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.control.params import ControlParams
from lapa_core.control.plausibility import JointMonitor
from lapa_core.errors import ConfigError, DataError
from lapa_core.robot import Arm
from lapa_core.types import FloatArray
from lapa_ros.doctor.finding import Finding, judge

# Interbotix' driver publishes at 100 Hz, its simulator at 30. What is neither is a slow bus: an
# FTDI chip that waits 16 ms allows 60 Hz at best.
DRIVER_HZ, SIMULATOR_HZ = (80.0, math.inf), (25.0, 40.0)
MAX_AGE_S = 0.05  # on one machine a joint state is there within a millisecond or two
FUTURE_S = 0.005
# A failed read of the Interbotix driver is raw 0, which it converts to -pi.
RAW_ZERO_RAD, RAW_ZERO_TOLERANCE = -math.pi, 2e-3
REFUSED_SHARE = 0.01  # arm_node holds through a single one and goes on
CLOCK_ADVICE = (
    "two computers: sudo apt install chrony on both and look at `chronyc tracking`; one computer: "
    "the driver stamps with another clock (use_sim_time?)"
)


@dataclass
class JointLog:
    """Joint states of one topic: one entry a message in each list.

    Attributes:
        arrived_s: monotonic time of arrival.
        age_s: arrival minus stamp, by the node's clock.
        names, position: as they came, [rad] or [m].
        malformed: why messages could not be read at all.
    """

    arrived_s: list[float] = field(default_factory=list)
    age_s: list[float] = field(default_factory=list)
    names: list[tuple[str, ...]] = field(default_factory=list)
    position: list[FloatArray] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)


def check(arm: Arm, topic: str, log: JointLog, publishers: int, start: str) -> list[Finding]:
    """Everything about the joint states of one arm.

    Args:
        arm: as the robot file has it.
        topic: of its joint states, resolved.
        log: what was heard.
        publishers: how many there are.
        start: the command that starts the driver, for the advice.
    """
    what = f"joint states of {arm.name}"
    if log.malformed:
        advice = "the publisher is broken; stop it and start the driver again"
        return [Finding("fail", what, log.malformed[0], "names and positions", advice)]
    if not log.arrived_s:
        measured = (
            f"a publisher on {topic}, but silent" if publishers else f"nobody publishes {topic}"
        )
        advice = (
            "the driver hangs or lost its port: read its terminal, then, with the arm parked or "
            "held by hand, start it again"
            if publishers
            else start
        )
        return [Finding("fail", what, measured, "100 Hz from the driver", advice)]
    found = [_publishers(what, publishers), _names(what, arm, log)]
    found += [rate(what, log), gaps(what, log), age(what, log)]
    if found[1].level == "ok":
        found += plausible(what, arm, log)
    return found


def _publishers(what: str, count: int) -> Finding:
    return judge(
        f"{what}: publishers",
        str(count),
        "1",
        fail="stop the others (a joint_state_publisher, a second driver): `ros2 topic info -v` "
        "names them"
        if count > 1
        else "",
    )


def _names(what: str, arm: Arm, log: JointLog) -> Finding:
    came = log.names[-1]
    missing = [n for n in (*arm.joints, arm.gripper.joint) if n not in came]
    return judge(
        f"{what}: names",
        f"{len(came)} names, missing {', '.join(missing)}; came: {', '.join(came)}"
        if missing
        else "all there",
        "every joint of the robot file",
        fail="start the driver for the right arm (robot_model:=), or write its names into joints: "
        "and gripper: joint: of the robot file"
        if missing
        else "",
    )


def rate(what: str, log: JointLog) -> Finding:
    """Messages a second."""
    span = log.arrived_s[-1] - log.arrived_s[0]
    hz = (len(log.arrived_s) - 1) / span if span > 0 else 0.0
    least = 2.0 / ControlParams().joint_state_timeout_s
    return judge(
        f"{what}: rate",
        f"{hz:.1f} Hz",
        f"100 Hz from the driver, 30 Hz from Interbotix' simulator, at least {least:.0f} Hz",
        fail="arm_node would hold for old joint states: with ros2_control raise update_rate of "
        "the controller_manager to 50 or more; else look at the driver's terminal"
        if hz < least
        else "",
        warn="set the USB latency_timer to 1 ms (see the serial port above), no hub, no other "
        "user of the bus"
        if not any(low <= hz <= high for low, high in (DRIVER_HZ, SIMULATOR_HZ))
        else "",
    )


def gaps(what: str, log: JointLog) -> Finding:
    """The longest silence: of the driver, by its stamps, and of what arrived here."""
    arrived = np.array(log.arrived_s)
    heard = float(np.max(np.diff(arrived), initial=0.0))
    sent = float(np.max(np.diff(arrived - np.array(log.age_s)), initial=0.0))
    timeout = ControlParams().joint_state_timeout_s
    return judge(
        f"{what}: longest gap",
        f"{heard * 1e3:.0f} ms on arrival, {sent * 1e3:.0f} ms by the stamps",
        f"below {timeout / 2 * 1e3:.0f} ms; arm_node holds at {timeout * 1e3:.0f} ms",
        fail="the driver stalls: look at its terminal and at the USB cable"
        if sent > timeout
        else "",
        warn="the driver or this computer stalls: look at its CPU load and at the USB cable"
        if heard > timeout / 2
        else "",
    )


def age(what: str, log: JointLog) -> Finding:
    """Arrival minus stamp: says whether the clocks agree."""
    median, least = float(np.median(log.age_s)), float(np.min(log.age_s))
    bad = median > MAX_AGE_S or least < -FUTURE_S
    return judge(
        f"{what}: age of stamps",
        f"{median * 1e3:.1f} ms median, {least * 1e3:.1f} ms least",
        f"0 to {MAX_AGE_S * 1e3:.0f} ms",
        warn=CLOCK_ADVICE if bad else "",
    )


def plausible(what: str, arm: Arm, log: JointLog) -> list[Finding]:
    """How many samples arm_node would not believe, and why; nothing without a URDF."""
    try:
        kinematics = ArmKinematics(arm, description.for_arm(arm))
    except ConfigError:
        return []  # said already, about the robot file
    monitor = JointMonitor(arm.name, kinematics, arm.gripper.joint, ControlParams())
    refused: Counter[str] = Counter()
    example = ""
    for arrived_s, names, position in zip(log.arrived_s, log.names, log.position, strict=True):
        try:
            monitor.update(names, position, arrived_s)
        except DataError as error:
            refused[_reason(str(error), arm, names, position)] += 1
            example = str(error)
    reasons = ", ".join(f"{n} {why}" for why, n in refused.most_common())
    advice = (
        "failed reads of the servo bus: reseat the servo cables and the power plug, no USB "
        "extension or hub, latency_timer 1; a joint pushed outside its limits: move it back"
    )
    finding = judge(
        f"{what}: plausibility",
        f"{sum(refused.values())} of {len(log.position)} refused: {reasons} (last: {example})"
        if refused
        else f"all {len(log.position)} believed",
        "all believed",
        fail=advice if sum(refused.values()) > REFUSED_SHARE * len(log.position) else "",
        warn=advice if refused else "",
    )
    return [finding]


def _reason(error: str, arm: Arm, names: tuple[str, ...], position: FloatArray) -> str:
    """Kind of a refusal, in the doctor's words."""
    values = [position[names.index(j)] for j in arm.joints if j in names]
    if any(abs(v - RAW_ZERO_RAD) < RAW_ZERO_TOLERANCE for v in values):
        return "with a joint at -pi"
    for sign, word in (("jumped", "with a jump"), ("outside", "outside the limits")):
        if sign in error:
            return word
    return "not finite" if "finite" in error else "otherwise"
