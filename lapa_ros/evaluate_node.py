# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Evaluation at a real arm: a person lays out scenes and answers, this node does the rest.

It presses what a person would press (enable, home, hold), gives the policy its words for one
trial and takes them away again, and writes what the person says. Buttons are on the dashboard,
as services, and as keys in a terminal. The arm's safety is arm_node's, as ever.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from lapa_core import robot as robots
from lapa_core.errors import ConfigError, LapaError
from lapa_core.evaluate import evaluation, suites, table
from lapa_core.evaluate.results import Results, fingerprint
from lapa_core.evaluate.session import Session
from lapa_core.teleop.terminal import KeyReader
from lapa_ros import interface, runtime
from lapa_ros.evaluation.link import Link
from lapa_ros.params import declare, param

STATUS_PERIOD_S = 0.25
HOLD_SENT_S = 0.3
READY_TIMEOUT_S = 120.0  # a model of seven billion weights takes its time
KEYS = {
    "b": "begin", "e": "end", "y": "yes", "n": "no", "0": "credit_0", "1": "credit_25",
    "2": "credit_50", "3": "credit_75", "4": "credit_100", "r": "right", "w": "wrong",
    "d": "redo", "u": "undo_last", "q": "stop",
}  # fmt: skip
HELP = (
    "keys: b begin, e end, y yes, n no, 0 1 2 3 4 quarters of credit, r/w right or wrong object, "
    "d do it again, u undo the last answer, q stop"
)


@dataclass(frozen=True)
class EvaluateParams:
    """Parameters of the node."""

    robot: str = param("wx250s", "robot file: a name in config/robots, or a path")
    checkpoint: str = param("", "folder of the checkpoint that policy_node runs")
    suite: str = param("", "suite with instructions: a name in config/suites, or a path")
    episodes: int = param(0, "trials of each item; 0: as the suite says", low=0, high=100000)
    out: str = param("", "folder of the results; default eval_out/<checkpoint>/<suite>-real")
    operator: str = param("", "who answers; stands in the results")
    terminal: bool = param(True, "take keys from the terminal, if there is one")


