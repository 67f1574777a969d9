# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the page decides, without a page: who drives, when an estop counts, what lights say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lapa_core import robot as robots
from lapa_core.control.compose import Pose
from lapa_core.errors import ConfigError, DataError
from lapa_core.recording.episode import Finding
from lapa_core.recording.status import RecorderStatus, StreamHealth
from lapa_core.rotation import rotation_from_rpy
from lapa_core.types import ActionChunk
from lapa_core.view import html, space
from lapa_core.view.calls import CallBook
from lapa_core.view.drag import OPENING_S, REACH_M, Drags, ends_driving
from lapa_core.view.health import PolledRates
from lapa_core.view.playback import PlayClock
from lapa_core.view.progress import Progress
from lapa_core.view.stopping import GIVE_UP_S, RETRY_S, EstopWatch

ME, OTHER = 3, 4


def at(x: float) -> Pose:
    return Pose(np.array([x, 0.0, 0.1]), np.eye(3))


@pytest.fixture
def drags() -> Drags:
    """Two arms; this page drives since 10 s."""
    drags = Drags(["left", "right"], alive_s=2.0)
    drags.switch(True, ME, 10.0)
    return drags


def xs(drags: Drags, now_s: float) -> dict[str, float]:
    return {arm: float(goal.xyz_m[0]) for arm, goal in drags.goals(now_s).items()}


def test_a_goal_is_asked_for_from_grab_to_release(drags: Drags) -> None:
    assert xs(drags, 10.0) == {}
    assert drags.grab("left", ME, at(0.2), 10.1)
    assert xs(drags, 10.1) == {"left": 0.2}
    assert drags.move("left", ME, at(0.24), 10.2)
    assert drags.move("left", ME, at(0.3), 10.2), "once it has begun it may go anywhere"
    drags.grab("right", ME, at(0.5), 10.2)
    assert xs(drags, 10.3) == {"left": 0.3, "right": 0.5}
    assert drags.held("left") is not None
    drags.release("left", ME)
    assert xs(drags, 10.3) == {"right": 0.5}
    assert drags.held("left") is None
    drags.move("left", ME, at(0.9), 10.4)  # an update that comes late
    assert xs(drags, 10.4) == {"right": 0.5}


def test_only_the_page_that_switched_it_on_drives(drags: Drags) -> None:
    assert not drags.grab("left", OTHER, at(0.2), 10.1)
    assert xs(drags, 10.1) == {}
    drags.grab("left", ME, at(0.2), 10.1)
    drags.move("left", OTHER, at(0.9), 10.2)
    drags.release("left", OTHER)
    drags.open_gripper("left", OTHER, 0.1, 10.2)
    assert xs(drags, 10.2) == {"left": 0.2}
    assert drags.openings(10.2) == {}
    drags.switch(False, OTHER, 10.3)  # but any page may switch it off
    assert xs(drags, 10.3) == {}
    drags.move("left", ME, at(0.9), 10.4)
    assert xs(drags, 10.4) == {}


@pytest.mark.parametrize("how", ["far", "turned", "no number"])
def test_a_drag_that_begins_elsewhere_than_at_the_tool_is_none(drags: Drags, how: str) -> None:
    goal = {
        "far": at(0.2 + 1.1 * REACH_M),
        "turned": Pose(at(0.2).xyz_m, rotation_from_rpy(0.0, 0.0, 0.35)),
        "no number": at(float("nan")),
    }[how]
    drags.grab("left", ME, at(0.2), 10.0)
    assert not drags.move("left", ME, goal, 10.1)
    assert xs(drags, 10.1) == {} and "not at the tool" in drags.stopped_by
    assert not drags.move("left", ME, at(0.2), 10.2), "it has to be grabbed anew"
    assert drags.grab("left", ME, at(0.2), 10.3) and drags.move("left", ME, at(0.21), 10.3)


def test_only_what_the_arm_follows_can_be_driven() -> None:
    for reason in ("disabled: hold requested", "moving to start"):
        assert ends_driving("hold", reason)
    for reason in ("enabled: waiting for a chunk", "arrived at start; waiting for a chunk", ""):
        assert not ends_driving("hold", reason)
    assert ends_driving("estop", "x") and not ends_driving("teleop", "following teleop")


def test_nothing_is_asked_for_while_driving_is_off() -> None:
    drags = Drags(["left"], alive_s=2.0)
    assert not drags.grab("left", ME, at(0.2), 0.0)
    assert xs(drags, 0.0) == {}
    with pytest.raises(ConfigError, match="valid: 'left'"):
        drags.grab("top", ME, at(0.2), 0.0)


