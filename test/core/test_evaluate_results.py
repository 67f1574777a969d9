# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Records of trials: they survive any end, are never mixed, and become the table they should."""

from __future__ import annotations

import dataclasses
import json
import resource
from pathlib import Path
from typing import Any

import pytest

from lapa_core.errors import ConfigError, DataError
from lapa_core.evaluate import command, compare, evaluation, page, results, suites, table
from lapa_core.evaluate.live import LiveOutcome, LiveTrial, SessionStatus
from lapa_core.evaluate.results import Results
from lapa_core.evaluate.scores import Score

RUN: dict[str, Any] = {
    "suite": "s", "items": [], "episodes": {"seen/put": 3, "seen/knock": 3}, "seed": 0,
    "robot": "wx250s", "policy": "abc", "checkpoint": "micro", "workers": 1,
}  # fmt: skip


# The last two end lines for `str.splitlines`, and not for JSON.
NOTE = "went to “blue”\nand fell\u2028and \x85"


def made(index: int = 0, task: str = "put", **changes: Any) -> Score:
    values: dict[str, Any] = {
        "index": index, "split": "seen", "task": task, "target": "red_block",
        "instruction": "put the red block in the bin", "seed": 100 + index, "scene": "tabletop",
        "success": False, "strict": False, "credit": 0.25, "right_object": None,
        "first_touched": "", "chance": 0.25, "ended": "time", "steps": 50, "robot_s": 10.0,
        "wall_s": 2.0,
    }  # fmt: skip
    return Score(**{**values, **changes})


def won(index: int, task: str = "put", **changes: Any) -> Score:
    done: dict[str, Any] = {"success": True, "strict": True, "credit": 1.0, "right_object": True}
    return made(index, task, **{**done, "ended": "done", **changes})


def test_a_line_comes_back_as_it_was(tmp_path: Path) -> None:
    with Results(tmp_path, RUN) as found:
        found.add(made(1, note=NOTE))
        found.add(won(0, "knock"))
        found.add(won(0))
    read = results.read(tmp_path)
    assert [s.key for s in read] == [("seen", "put", 0), ("seen", "put", 1), ("seen", "knock", 0)]
    assert read[1] == made(1, note=NOTE)


def test_a_line_that_a_kill_has_cut_is_run_again(tmp_path: Path) -> None:
    """The cut line counted as damage, and a finished one after it was lost with it."""
    with Results(tmp_path, RUN) as found:
        found.add(won(0))
    path = tmp_path / results.TRIALS
    whole = path.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole + whole.replace(b'"index": 0', b'"index": 1')[:cut])
        assert [s.index for s in results.read(tmp_path)] == [0]
        with Results(tmp_path, RUN) as again:
            assert again.done == {("seen", "put", 0)}
            again.add(won(1))
        assert [s.index for s in results.read(tmp_path)] == [0, 1]


def test_a_damaged_line_and_a_trial_twice_are_named(tmp_path: Path) -> None:
    with Results(tmp_path, RUN) as found:
        found.add(won(0))
    path = tmp_path / results.TRIALS
    good = path.read_text()
    for bad, word in (
        ("{}\n", "keys missing"),
        ("nonsense\n", "not a trial"),
        (good, "twice"),
        ("\udcff\n", "damaged"),
        (good.replace('"credit": 1.0', '"credit": 7').replace(": 0,", ": 1,", 1), "0 .. 1"),
    ):
        path.write_text(good + bad, errors="surrogateescape")
        with pytest.raises(DataError, match=word):
            Results(tmp_path, RUN)


