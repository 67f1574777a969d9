# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The only node that moves the arm: chunks and joint states in, safe joint commands out.

It wires topics to `lapa_core.control.ArmController`, which decides everything, and ticks it at
50 Hz. It starts disabled; `enable` is a person's (or the demo's) explicit act. When it stops,
for whatever reason, it has already stopped sending, and the driver holds the last target.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lapa_core import robot as robots
from lapa_core.control import ArmController, ControlParams, Status
from lapa_core.control.group import Commands
from lapa_core.data import messages
from lapa_core.data.timeline import PeriodMeter
from lapa_core.errors import ConfigError, LapaError, UnsafeAction
from lapa_ros import backends, convert, diagnostics, interface, runtime
from lapa_ros.authority_log import AuthorityLog
from lapa_ros.clock import NodeClock
from lapa_ros.gripper_targets import GripperTargets
from lapa_ros.params import declare, param

LOOP_HISTORY = 3000  # control periods behind the reported percentile: a minute at 50 Hz
GRAPH_PERIOD_S = 0.1  # how often publishers of a command topic are counted
SOURCES = {"policy": interface.POLICY_EE_DELTA, "teleop": interface.TELEOP_EE_DELTA}


@dataclass(frozen=True)
class ArmParams:
    """Parameters of the node."""

    robot: str = param("wx250s", "robot file: a name in config/robots, or a path")
    backend: str = param(
        "",
        "interbotix, ros2_control or moveit_servo; empty: the robot file's. The simulation "
        "speaks ros2_control",
    )
    dry_run: bool = param(False, "do everything but command the arm")
    rate_hz: float = param(50.0, "rate of the control loop", low=20.0, high=500.0)
    speed_scale: float = param(
        1.0,
        "share of the step and joint speed limits used; 0.3 on a first run",
        low=0.05,
        high=1.0,
    )
    silence_s: float = param(
        0.2, "hold when no new delta came for this long after the last step", low=0.05, high=10.0
    )
    joint_state_timeout_s: float = param(
        0.25, "hold when joint states are older", low=0.02, high=5.0
    )
    max_observation_age_s: float = param(
        1.0, "refuse a delta that answers an older observation", low=0.05, high=10.0
    )
    arms_hold_together: bool = param(True, "when one of two arms must hold, the other holds too")


