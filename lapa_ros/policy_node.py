# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Camera frames, words and state in, end-effector deltas out; never touches the arm.

The state is the arms' measured and commanded one, and heard only where the checkpoint reads it.
A lifecycle node: `configure` loads the checkpoint and refuses one made for another robot,
`activate` starts deciding. Only the newest frame of each camera counts, nothing is queued.
Inference runs in its own thread, so topics and services answer while the model computes.
A missing or stale frame, an undecodable one, or an output without meaning publishes nothing:
`policy/status` says why, and the arm node holds.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from lapa_core import robot as robots
from lapa_core.data.messages import stamp_ns
from lapa_core.data.observe import IMAGE_WAIT_S, MAX_IMAGE_AGE_S, image_sizes
from lapa_core.data.state import reads_commanded
from lapa_core.data.timeline import Latest
from lapa_core.errors import LapaError
from lapa_core.robot import Robot
from lapa_ros import convert, decoder, diagnostics, interface, runtime, state_input
from lapa_ros.clock import NodeClock
from lapa_ros.decider import Decider, DeciderParams, Published
from lapa_ros.params import declare, param

CHECK_S = 0.1  # between looks whether an instruction is still meant


@dataclass(frozen=True)
class PolicyParams:
    """Parameters of the node."""

    checkpoint: str = param("", "folder of the checkpoint")
    robot: str = param("wx250s", "robot file: a name in config/robots, or a path")
    instruction: str = param("", "what to do, until one arrives on the `instruction` topic")
    instruction_timeout_s: float = param(
        0.0, "an instruction not said again for so long is forgotten; 0: never", low=0.0, high=60.0
    )
    device: str = param("cpu", "torch device: cpu, cuda, cuda:1")
    dtype: str = param("float32", "float32 or bfloat16")
    num_threads: int = param(0, "CPU threads of the model; 0 leaves it to torch", low=0, high=256)
    sample: bool = param(False, "sample action tokens as the reference does, instead of greedy")
    seed: int = param(0, "seed of the sampling", low=0, high=2**31 - 1)
    step_time_s: float = param(
        0.0, "time between decisions; 0 takes the checkpoint's", low=0.0, high=10.0
    )
    max_image_age_s: float = param(
        MAX_IMAGE_AGE_S, "an older frame (by arrival) is not decided on", low=0.02, high=10.0
    )
    image_wait_s: float = param(
        IMAGE_WAIT_S,
        "when a decision is due, wait this long for a newer frame",
        low=0.0,
        high=1.0,
    )
    niceness: int = param(5, "inference yields to the control loop by this much", low=0, high=19)
    autostart: bool = param(False, "configure and activate at start")


