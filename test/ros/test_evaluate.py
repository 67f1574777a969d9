# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Evaluation over real DDS: trials in sim_node, a person's session, and both through all nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from harness import spinning, started, wait_for
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lapa_core import robot as robots
from lapa_core.errors import StaleInput
from lapa_core.evaluate import results
from lapa_core.evaluate.live import LiveOutcome, LiveTrial, SessionStatus
from lapa_core.evaluate.rollout import Task
from lapa_core.sim.tasks import make_trials
from lapa_ros import interface
from lapa_ros.evaluation import link, simulated
from lapa_ros.processes import NodeProcess

SUITE = """
max_s: 1.0
trials:
  - {split: seen, task: put, instruction: put the red block in the bin, target: red_block,
     objects: 4, layout: as drawn, episodes: 2}
"""


class Person(Node):
    """Hears what an evaluation says and presses its buttons; asks sim_node for trials."""

    def __init__(self) -> None:
        super().__init__("person")
        self.status: SessionStatus | None = None
        self.outcomes: list[LiveOutcome] = []
        self.pictures = 0
        self.policy_status = ""
        q, latched = interface, interface.LATCHED_QOS
        self.create_subscription(String, q.EVALUATE_STATUS, self._on_status, latched)
        self.create_subscription(String, q.SIM_OUTCOME, self._on_outcome, latched)
        self.create_subscription(String, q.POLICY_STATUS, self._on_policy, latched)
        self.create_subscription(
            Image, "camera/front/image_raw", self._on_picture, q.CAMERA_SUB_QOS
        )
        self.trials = self.create_publisher(String, q.SIM_TRIAL, latched)
        self._buttons = {n: self.create_client(Trigger, n) for n in q.EVALUATE_SERVICES}
        self._reset = self.create_client(Trigger, "sim/reset")

    def _on_status(self, msg: String) -> None:
        self.status = SessionStatus.from_json(msg.data)

    def _on_outcome(self, msg: String) -> None:
        self.outcomes.append(LiveOutcome.from_json(msg.data))

    def _on_policy(self, msg: String) -> None:
        self.policy_status = msg.data

    def _on_picture(self, msg: Image) -> None:
        self.pictures += 1

    def press(self, name: str) -> Any:
        client = self._reset if name == "sim/reset" else self._buttons[f"evaluate/{name}"]
        wait_for(client.service_is_ready, name)
        future = client.call_async(Trigger.Request())
        wait_for(future.done, f"answer of {name}")
        return future.result()

    def waits_for(self, state: str, deadline_s: float = 15.0) -> None:
        wait_for(
            lambda: self.status is not None and self.status.state == state,
            f"the state {state}",
            deadline_s,
            seen=lambda: self.status,
        )


# Trials in sim_node ------------------------------------------------------------------------


@pytest.mark.sim
def test_a_trial_is_laid_out_judged_and_refused(ros_context: None, tmp_path: Path) -> None:
    person = Person()
    (trial,) = make_trials("seen", "cover", 1, 5)  # of another scene than the node begins with
    asked = partial(LiveTrial, trial.split, trial.task)
    with started("sim_node", {"robot": "wx250s"}, tmp_path / "log") as node, spinning(person):
        wait_for(lambda: person.trials.get_subscription_count() and person.pictures, "sim_node")
        for number, (target, scene, word) in enumerate(
            [("red_block", "moon", "tabletop"), ("purple_block", "tabletop", "red_block")], 1
        ):
            message = asked(target, "words", 4, scene, number)
            person.trials.publish(String(data=message.to_json()))
            wait_for(lambda n=number: person.outcomes and person.outcomes[-1].number == n, "it")
            assert word in person.outcomes[-1].refused
        good = asked(trial.target, trial.instruction, trial.seed, trial.scene, 3)
        person.trials.publish(String(data=good.to_json()))
        later = lambda: person.outcomes[-1].robot_s > 0.3  # noqa: E731 - it goes on saying so
        wait_for(later, "the trial's time", seen=lambda: person.outcomes[-1])
        now = person.outcomes[-1]
        assert (now.number, now.refused, now.success, now.credit) == (3, "", False, 0.0)
        assert now.right_object is None and now.chance == 0.25
        seen = person.pictures
        wait_for(lambda: person.pictures > seen + 2, "pictures of the new scene")
        assert person.press("sim/reset").success
        person.trials.publish(String(data="no trial"))
        wait_for(lambda: "not a trial" in person.outcomes[-1].refused, "the word on that")
    assert "Traceback" not in node.log.read_text()


