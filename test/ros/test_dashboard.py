# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The dashboard over real DDS and a real websocket, with a person's page but without a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import address_of
from geometry_msgs.msg import PoseStamped
from harness import StandInCamera, spinning, started, wait_for
from page_client import PageClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, String
from std_srvs.srv import Trigger

from lapa_core import robot as robots
from lapa_core.recording.episode import Finding
from lapa_core.recording.status import RecorderStatus, StreamHealth
from lapa_core.view.progress import Progress
from lapa_ros import convert, interface
from lapa_ros.dashboard_node import DashboardNode

ROBOT = robots.load("wx250s")
ARM = ROBOT.arms[0].name


class Rest(Node):
    """The other nodes as the page sees them: services that answer, or hang, and what they say."""

    def __init__(self) -> None:
        super().__init__("rest")
        self.called: list[str] = []
        self.hanging = threading.Event()  # set: services answer
        self.hanging.set()
        self.goals: list[tuple[float, PoseStamped]] = []
        self.openings: list[float] = []
        self.instructions: list[str] = []
        q = interface
        for name in ("enable", "estop", "reset", "home", "recorder/save", "recorder/redo"):
            self.create_service(Trigger, name, lambda _, r, n=name: self._serve(n, r))
        latched = q.LATCHED_QOS
        self._authority = self.create_publisher(String, q.AUTHORITY, latched)
        self._recorder = self.create_publisher(String, q.RECORDER_STATUS, latched)
        self._progress = self.create_publisher(String, q.PROGRESS, latched)
        self._joints = self.create_publisher(
            JointState, ROBOT.arms[0].joint_states, q.SENSOR_PUB_QOS
        )
        self._pose = self.create_publisher(PoseStamped, q.ee_pose(ARM), q.SENSOR_PUB_QOS)
        listen = self.create_subscription
        listen(PoseStamped, q.teleop_goal(ARM), self._on_goal, q.EVENT_QOS)
        listen(Float64, q.teleop_gripper(ARM), lambda m: self.openings.append(m.data), q.EVENT_QOS)
        listen(String, q.INSTRUCTION, lambda m: self.instructions.append(m.data), latched)
        self.create_timer(0.02, self._move)

    def says(self, authority: str) -> None:
        self._authority.publish(String(data=authority))

    def reports(self, status: RecorderStatus) -> None:
        self._recorder.publish(String(data=status.to_json()))

    def works(self, progress: Progress) -> None:
        self._progress.publish(String(data=progress.to_json()))

    def _serve(self, name: str, response: Trigger.Response) -> Trigger.Response:
        self.called.append(name)
        self.hanging.wait(10.0)
        response.success = name != "recorder/redo"
        response.message = f"{name} <done>"
        if name == "estop":
            self.says("estop: service called")
        return response

    def _on_goal(self, msg: PoseStamped) -> None:
        self.goals.append((time.monotonic(), msg))

    def _move(self) -> None:
        now = self.get_clock().now().nanoseconds
        arm = ROBOT.arms[0]
        names = (*arm.joints, arm.gripper.joint)
        position = np.append(arm.start_rad, arm.gripper.open)
        msg = convert.joint_state_msg(names, position, np.zeros(len(names)), now)
        self._joints.publish(msg)
        wxyz = np.array([1.0, 0.0, 0.0, 0.0])
        self._pose.publish(convert.pose_msg(np.array([0.3, 0, 0.15]), wxyz, arm.base_frame, now))


def status(**changes: Any) -> RecorderStatus:
    """What a recorder says."""
    values: dict[str, Any] = {
        "state": "recording", "episode": 37, "saved": 37, "episodes": 150, "instruction": "stack",
        "tasks": ("stack", "sort"), "operator": "", "elapsed_s": 3.2, "reset_left_s": 0.0,
        "folder": "/data", "free_gb": 80.0, "minutes_left": 90.0, "message": "recording",
        "streams": (StreamHealth("/cam", 12.0, 30.0, 99, 0, "red", "12 Hz instead of 30"),),
        "findings": (Finding("rate", "/cam", 1.5, 3.0, "12 Hz instead of 30 Hz"),),
    }  # fmt: skip
    return RecorderStatus(**{**values, **changes})


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


def goals_from(setting: Setting, page: PageClient) -> None:
    """Switch driving on, grab, and wait until goals come."""
    setting.rest.says("hold: enabled: waiting for a chunk")
    wait_for(lambda: page.value("Drive by dragging") is False, "driving to be off")
    page.set("Drive by dragging", True)
    setting.rest.goals.clear()
    page.drag(ARM, "start", (0.3, 0.0, 0.15))
    page.drag(ARM, "update", (0.31, 0.02, 0.15))
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
    page.drag(ARM, "start", (0.3, 0.0, 0.15))  # driving is off: nothing
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


@pytest.mark.parametrize("how", ["closed", "silent", "estop", "switched off"])
def test_whatever_ends_a_drag_ends_its_goals(setting: Setting, page: PageClient, how: str) -> None:
    goals_from(setting, page)
    if how == "closed":
        page.close()
        goals_stop(setting, 0.3)
    elif how == "silent":  # a page whose computer hangs: the connection still stands
        page.answers = False
        goals_stop(setting, 2.0)
        wait_for(lambda: page.value("Drive by dragging") is False, "driving to be shown as off")
    elif how == "estop":
        setting.rest.says("estop: service called")
        goals_stop(setting, 0.3)
    else:
        page.set("Drive by dragging", False)
        goals_stop(setting, 0.3)


def test_the_estop_is_confirmed_by_the_arm(setting: Setting, page: PageClient) -> None:
    setting.rest.says("policy: following policy")
    page.key("escape")
    wait_for(lambda: page.shows("estop confirmed by the arm"), "the confirmation")
    setting.rest.says("hold: disabled: call enable")
    wait_for(lambda: not page.shows("estop confirmed"), "the word to go")


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
