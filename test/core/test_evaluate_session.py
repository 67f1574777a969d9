# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A person's session at a real arm: what may be pressed when, and what is written then."""

from __future__ import annotations

from pathlib import Path

import pytest

from lapa_core.errors import ConfigError, DataError
from lapa_core.evaluate import results, suites
from lapa_core.evaluate.results import Results
from lapa_core.evaluate.session import Session, plan

SUITE = suites.parse(
    {
        "max_s": 20,
        "trials": [
            {"split": "seen", "task": "put", "instruction": "put the red block in the bin",
             "target": "red_block", "objects": 4, "episodes": 2},
            {"split": "seen", "task": "put", "instruction": "put the blue block in the bin",
             "episodes": 1},
        ],
    },
    "mine",
    "mine.yaml",
)  # fmt: skip
RUN = {"suite": "mine", "items": [], "episodes": {"seen/put": 3}, "policy": "abc"}


def acted(session: Session, ended: str = "time") -> None:
    session.begin()
    session.running()
    session.ended(ended, "", 40, 8.0)


def test_trials_of_one_split_and_task_are_numbered_on() -> None:
    assert [(p.index, p.item.instruction.split()[2]) for p in plan(SUITE)] == [
        (0, "red"), (1, "blue"), (2, "red"),
    ]  # fmt: skip


def test_answers_become_the_same_records_as_a_simulations(tmp_path: Path) -> None:
    with Results(tmp_path, RUN) as found:
        session = Session(SUITE, found)
        acted(session)
        session.touched(right=True)
        assert "Yes" in session.status().question
        session.yes()
        acted(session, "hold")
        session.no()
        assert "1/4" in session.status().question
        session.credit(0.5)
        assert session.state == "ready" and session.status().number == 3
        acted(session)  # the red one again, of which nobody says what it touched first
        session.no()
        session.credit(1.0)  # done, but something else happened too
        assert session.state == "done"
    one, two, three = results.read(tmp_path)
    assert (one.strict, one.credit, one.right_object, one.chance) == (True, 1.0, True, 0.25)
    assert (one.first_touched, one.steps, one.robot_s) == ("red_block", 40, 8.0)
    assert (two.strict, two.success, two.credit, two.ended) == (False, False, 0.5, "hold")
    assert two.right_object is None and two.chance == 0.0
    assert (three.strict, three.success, three.credit) == (False, True, 1.0)
    assert (three.target, three.chance) == ("red_block", 0.0)


def test_a_session_goes_on_where_it_was_left(tmp_path: Path) -> None:
    with Results(tmp_path, RUN) as found:
        session = Session(SUITE, found)
        acted(session)
        session.yes()
        acted(session)  # and is killed before the answer
    with Results(tmp_path, RUN) as found:
        session = Session(SUITE, found)
        assert (session.state, session.status().number) == ("ready", 2)
        assert session.begin().index == 1


def test_what_cannot_be_pressed_now_is_refused(tmp_path: Path) -> None:
    with Results(tmp_path, RUN) as found:
        session = Session(SUITE, found)
        for press in (session.yes, session.no, session.redo, lambda: session.credit(0.0)):
            with pytest.raises(ConfigError, match="the evaluation is ready"):
                press()
        with pytest.raises(DataError, match="take back"):
            session.undo_last()
        acted(session)
        with pytest.raises(ConfigError, match="asking"):
            session.begin()
        with pytest.raises(ConfigError, match="answer yes"):
            session.credit(1.0)
        with pytest.raises(ConfigError, match="credit must be one of"):
            session.credit(0.3)
        assert found.scores == [] and session.state == "asking"


def test_a_trial_is_done_again_and_an_answer_taken_back(tmp_path: Path) -> None:
    with Results(tmp_path, RUN) as found:
        session = Session(SUITE, found)
        acted(session)
        session.redo()
        assert session.state == "ready" and not found.scores
        acted(session)
        session.no()
        session.credit(0.0)
        session.undo_last()
        assert session.status().number == 1 and not results.read(tmp_path)
        acted(session)
        session.yes()
    assert [s.strict for s in results.read(tmp_path)] == [True]


def test_a_trial_that_could_not_begin_is_not_written(tmp_path: Path) -> None:
    with Results(tmp_path, RUN) as found:
        session = Session(SUITE, found)
        session.begin()
        session.failed("waited 20 s for the policy's first step")
        assert session.state == "ready" and not found.scores
        assert "first step" in session.status().message
