# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The simulated robot behind a driver's interface: joint states and images out, targets in.

Seen from the topics it is a ros2_control robot with a joint trajectory controller an arm and
one a gripper. Physics runs in real time in its own thread and cameras render in another, so
that a slow frame never delays a joint state.

With `clock` it publishes `/clock` and one thread does both in turn, at any `speed`: nothing is
lost then when the computer cannot keep up, its time only passes more slowly. The other nodes
need `use_sim_time`.
"""

from __future__ import annotations

from lapa_ros import offscreen  # noqa: F401 - before MuJoCo is imported

# isort: split
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import numpy as np
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lapa_core import robot as robots
from lapa_core.data.messages import stamp_ns
from lapa_core.data.timeline import PeriodMeter
from lapa_core.errors import ConfigError, DataError, LapaError
from lapa_core.robot.drivers import CommandTopic
from lapa_core.sim import Simulation
from lapa_core.sim.ramp import TargetRamps
from lapa_ros import convert, diagnostics, interface, runtime
from lapa_ros.demonstrator import Demonstrator
from lapa_ros.params import declare, param
from lapa_ros.sim_trials import SimTrials

SUBSTEP_S = 0.002
MAX_LAG_S = 0.1  # later than this, lost time is dropped instead of caught up with in a burst
YIELD_S = 0.0002  # the thread of the subscriptions needs its turn, however fast this one is to be


@dataclass(frozen=True)
class SimParams:
    """Parameters of the node."""

    robot: str = param("wx250s", "robot file: a name in config/robots, or a path")
    seed: int = param(0, "seed of the scene", low=0, high=2**31 - 1)
    joint_state_rate_hz: float = param(100.0, "rate of joint_states", low=10.0, high=500.0)
    camera_rate_hz: float = param(
        0.0, "rate of every camera; 0 takes the robot file's", low=0.0, high=120.0
    )
    clock: bool = param(False, "publish /clock, which the other nodes follow with use_sim_time")
    speed: float = param(1.0, "with clock: simulated seconds in a second", low=0.1, high=20.0)
    demonstrator: bool = param(False, "offer sim/demonstrate: a script acts as a person would")
    niceness: int = param(5, "rendering yields to the control loop by this much", low=0, high=19)


class SimNode(Node):
    """Simulation, cameras and controllers of one robot."""

    def __init__(self) -> None:
        super().__init__("sim_node")
        self.params = declare(self, SimParams)
        if self.params.speed != 1.0 and not self.params.clock:
            raise ConfigError(
                f"speed {self.params.speed:g} needs clock: true, and use_sim_time at the others"
            )
        self.robot = robots.load(self.params.robot)
        self.sim = Simulation(self.robot, seed=self.params.seed, timestep=SUBSTEP_S)
        self.ramps = TargetRamps(self.sim)
        self._lock = threading.Lock()  # guards the ramps; the simulation guards itself
        self._stop = threading.Event()
        self._physics_meter = PeriodMeter()
        self._camera_meters = {c.name: PeriodMeter() for c in self.robot.cameras}
        self._slipped_s = 0.0
        self._refused = 0
        self._touching: set[tuple[str, str]] = set()
        self._collisions = 0
        self._joint_pubs = {
            topic: self.create_publisher(JointState, topic, interface.SENSOR_PUB_QOS)
            for topic in {a.joint_states for a in self.robot.arms}
        }
        self._camera_pubs = {
            c.name: self.create_publisher(Image, c.topic, interface.SENSOR_PUB_QOS)
            for c in self.robot.cameras
        }
        self._scene = self.params.seed
        self._clock_pub = self.create_publisher(Clock, "/clock", qos_profile_sensor_data)
        self._demonstrator = Demonstrator(self, self.sim) if self.params.demonstrator else None
        self._trials = SimTrials(self, self.robot, self.sim)
        self.create_subscription(
            String, interface.SIM_TRIAL, self._on_trial, interface.LATCHED_QOS
        )
        self.create_service(Trigger, "sim/reset", self._on_reset)
        if self._demonstrator is not None:
            self.create_service(Trigger, "sim/demonstrate", self._on_demonstrate)
        self._stamp_ns = self.get_clock().now().nanoseconds
        for arm in self.robot.arms:
            driver = arm.drivers.ros2_control
            self._listen(driver.arm, arm.name, arm.joints)
            self._listen(driver.gripper, arm.name, (arm.gripper.joint,))
        self._reporter = diagnostics.Reporter(self, self._report)
        self.sim.render(self.robot.cameras[0].name)  # no OpenGL is an error now, not in a thread
        self.sim.close()
        self._camera_due_ns = dict.fromkeys(self._camera_pubs, self._stamp_ns)
        loops = [self._both] if self.params.clock else [self._physics, self._cameras]
        self._threads = [
            threading.Thread(target=loop, name=loop.__name__.strip("_"), daemon=True)
            for loop in loops
        ]
        for thread in self._threads:
            thread.start()
        cameras = ", ".join(c.topic for c in self.robot.cameras)
        self.get_logger().info(f"simulating {self.robot.name}; cameras: {cameras}")

    def _listen(self, where: CommandTopic, arm: str, joints: tuple[str, ...]) -> None:
        """Act as the controller that the robot file names."""
        kind, callback = {
            "trajectory": (JointTrajectory, self._on_trajectory),
            "forward": (Float64MultiArray, self._on_forward),
        }[where.kind]
        self.create_subscription(
            kind, where.topic, partial(callback, arm, joints), interface.COMMAND_QOS
        )

    def _on_trajectory(self, arm: str, joints: tuple[str, ...], msg: JointTrajectory) -> None:
        """Take the last point of a trajectory, as a controller does that is streamed to."""
        last = msg.points[-1] if msg.points else JointTrajectoryPoint()
        reach_in_s = stamp_ns(last.time_from_start) * 1e-9
        self._set(arm, joints, tuple(msg.joint_names), last.positions, reach_in_s)

    def _on_forward(self, arm: str, joints: tuple[str, ...], msg: Float64MultiArray) -> None:
        self._set(arm, joints, joints, msg.data, 0.0)

    def _set(
        self,
        arm: str,
        valid: tuple[str, ...],
        names: tuple[str, ...],
        positions: Sequence[float],
        reach_in_s: float,
    ) -> None:
        """Give the simulation new targets, or say why not."""
        try:
            if len(positions) != len(names) or not set(names) <= set(valid) or not names:
                raise DataError(
                    f"{len(positions)} positions for the joints {list(names)}; "
                    f"valid: one a joint of {list(valid)}"
                )
            with self._lock:
                self.ramps.set(arm, dict(zip(names, positions, strict=True)), reach_in_s)
        except LapaError as error:
            self._refused += 1
            self.get_logger().warning(f"{arm}: target refused: {error}", throttle_duration_sec=2)

    # Threads -------------------------------------------------------------------------------

    def _physics(self) -> None:
        """In real time."""
        period = 1.0 / self.params.joint_state_rate_hz
        due = time.monotonic()
        while not self._stop.is_set():
            self._advance(period)
            self._report_joints(self.get_clock().now().nanoseconds)
            now = time.monotonic()
            self._physics_meter.tick(now)
            due += period
            if now - due > MAX_LAG_S:
                self._slipped_s += now - due
                due = now
            self._stop.wait(max(0.0, due - now))

    def _both(self) -> None:
        """Physics and cameras in turn, at most `speed` times as fast as real time."""
        period = 1.0 / self.params.joint_state_rate_hz
        due = time.monotonic()
        try:
            while not self._stop.is_set():
                self._advance(period)
                self._stamp_ns += round(period * 1e9)
                clock = Clock(clock=convert.time_msg(self._stamp_ns))
                runtime.publish(self, self._clock_pub, clock)
                self._report_joints(self._stamp_ns)
                self._render_due()
                now = time.monotonic()
                self._physics_meter.tick(now)
                due = max(due + period / self.params.speed, now)
                self._stop.wait(max(due - now, YIELD_S))
        finally:
            self._trials.close()  # the GL contexts belong to this thread

    def _advance(self, seconds: float) -> None:
        with self._lock:
            self.ramps.advance(seconds)
            self._trials.watch(self._now_ns())
        self._watch_collisions()

    def _now_ns(self) -> int:
        """This moment on the robot's clock: our own where we make it."""
        return self._stamp_ns if self.params.clock else self.get_clock().now().nanoseconds

    def _report_joints(self, stamp: int) -> None:
        """Publish all joint states, and let the demonstrator act on what it sees now."""
        states = [(a.joint_states, self.sim.joint_state(a.name)) for a in self.robot.arms]
        for topic, publisher in self._joint_pubs.items():
            # Arms that share a topic share its messages, as with one broadcaster for all.
            parts = [state for t, state in states if t == topic]
            names = tuple(n for joints, _, _ in parts for n in joints)
            position, velocity = (np.concatenate([p[i] for p in parts]) for i in (1, 2))
            msg = convert.joint_state_msg(names, position, velocity, stamp)
            runtime.publish(self, publisher, msg)
        if self._demonstrator is not None:
            with self._lock:
                self._demonstrator.advance(stamp)

    def _render_due(self) -> None:
        """Pictures of the cameras whose time has come, by the simulation's clock."""
        for camera in self.robot.cameras:
            if self._camera_due_ns[camera.name] > self._stamp_ns:
                continue
            rate_hz = self.params.camera_rate_hz or camera.rate_hz
            self._camera_due_ns[camera.name] += round(1e9 / rate_hz)
            rgb = self.sim.render(camera.name)
            msg = convert.image_msg(rgb, camera.frame_id, self._stamp_ns)
            runtime.publish(self, self._camera_pubs[camera.name], msg)
            self._camera_meters[camera.name].tick(time.monotonic())

    # Services ------------------------------------------------------------------------------

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Place the objects anew; the arms stay."""
        self._scene += 1
        with self._lock:
            self._trials.end()
            self.sim.new_scene(self._scene)
        response.success, response.message = True, f"scene of seed {self._scene}"
        return response

    def _on_trial(self, msg: String) -> None:
        """Lay out the scene of a trial, and judge from now on what happens in it."""
        asked = self._trials.read(msg.data)
        if asked is None:
            return
        with self._lock:
            chosen = self._trials.begin(asked, self.sim, self._now_ns())
            if chosen is not self.sim and self._demonstrator is not None:
                self._demonstrator.look_at(chosen)
            self.sim, self.ramps = chosen, TargetRamps(chosen)

    def _on_demonstrate(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        assert self._demonstrator is not None
        try:
            with self._lock:
                response.message = self._demonstrator.begin(self._now_ns())
            response.success = True
        except LapaError as error:
            response.success, response.message = False, str(error)
        return response

    def _watch_collisions(self) -> None:
        """Count and name what begins to touch and must not: a real robot would be damaged."""
        touching = set(self.sim.violations())
        for one, other in touching - self._touching:
            self._collisions += 1
            self.get_logger().warning(f"collision: {one} touches {other}", throttle_duration_sec=2)
        self._touching = touching

    def _cameras(self) -> None:
        runtime.lower_thread_priority(self.params.niceness)
        cameras = self.robot.cameras
        rates = {c.name: self.params.camera_rate_hz or c.rate_hz for c in cameras}
        due = dict.fromkeys(rates, time.monotonic())
        try:
            while not self._stop.is_set():
                camera = min(cameras, key=lambda c: due[c.name])
                if self._stop.wait(max(0.0, due[camera.name] - time.monotonic())):
                    break
                stamp = self.get_clock().now().nanoseconds
                rgb = self.sim.render(camera.name)
                msg = convert.image_msg(rgb, camera.frame_id, stamp)
                runtime.publish(self, self._camera_pubs[camera.name], msg)
                now = time.monotonic()
                self._camera_meters[camera.name].tick(now)
                # A camera that cannot keep its rate loses frames, it does not fall behind.
                period = 1.0 / rates[camera.name]
                due[camera.name] = max(due[camera.name] + period, now)
        finally:
            self._trials.close()  # the GL contexts belong to this thread

    def _report(self) -> diagnostics.Report:
        values: dict[str, object] = {
            "joint_state_rate_hz": self._physics_meter.rate_hz(),
            "slipped_s": self._slipped_s,
            "targets_refused": self._refused,
            "collisions": self._collisions,
            "touching": ", ".join(f"{a} {b}" for a, b in sorted(self._touching)),
        }
        for name, meter in self._camera_meters.items():
            values[f"camera_{name}_rate_hz"] = meter.rate_hz()
            values[f"camera_{name}_published"] = meter.count
        dead = [t.name for t in self._threads if not t.is_alive()]
        if dead:
            return diagnostics.ERROR, f"thread died: {', '.join(dead)}", values
        return diagnostics.OK, "simulating", values

    def close(self) -> None:
        """End both threads, the camera thread with its GL context."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=2.0)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `ros2 run lapa_ros sim_node`."""
    runtime.main(SimNode, args)


if __name__ == "__main__":
    main()