@pytest.mark.parametrize("how", ["left", "stop", "silent"])
def test_what_ends_a_drag_ends_it_until_grabbed_anew(drags: Drags, how: str) -> None:
    drags.grab("left", ME, at(0.2), 10.0)
    drags.open_gripper("left", ME, 0.1, 10.0)
    if how == "left":
        drags.left(OTHER)
        assert xs(drags, 10.1)
        drags.left(ME)
    elif how == "stop":
        drags.stop("estop")
    now = 12.1 if how == "silent" else 10.1
    assert xs(drags, now) == {}
    assert drags.openings(10.1) == {}
    assert drags.driver is None and drags.stopped_by
    drags.move("left", ME, at(0.3), now)
    drags.heard(ME, now)
    assert xs(drags, now) == {}
    assert not drags.grab("left", ME, at(0.3), now), "driving has to be switched on anew"


def test_a_page_that_answers_may_hold_still(drags: Drags) -> None:
    drags.grab("left", ME, at(0.2), 10.0)
    for now in (11.0, 12.5, 14.0):
        drags.heard(ME, now)
    drags.heard(OTHER, 15.9)
    assert xs(drags, 15.9) == {"left": 0.2}
    assert xs(drags, 16.1) == {}
    assert "silent for 2 s" in drags.stopped_by


def test_an_opening_is_repeated_for_a_moment(drags: Drags) -> None:
    drags.open_gripper("right", ME, 0.4, 10.0)
    assert drags.openings(10.0 + 0.9 * OPENING_S) == {"right": 0.4}
    assert drags.openings(10.0 + OPENING_S) == {}


def test_an_estop_is_repeated_until_confirmed() -> None:
    watch = EstopWatch()
    assert not watch.due(0.0)
    watch.press(1.0)
    assert watch.due(1.0), "at once"
    assert not watch.due(1.0 + 0.9 * RETRY_S)
    assert watch.due(1.0 + RETRY_S)
    watch.answered(True, "", 1.6)
    assert (watch.phase, watch.text) == ("confirmed", "estop confirmed by the arm after 600 ms")
    assert not watch.due(9.0)
    watch.authority("estop", 9.0)
    assert watch.phase == "confirmed"
    watch.authority("hold", 10.0)
    assert (watch.phase, watch.text) == ("idle", "")


def test_an_estop_without_an_answer_is_said_to_be_unconfirmed() -> None:
    watch = EstopWatch()
    watch.press(0.0)
    sent = sum(watch.due(0.1 * tick) for tick in range(int(10 * GIVE_UP_S)))
    assert sent == GIVE_UP_S / RETRY_S
    watch.due(GIVE_UP_S + 0.1)
    assert watch.phase == "unconfirmed"
    assert "NOT CONFIRMED" in watch.text and "power switch" in watch.text
    watch.authority("estop", GIVE_UP_S + 1.0)  # late, but true
    assert watch.phase == "confirmed"


def test_an_estop_before_the_press_confirms_nothing() -> None:
    """`authority` is latched: an arm node that has died may have left the word behind."""
    watch = EstopWatch()
    watch.authority("estop", 0.0)
    watch.press(1.0)
    assert watch.phase == "sent" and watch.due(1.0)
    watch.answered(False, "no", 1.1)
    assert watch.phase == "sent" and watch.text == "the arm refused the estop: no"


def test_a_call_is_waited_for_once_and_not_for_ever() -> None:
    book = CallBook(timeout_s=5.0)
    first = book.begin("save", 0.0)
    assert first is not None
    assert book.begin("save", 1.0) is None, "still waiting for the first"
    assert book.begin("home", 1.0) is not None
    assert book.late(4.9) == []
    assert book.late(5.0) == ["save"]
    assert not book.answered("save", first), "too late: the person was told that none came"
    second = book.begin("save", 6.0)
    assert second is not None
    assert not book.answered("save", first), "the answer to an older call"
    assert book.answered("save", second)


def feed(rates: PolledRates, topic: str, hz: float, until_s: float) -> None:
    """Look at a stream twenty times a second."""
    for tick in range(int(20 * until_s)):
        now = tick / 20
        rates.saw(topic, int(now * hz), now)


def test_rates_are_told_from_the_publishers_numbers() -> None:
    rates = PolledRates({"good": 30.0, "slow": 30.0, "gone": 30.0, "never": 30.0, "free": 0.0})
    feed(rates, "good", 29.5, 5.0)
    feed(rates, "slow", 12.0, 5.0)
    feed(rates, "gone", 30.0, 2.0)
    feed(rates, "free", 100.0, 5.0)
    seen = {s.topic: s for s in rates.streams(5.0)}
    assert {t: s.light for t, s in seen.items()} == {
        "good": "green", "slow": "yellow", "gone": "red", "never": "red", "free": "green",
    }  # fmt: skip
    assert seen["good"].rate_hz == pytest.approx(29.5, abs=0.5)
    assert seen["free"].rate_hz == pytest.approx(100.0, abs=1.0)
    assert seen["gone"].text == "silent for 3 s"


def test_without_numbers_only_the_arrival_is_told() -> None:
    rates = PolledRates({"camera": 30.0})
    for tick in range(40):
        rates.saw("camera", None, tick / 20)
    (seen,) = rates.streams(2.0)
    assert (seen.light, seen.rate_hz) == ("green", 0.0)
    assert "does not tell its rate" in seen.text