class ArmNode(Node):
    """Topics, services and the 50 Hz timer around one controller."""

    def __init__(self) -> None:
        super().__init__("arm_node")
        self.params = declare(self, ArmParams)
        p = self.params
        self.robot = robots.load(p.robot)
        if p.backend:
            self.robot = self.robot.with_backend(p.backend)
        self._time = NodeClock(self)
        if self._time.simulated and self.robot.backend != "ros2_control":
            raise ConfigError(
                f"use_sim_time with the backend {self.robot.backend}: its servos live in real "
                "time; valid: use_sim_time with ros2_control, in front of a simulation"
            )
        self.controller = ArmController(
            self.robot,
            ControlParams(
                rate_hz=p.rate_hz,
                speed_scale=p.speed_scale,
                silence_s=p.silence_s,
                joint_state_timeout_s=p.joint_state_timeout_s,
                max_observation_age_s=p.max_observation_age_s,
                arms_hold_together=p.arms_hold_together,
            ),
            dry_run=p.dry_run,
        )
        self._meter = PeriodMeter(history=LOOP_HISTORY)
        self._duration_ms: deque[float] = deque(maxlen=LOOP_HISTORY)
        self._authority = ""
        self._authority_log = AuthorityLog(self.get_logger())
        self._backend = backends.make(self, self.robot, 1.0 / p.rate_hz, p.dry_run)
        self.controller.driver_keeps_goal = self._backend.keeps_goal
        self._make_outputs()
        self._reporter = diagnostics.Reporter(self, self._report)
        self._make_inputs()
        # Not the system's clock: a jump of it must not stall or burst the loop.
        self.create_timer(1.0 / p.rate_hz, self._tick, clock=self._time.clock)
        self.create_timer(GRAPH_PERIOD_S, self._count_publishers, clock=self._time.clock)
        self._count_publishers()  # before the first call: what the driver lacks refuses `enable`
        self._announce(self.controller.status(self._time.now_s()))
        self.get_logger().info(f"{self.robot.name} ready, disabled; call the service `enable`")

    def _make_outputs(self) -> None:
        self._authority_pub = self.create_publisher(
            String, interface.AUTHORITY, interface.LATCHED_QOS
        )
        self._executed_pub = self.create_publisher(
            JointTrajectory, interface.EXECUTED_EE_DELTA, interface.EVENT_QOS
        )
        self._grippers = GripperTargets(self, self.robot)
        self._pose_pubs = {
            (a.name, which): self.create_publisher(
                PoseStamped, topic(a.name), interface.SENSOR_PUB_QOS
            )
            for a in self.robot.arms
            for which, topic in (("pose", interface.ee_pose), ("target", interface.ee_target))
        }

    def _make_inputs(self) -> None:
        for arm in self.robot.arms:
            callback = partial(self._on_joint_state, arm.name)
            self.create_subscription(
                JointState,
                arm.joint_states,
                callback,
                interface.JOINT_SUB_QOS,
            )
        for source, topic in SOURCES.items():
            callback = partial(self._on_chunk, source)
            self.create_subscription(JointTrajectory, topic, callback, interface.COMMAND_QOS)
        self.create_subscription(
            String, interface.POLICY_STATUS, self._on_policy_status, interface.LATCHED_QOS
        )
        actions: dict[str, Callable[[float], None]] = {
            "enable": self.controller.enable,
            "hold": lambda now: self.controller.disable("hold requested", now),
            "estop": lambda now: self.controller.estop("estop requested", now),
            "reset": self.controller.reset,
            "home": lambda now: self.controller.move_to("start", now),
            "park": lambda now: self.controller.move_to("park", now),
            "reboot": self._reboot,
        }
        for name in interface.SERVICES:
            self.create_service(Trigger, name, partial(self._on_service, name, actions[name]))

    # Inputs --------------------------------------------------------------------------------

    def _on_joint_state(self, arm: str, msg: JointState) -> None:
        now = self._time.now_s()
        try:
            names, position = messages.joint_state(msg)
        except LapaError as error:
            self.controller.refuse_joint_state(arm, str(error), now)
            return
        self.controller.on_joint_state(arm, names, position, now)

    def _on_chunk(self, source: str, msg: JointTrajectory) -> None:
        now = self._time.now_s()
        self.controller.set_publishers(source, self.count_publishers(SOURCES[source]), now)
        try:
            chunk = messages.action_chunk(msg)
        except LapaError as error:
            self.controller.refuse_chunk(source, "malformed", str(error), now)
        else:
            ros_now_ns = self.get_clock().now().nanoseconds
            self.controller.on_chunk(source, chunk, now, ros_now_ns)
        self._announce(self.controller.status(self._time.now_s()))

    def _on_policy_status(self, msg: String) -> None:
        self.controller.note_source("policy", msg.data)
        self._announce(self.controller.status(self._time.now_s()))

    def _on_service(
        self,
        name: str,
        action: Callable[[float], None],
        request: Trigger.Request,
        response: Trigger.Response,
    ) -> Trigger.Response:
        try:
            action(self._time.now_s())
            response.success = True
        except LapaError as error:
            response.success = False
            response.message = str(error)
        status = self.controller.status(self._time.now_s())
        response.message = response.message or f"{status.state}: {status.reason}"
        self.get_logger().info(f"{name}: {response.message}")
        self._announce(status)
        return response

    def _reboot(self, now_s: float) -> None:
        """Reboot the grippers' motors; while they restart they do not hold."""
        if self.params.dry_run:
            raise UnsafeAction("a dry run changes nothing: start without dry_run to reboot")
        self.controller.require_hold("reboot", now_s)
        self.get_logger().warning(self._backend.reboot_grippers())

    def _count_publishers(self) -> None:
        now = self._time.now_s()
        for source, topic in SOURCES.items():
            self.controller.set_publishers(source, self.count_publishers(topic), now)
        self.controller.set_driver_problem(self._driver_problem(), now)

    def _driver_problem(self) -> str:
        """Why the driver would not do what it is told, or would be told by others too."""
        for topic in self._backend.command_topics:
            count = self.count_publishers(topic)
            if count > 1:
                return f"{count} publishers command the arm on {topic}; valid: this node alone"
        for topic in self._backend.rival_topics:
            if self.count_publishers(topic):
                return f"somebody commands the arm on {topic}; valid: this node alone"
        return self._backend.problem()

    # Output --------------------------------------------------------------------------------

    def _tick(self) -> None:
        began, now = time.perf_counter(), self._time.now_s()
        self._meter.tick(now)
        self._control(now)
        self._duration_ms.append(1e3 * (time.perf_counter() - began))

    def _control(self, now_s: float) -> None:
        commands = self.controller.tick(now_s)
        if not self.params.dry_run:
            self._drive(commands, now_s)
        for chunk in self.controller.take_executed():
            self._executed_pub.publish(convert.chunk_msg(chunk))
            self._grippers.take(chunk)
        status = self.controller.status(now_s)
        self._announce(status)
        self._publish_poses(status)

    def _drive(self, commands: Commands | None, now_s: float) -> None:
        """Hand the commands to the driver; what it cannot send is a hold, not the node's end."""
        try:
            self._backend.tick(
                self.controller.fingers(now_s),
                holding=self.controller.holding,
                estopped=self.controller.estopped,
            )
            if commands:
                self._backend.send(commands)
        except LapaError as error:
            self.controller.set_driver_problem(str(error), now_s)

    def _announce(self, status: Status) -> None:
        """Publish `authority` and `/diagnostics` when state or reason has changed."""
        if not status.enabled:
            self._grippers.forget()
        text = interface.authority_text(status.state, status.reason)
        if text != self._authority:
            self._authority = text
            self._authority_pub.publish(String(data=text))
            self._authority_log.change(status.state, status.reason, self._time.now_s())
            self._reporter.publish()

    def _publish_poses(self, status: Status) -> None:
        stamp = self.get_clock().now().nanoseconds
        for which, poses in (("pose", status.measured), ("target", status.target)):
            for arm, pose in poses.items():
                frame = self.robot.arm(arm).base_frame
                msg = convert.pose_msg(pose.xyz_m, pose.quaternion_wxyz, frame, stamp)
                self._pose_pubs[arm, which].publish(msg)

    def _report(self) -> diagnostics.Report:
        status = self.controller.status(self._time.now_s())
        values: dict[str, object] = {
            "authority": status.state,
            "reason": status.reason,
            "rate_hz": self._meter.rate_hz(),
            "period_ms_p99": self._meter.period_percentile_s(99) * 1e3,
            "tick_ms_median": float(np.median(self._duration_ms)) if self._duration_ms else 0.0,
            "steps_executed": status.steps_executed,
        }
        values |= {f"interventions_{k}": n for k, n in sorted(status.interventions.items())}
        for arm, age in status.joint_state_age_s.items():
            values[f"{arm}_joint_state_age_s"] = age
        values |= {f"{arm}_held": why for arm, why in status.held.items()}
        values["blocked_by"] = status.blocked_by
        level = diagnostics.OK if status.state in ("policy", "teleop") else diagnostics.WARN
        if status.state == "estop":
            level = diagnostics.ERROR
        return level, f"{status.state}: {status.reason}", values

    def close(self) -> None:
        """Stop; the arm holds."""
        self._backend.close()


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `ros2 run lapa_ros arm_node`."""
    runtime.main(ArmNode, args, last_words=True)  # a gripper under PWM must be told to stop


if __name__ == "__main__":
    main()
