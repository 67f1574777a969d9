# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A page in the browser: the robot in 3-D, its cameras, the recorder, and the arm's buttons.

It wires topics and services to the page of `lapa_core.view` and `lapa_ros.dashboard`. It never
publishes a delta: what a person drags is a goal that teleop_node turns into deltas, under the
same authority and safety as any other device's.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from std_msgs.msg import Float64, String

from lapa_core import robot as robots
from lapa_core.evaluate.live import SessionStatus
from lapa_core.recording.status import RecorderStatus
from lapa_core.view import html
from lapa_core.view import token as tokens
from lapa_core.view.page import Page
from lapa_core.view.progress import Progress
from lapa_ros import interface, runtime
from lapa_ros.dashboard.buttons import Actions
from lapa_ros.dashboard.caller import ServiceCaller
from lapa_ros.dashboard.estop import EstopLine
from lapa_ros.dashboard.live import LiveView
from lapa_ros.dashboard.panels import Panels
from lapa_ros.params import declare, param

SHOW_PERIOD_S = 0.25
RECORDER_SILENT_S = 3.0  # it speaks twice a second
MAX_JOBS = 5
WARN_PERIOD_S = 5.0
POLICY = "lapa_ros: policy_node"
POLICY_FACTS = (
    ("rate_hz", "rate", "Hz"),
    ("asked_rate_hz", "asked rate", "Hz"),
    ("image_age_ms_median", "image age, median", "ms"),
    ("image_age_ms_p99", "image age, 99 %", "ms"),
    ("inference_ms_median", "inference, median", "ms"),
    ("inference_ms_p99", "inference, 99 %", "ms"),
    ("checkpoint", "checkpoint", ""),
)


@dataclass(frozen=True)
class DashboardParams:
    """Parameters of the node."""

    robot: str = param("wx250s", "robot file: a name in config/robots, or a path")
    host: str = param("127.0.0.1", "address to listen on; any but this one needs a token")
    port: int = param(8080, "TCP port; 0 takes a free one", low=0, high=65535)
    token: str = param("", "`generate`; one of yours would be seen by everybody: see token_file")
    token_file: str = param("", "holds a token of at least 16 characters; mode 0600")
    camera_rate_hz: float = param(4.0, "pictures of each camera", low=0.2, high=15.0)
    camera_width: int = param(320, "their width in pixels", low=80, high=1280)
    alive_s: float = param(2.0, "a page silent for so long stops driving", low=0.5, high=10.0)