class PolicyNode(LifecycleNode):
    """One checkpoint deciding for one robot."""

    def __init__(self) -> None:
        super().__init__("policy_node")
        self.params = declare(self, PolicyParams)
        self._time = NodeClock(self)
        self._reporter = diagnostics.Reporter(self, self._report)
        self._status_pub = self.create_publisher(
            String, interface.POLICY_STATUS, interface.LATCHED_QOS
        )
        self._status = ""
        self._decider: Decider | None = None
        self._thread: threading.Thread | None = None
        self._inputs: list[object] = []
        self._said_s: float | None = None  # on the topic; the parameter's words stay
        if self.params.instruction_timeout_s:
            self.create_timer(CHECK_S, self._forget)
        self._set_status("unconfigured")
        if self.params.autostart:
            self._start_timer = self.create_timer(0.0, self._autostart)

    def _autostart(self) -> None:
        self.destroy_timer(self._start_timer)
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    # Lifecycle -----------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the checkpoint and subscribe to its cameras."""
        # Seconds of importing torch: not before the node is there, answers and can be ended.
        from lapa_core.policy import Policy

        p = self.params
        try:
            robot = robots.load(p.robot)
            policy = Policy.from_checkpoint(
                p.checkpoint,
                device=p.device,
                dtype=p.dtype,
                num_threads=p.num_threads or None,
                sample=p.sample,
                seed=p.seed,
            )
            policy.check_robot(robot)
            policy.warm_up()
        except LapaError as error:
            self.get_logger().error(f"cannot configure: {error}")
            self._set_status(f"not configured: {error}")
            return TransitionCallbackReturn.FAILURE
        frames: dict[str, Latest[Image | CompressedImage]] = {c: Latest() for c in policy.cameras}
        decode, decoder_text = decoder.make()
        self.get_logger().info(decoder_text)
        self._publisher = self.create_publisher(
            JointTrajectory, interface.POLICY_EE_DELTA, interface.COMMAND_QOS
        )
        self._decider = Decider(
            policy,
            frames,
            decode,
            DeciderParams(
                step_time_s=p.step_time_s or policy.step_time_s,
                max_image_age_s=p.max_image_age_s,
                image_wait_s=p.image_wait_s,
                frame_id=robot.base_frame,
                image_sizes=image_sizes(robot),
            ),
            ros_now_ns=lambda: self.get_clock().now().nanoseconds,
            publish=self._publish,
            say=self._set_status,
            now_s=self._time.now_s,
            simulated=self._time.simulated,
            state=self._state(robot, policy.checkpoint.interface.state),
        )
        self._decider.instruction = p.instruction
        for name, latest in frames.items():
            topic = robot.camera(name).topic
            kind = CompressedImage if topic.endswith("/compressed") else Image
            callback = partial(self._keep, latest)
            self._inputs.append(
                self.create_subscription(kind, topic, callback, interface.CAMERA_SUB_QOS)
            )
        self._inputs.append(
            self.create_subscription(
                String, interface.INSTRUCTION, self._on_instruction, interface.LATCHED_QOS
            )
        )
        self._set_status("inactive: activate to start deciding")
        trained = "" if policy.trained else " (randomly initialised, NOT trained)"
        self.get_logger().info(f"loaded {p.checkpoint} for {policy.robot}{trained}")
        return TransitionCallbackReturn.SUCCESS

    def _state(self, robot: Robot, names: Collection[str]) -> Callable[[], Mapping[str, float]]:
        """What a checkpoint reads of the arms by `names`, from now on heard of."""
        if not names:
            return dict
        felt = state_input.listen(self, robot, self._time.now_s, reads_commanded(names))
        self._inputs += felt.subscriptions
        return felt.state

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start deciding."""
        assert self._decider is not None
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._decider.stop.clear()
        self._thread.start()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop deciding; the decision under way is not published."""
        self._stop_thread()
        self._set_status("inactive: activate to start deciding")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Drop the model and the subscriptions."""
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs.clear()
        self.destroy_publisher(self._publisher)
        self._decider = None
        self._set_status("unconfigured")
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop deciding for good."""
        self._stop_thread()
        return TransitionCallbackReturn.SUCCESS

    # Topics --------------------------------------------------------------------------------

    def _keep(self, latest: Latest[Any], msg: Any) -> None:
        latest.put(msg, stamp_ns(msg.header.stamp), self._time.now_s())

    def _on_instruction(self, msg: String) -> None:
        self._said_s = time.monotonic()
        if self._decider is not None and msg.data != self._decider.instruction:
            self._decider.instruction = msg.data
            self.get_logger().info(f"instruction: {msg.data}")

    def _forget(self) -> None:
        """Who watches over the arm says the words again and again; if it dies, they are void."""
        if self._decider is None or self._said_s is None:
            return
        silent_s = time.monotonic() - self._said_s
        if silent_s < self.params.instruction_timeout_s:
            return
        if self._decider.instruction:
            self.get_logger().warn(f"instruction not said again for {silent_s:.1f} s: forgotten")
            self._decider.instruction = ""

    def _publish(self, published: Published) -> None:
        runtime.publish(self, self._publisher, convert.chunk_msg(published.chunk))

    def _set_status(self, text: str) -> None:
        if text != self._status:
            self._status = text
            runtime.publish(self, self._status_pub, String(data=text))
            self._reporter.publish()

    # Work ----------------------------------------------------------------------------------

    def _work(self) -> None:
        runtime.lower_thread_priority(self.params.niceness)
        assert self._decider is not None
        try:
            self._decider.run()
        except Exception as error:  # a bug or a CUDA failure: say it where an operator looks
            self.get_logger().error(traceback.format_exc())
            self._set_status(f"failed: {type(error).__name__}: {error}")

    def _stop_thread(self) -> None:
        if self._decider is not None:
            self._decider.stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None

    def _report(self) -> diagnostics.Report:
        values = {} if self._decider is None else self._decider.report(self._time.now_s())
        values["checkpoint"] = self.params.checkpoint
        running = self._status.startswith("deciding")
        level = diagnostics.OK if running else diagnostics.WARN
        if self._thread is not None and not self._thread.is_alive():
            level = diagnostics.ERROR
        return level, self._status, values

    def close(self) -> None:
        """Stop the inference thread."""
        self._stop_thread()


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `ros2 run lapa_ros policy_node`."""
    runtime.main(PolicyNode, args)


if __name__ == "__main__":
    main()
