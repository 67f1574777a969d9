# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Drives the demo as a person would: loads the policy, enables, homes, lets it act, reports.

A monitor listens meanwhile, spun by a thread of its own; what is pressed goes through the same
services that a person has.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.signals import SignalHandlerOptions

from lapa_core import robot as robots
from lapa_core.errors import ConfigError, StaleInput
from lapa_core.evaluate.rollout import Task
from lapa_ros import demo_trials, runtime
from lapa_ros.demo_monitor import VIDEO_RATE_HZ, Monitor
from lapa_ros.demo_record import Record
from lapa_ros.demo_report import write_report
from lapa_ros.demo_video import Video
from lapa_ros.evaluation.link import Link
from lapa_ros.processes import NodeProcess

READY_TIMEOUT_S = 90.0  # loading a model and discovery, on a slow machine
HOME_ATTEMPTS = 3
REPORT_S = 0.6  # reports come twice a second: the last one must cover the whole run
OUTCOME_S = 1.5  # the last outcome is shown
NICENESS = 10  # who watches must not disturb


def drive(
    args: argparse.Namespace,
    instruction: str,
    tasks: Sequence[Task],
    nodes: Sequence[NodeProcess],
) -> int:
    """Drive the demo over already starting nodes; returns the exit code.

    Args:
        args: of the command line.
        instruction: the one there is throughout, or "".
        tasks: the trials instead.
        nodes: an ended one ends the demo.
    """
    robot = robots.load(args.robot)
    record = Record(robot, instruction, args.seconds)
    # Ours only end what waits: rclpy's would end the context under the thread that spins.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        monitor = Monitor(robot, record)
        with runtime.spun(monitor, NICENESS) as check:

            def alive() -> None:
                check()
                for node in nodes:
                    if not node.running():
                        raise StaleInput(f"{node.node} ended by itself:\n{node.last_lines()}")

            Drive(args, monitor, Link(monitor, alive, HOME_ATTEMPTS)).run(instruction, tasks)
    finally:
        rclpy.try_shutdown()
    return write_report(record, Path(args.out))


class Drive:
    """One run of the demo."""

    def __init__(self, args: argparse.Namespace, monitor: Monitor, link: Link) -> None:
        self._args, self._monitor, self._link = args, monitor, link
        self._record = monitor.record
        self._change_state = monitor.create_client(ChangeState, "policy_node/change_state")

    def run(self, instruction: str, tasks: Sequence[Task]) -> None:
        """From the first transition of the policy to an arm that holds."""
        self._bring_up()
        video = Video(self._args.out / "demo.mp4", instruction, VIDEO_RATE_HZ)
        try:
            if tasks:
                self._try(tasks, video)
            else:
                self._follow(video)
        finally:
            self._monitor.video = None  # images go on coming
            video.close()
        self._link.press("hold")

    def _bring_up(self) -> None:
        """Load the policy, enable and home the arm, and only then let the policy decide."""
        began = time.monotonic()
        link, monitor = self._link, self._monitor
        self._transition(Transition.TRANSITION_CONFIGURE)
        link.wait(monitor.sees_the_arm, READY_TIMEOUT_S, "the arm's joint states")
        link.press("enable")
        link.to_start(lambda: print(
            f"demo: moving {time.monotonic() - began:.1f} s after the start", flush=True
        ))  # fmt: skip
        self._transition(Transition.TRANSITION_ACTIVATE)

    def _transition(self, transition: int) -> None:
        """Ask policy_node for a lifecycle transition; loading a model may take a while."""
        client = self._change_state
        self._link.wait(client.service_is_ready, READY_TIMEOUT_S, "policy_node")
        request = ChangeState.Request(transition=Transition(id=transition))
        future = client.call_async(request)
        self._link.wait(future.done, READY_TIMEOUT_S, "policy_node's transition")
        answer = future.result()
        if answer is None or not answer.success:
            raise ConfigError(f"policy_node: {self._link.policy_status}")

    def _follow(self, video: Video) -> None:
        """The policy moves all the time, to the instruction it was started with."""
        link, record, seconds = self._link, self._record, self._args.seconds
        link.wait(lambda: link.authority[0] == "policy", READY_TIMEOUT_S, "a delta")
        arms = len(record.robot.arms)
        moved = "the arm" if arms == 1 else f"{arms} arms"
        print(f"demo: the policy moves {moved} for {seconds:g} s ...", flush=True)
        self._monitor.video = video
        record.begin(time.monotonic())
        try:
            self._pause(seconds)
        finally:
            record.end(time.monotonic())
        self._pause(REPORT_S)

    def _try(self, tasks: Sequence[Task], video: Video) -> None:
        """The policy is given trials."""
        link, args = self._link, self._args
        link.ready(READY_TIMEOUT_S)
        print(f"demo: trials for {args.seconds:g} s, two of each scene ...", flush=True)
        self._monitor.video = video
        trials = demo_trials.DemoTrials(self._monitor, link, video)
        trials.run(tasks, args.seconds, args.trial_seconds)
        self._pause(OUTCOME_S)

    def _pause(self, seconds: float) -> None:
        """Let time pass, as long as every node lives."""
        until = time.monotonic() + seconds
        self._link.wait(lambda: time.monotonic() >= until, seconds + READY_TIMEOUT_S, "")