class DashboardNode(Node):
    """The page and its wiring."""

    def __init__(self, cli_args: list[str] | None = None) -> None:
        super().__init__("dashboard_node", cli_args=cli_args)
        p = self.params = declare(self, DashboardParams)
        self.robot = robots.load(p.robot)
        log = self.get_logger()
        self.page = Page(
            f"lapa · {self.robot.name}",
            p.host,
            p.port,
            tokens.given(p.token, p.token_file, os.environ),
            lambda text: log.warning(text, throttle_duration_sec=2),
        )
        self._evaluation: SessionStatus | None = None
        self._recorder: tuple[float, RecorderStatus] | None = None
        self._authority = ("", "")
        self._instruction = ""
        self._teleop = ""
        self._policy: dict[str, object] = {}
        self._jobs: dict[str, Progress] = {}
        self._told_openings: dict[str, float] = {}
        self._estop = EstopLine(self)
        names = (
            *interface.SERVICES, *interface.RECORDER_SERVICES, *interface.TELEOP_SERVICES,
            *interface.EVALUATE_SERVICES,
        )  # fmt: skip
        self._caller = ServiceCaller(
            self, [n for n in names if n != "estop"], lambda *told: self._panels.tell(*told)
        )
        self._instruct_pub = self.create_publisher(
            String, interface.INSTRUCTION, interface.LATCHED_QOS
        )
        actions = Actions(
            call=self._call,
            estop=self._on_estop,
            instruct=self._instruct,
            drive=lambda on, client: self._live.driving.switch(on, client),
            gripper=lambda arm, value, client: self._live.driving.gripper(arm, value, client),
        )
        self._panels = Panels(self.page, self.robot, actions, p.camera_width)
        self._live = LiveView(
            self, self.page, self.robot, self._panels.cameras, p.camera_rate_hz, p.alive_s,
            self._panels.tell,
        )  # fmt: skip
        self.page.server.on_client_disconnect(self._on_leave)
        self._listen()
        self.create_timer(SHOW_PERIOD_S, self._show)
        self._announce()

    def _announce(self) -> None:
        """Say where the page is. Not by the logger: it would publish the token on /rosout."""
        if tokens.exposed(self.params.token):
            self.get_logger().warning(
                "the parameter `token` can be read by every user of this computer and every node; "
                f"use token_file or {tokens.VARIABLE}"
            )
        if self.page.url == self.page.address or sys.stdout.isatty():
            print(f"open {self.page.url}", flush=True)
        else:  # what reads this may write a log that others can read
            print(f"open the address with the token in {self.page.url_file()}", flush=True)

    def _listen(self) -> None:
        latched = interface.LATCHED_QOS
        for topic, react in (
            (interface.AUTHORITY, self._on_authority),
            (interface.RECORDER_STATUS, self._on_recorder),
            (interface.EVALUATE_STATUS, self._on_evaluation),
            (interface.INSTRUCTION, self._on_instruction),
            (interface.TELEOP_STATUS, self._on_teleop),
            (interface.PROGRESS, self._on_progress),
        ):
            self.create_subscription(String, topic, partial(self._guarded, react), latched)
        for arm in self.robot.arms:
            react_to = partial(self._guarded, partial(self._on_opening, arm.name))
            topic = interface.gripper_target(arm.name)
            self.create_subscription(Float64, topic, react_to, latched)
        self.create_subscription(
            DiagnosticArray, interface.DIAGNOSTICS,
            partial(self._guarded, self._on_diagnostics), interface.EVENT_QOS,
        )  # fmt: skip

    def _guarded(self, step: Callable[..., None], *values: Any) -> None:
        """Whatever anybody publishes, the page and its estop go on."""
        try:
            step(*values)
        except Exception as error:
            self.get_logger().warning(
                html.clean(f"not shown: {type(error).__name__}: {error}"),
                throttle_duration_sec=WARN_PERIOD_S,
            )

    # From topics ---------------------------------------------------------------------------

    def _on_authority(self, msg: String) -> None:
        self._authority = interface.parse_authority(msg.data)
        self._live.authority = self._authority[0]
        self._live.driving.authority(*self._authority)

    def _on_opening(self, arm: str, msg: Float64) -> None:
        self._told_openings[arm] = msg.data

    def _on_recorder(self, msg: String) -> None:
        self._recorder = (time.monotonic(), RecorderStatus.from_json(msg.data))

    def _on_evaluation(self, msg: String) -> None:
        self._evaluation = SessionStatus.from_json(msg.data)

    def _on_instruction(self, msg: String) -> None:
        self._instruction = msg.data

    def _on_teleop(self, msg: String) -> None:
        self._teleop = msg.data

    def _on_progress(self, msg: String) -> None:
        progress = Progress.from_json(msg.data)
        self._jobs.pop(progress.job, None)  # the newest stands last
        self._jobs[progress.job] = progress
        while len(self._jobs) > MAX_JOBS:
            self._jobs.pop(next(iter(self._jobs)))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name == POLICY:
                values = {v.key: v.value for v in status.values}
                self._policy = {"status": status.message} | {
                    shown: f"{values[key]} {unit}" for key, shown, unit in POLICY_FACTS
                    if key in values
                }  # fmt: skip

    # From the page -------------------------------------------------------------------------

    def _call(self, name: str) -> None:
        if name in ("hold", "home", "park"):
            self._live.driving.stop(name)
        self._caller.press(name)

    def _on_estop(self) -> None:
        self._estop.press()
        self._live.driving.stop("estop")

    def _instruct(self, text: str) -> None:
        runtime.publish(self, self._instruct_pub, String(data=html.clean(text).strip()))

    def _on_leave(self, client: object) -> None:
        self._live.driving.left(client.client_id)  # type: ignore[attr-defined]
        self._panels.show_driving(self._live.driving.driver is not None)

    # To the page ---------------------------------------------------------------------------

    def _show(self) -> None:
        somebody = bool(self.page.server.get_clients())
        self._guarded(self._live.watch, somebody)
        if not somebody:
            return
        show, live, guarded = self._panels, self._live, self._guarded
        guarded(show.show_estop, *self._estop.state)
        guarded(show.show_authority, *self._authority)
        guarded(show.show_teleop, self._teleop)
        guarded(show.show_driving, live.driving.driver is not None)
        for arm in self.robot.arms:
            guarded(show.show_opening, arm.name, self._opening(arm.name))
        status = self._recorder_now()
        guarded(show.show_recorder, status)
        guarded(show.show_lights, live.health() if status is None else status.streams)
        guarded(show.show_evaluation, self._evaluation)
        guarded(show.show_instruction, self._instruction)
        guarded(show.show_policy, self._policy)
        guarded(show.show_jobs, reversed(self._jobs.values()))

    def _opening(self, arm: str) -> float | None:
        """How far the gripper was told to open, else how far it is; None before it is known."""
        told = self._told_openings.get(arm, math.nan)
        return told if math.isfinite(told) else self._live.opening(arm)

    def _recorder_now(self) -> RecorderStatus | None:
        """What the recorder says, while it is there to say it."""
        if self._recorder is None or time.monotonic() - self._recorder[0] > RECORDER_SILENT_S:
            return None
        return self._recorder[1]

    def close(self) -> None:
        """End the page and its threads."""
        self._live.close()
        self._estop.close()
        self.page.close()


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `ros2 run lapa_ros dashboard_node`."""
    runtime.main(DashboardNode, args)


if __name__ == "__main__":
    main()
