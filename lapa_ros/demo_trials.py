# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The demo's trials: one scene after the other, each with two sentences, through the real nodes.

Scenes, judge and outcomes are those of `lapa eval`; `sim_node` lays out and judges. Which of two
things the arm goes to can only follow from the words, as nothing else differs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from lapa_core.evaluate.rollout import Task
from lapa_ros import demo_tally
from lapa_ros.demo_monitor import Monitor
from lapa_ros.demo_video import Video
from lapa_ros.evaluation.link import Link
from lapa_ros.evaluation.simulated import Trials

CHARACTERS = 130  # of an outcome, in the width of a film


class DemoTrials:
    """Trials over nodes that are there, told to the record, the video and the terminal."""

    def __init__(self, monitor: Monitor, link: Link, video: Video) -> None:
        """Use what is there.

        Args:
            monitor: keeps the record; spun by another thread.
            link: of it, to arm and policy.
            video: shows words and outcomes. The trials have no films of their own.
        """
        self._record, self._link, self._video = monitor.record, link, video
        self._trials = Trials(monitor, monitor.record.robot, (), link)
        self._words = ""
        link.acting = self._acting

    def _acting(self, on: bool) -> None:
        """The policy is given its words, or has had its turn."""
        if on:
            self._video.say(self._words)
            self._record.begin(time.monotonic())
        else:
            self._record.end(time.monotonic())

    def run(self, tasks: Sequence[Task], seconds: float, trial_s: float) -> None:
        """Go through the tasks until the time is over; the first two are there in any case.

        Args:
            tasks: as of `plan`.
            seconds: no further trial begins after that.
            trial_s: a trial may take.

        Raises:
            LapaError: a node does not do its part.
        """
        until_s = time.monotonic() + seconds
        for task in tasks:
            if task.index >= 2 and time.monotonic() >= until_s:
                return
            self._words = task.trial.instruction
            score = self._trials.run(task, trial_s)
            self._record.trials.append(score)
            self._video.say(self._words, demo_tally.outcome(score)[:CHARACTERS])
            print(f"demo: {demo_tally.line(score)}", flush=True)
