# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A person at a real arm: lays out the scene, begins, says how it went, goes on to the next.

    ready --begin--> homing --> running --time, end, hold--> asking --answer--> ready ... done

Only decides what is asked and what is written; the arm is moved by whoever calls this. The
answers: yes (done, and nothing else happened: strict success, credit 1); or no, then how far it
got. Credit 1 after a no: the task was done, but something else happened too. Not thread-safe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lapa_core.errors import ConfigError
from lapa_core.evaluate.live import SessionStatus, State
from lapa_core.evaluate.results import Results
from lapa_core.evaluate.scores import Score
from lapa_core.evaluate.statistics import wilson
from lapa_core.evaluate.suites import Item, Suite
from lapa_core.evaluate.table import interval

CREDITS = (0.0, 0.25, 0.5, 0.75, 1.0)
ASK_DONE = "Did it succeed, and nothing else happen? Yes (y) or no (n)"
ASK_CREDIT = "How far did it get? 0, 1/4, 1/2, 3/4; 1: done, but something else happened too"


@dataclass(frozen=True)
class Planned:
    """One trial that a person will watch; `index` counts those of its split and task."""

    index: int
    item: Item


def plan(suite: Suite) -> list[Planned]:
    """The trials of a suite for a person, one of each item in turn.

    Raises:
        ConfigError: it is for the simulation.
    """
    suite.require(for_a_person=True)
    counts: dict[tuple[str, str], int] = {}
    found = []
    for round_ in range(max(i.episodes for i in suite.items)):
        for item in suite.items:
            if round_ < item.episodes:
                key = item.split, item.task
                found.append(Planned(counts.get(key, 0), item))
                counts[key] = counts.get(key, 0) + 1
    return found


class Session:
    """The trials of a suite that are not there yet.

    Attributes:
        state: as in the diagram.
        message: what happened last, for a person.
    """

    def __init__(self, suite: Suite, results: Results) -> None:
        self.state: State = "ready"
        self.message = ""
        self._max_s = suite.max_s
        self._results = results
        self._plan = plan(suite)
        self._refused = False  # a "no" was answered, the credit was not
        self._right: bool | None = None
        self._ended, self._note = "person", ""
        self._steps, self._robot_s = 0, 0.0
        if len(self._results.scores):
            self.message = f"{len(self._results.scores)} trials are there already"
        self._next()

    @property
    def planned(self) -> Planned | None:
        """The trial that is next, or under way; None when all are done."""
        done = self._results.done
        for p in self._plan:
            if (p.item.split, p.item.task, p.index) not in done:
                return p
        return None

    # What a person presses -----------------------------------------------------------------

    def begin(self) -> Planned:
        """The scene stands: the arm may go to its start, and then the policy may act."""
        self._need("begin", "ready")
        planned = self.planned
        assert planned is not None  # else the state is done
        self._refused, self._right = False, None
        self.state, self.message = "homing", "to the start pose"
        return planned

    def yes(self) -> Score:
        """It succeeded."""
        self._need("yes", "asking")
        return self._write(strict=True, credit=1.0)

    def no(self) -> None:
        """It did not; how far it got is asked next."""
        self._need("no", "asking")
        self._refused, self.message = True, ""

    def credit(self, credit: float) -> Score:
        """How far it got."""
        self._need(f"credit {credit:g}", "asking")
        if credit not in CREDITS:
            raise ConfigError(f"credit must be one of {CREDITS}, got {credit}")
        if credit == 1.0 and not self._refused:
            raise ConfigError("credit 1: answer yes; or no first, if something else happened too")
        return self._write(strict=False, credit=credit)

    def touched(self, right: bool) -> None:
        """Whether the object touched first is the one spoken of; may be left unsaid."""
        self._need("right or wrong", "running", "asking")
        self._right = right
        self.message = f"first touched: the {'right' if right else 'wrong'} object"

    def redo(self) -> None:
        """This trial again: something went wrong that is not the policy's."""
        self._need("redo", "asking")
        self.state, self.message = "ready", "nothing is written: lay out the scene again"

    def undo_last(self) -> Score:
        """The answer before was wrong: its trial is done again."""
        self._need("undo_last", "ready", "done")
        gone = self._results.take_back()
        self.state = "ready"
        self.message = f"trial {gone.index + 1} of {gone.split}/{gone.task} is taken back"
        return gone

    # What the arm does ---------------------------------------------------------------------

    def running(self) -> None:
        """The policy acts from now on."""
        self.state, self.message = "running", ""

    def failed(self, reason: str) -> None:
        """The trial could not be begun, or had to be given up; nothing is written."""
        self.state, self.message = "ready", reason

    def ended(self, ended: str, note: str, steps: int, robot_s: float) -> None:
        """The policy's turn is over, and the arm holds."""
        self._ended, self._note, self._steps, self._robot_s = ended, note, steps, robot_s
        self.state, self.message = "asking", note

    # What is shown and written -------------------------------------------------------------

    def status(self, left_s: float = 0.0) -> SessionStatus:
        """For the person's eyes."""
        planned = self.planned
        item = planned.item if planned else Item("", "", 0)
        scores = self._results.scores
        question = ""
        if self.state == "asking":
            question = ASK_CREDIT if self._refused else ASK_DONE
        return SessionStatus(
            state=self.state,
            number=min(len(scores) + 1, len(self._plan)),
            total=len(self._plan),
            split=item.split,
            task=item.task,
            instruction=item.instruction,
            layout=item.layout,
            left_s=max(0.0, left_s),
            question=question,
            message=self.message,
            strict=interval(wilson(sum(s.strict for s in scores), len(scores))),
        )

    def _need(self, what: str, *states: State) -> None:
        if self.state not in states:
            raise ConfigError(
                f"{what} is for the states {', '.join(states)}; the evaluation is {self.state}"
            )

    def _write(self, strict: bool, credit: float) -> Score:
        planned = self.planned
        assert planned is not None
        item = planned.item
        score = Score(
            index=planned.index, split=item.split, task=item.task, target=item.target,
            instruction=item.instruction, seed=planned.index, scene="", success=credit == 1.0,
            strict=strict, credit=credit, right_object=self._right, first_touched="",
            # Where a person says nothing of it, nobody knows: that is not "nothing touched".
            chance=1.0 / item.objects if item.objects and self._right is not None else 0.0,
            ended=self._ended,
            steps=self._steps, robot_s=round(self._robot_s, 3), wall_s=round(self._robot_s, 3),
            note=self._note,
        )  # fmt: skip
        if self._right and item.target:
            score = replace(score, first_touched=item.target)
        self._results.add(score)
        self.state, self.message = "ready", f"credit {credit:g} is written"
        self._next()
        return score

    def _next(self) -> None:
        if self.planned is None:
            self.state = "done"
