# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A person at the page: a real Chromium, and behind it every real node around a simulated arm."""

from __future__ import annotations

import functools
import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import browser as browsers
import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from harness import Operator, spinning, started, wait_for
from std_msgs.msg import String

from lapa_core import robot as robots
from lapa_core.recording import episode as episodes
from lapa_core.recording.status import RecorderStatus
from lapa_ros import interface
from lapa_ros.processes import NodeProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sim,
    pytest.mark.skipif(bool(browsers.MISSING), reason=browsers.MISSING),
]
ROBOT = "wx250s"
TASK = "put the red block in the bin"


class Witness(Operator):
    """Hears what the page asks for, and what recorder and arm make of it."""

    def __init__(self) -> None:
        super().__init__(robots.load(ROBOT))
        self.goals: list[tuple[float, PoseStamped]] = []
        self.pose = np.zeros(3)
        self.recorder: RecorderStatus | None = None
        listen, q = self.create_subscription, interface
        listen(PoseStamped, q.teleop_goal(ROBOT), self._on_goal, q.EVENT_QOS)
        listen(PoseStamped, q.ee_pose(ROBOT), self._on_pose, q.SENSOR_PUB_QOS)
        listen(String, q.RECORDER_STATUS, self._on_recorder, q.LATCHED_QOS)

    def _on_goal(self, msg: PoseStamped) -> None:
        self.goals.append((time.monotonic(), msg))

    def _on_pose(self, msg: PoseStamped) -> None:
        p = msg.pose.position
        self.pose = np.array([p.x, p.y, p.z])

    def _on_recorder(self, msg: String) -> None:
        self.recorder = RecorderStatus.from_json(msg.data)

    def records(self, state: str, deadline_s: float = 20.0) -> RecorderStatus:
        """Wait until the recorder is in a state."""
        wait_for(
            lambda: self.recorder is not None and self.recorder.state == state,
            f"the recorder to be {state}",
            deadline_s,
            seen=lambda: self.recorder,
        )
        assert self.recorder is not None
        return self.recorder

    def becomes(self, state: str) -> None:
        """Wait until the arm is in a state of authority."""
        wait_for(lambda: self.state[0] == state, f"authority {state}", seen=lambda: self.state)


@dataclass
class Cell:
    """Everything, and the page in front of it."""

    witness: Witness
    browser: Any
    page: Any
    url: str
    folder: Path

    def press(self, name: str) -> None:
        """Click a button, scrolled into sight first as a person would."""
        button = self.page.get_by_role("button", name=name).first
        button.evaluate("element => element.scrollIntoView({block: 'center'})")
        button.click()