# A person's session ------------------------------------------------------------------------


class Cell(Node):
    """Arm and policy as an evaluation sees them: what a step needs, in the order it needs it.

    Attributes:
        pressed: services that were called.
        loose: steps made while no trial was under way; there must be none.
        dead: the policy says nothing of itself and sends nothing.
        home_ticks: of 0.05 s, on the way to the start pose.
        refuses: the arm takes none of what the policy sends.
        checkpoint: that the policy runs.
    """

    def __init__(self) -> None:
        super().__init__("cell")
        self.pressed: list[str] = []
        self.told: list[str] = []
        self.steps = 0
        self.dead = self.refuses = False
        self.home_ticks = 4
        self.checkpoint = ""
        self._enabled = self._was_enabled = False
        self._homing = 0
        self._authority = ""
        q = interface
        self.create_subscription(String, q.INSTRUCTION, self._on_words, q.LATCHED_QOS)
        self._authority_pub = self.create_publisher(String, q.AUTHORITY, q.LATCHED_QOS)
        self._status_pub = self.create_publisher(String, q.POLICY_STATUS, q.LATCHED_QOS)
        self._diagnostics = self.create_publisher(DiagnosticArray, q.DIAGNOSTICS, q.EVENT_QOS)
        self._executed = self.create_publisher(JointTrajectory, q.EXECUTED_EE_DELTA, q.EVENT_QOS)
        for name in ("enable", "hold", "home"):
            self.create_service(Trigger, name, partial(self._on_service, name))
        self._say("hold: disabled: call enable")
        self.create_timer(0.05, self._tick)
        self._trial = 0
        self._outcomes = self.create_publisher(String, q.SIM_OUTCOME, q.LATCHED_QOS)
        self.create_subscription(String, q.SIM_TRIAL, self._on_trial, q.LATCHED_QOS)

    def _on_trial(self, msg: String) -> None:
        self._trial = LiveTrial.from_json(msg.data).number
        self._judge(success=False)

    def _judge(self, success: bool) -> None:
        outcome = LiveOutcome(self._trial, success, success, float(success), success, chance=0.25)
        self._outcomes.publish(String(data=outcome.to_json()))

    def _on_words(self, msg: String) -> None:
        self.told.append(msg.data)

    def _on_service(
        self, name: str, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        self.pressed.append(name)
        response.success = name != "home" or self._was_enabled
        response.message = "" if response.success else "disabled: call enable once"
        if name == "enable":
            self._enabled = self._was_enabled = True
        elif name == "hold":
            self._enabled = False
            self._homing = 0
            if self._trial:
                self._judge(success=False)  # it went on until it held, and spoilt it
            self._say("hold: disabled: hold requested")
        elif response.success:
            self._homing = self.home_ticks
            self._say("hold: moving to start")
        return response

    def _tick(self) -> None:
        words = self.told[-1] if self.told else ""
        if not self.dead:
            self._status_pub.publish(String(data="deciding" if words else "waiting: no words"))
            status = DiagnosticStatus(name="lapa_ros: policy_node")
            values = {"instruction": words, "checkpoint": self.checkpoint}
            status.values = [KeyValue(key=k, value=v) for k, v in values.items()]
            self._diagnostics.publish(DiagnosticArray(status=[status]))
        if self._homing:
            self._homing -= 1
            if not self._homing:
                self._say("hold: arrived at start; waiting for a chunk")
        elif self._enabled and words and self.refuses:
            self._say("hold: policy: the target is below the table")
        elif self._enabled and words and not self.dead:
            self.steps += 1
            if self._trial:
                self._judge(success=True)
            self._say("policy: following policy")
            self._executed.publish(JointTrajectory())

    def _say(self, text: str) -> None:
        if text != self._authority:
            self._authority = text
            self._authority_pub.publish(String(data=text))


def session(folder: Path, checkpoint: Path, **more: object) -> dict[str, object]:
    """Parameters of an evaluate_node over `SUITE`."""
    (folder / "mine.yaml").write_text(SUITE)
    given = {"checkpoint": str(checkpoint), "suite": str(folder / "mine.yaml")}
    return {**given, "out": str(folder / "out"), "terminal": False, **more}


@pytest.fixture
def people(ros_context: None) -> Iterator[tuple[Person, Cell]]:
    person, cell = Person(), Cell()
    with spinning(person, cell):
        yield person, cell


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The node only looks whose weights they are; policy_node would read them."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_person_evaluates_and_goes_on_another_day(
    people: tuple[Person, Cell], checkpoint: Path, tmp_path: Path
) -> None:
    person, cell = people
    parameters = session(tmp_path, checkpoint)
    with started("evaluate_node", parameters, tmp_path / "log"):
        person.waits_for("ready")
        assert person.status is not None and person.status.layout == "as drawn"
        assert "ready" in person.press("yes").message and not person.press("yes").success
        assert cell.steps == 0
        assert person.press("begin").success
        person.waits_for("asking")  # a second later its time is over
        assert cell.pressed[:2] == ["enable", "home"] and cell.pressed[-1] == "hold"
        wait_for(lambda: cell.told[-1] == "", "the policy's words to be taken away")
        after, words = cell.steps, [w for w in cell.told if w]
        assert after > 5 and set(words) == {"put the red block in the bin"}
        assert person.press("no").success and person.press("right").success
        assert person.press("credit_50").success
        person.waits_for("ready")
        assert cell.steps == after, "it moved while nobody had begun"
        assert person.press("begin").success
        person.waits_for("running")
        assert person.press("end").success
        person.waits_for("asking")
        assert person.press("redo").success
    (score,) = results.read(tmp_path / "out")
    assert (score.credit, score.strict, score.ended) == (0.5, False, "time")
    assert score.right_object is True and score.chance == 0.25
    assert 0.9 < score.robot_s < 2.0 and score.steps > 5
    with started("evaluate_node", parameters, tmp_path / "log"):
        wait_for(lambda: person.status and person.status.number == 2, "the second trial")
        person.waits_for("ready")
        person.press("begin")
        person.waits_for("asking")
        assert person.press("yes").success
        person.waits_for("done")
    assert [s.strict for s in results.read(tmp_path / "out")] == [False, True]
    assert "| seen | put | 2 |" in (tmp_path / "out" / "table.md").read_text()


