# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The arm and the policy as an evaluation uses them: start pose, words, and no more motion.

Between trials the policy has no instruction, so that it sends nothing, and the arm is disabled:
either would do. Everything goes through topics and services that a person could use. The node is
spun by another thread than the one that calls these methods.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lapa_core.errors import LapaError, StaleInput
from lapa_core.evaluate.rollout import HELD_S
from lapa_ros import interface, runtime
from lapa_ros.clock import NodeClock

SERVICE_TIMEOUT_S = 15.0  # discovery takes up to 3 s
HOME_TIMEOUT_S = 60.0
BEGIN_TIMEOUT_S = 20.0  # from the words to the first step, on a busy computer
REPEAT_S = 0.5  # a policy that hears its words no more may forget them: we could have died
AGAIN_S = 1.0  # until the arm is sent again; what broke it off is over, or it is refused
POLL_S = 0.005
POLICY = "lapa_ros: policy_node"


@dataclass(frozen=True)
class Acted:
    """How a policy's turn ended.

    Attributes:
        ended: as of `evaluate.scores.ENDINGS`.
        note: why, where that says more.
        steps: deltas that the arm took.
        robot_s: since its first one, in the robot's time.
    """

    ended: str
    note: str
    steps: int
    robot_s: float


class Link:
    """Clients and ears of one evaluation.

    Attributes:
        authority: state and reason now.
        policy_status: what the policy says of itself.
        policy_facts: its diagnostics.
        executed: deltas that the arm has taken so far.
        acting: told True when the policy is given its words, False when its turn is over.
    """

    def __init__(
        self, node: Node, alive: Callable[[], None] = lambda: None, home_attempts: int = 1
    ) -> None:
        """Use `node`.

        Args:
            node: spun by another thread.
            alive: raises when it is no use to wait any longer.
            home_attempts: how often the arm may set out for its start pose. More than once is for
                a simulation, where a busy computer alone breaks it off.
        """
        self._node, self._alive, self._home_attempts = node, alive, home_attempts
        self.acting: Callable[[bool], None] = lambda on: None
        self._time = NodeClock(node)
        self._pause = threading.Event()
        self._instruction, self._repeat_s = "", 0.0
        self.authority = ("", "")
        self.policy_status = ""
        self.policy_facts: dict[str, str] = {}
        self.executed = 0
        self._reasons: deque[str] = deque(maxlen=50)  # of the authority, newest last
        q, listen = interface, node.create_subscription
        listen(String, q.AUTHORITY, self._on_authority, q.AUTHORITY_SUB_QOS)
        listen(String, q.POLICY_STATUS, self._on_status, q.LATCHED_QOS)
        listen(DiagnosticArray, q.DIAGNOSTICS, self._on_diagnostics, q.EVENT_QOS)
        listen(JointTrajectory, q.EXECUTED_EE_DELTA, self._on_executed, q.EVENT_QOS)
        self._words = node.create_publisher(String, q.INSTRUCTION, q.LATCHED_QOS)
        self._clients = {n: node.create_client(Trigger, n) for n in ("enable", "hold", "home")}

    def _on_authority(self, msg: String) -> None:
        self.authority = interface.parse_authority(msg.data)
        self._reasons.append(self.authority[1])

    def _on_status(self, msg: String) -> None:
        self.policy_status = msg.data

    def _on_executed(self, msg: JointTrajectory) -> None:
        del msg
        self.executed += 1

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name == POLICY:
                self.policy_facts = {v.key: v.value for v in status.values}

    def now_s(self) -> float:
        """The robot's time: a simulation's where there is one."""
        return self._time.now_s()

    def wait(self, done: Callable[[], Any], timeout_s: float, what: str) -> None:
        """Wait for something; past the time a `StaleInput` that says how everything stands."""
        deadline = time.monotonic() + timeout_s
        while not done():
            self._repeat()
            self._alive()
            if time.monotonic() > deadline:
                raise StaleInput(
                    f"waited {timeout_s:g} s for {what}; arm {': '.join(self.authority)!r}, "
                    f"policy {self.policy_status!r}"
                )
            self._pause.wait(POLL_S)

    def press(self, name: str) -> str:
        """Call `enable`, `hold` or `home`; a `LapaError` where it is refused."""
        client = self._clients[name]
        self.wait(client.service_is_ready, SERVICE_TIMEOUT_S, f"service {name}")
        future = client.call_async(Trigger.Request())
        self.wait(future.done, SERVICE_TIMEOUT_S, f"an answer of {name}")
        answer = future.result()
        if answer is None or not answer.success:
            raise LapaError(f"{name}: {answer.message if answer else future.exception()}")
        return str(answer.message)

    def instruct(self, text: str) -> None:
        """Tell the policy what to do; "" makes it wait."""
        self._instruction, self._repeat_s = text, time.monotonic() + REPEAT_S
        runtime.publish(self._node, self._words, String(data=text))

    def _repeat(self) -> None:
        """Say it again, from the thread that watches over the trial and no other."""
        if self._instruction and time.monotonic() > self._repeat_s:
            self.instruct(self._instruction)

    def ready(self, timeout_s: float, over: Callable[[], bool] = lambda: False) -> None:
        """Wait for an arm node, and a policy that is active; `over` as of `home`."""
        self._unless(over, lambda: self.authority[0], timeout_s, "arm_node")
        self._unless(
            over,
            lambda: self.policy_status.startswith(("waiting", "deciding")),
            timeout_s,
            "policy_node to be active",
        )

    def home(self, over: Callable[[], bool] = lambda: False) -> None:
        """Silence the policy and bring the arm to its start pose, enabled.

        Args:
            over: True as soon as a person wants no more of it.

        Raises:
            LapaError: the arm does not get there, or `over`; it may still be on its way.
        """
        self.instruct("")
        self._unless(over, lambda: self.policy_facts.get("instruction") == "", BEGIN_TIMEOUT_S,
                     "the policy to have no instruction")  # fmt: skip
        self.press("enable")
        self.to_start(over=over)

    def _unless(
        self, over: Callable[[], bool], done: Callable[[], Any], timeout_s: float, what: str
    ) -> None:
        """`wait`, but no longer than until it is over, which raises."""
        self.wait(lambda: over() or done(), timeout_s, what)
        if over():
            raise StaleInput("ended before it began")

    def to_start(
        self,
        moving: Callable[[], None] = lambda: None,
        over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Bring the enabled arm to its start pose; `moving` is called when it sets out."""
        for left in reversed(range(self._home_attempts)):
            self._reasons.clear()
            self.press("home")
            moving()
            self._unless(over, lambda: self._left_for_start() is not None, HOME_TIMEOUT_S,
                         "the start pose")  # fmt: skip
            reason = self._left_for_start() or ""
            if reason.startswith("arrived at start"):
                return
            if not left:
                raise StaleInput(f"the arm broke off its way to the start pose: {reason}")
            again_s = time.monotonic() + AGAIN_S
            self.wait(lambda at=again_s: time.monotonic() > at, HOME_TIMEOUT_S, "")

    def _left_for_start(self) -> str | None:
        """What ended the way to the start pose; None before that."""
        heard = list(self._reasons)
        moving = [i for i, reason in enumerate(heard) if reason.startswith("moving to")]
        after = heard[moving[-1] + 1 :] if moving else []
        return after[0] if after else None

    def act(self, words: str, max_s: float, over: Callable[[], str]) -> Acted:
        """Let the policy act on these words; then the arm holds, disabled.

        Args:
            words: the instruction.
            max_s: of the robot's time, from the first step on.
            over: one of `ENDINGS` as soon as the trial is over for another reason, else "".

        Raises:
            LapaError: the policy does not begin, or the arm does not answer.
        """
        first = self.executed
        try:
            self.acting(True)
            self.instruct(words)
            try:
                self.wait(lambda: self.executed > first or over(), BEGIN_TIMEOUT_S,
                          "the policy's first step")  # fmt: skip
            except StaleInput:
                self._alive()
                if not self._refuses():
                    raise
                return Acted("hold", f"{self.authority[1]}; policy deciding", 0, 0.0)
            began_s = self.now_s()
            ended, note = self._watch(began_s + max_s, over)
            robot_s = self.now_s() - began_s
        finally:
            self.acting(False)
            self.stop()
        return Acted(ended, note, self.executed - first, robot_s)

    def _refuses(self) -> bool:
        """Whether the arm takes none of what the policy decides, and says why."""
        state, reason = self.authority
        idle = reason.startswith("arrived at start")
        return state == "hold" and not idle and self.policy_status.startswith("deciding")

    def _watch(self, until_s: float, over: Callable[[], str]) -> tuple[str, str]:
        """Until the end; why it ended."""
        held_since_s: float | None = None
        while True:
            if ended := over():
                return ended, ""
            now_s = self.now_s()
            state, reason = self.authority
            if state == "estop":
                return "person", f"estop: {reason}"
            if now_s >= until_s:
                return "time", "" if state == "policy" else f"{state}: {reason}"
            if state != "hold":
                held_since_s = None
            elif held_since_s is None:
                held_since_s = now_s
            elif now_s - held_since_s >= HELD_S or reason.startswith("disabled"):
                return "hold", f"{reason}; policy {self.policy_status}"
            self._repeat()
            self._alive()
            self._pause.wait(POLL_S)

    def stop(self) -> None:
        """The arm holds, disabled, and the policy has nothing to do."""
        self.instruct("")
        if self.authority[0] != "estop":
            self.press("hold")