@pytest.fixture(scope="module")
def cell(ros_context: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    logs = tmp_path_factory.mktemp("cell")
    folder = logs / "recordings"
    common: dict[str, object] = {"robot": ROBOT}
    nodes: list[tuple[str, dict[str, object]]] = [
        ("sim_node", {"camera_rate_hz": 5.0}),  # the browser renders in software too
        ("arm_node", {"backend": "ros2_control"}),
        ("teleop_node", {"device": "browser", "terminal": False}),
        ("recorder_node", {"folder": str(folder), "episodes": 3, "task": TASK}),
        ("dashboard_node", {"port": 0, "alive_s": 8.0}),
    ]
    witness = Witness()
    with ExitStack() as stack:
        stack.enter_context(spinning(witness))
        for name, parameters in nodes:
            node = stack.enter_context(started(name, common | parameters, logs / f"{name}.log"))
        url = browsers.address_of(node)
        browser = stack.enter_context(browsers.chromium())
        page = browsers.opened(browser, url)
        witness.becomes("hold")
        yield Cell(witness, browser, page, url, folder)


def test_a_person_records_redoes_and_saves_an_episode(cell: Cell) -> None:
    witness, page = cell.witness, cell.page
    witness.records("idle", 40.0)
    page.keyboard.press("r")
    witness.records("recording")
    page.get_by_text("RECORDING", exact=False).first.wait_for()
    began = witness.recorder.episode if witness.recorder else -1
    page.keyboard.press("ArrowLeft")
    wait_for(lambda: "redo" in notices(page) or "discard" in notices(page), "the redo to be told")
    again = witness.records("recording")
    assert again.saved == 0
    wait_for(lambda: witness.recorder and witness.recorder.elapsed_s > 1.0, "a second of it")
    cell.press("Save (→)")
    wait_for(lambda: witness.recorder and witness.recorder.saved == 1, "the episode to be saved")
    page.get_by_text("1 of 3").first.wait_for()
    (saved,) = sorted(p for p in cell.folder.iterdir() if (p / episodes.FILE).is_file())
    content = episodes.read(saved)
    assert content.outcome == "success" and content.instruction == TASK
    assert content.episode >= began


def notices(page: Any) -> str:
    """Text of the notifications."""
    return " ".join(page.locator("[role=alert]").all_inner_texts()).lower()


def test_keys_keep_quiet_while_somebody_types(cell: Cell) -> None:
    before = cell.witness.recorder
    assert before is not None and before.state != "recording"
    field = cell.page.locator("textarea").first
    field.evaluate("element => element.scrollIntoView({block: 'center'})")
    field.click()
    cell.page.keyboard.type("rur bring me the ruler")
    cell.page.keyboard.press("ArrowRight")
    cell.press("Set instruction")
    wait_for(
        lambda: (
            cell.witness.recorder and cell.witness.recorder.instruction == "rur bring me the ruler"
        ),
        "the sentence to arrive",
    )
    after = cell.witness.recorder
    assert after is not None and (after.state, after.saved) == (before.state, before.saved)
    cell.page.mouse.click(640, 760)  # out of the field, beside the robot


def test_dragging_the_gripper_moves_the_arm_and_letting_go_stops_it(
    cell: Cell, tmp_path: Path
) -> None:
    witness, page = cell.witness, cell.page
    cell.press("Enable")
    wait_for(lambda: "enabled" in witness.state[1], "enable", seen=lambda: witness.state)
    cell.press("Home")
    wait_for(lambda: "arrived" in witness.state[1], "home", 30.0, seen=lambda: witness.state)
    before = browsers.picture(page, tmp_path / "before.png")
    page.get_by_role("checkbox").first.click()
    wait_for(lambda: _shows_gizmo(page, before, tmp_path), "the gizmo", 20.0)
    start = witness.pose.copy()
    heads = browsers.arrow_heads(before, browsers.picture(page, tmp_path / "after.png"))
    assert witness.goals == [], "nothing is asked for before somebody drags"
    assert any(_drags(cell, head, heads) for head in heads), "no arrow could be dragged"
    wait_for(
        lambda: np.linalg.norm(witness.pose - start) > 0.01,
        "the arm to follow",
        seen=lambda: (witness.pose - start, witness.state),
    )
    assert witness.state[0] == "teleop"
    recent = [at_s for at_s, _ in witness.goals[-20:]]
    assert np.median(np.diff(recent)) < 0.1, "about twenty goals a second while it is held"
    page.mouse.up()
    let_go = time.monotonic()
    wait_for(lambda: _stands_still(witness), "the arm to stand still")
    assert max(at_s for at_s, _ in witness.goals) - let_go < 0.5
    assert witness.state[0] == "teleop", "the person keeps the arm until he hands it back"
    frames = {msg.header.frame_id for _, msg in witness.goals}
    assert frames == {witness.robot.arms[0].base_frame}
    page.get_by_role("checkbox").first.click()


def _stands_still(witness: Witness, seconds: float = 1.0) -> bool:
    """Whether the tool stays within a tenth of a millimetre for a second."""
    place, since = witness.pose.copy(), time.monotonic()
    while time.monotonic() - since < seconds:
        if np.linalg.norm(witness.pose - place) > 1e-4:
            return False
        threading.Event().wait(0.02)
    return True


def _shows_gizmo(page: Any, before: np.ndarray, folder: Path) -> bool:
    try:
        return bool(browsers.arrow_heads(before, browsers.picture(page, folder / "now.png")))
    except AssertionError:
        return False


def _drags(cell: Cell, head: tuple[int, int], heads: list[tuple[int, int]]) -> bool:
    """Pull at a place outwards; whether goals come. The button stays down."""
    mouse, witness = cell.page.mouse, cell.witness
    middle = np.mean(heads, axis=0)
    out = (np.array(head) - middle) / np.linalg.norm(np.array(head) - middle)
    mouse.move(*head)
    mouse.down()
    for step in range(1, 13):
        mouse.move(*(np.array(head) + 5.0 * step * out))
        if step == 1:  # a browser that renders in software must not join all of it into one jump
            cell.page.wait_for_timeout(500)
    try:
        wait_for(lambda: len(witness.goals) > 20, "goals", 4.0)
    except AssertionError:
        mouse.up()
        return False
    first, last = (witness.goals[i][1].pose.position for i in (0, -1))
    return abs(first.x - last.x) + abs(first.y - last.y) + abs(first.z - last.z) > 0.01


@pytest.mark.parametrize("how", ["button", "key"])
def test_the_estop_stops_the_arm_and_the_page_says_so(cell: Cell, how: str) -> None:
    witness, page = cell.witness, cell.page
    if how == "button":
        cell.press("ESTOP (Esc)")
    else:
        page.keyboard.press("Escape")
    pressed = time.monotonic()
    witness.becomes("estop")
    took = next(at_s for at_s, s, _ in reversed(witness.authority) if s == "estop") - pressed
    assert took < 1.0
    page.get_by_text("estop confirmed by the arm").first.wait_for(timeout=10_000)
    cell.press("Reset estop")
    witness.becomes("hold")
    page.get_by_text("estop confirmed by the arm").first.wait_for(state="hidden", timeout=10_000)


def test_a_second_page_sees_the_estop_always_and_stops_driving_when_it_closes(
    cell: Cell, tmp_path: Path
) -> None:
    page = browsers.opened(cell.browser, cell.url, {"width": 1000, "height": 480})
    slider = page.get_by_text(f"{ROBOT} gripper").first
    slider.evaluate("element => element.scrollIntoView({block: 'end'})")
    box = page.get_by_role("button", name="ESTOP (Esc)").bounding_box()
    on_top = page.evaluate(
        "([x, y]) => document.elementFromPoint(x, y)?.closest('button')?.innerText",
        [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2],
    )
    assert "ESTOP" in (on_top or "")
    page.get_by_role("checkbox").first.click()
    driving = cell.page.get_by_role("checkbox").first
    wait_for(driving.is_checked, "driving to be shown on the other page")
    page.close()
    wait_for(lambda: not driving.is_checked(), "driving to be switched off")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[str]:
    """A page of another origin on the same computer."""
    (tmp_path / "index.html").write_text("<h1>another page</h1>")
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


OPEN = """([url, protocol]) => new Promise((done) => {
  const socket = new WebSocket(url, [protocol]);
  socket.onopen = () => done("open");
  socket.onerror = () => done("refused");
})"""


def test_a_page_of_another_origin_gets_no_websocket(cell: Cell, stranger: str) -> None:
    import viser

    wanted = [cell.url.replace("http", "ws"), f"viser-v{viser.__version__}"]
    other = cell.browser.new_page()
    other.goto(stranger)
    assert other.evaluate(OPEN, wanted) == "refused"
    other.close()
    assert cell.page.evaluate(OPEN, wanted) == "open", "our own page may"


def test_off_loopback_the_page_opens_with_its_token_alone(
    cell: Cell, tmp_path: Path, ros_context: None
) -> None:
    parameters: dict[str, object] = {"robot": ROBOT, "host": "127.0.0.2", "port": 0}
    refused = NodeProcess("dashboard_node", parameters, tmp_path / "none.log")
    wait_for(lambda: not refused.running(), "the node to refuse", 40.0)
    assert refused.process.returncode == 2
    assert "needs a token" in refused.last_lines()
    refused.close()
    parameters["token"] = "generate"
    with started("dashboard_node", parameters, tmp_path / "token.log") as node:
        url = browsers.address_of(node)
        bare, _, token = url.partition("?token=")
        assert len(token) >= 16
        assert token not in node.log.read_text(), "others may read a log"
        for wrong in (bare, f"{bare}?token={token[:-1]}x"):
            # A context of its own: no cookie of the visits before.
            context = cell.browser.new_context()
            page = context.new_page()
            answer = page.goto(wrong)
            assert answer.status == 403
            assert page.get_by_role("button").count() == 0
            context.close()
        context = cell.browser.new_context()
        page = browsers.opened(context, url)
        assert token not in page.url
        page.reload()
        page.get_by_role("button", name="ESTOP (Esc)").wait_for(timeout=40_000)
        context.close()
