# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A person's hand on the page: handles, who holds which, and the goals that go out for it.

What is dragged goes out as `teleop/<arm>/goal`; nothing here publishes a delta or a joint command.
Whether a drag counts is decided by `lapa_core.view.drag`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from std_msgs.msg import Float64

from lapa_core.control.compose import Pose
from lapa_core.robot import Robot
from lapa_core.view.drag import Drags, ends_driving
from lapa_core.view.handles import DragHandle
from lapa_core.view.page import Page
from lapa_core.view.scene import RobotScene
from lapa_ros import convert, interface, runtime

PING_S = 0.5
TITLE = "Drive by dragging"
Tool = Callable[[str], "Pose | None"]  # where an arm's tool is, None where nobody tells
Tell = Callable[[str, str, str], None]  # title, text, `good` or `bad`


class Driving:
    """The drag handles of a robot. Any thread may call; `publish` and `follow` one alone."""

    def __init__(
        self, node: Node, page: Page, robot: Robot, scene: RobotScene, alive_s: float,
        tool: Tool, tell: Tell,
    ) -> None:  # fmt: skip
        self._node, self._page, self._robot = node, page, robot
        self._alive_s, self._tool, self._tell = alive_s, tool, tell
        self._drags = Drags([a.name for a in robot.arms], alive_s)
        self._lock = threading.Lock()  # guards drags; the event loop waits for it
        self._ended = False  # by the arm: nothing can be grabbed now
        publisher, qos = node.create_publisher, interface.COMMAND_QOS
        self._goals = {
            a.name: publisher(PoseStamped, interface.teleop_goal(a.name), qos) for a in robot.arms
        }
        self._openings = {
            a.name: publisher(Float64, interface.teleop_gripper(a.name), qos) for a in robot.arms
        }
        self._handles = {
            a.name: DragHandle(page.server.scene, scene.arms[a.name], self._on_drag)
            for a in robot.arms
        }
        self._pinged_s = 0.0
        self._pings = ThreadPoolExecutor(1, thread_name_prefix="ping")

    @property
    def driver(self) -> int | None:
        """The page that drives."""
        return self._drags.driver

    def switch(self, on: bool, client: int) -> None:
        """Let this page drive the arms by their handles, or let nobody."""
        with self._lock:
            self._drags.switch(on, client, time.monotonic())
        self._show(on)

    def stop(self, reason: str) -> None:
        """End every drag, and switch driving off."""
        with self._lock:
            self._drags.stop(reason)
        self._show(False)

    def authority(self, state: str, reason: str) -> None:
        """The arm has announced who has authority."""
        self._ended = ends_driving(state, reason)
        if self._ended:
            self.stop(reason)

    def left(self, client: int) -> None:
        """A page was closed."""
        with self._lock:
            was = self._drags.driver
            self._drags.left(client)
        if was == client:
            self._show(False)

    def gripper(self, arm: str, opening: float, client: int) -> bool:
        """Ask for an opening of the gripper; only from the page that drives. Whether it counts."""
        if not 0.0 <= opening <= 1.0 or self._ended:
            return False
        with self._lock:
            self._drags.open_gripper(arm, client, opening, time.monotonic())
            return client == self._drags.driver

    def follow(self, arm: str, tool: Pose) -> None:
        """Show the handle at the tool, unless somebody holds it."""
        with self._lock:
            held = self._drags.held(arm)
        if held is None:
            self._handles[arm].follow(tool)

    def publish(self) -> None:
        """Send what is asked for now, and ask the page that drives whether it is there."""
        now = time.monotonic()
        with self._lock:
            driver, goals = self._drags.driver, self._drags.goals(now)
            openings = self._drags.openings(now)
        stamp = self._node.get_clock().now().nanoseconds
        for arm, goal in goals.items():
            frame = self._robot.arm(arm).base_frame
            msg = convert.pose_msg(goal.xyz_m, goal.quaternion_wxyz, frame, stamp)
            runtime.publish(self._node, self._goals[arm], msg)
        for arm, opening in openings.items():
            runtime.publish(self._node, self._openings[arm], Float64(data=opening))
        if goals and driver is not None and now - self._pinged_s > PING_S:
            self._pinged_s = now
            # An error of ours is then seen in the log; a pool keeps it to itself.
            self._pings.submit(self._ping, driver).add_done_callback(lambda done: done.result())

    def close(self) -> None:
        """End the thread that asks."""
        self._pings.shutdown(wait=False)

    def _show(self, on: bool) -> None:
        for handle in self._handles.values():
            handle.visible = on

    def _on_drag(self, arm: str, phase: str, client: int, goal: Pose | None) -> Pose | None:
        """A page drags a handle, `goal` None is no pose; where to put it back to."""
        if phase == "start":
            self._grab(arm, client)
            return None
        if phase == "end":
            with self._lock:
                self._drags.release(arm, client)
            return None
        now = time.monotonic()
        with self._lock:
            was = self._drags.held(arm)
            counts = goal is not None and self._drags.move(arm, client, goal, now)
            held, reason = self._drags.held(arm), self._drags.stopped_by
        if counts:
            return None
        if was is not None and held is None:
            self._tell(TITLE, reason, "bad")
        # Every page has seen it move: back with it, before anybody grabs it there.
        return held or self._tool(arm)

    def _grab(self, arm: str, client: int) -> None:
        """From where the tool is, whatever the page shows: another one may have moved it."""
        tool = self._tool(arm)
        if tool is None or self._ended:
            why = "the arm is held: enable it" if self._ended else "nobody tells where the tool is"
            self._tell(TITLE, f"not grabbed: {why}", "bad")
            return
        with self._lock:
            self._drags.grab(arm, client, tool, time.monotonic())

    def _ping(self, client: int) -> None:
        """Ask the page for something that only its drawing loop answers."""
        handle = self._page.server.get_clients().get(client)
        if handle is None:
            return
        try:
            handle.local_storage.get_item("alive", timeout=self._alive_s)
        except TimeoutError:
            return  # it is not heard, and so ends
        except RuntimeError:  # gone; or it answers that the browser allows no storage
            if client not in self._page.server.get_clients():
                return
        with self._lock:
            self._drags.heard(client, time.monotonic())