def test_a_publisher_that_starts_anew_counts_from_its_own_zero() -> None:
    rates = PolledRates({"camera": 30.0})
    feed(rates, "camera", 30.0, 2.0)
    for tick in range(40):
        rates.saw("camera", int(tick * 1.5), 2.0 + tick / 20)
    assert rates.streams(4.0)[0].rate_hz == pytest.approx(30.0, abs=1.0)


def test_a_recording_plays_seeks_and_ends() -> None:
    clock = PlayClock(10.0)
    assert clock.at(100.0) == 0.0
    clock.play(100.0)
    assert clock.at(102.5) == 2.5
    clock.set_speed(4.0, 102.5)
    assert clock.at(103.0) == 4.5
    clock.seek(99.0, 103.0)
    assert clock.at(103.0) == 10.0
    assert not clock.playing
    clock.play(104.0)
    assert clock.at(104.0) == 0.0, "from the beginning again"
    clock.pause(105.0)
    assert clock.at(200.0) == 4.0


def test_progress_comes_back_and_nonsense_is_refused() -> None:
    told = Progress("fine-tuning", 30.0, 120.0, "loss 0.4")
    assert Progress.from_json(told.to_json()) == told
    assert told.share == 0.25 and Progress("x", 3.0, 0.0).share == 0.0
    for bad in ("", "[]", "{}", '{"job": "a", "done": "b", "total": 1}', "3",
                '{"job": "a", "done": NaN, "total": 1}', "[" * 200_000,
                f'{{"job": "a", "done": {10**400}, "total": 1}}'):  # fmt: skip
        with pytest.raises(DataError, match="not a progress message"):
            Progress.from_json(bad)


def test_a_recorders_status_comes_back_and_nonsense_is_refused() -> None:
    """Each field in turn is replaced by what it cannot be; the page shows the rest as text."""
    good = json.loads(STATUS.to_json())
    assert RecorderStatus.from_json(json.dumps(good)) == STATUS
    places = [(good, name) for name in good]
    places += [(good[part][0], name) for part in ("streams", "findings") for name in good[part][0]]
    refused = 0
    for place, name in places:
        kept = place[name]
        for bad in (None, EVIL, [], {}, [None], [{}], -1, 1.5, 1e999, 10**400, True, "\ud800"):
            place[name] = bad
            try:
                status = RecorderStatus.from_json(json.dumps(good))
            except DataError:
                refused += 1
                continue
            shown = (
                html.recorder(status)
                + html.lights(status.streams)
                + html.findings(status.findings)
            )
            assert "<img" not in shown
            shown.encode()
        place[name] = kept
    assert refused > 8 * len(places)
    for text in ("", "[]", "null", "3", "{}", "[" * 200_000, json.dumps(good | {"more": 1})):
        with pytest.raises(DataError, match="not a recorder status"):
            RecorderStatus.from_json(text)


def test_what_no_page_can_be_sent_is_replaced() -> None:
    assert html.note("a\ud800b").encode() and "a?b" in html.note("a\ud800b")
    assert len(html.clean(10_000_000 * "x")) < 3000


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_path_that_is_none_is_not_drawn(value: float) -> None:
    robot = robots.load("wx250s")
    deltas = np.zeros((2, 7))
    deltas[1, 3] = value
    chunk = ActionChunk(robot.dimensions, deltas, np.arange(2.0), 0)
    with pytest.raises(DataError, match="not finite"):
        space.predicted(chunk, robot, robot.arms[0], at(0.2))


EVIL = '<img src=x onerror="alert(1)">'
STATUS = RecorderStatus(
    "recording", 3, 37, 150, EVIL, (EVIL,), EVIL, 1.0, 2.0, EVIL, 5.0, 6.0, EVIL,
    (StreamHealth(EVIL, 1.0, 2.0, 3, 4, "red", EVIL),),
    (Finding(EVIL, EVIL, 0.0, 1.0, EVIL),),
)  # fmt: skip


def test_nothing_from_a_topic_becomes_markup() -> None:
    """Whoever may publish a sentence must not get a script into the page of a robot."""
    status, stream, finding = STATUS, STATUS.streams[0], STATUS.findings[0]
    shown = [
        html.authority("hold", EVIL), html.authority(EVIL, EVIL), html.recorder(status),
        html.lights([stream]), html.findings([finding]), html.facts({EVIL: EVIL}),
        html.jobs([Progress(EVIL, 1.0, 2.0, EVIL)]), html.note(EVIL), html.box(EVIL, (0, 0, 0)),
    ]  # fmt: skip
    assert all("&lt;img" in text and "<img" not in text for text in shown)
    assert "37 of 150" in html.recorder(status)


def test_serious_findings_stand_first_and_the_rest_is_counted() -> None:
    found = [Finding("gap", "/a", float(k), 1.0, f"text {k}", serious=k == 5) for k in range(12)]
    text = html.findings(found)
    assert text.index("text 5") < text.index("text 11")
    assert "and 4 more" in text and "text 0<" not in text