def test_another_policy_is_refused_and_end_stops_the_arm_on_its_way_to_the_start(
    people: tuple[Person, Cell], checkpoint: Path, tmp_path: Path
) -> None:
    """It said that the arm holds, and the arm went on until it was there."""
    person, cell = people
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes(b"others!")
    cell.checkpoint = str(other)
    with started("evaluate_node", session(tmp_path, checkpoint), tmp_path / "log"):
        person.waits_for("ready")
        person.press("begin")
        # What another checkpoint does would have been written down as this one's.
        wait_for(lambda: person.status and "policy_node runs" in person.status.message, "a word")
        assert cell.steps == 0 and cell.pressed.pop() == "hold"
        cell.checkpoint, cell.home_ticks = str(checkpoint), 1000
        cell.pressed.clear()
        person.press("begin")
        wait_for(lambda: "home" in cell.pressed, "the arm to set out")
        assert person.press("end").success
        person.waits_for("ready", 5.0)
        assert cell.pressed[-1] == "hold" and not any(cell.told)
        assert person.status is not None and "ended before" in person.status.message
    assert not results.read(tmp_path / "out")


def test_a_policy_of_which_the_arm_takes_nothing_has_had_its_trial(
    people: tuple[Person, Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counted as a fault of the nodes and ended the evaluation, each time it was run."""
    person, cell = people
    cell.refuses = True
    monkeypatch.setattr(link, "BEGIN_TIMEOUT_S", 1.5)
    arm = link.Link(person)
    arm.ready(10.0)
    arm.home()
    acted = arm.act("put the red block in the bin", 20.0, lambda: "")
    assert (acted.ended, acted.steps, acted.robot_s) == ("hold", 0, 0.0)
    assert "below the table" in acted.note and cell.pressed[-1] == "hold"
    cell.refuses = False
    arm.home()
    cell.dead = True
    with pytest.raises(StaleInput, match="first step"):
        arm.act("put the red block in the bin", 20.0, lambda: "")


def test_a_success_counts_whatever_the_arm_does_until_it_holds(
    people: tuple[Person, Cell],
) -> None:
    """The outcome was looked at after the arm had been told to hold, as `done` and no success."""
    person, cell = people
    trials = simulated.Trials(person, robots.load("wx250s"), (), link.Link(person))
    trials.link.ready(10.0)
    (trial,) = make_trials("seen", "put", 1, 0)
    score = trials.run(Task(0, trial), 20.0)
    wait_for(lambda: not person.outcomes[-1].success, "the judge's last word")
    assert (score.ended, score.success, score.strict, score.credit) == ("done", True, True, 1.0)
    assert cell.pressed[-1] == "hold"


def test_ending_the_node_in_a_trial_leaves_the_arm_holding(
    people: tuple[Person, Cell], checkpoint: Path, tmp_path: Path
) -> None:
    person, cell = people
    with started("evaluate_node", session(tmp_path, checkpoint), tmp_path / "log"):
        person.waits_for("ready")
        person.press("begin")
        person.waits_for("running")
        wait_for(lambda: cell.steps, "a step")
    wait_for(lambda: cell.pressed[-1] == "hold", "the arm to be told to hold")
    assert not results.read(tmp_path / "out")


# Through all nodes -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.sim
@pytest.mark.timeout(300)
def test_trials_run_through_the_real_nodes(debug_checkpoint: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "lapa_core.cli", "eval", str(debug_checkpoint), "--ros",
            "--suite", "smoke", "--max-s", "2", "--speed", "2", "--videos", "1",
            "--out", str(tmp_path)]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    found = results.read(tmp_path)
    assert [s.task for s in found] == ["put", "knock", "cover"]
    starts = {t: make_trials("seen", t, 1, 0)[0].seed for t in ("put", "knock", "cover")}
    assert {s.task: s.seed for s in found} == starts, "the starts of a run without ROS"
    assert all(s.steps > 3 and s.ended in ("time", "hold") for s in found)
    assert sum(bool(s.film) for s in found) == 1
    assert results.read_run(tmp_path)["mode"] == "ros"
    assert json.loads((tmp_path / "summary.json").read_text())["rows"][-1]["trials"] == 3
    assert "not end cleanly" not in done.stdout


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.sim
@pytest.mark.timeout(180)
def test_a_person_evaluates_through_the_real_nodes(
    ros_context: None, debug_checkpoint: Path, tmp_path: Path
) -> None:
    person = Person()
    # In the simulation's own time, which waits for a busy computer.
    timed: dict[str, object] = {"use_sim_time": True}
    policy = {"checkpoint": str(debug_checkpoint), "num_threads": 1, "autostart": True,
              "instruction_timeout_s": 2.0, **timed}  # fmt: skip
    arm = {"robot": "wx250s", "backend": "ros2_control", **timed}
    start: Callable[..., Any] = lambda n, p: started(n, p, tmp_path / f"{n}.log")  # noqa: E731
    with ExitStack() as stack:
        stack.enter_context(spinning(person))
        stack.enter_context(start("sim_node", {"robot": "wx250s", "clock": True}))
        stack.enter_context(start("arm_node", arm))
        stack.enter_context(start("policy_node", policy))
        evaluation = NodeProcess(
            "evaluate_node", session(tmp_path, debug_checkpoint, **timed), tmp_path / "log"
        )
        stack.callback(evaluation.close)
        person.waits_for("ready")
        wait_for(lambda: person.policy_status.startswith("waiting"), "the policy", 60.0)
        assert person.press("begin").success
        person.waits_for("asking", 60.0)
        assert person.press("no").success and person.press("credit_0").success
        person.waits_for("ready")
        assert person.press("begin").success
        wait_for(lambda: person.policy_status == "deciding", "a deciding policy", 60.0)
        evaluation.kill()  # nobody watches over this trial
        wait_for(lambda: "instruction" in person.policy_status, "words to be forgotten", 10.0)
    (score,) = results.read(tmp_path / "out")
    assert score.steps >= 2 and score.ended in ("time", "hold")
