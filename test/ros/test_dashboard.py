# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The dashboard over real DDS and a real websocket, with a person's page but without a browser."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from browser import address_of
from harness import StandInCamera, spinning, started, wait_for
from page_client import PageClient
from page_rest import ARM, ROBOT, TOOL, Rest, status
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Float64

from lapa_core.evaluate.live import SessionStatus
from lapa_core.types import ActionChunk
from lapa_core.view.progress import Progress
from lapa_ros import convert, interface
from lapa_ros.dashboard_node import DashboardNode

EVIL = "<img src=x onerror=alert(1)>"


class Setting:
    """A dashboard process, what surrounds it, and a way to open its page."""

    def __init__(self, rest: Rest, camera: StandInCamera, url: str, pid: int) -> None:
        self.rest, self.camera, self.url, self.pid = rest, camera, url, pid

    def cpu_s(self) -> float:
        """Processor time the dashboard has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100.0


@pytest.fixture(scope="module")
def setting(ros_context: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    log = tmp_path_factory.mktemp("dashboard") / "log"
    rest = Rest()
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    camera = StandInCamera(ROBOT, picture)
    with ExitStack() as stack:
        stack.enter_context(spinning(rest))
        stack.enter_context(spinning(camera))
        parameters: dict[str, object] = {"robot": "wx250s", "port": 0, "alive_s": 1.0}
        node = stack.enter_context(started("dashboard_node", parameters, log))
        yield Setting(rest, camera, address_of(node), node.process.pid)


@pytest.fixture
def page(setting: Setting) -> Iterator[PageClient]:
    client = PageClient(setting.url)
    yield client
    client.close()


def test_streams_are_taken_only_while_somebody_looks(setting: Setting) -> None:
    """A page that nobody has open costs the arm and the recorder nothing."""
    topic = setting.camera.camera.topic
    listeners = lambda: setting.camera.count_subscribers(topic)  # noqa: E731
    assert listeners() == 0
    before, since = setting.cpu_s(), time.monotonic()
    threading.Event().wait(1.0)
    assert (setting.cpu_s() - before) / (time.monotonic() - since) < 0.15
    client = PageClient(setting.url)
    wait_for(lambda: listeners() == 1, "the camera to be looked at")
    wait_for(lambda: client.shows(topic), "its light")
    wait_for(lambda: client.shows("of 30 Hz"), "its rate")
    client.close()
    wait_for(lambda: listeners() == 0, "the camera to be left alone")


def test_buttons_and_keys_call_their_services_and_tell_the_answer(
    setting: Setting, page: PageClient
) -> None:
    setting.rest.called.clear()
    page.press("Enable")
    wait_for(lambda: ("enable", "enable <done>") in page.notices, "the answer to enable")
    page.key("arrowright")
    page.key("arrowleft")
    page.set("Move slowly to", "Home")
    for name in ("recorder/save", "recorder/redo", "home"):
        wait_for(lambda n=name: (n, f"{n} <done>") in page.notices, f"the answer to {name}")
    assert sorted(setting.rest.called) == ["enable", "home", "recorder/redo", "recorder/save"]


def test_a_service_that_is_missing_or_hangs_is_told(setting: Setting, page: PageClient) -> None:
    page.press("Undo last (U)")
    wait_for(
        lambda: any("nobody offers this" in b for t, b in page.notices if "undo" in t), "the word"
    )
    setting.rest.hanging.clear()
    try:
        page.key("arrowright")
        wait_for(lambda: "recorder/save" in setting.rest.called, "the call")
        page.key("arrowright")  # pressed again while the first one waits
        wait_for(lambda: any("still waiting" in b for _, b in page.notices), "the word on that")
        wait_for(lambda: any("no answer within 5 s" in b for _, b in page.notices), "the deadline")
    finally:
        setting.rest.hanging.set()


def test_what_is_told_is_shown(setting: Setting, page: PageClient) -> None:
    rest = setting.rest
    rest.says("teleop: following <b>teleop</b>")
    rest.reports(status())
    rest.works(Progress("fine-tuning", 30, 120, "loss 0.4"))
    for text in (
        "following &lt;b&gt;teleop",
        "37 of 150",
        "● RECORDING",
        "12 Hz instead of 30 Hz",
        "<b>fine-tuning</b> 25 %",
    ):
        wait_for(lambda t=text: page.shows(t), text)
    page.set("Task", "sort")
    wait_for(lambda: "sort" in rest.instructions, "the task that was chosen")
    page.set("Instruction", "  put it back ")
    page.press("Set instruction")
    wait_for(lambda: rest.instructions[-1] == "put it back", "the sentence")
    rest.reports(status(state="reset", reset_left_s=7.4))
    wait_for(lambda: page.shows("next episode in 7 s"), "the countdown")
    wait_for(lambda: page.shows("no recorder_node heard"), "the recorder's silence")
    assert not page.shows("37 of 150"), "what it said last is no longer true"


def test_an_evaluation_shows_what_to_do_and_takes_the_answers(
    setting: Setting, page: PageClient
) -> None:
    assert not page.shows("lay out the scene")
    setting.rest.evaluates(
        SessionStatus("asking", 3, 20, "seen", "put", "put it <i>in</i>", "", 0.0,
                      "Did it succeed?", "time", "40 % [12, 77]")
    )  # fmt: skip
    for text in ("Did it succeed?", "put it &lt;i&gt;in", "trial 3 of 20", "40 % [12, 77]"):
        wait_for(lambda t=text: page.shows(t), text)
    page.set("How far did it get?", "1/2")
    page.press("Succeeded (Y)")
    page.key("N")
    for name in ("evaluate/credit_50", "evaluate/yes", "evaluate/no"):
        wait_for(lambda n=name: (n, f"{n} <done>") in page.notices, f"the answer to {name}")


def grabs(setting: Setting, page: PageClient) -> bool:
    """Grab the handle and pull it; whether goals come. None do until the tool has been heard."""
    page.drag(ARM, "start", TOOL)
    page.drag(ARM, "update", (0.31, 0.02, 0.15))
    return bool(setting.rest.goals)


def drives(setting: Setting, page: PageClient) -> None:
    """Switch driving on."""
    setting.rest.says("hold: enabled: waiting for a chunk")
    wait_for(lambda: page.shows("enabled: waiting for a chunk"), "the arm's word")
    wait_for(lambda: page.value("Drive by dragging") is False, "driving to be off")
    page.set("Drive by dragging", True)
    setting.rest.goals.clear()


def goals_from(setting: Setting, page: PageClient) -> None:
    """Switch driving on, grab, and wait until goals come."""
    drives(setting, page)
    wait_for(lambda: grabs(setting, page), "the handle to be grabbed", poll_s=0.1)
    setting.rest.goals.clear()
    wait_for(lambda: len(setting.rest.goals) > 20, "goals", seen=lambda: len(setting.rest.goals))


def goals_stop(setting: Setting, within_s: float) -> None:
    """No goal comes later than `within_s` from now."""
    from_s = time.monotonic()
    last = lambda: setting.rest.goals[-1][0]  # noqa: E731
    wait_for(lambda: time.monotonic() - last() > 0.4, "goals to stop")
    assert last() - from_s < within_s


def test_a_drag_is_a_goal_twenty_times_a_second_until_let_go(
    setting: Setting, page: PageClient
) -> None:
    page.drag(ARM, "start", TOOL)  # driving is off: nothing
    page.drag(ARM, "update", (0.5, 0.0, 0.15))
    goals_from(setting, page)
    _, msg = setting.rest.goals[-1]
    position = msg.pose.position
    assert (position.x, position.y, position.z) == pytest.approx((0.31, 0.02, 0.15))
    assert msg.header.frame_id == ROBOT.arms[0].base_frame
    assert not any(m.pose.position.x > 0.4 for _, m in setting.rest.goals)
    times = [t for t, _ in setting.rest.goals]
    assert np.median(np.diff(times)) == pytest.approx(0.05, abs=0.02)
    page.drag(ARM, "end", (0.31, 0.02, 0.15))
    goals_stop(setting, 0.2)
    page.set(f"{ARM} gripper", 0.4)
    wait_for(lambda: setting.rest.openings[-1:] == [0.4], "the opening")
    page.set("Drive by dragging", False)


ENDED = {
    "estop": "estop: service called",
    "held": "hold: disabled: hold requested",
    "homed": "hold: moving to start",
}


@pytest.mark.parametrize("how", ["closed", "silent", "switched off", *ENDED])
def test_whatever_ends_a_drag_ends_its_goals(setting: Setting, page: PageClient, how: str) -> None:
    goals_from(setting, page)
    if how == "closed":
        page.close()
        goals_stop(setting, 0.3)
    elif how == "silent":  # a page whose computer hangs: the connection still stands
        page.answers = False
        goals_stop(setting, 2.0)
        wait_for(lambda: page.value("Drive by dragging") is False, "driving to be shown as off")
    elif how in ENDED:  # whoever asked for it: a drag ends before the arm moves on its own
        setting.rest.says(ENDED[how])
        goals_stop(setting, 0.3)
        wait_for(lambda: page.value("Drive by dragging") is False, "driving to be shown as off")
        setting.rest.goals.clear()
        page.drag(ARM, "update", (0.32, 0.02, 0.15))
        page.set("Drive by dragging", True)
        assert not grabs(setting, page)
        wait_for(lambda: any("the arm is held" in b for _, b in page.notices), "the word on it")
        assert setting.rest.goals == []
        page.set("Drive by dragging", False)
    else:
        page.set("Drive by dragging", False)
        goals_stop(setting, 0.3)


def test_a_handle_that_is_not_at_the_tool_moves_nothing(
    setting: Setting, page: PageClient
) -> None:
    """What a page shows may be old, or moved by another page: the arm must not go there."""
    goals_from(setting, page)
    page.drag(ARM, "end", TOOL)
    goals_stop(setting, 0.3)
    setting.rest.goals.clear()
    page.drag(ARM, "start", TOOL)
    page.drag(ARM, "update", (0.3, -0.35, 0.15))
    wait_for(lambda: any("not at the tool" in b for _, b in page.notices), "the word on it")
    page.drag(ARM, "update", (0.3, -0.36, 0.15))
    page.drag(ARM, "end", TOOL)
    other = PageClient(setting.url)  # which does not drive
    for _ in range(5):
        other.drag(ARM, "update", (0.1, 0.4, 0.4))
        page.drag(ARM, "start", TOOL)
        other.drag(ARM, "update", (0.1, 0.4, 0.4))
        wait_for(lambda: other.handle_at(ARM) == pytest.approx(TOOL), "the handle to be put back")
        wait_for(lambda: len(setting.rest.goals) > 2, "the goals of a click")
        page.drag(ARM, "end", TOOL)
        places = [(p.x, p.y, p.z) for p in (m.pose.position for _, m in setting.rest.goals)]
        assert all(place == pytest.approx(TOOL) for place in places)
        setting.rest.goals.clear()
    other.close()
    page.set("Drive by dragging", False)


def test_without_a_tool_nothing_is_grabbed(setting: Setting, page: PageClient) -> None:
    drives(setting, page)
    setting.rest.tells = False

    def refused() -> bool:
        page.drag(ARM, "end", TOOL)
        page.drag(ARM, "start", TOOL)
        return any("nobody tells where the tool is" in text for _, text in page.notices)

    try:
        wait_for(refused, "the word on it", poll_s=0.1)  # what was heard holds for a second
        setting.rest.goals.clear()
        page.drag(ARM, "update", TOOL)
        threading.Event().wait(0.3)
        assert setting.rest.goals == []
    finally:
        setting.rest.tells = True
        page.drag(ARM, "end", TOOL)
        page.set("Drive by dragging", False)


def test_the_grippers_slider_begins_where_the_gripper_is(
    setting: Setting, page: PageClient
) -> None:
    """A slider at 1 would open a gripper that holds something, at the first touch."""
    label = f"{ARM} gripper"

    def shown() -> tuple[object, object]:
        return page.value(label), page.value(label, "disabled")

    # A page that has just come is told both in the order in which they were last set.
    wait_for(lambda: shown() == (1.0, False), "the measured opening", seen=shown)
    setting.rest.opening.publish(Float64(data=0.1))
    wait_for(lambda: page.value(label) == 0.1, "the opening that was told")
    setting.rest.openings.clear()
    page.set(label, 0.9)  # driving is off: nothing but a slider that goes back
    wait_for(lambda: page.value(label) == 0.1, "it to go back")
    assert setting.rest.openings == []
    drives(setting, page)
    page.set(label, 0.12)
    wait_for(lambda: setting.rest.openings[-1:] == [0.12], "what a person asks for")
    setting.rest.opening.publish(Float64(data=float("nan")))  # none: then as measured again
    wait_for(lambda: page.value(label) == 1.0, "the measured one")
    page.set("Drive by dragging", False)


def broken(rest: Rest) -> None:
    """Publish what nobody should."""
    good = json.loads(status().to_json())
    topics = {
        interface.RECORDER_STATUS: (
            good | {"state": "paused"}, good | {"elapsed_s": None}, good | {"episode": EVIL},
            good | {"streams": [good["streams"][0] | {"light": "pink", "dropped": EVIL}]},
            good | {"elapsed_s": 10**400}, good | {"message": "a\ud800b", "tasks": ["\ud800"]},
        ),
        interface.PROGRESS: ({"job": "\ud800", "done": 1, "total": 1},
                             {"job": "a", "done": 10**400, "total": 1}),
    }  # fmt: skip
    for topic, values in topics.items():
        for text in (*map(json.dumps, values), "[" * 200_000, "nonsense"):
            rest.writes(topic, text)
            threading.Event().wait(0.05)  # they are latched: the newest alone is kept
    rest.writes(interface.AUTHORITY, "\x00\x7f garbage")
    for value in (np.inf, np.nan, 1e300):
        deltas, now = np.full((1, 7), value), rest.get_clock().now().nanoseconds
        chunk = ActionChunk(ROBOT.dimensions, deltas, np.zeros(1), now, "")
        rest.policy.publish(convert.chunk_msg(chunk))
        threading.Event().wait(0.1)


def test_no_message_ends_the_page_or_its_estop(setting: Setting, page: PageClient) -> None:
    wait_for(lambda: page.value(f"{ARM} gripper", "disabled") is False, "the streams")
    wait_for(lambda: setting.rest.count_subscribers(interface.POLICY_EE_DELTA), "the chunks' tap")
    broken(setting.rest)
    assert not page.shows("<img")
    setting.rest.reports(status())
    wait_for(lambda: page.shows("37 of 150"), "what comes after it")
    setting.rest.called.clear()
    page.key("escape")
    wait_for(lambda: "estop" in setting.rest.called, "the estop")
    PageClient(setting.url).close()
    setting.rest.says("hold: disabled: call enable")


def test_the_estop_is_confirmed_by_the_arm(setting: Setting, page: PageClient) -> None:
    setting.rest.says("policy: following policy")
    page.key("escape")
    wait_for(lambda: page.shows("estop confirmed by the arm"), "the confirmation")

    def reset() -> bool:
        # Said again: an estop that was sent twice is confirmed twice, and may be the last word.
        setting.rest.says("hold: disabled: call enable")
        return not page.shows("estop confirmed")

    wait_for(reset, "the word to go", poll_s=0.1)


def test_the_estop_goes_out_while_the_node_is_busy(ros_context: None) -> None:
    """Nothing spins the dashboard here, as if another callback never came to its end."""
    rest = Rest()
    arguments = ["--ros-args", "-p", "port:=0", "-p", "robot:=wx250s"]
    with spinning(rest):
        node = _unspun(arguments)
        try:
            client = PageClient(node.page.url)
            wait_for(lambda: rest.count_clients("estop") >= 1, "the two to find each other")
            pressed = time.monotonic()
            client.press("ESTOP (Esc)")
            wait_for(lambda: "estop" in rest.called, "the estop")
            assert time.monotonic() - pressed < 1.0
            wait_for(lambda: node._estop.state[0] == "confirmed", "the arm's word")
            client.close()
        finally:
            node.close()
            node.destroy_node()


def test_an_estop_that_nobody_answers_is_shown_as_such(ros_context: None) -> None:
    arguments = ["--ros-args", "-p", "port:=0", "-r", "__ns:=/elsewhere"]
    node = _unspun(arguments)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    try:
        client = PageClient(node.page.url)
        client.press("ESTOP (Esc)")
        wait_for(lambda: client.shows("has not confirmed it yet"), "the first word")
        wait_for(lambda: client.shows("ESTOP NOT CONFIRMED within 5 s"), "the last word")
        client.close()
    finally:
        executor.shutdown()
        thread.join(timeout=5.0)
        node.close()
        node.destroy_node()


def _unspun(arguments: list[str]) -> DashboardNode:
    """A dashboard in this process, with its own arguments."""
    import rclpy

    context = rclpy.get_default_context()
    assert context.ok()
    return DashboardNode(cli_args=arguments)