def test_a_full_disk_is_named_and_the_same_answer_counts_once_later(tmp_path: Path) -> None:
    """The rest of the line stayed in a buffer, and came out before the answer given again."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Results(tmp_path, RUN) as found:
        found.add(won(0))
        size = (tmp_path / results.TRIALS).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, old[1]))
        try:
            with pytest.raises(DataError, match="cannot write"):
                found.add(won(1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert (tmp_path / results.TRIALS).stat().st_size == size
        found.add(won(1))
    assert [s.index for s in results.read(tmp_path)] == [0, 1]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write into"):
        Results(tmp_path / "file", RUN)
    Results(tmp_path / "good", RUN).close()
    (tmp_path / "good" / evaluation.SUMMARY).mkdir()
    with pytest.raises(DataError, match="cannot write the report"):
        evaluation.write(tmp_path / "good", [won(0)])


def test_another_evaluation_is_never_mixed_in(tmp_path: Path) -> None:
    Results(tmp_path, RUN).close()
    Results(tmp_path, RUN | {"workers": 8, "episodes": {"seen/put": 9}}).close()  # only more of it
    Results(tmp_path, RUN | {"latency_s": 0.0}).close()  # one of before there was such a thing
    # Through the nodes, the policy's thinking takes `speed` times as much of the robot's time.
    for change in ({"seed": 1}, {"policy": "def"}, {"max_s": 3.0}, {"speed": 2.0},
                   {"latency_s": 0.1}):  # fmt: skip
        with pytest.raises(ConfigError, match=next(iter(change))):
            Results(tmp_path, RUN | change)


def test_two_processes_never_write_into_one_folder(tmp_path: Path) -> None:
    with Results(tmp_path, RUN), pytest.raises(ConfigError, match="another evaluation writes"):
        Results(tmp_path, RUN)
    Results(tmp_path, RUN).close()


def test_the_newest_trial_can_be_taken_back(tmp_path: Path) -> None:
    with Results(tmp_path, RUN) as found:
        found.add(won(0))
        found.add(made(1, note="ä"))
        assert found.take_back().index == 1
        found.add(won(1))
    assert [s.strict for s in results.read(tmp_path)] == [True, True]


def test_checkpoints_are_told_apart_by_their_content(tmp_path: Path) -> None:
    for name, weights in (("a", b"x" * 3_000_000), ("b", b"x" * 2_999_999 + b"y"), ("c", b"")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
    found = {results.fingerprint(tmp_path / n) for n in "abc"}
    assert len(found) == 3
    (tmp_path / "a").rename(tmp_path / "moved")
    assert results.fingerprint(tmp_path / "moved") in found
    with pytest.raises(DataError, match="empty"):
        results.fingerprint(tmp_path / "nowhere")


def test_rates_of_a_hand_made_case() -> None:
    scores = [
        won(0), won(1), made(2, right_object=False), made(3),
        made(0, "knock", right_object=True, success=True, credit=1.0, ended="done"),
    ]  # fmt: skip
    put, knock, both = table.rows(scores)
    assert (put.split, put.task, put.strict.total) == ("seen", "put", 4)
    assert put.credit.mean == pytest.approx((1 + 1 + 0.25 + 0.25) / 4)
    assert put.strict.sum == 2 and put.right is not None and put.right.mean == 0.5
    assert put.right_of_touched is not None and put.right_of_touched.total == 3
    assert put.chance == 0.25 and put.speed == pytest.approx(5.0)
    assert put.endings == {"done": 2, "time": 2}
    assert knock.done.mean == 1.0 and knock.strict.mean == 0.0
    assert (both.task, both.strict.total) == (table.ALL, 5)
    assert table.cells(put)[3:6] == ("62 % [22, 91]", "50 % [15, 85]", "50 % [15, 85]")


def test_what_nobody_knows_is_a_dash_and_null() -> None:
    (row,) = table.rows([made(0, chance=0.0, wall_s=0.0)])
    assert table.cells(row)[5:] == ("-", "-", "-", "-")
    shown = json.loads(json.dumps(table.as_json(row), allow_nan=False))
    assert shown["right_object"] is None and shown["chance"] is None


def test_tables_hold_their_columns() -> None:
    lines = [("a", "b|c", "1"), ("longer", "d", "22")]
    head = ("x", "y", "n")
    assert table.markdown(head, lines).splitlines()[2] == "| a | b\\|c | 1 |"
    shown = table.terminal(head, lines).splitlines()
    assert shown[2] == "a       b|c   1" and shown[3] == "longer  d    22"


def test_two_policies_are_compared_pair_by_pair() -> None:
    first = [won(0), won(1), won(2), made(3), made(9)]
    second = [won(0), made(1), made(2, credit=0.0), made(3, credit=0.5)]
    matched = compare.pairs(first, second)
    assert len(matched) == 4  # trial 9 was the first one's alone
    (found,) = compare.compare(matched)
    strict = found.measures["strict"][2]
    assert (strict.both, strict.first, strict.second, strict.neither) == (1, 2, 0, 1)
    assert strict.p == 0.5 and strict.difference == 0.5
    assert (found.credit_better, found.credit_worse) == (2, 1)
    json.dumps(compare.as_json(found), allow_nan=False)
    assert compare.cells(found)[1][3] == "strict"


def test_what_a_person_did_not_say_is_not_compared() -> None:
    """Trials of which nobody said what was touched counted as the wrong object."""
    silent: dict[str, Any] = {"chance": 0.0, "right_object": None}
    first = [won(0), won(1), made(2, right_object=False)]
    second = [made(0, right_object=True), won(1, **silent), won(2, **silent)]
    (found,) = compare.compare(compare.pairs(first, second))
    one, two, _ = found.measures["right object"]
    assert (one.total, two.total, one.sum, two.sum) == (1, 1, 1, 1)
    assert compare.cells(found)[2][2:4] == ("1", "right object")
    (found,) = compare.compare(compare.pairs(first[1:], second[1:]))
    assert list(found.measures) == ["strict"]
    json.dumps(compare.as_json(found), allow_nan=False)


def test_other_starts_are_no_pair() -> None:
    with pytest.raises(DataError, match="began otherwise"):
        compare.pairs([won(0)], [won(0, seed=7)])
    with pytest.raises(DataError, match="no trial in common"):
        compare.pairs([won(0)], [won(1)])


def test_what_else_differed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, max_s in (("a", 20.0), ("b", 5.0)):
        with Results(tmp_path / name, RUN | {"max_s": max_s}) as found:
            found.add(won(0))
    command.compare_results((tmp_path / "a", tmp_path / "b"), as_json=False)
    assert "note: max_s was 20.0 and 5.0" in capsys.readouterr().out


def test_the_page_escapes_and_links() -> None:
    evil = "<script>alert(1)</script>"
    scores = [made(0, note=evil, instruction=evil, film="films/seen-put-0000.mp4"), won(1)]
    text = page.page(evil, RUN, table.rows(scores), scores, pictures=("curves.png",))
    assert evil not in text and "&lt;script&gt;" in text
    assert 'src="films/seen-put-0000.mp4"' in text and 'src="curves.png"' in text
    assert text.count("<rect") == 3  # success, strict and right object of the one row


def test_every_suite_that_ships_can_be_read() -> None:
    assert {"seen", "full", "smoke", "real_example"} <= set(suites.available())
    for name in suites.available():
        suite = suites.load(name)
        assert suite.with_episodes(3).items[0].episodes == 3
        assert suite.for_a_person == (name == "real_example")


ITEM = {"split": "seen", "task": "put", "episodes": 2}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"max_s": 5, "trials": []}, "at least one"),
        ({"trials": [ITEM]}, "'max_s' is missing"),
        ({"max_s": 0, "trials": [ITEM]}, "max_s must be above 0"),
        ({"max_s": 5, "trials": [ITEM | {"episodes": 0}]}, "episodes must be at least 1"),
        ({"max_s": 5, "trials": [ITEM | {"episods": 1}]}, "did you mean 'episodes'"),
        ({"max_s": 5, "trials": [ITEM, ITEM]}, "listed twice"),
        ({"max_s": 5, "trials": [ITEM | {"instruction": "x", "scene": "y"}]}, "one of them"),
        ({"max_s": 5, "trials": [ITEM, ITEM | {"instruction": "x"}]}, "or none"),
        ([], "must be a mapping"),
    ],
)
def test_a_wrong_suite_is_named(content: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        suites.parse(content, "mine", "mine.yaml")


def test_a_suite_that_is_not_there_and_one_of_the_other_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'seen'"):
        suites.load("sen")
    with pytest.raises(ConfigError, match="cannot read"):
        suites.load(str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match="for a real arm"):
        suites.load("real_example").require(for_a_person=False)
    with pytest.raises(ConfigError, match="for the simulation"):
        suites.load("seen").require(for_a_person=True)


LIVE = (
    LiveTrial("seen", "put", "red_block", "words", 7, "tabletop", 3),
    LiveOutcome(3, True, True, 1.0, None, "", "", 4.5, 0.25),
    SessionStatus("asking", 1, 9, "seen", "put", "words", "", 0.0, "?", "", "-"),
)


@pytest.mark.parametrize("message", LIVE)
def test_live_messages_come_back_and_junk_is_refused(message: Any) -> None:
    kind, text = type(message), message.to_json()
    assert kind.from_json(text) == message
    content = dataclasses.asdict(message)
    first = next(iter(content))
    for junk in (
        "",
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps(content | {"more": 1}),
        json.dumps(content | {first: [1]}),
        json.dumps(content | {"seed": -1}),
    ):
        with pytest.raises(DataError):
            kind.from_json(junk)