class EvaluateNode(Node):
    """One session: buttons in, trials through arm and policy, results out."""

    def __init__(self) -> None:
        super().__init__("evaluate_node")
        p = self.params = declare(self, EvaluateParams)
        if not p.checkpoint or not p.suite:
            raise ConfigError("evaluate_node needs the parameters checkpoint and suite")
        suite = suites.load(p.suite).with_episodes(p.episodes or None)
        suite.require(for_a_person=True)
        name = Path(p.checkpoint).resolve().name
        out = Path(p.out) if p.out else Path("eval_out") / name / f"{suite.name}-real"
        robot = robots.load(p.robot)
        about = evaluation.description(
            suite, 0, p.checkpoint, robot.name, mode="real", operator=p.operator
        )
        self._policy = str(about["policy"])  # fingerprint of its checkpoint
        self._results = Results(out, about)
        self._max_s = suite.max_s
        self._lock = threading.Lock()  # guards the session
        self._session = Session(suite, self._results)
        self._stop, self._end, self._closing = (threading.Event() for _ in range(3))
        self._turn: threading.Thread | None = None
        self._began_s: float | None = None
        self._said = ""
        self._link = Link(self, self._alive)
        self._link.instruct("")  # a policy that waits for words does not move
        self._status_pub = self.create_publisher(
            String, interface.EVALUATE_STATUS, interface.LATCHED_QOS
        )
        for service in interface.EVALUATE_SERVICES:
            press = service.rpartition("/")[2]
            self.create_service(Trigger, service, partial(self._on_service, press))
        self.create_timer(STATUS_PERIOD_S, self._show)
        self._keys: KeyReader | None = None
        if p.terminal and os.isatty(0):
            self._keys = KeyReader(self._on_key)
            self.get_logger().info(HELP)
        self.get_logger().info(f"results in {out}; {self._session.message or 'begin when ready'}")
        self._show()

    # Buttons -------------------------------------------------------------------------------

    def _on_service(
        self, press: str, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        del request
        try:
            response.message = self.press(press)
            response.success = True
        except LapaError as error:
            response.success, response.message = False, str(error)
        self._show()
        return response

    def _on_key(self, key: str) -> None:
        if key not in KEYS:
            return
        try:
            self.get_logger().info(self.press(KEYS[key]))
        except LapaError as error:
            self.get_logger().warning(str(error))

    def press(self, name: str) -> str:
        """What one of the buttons does; returns what to tell the person.

        Raises:
            LapaError: not now.
        """
        with self._lock:
            return self._actions()[name]()

    def _actions(self) -> dict[str, Callable[[], str]]:
        session = self._session
        answers: dict[str, Callable[[], object]] = {
            "yes": session.yes,
            "no": session.no,
            "right": partial(session.touched, True),
            "wrong": partial(session.touched, False),
            "redo": session.redo,
            "undo_last": session.undo_last,
        }
        for quarter in range(5):
            answers[f"credit_{25 * quarter}"] = partial(session.credit, quarter / 4)
        told = {name: partial(self._answer, answer) for name, answer in answers.items()}
        return {**told, "begin": self._begin, "end": self._on_end, "stop": self._on_stop}

    def _answer(self, answer: Callable[[], object]) -> str:
        answer()
        status = self._session.status()
        if status.state == "done":
            self._finish()
        return status.question or status.message or status.state

    def _begin(self) -> str:
        if self._stop.is_set():
            raise ConfigError("the session was stopped: start the node again to go on")
        planned = self._session.begin()
        self._end.clear()
        words = planned.item.instruction
        self._turn = threading.Thread(target=self._run, args=(words,), name="trial", daemon=True)
        self._turn.start()
        return f"trial begins: {words}"

    def _on_end(self) -> str:
        if self._session.state not in ("homing", "running"):
            raise ConfigError(f"no trial is under way; the evaluation is {self._session.state}")
        self._end.set()
        return "the arm holds"

    def _on_stop(self) -> str:
        self._stop.set()
        self._end.set()
        return "stopped; what is answered is written: start again to go on"

    # A trial, in a thread of its own -------------------------------------------------------

    def _run(self, words: str) -> None:
        try:
            self._link.ready(READY_TIMEOUT_S, self._end.is_set)
            self._link.home(self._end.is_set)
            self._check_policy()
            with self._lock:
                self._session.running()
            self._began_s = self._link.now_s()
            acted = self._link.act(words, self._max_s, lambda: "person" * self._end.is_set())
            with self._lock:
                self._session.ended(acted.ended, acted.note, acted.steps, acted.robot_s)
        except LapaError as error:
            self.get_logger().warning(f"trial not done: {error}")
            self._hold()
            with self._lock:
                self._session.failed(str(error))
        finally:
            self._began_s = None

    def _check_policy(self) -> None:
        """Refuse to write down as this checkpoint's what another one does, where that is seen."""
        theirs = Path(self._link.policy_facts.get("checkpoint") or "/dev/null")
        if theirs.is_dir() and fingerprint(theirs) != self._policy:
            raise ConfigError(
                f"policy_node runs {theirs}, and the results are of {self.params.checkpoint}"
            )

    def _hold(self) -> None:
        """After a failure: the arm shall not move, whatever else is wrong."""
        try:
            self._link.stop()
        except LapaError as error:
            self.get_logger().error(f"the arm could not be told to hold: {error}")

    def _alive(self) -> None:
        """Ends the waiting of a trial when the node ends."""
        if self._closing.is_set():
            raise ConfigError("the node ends")

    # What is shown -------------------------------------------------------------------------

    def _show(self) -> None:
        began = self._began_s
        left = self._max_s - (self._link.now_s() - began) if began is not None else 0.0
        with self._lock:
            text = self._session.status(left).to_json()
        if text != self._said:
            self._said = text
            runtime.publish(self, self._status_pub, String(data=text))

    def _finish(self) -> None:
        """Write the report, and say the table; the answers themselves are on the disk."""
        scores = self._results.scores
        if scores:
            rows = table.rows(scores)
            try:
                evaluation.write(self._results.folder, scores)
            except LapaError as error:
                self.get_logger().error(str(error))
            text = table.terminal(table.HEADER, map(table.cells, rows))
            self.get_logger().info(f"{self._results.folder}:\n{text}")

    def close(self) -> None:
        """End the trial under way, and write the report."""
        self._stop.set()
        self._end.set()
        if self._turn is not None:
            self._turn.join(timeout=HOLD_SENT_S)  # nobody hears the answer any more
            self._closing.set()
            self._turn.join(timeout=2.0)
        if self._keys is not None:
            self._keys.close()
        self._finish()
        self._results.close()


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `ros2 run lapa_ros evaluate_node`."""
    runtime.main(EvaluateNode, args, last_words=True)  # the arm must be told to hold


if __name__ == "__main__":
    main()
