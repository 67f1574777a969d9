# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A page in the browser: the robot in 3-D, its cameras, the recorder, and the arm's buttons.

It wires topics and services to the page of `lapa_core.view` and `lapa_ros.dashboard`. It never
publishes a delta: what a person drags is a goal that teleop_node turns into deltas, under the
same authority and safety as any other device's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from std_msgs.msg import String

from lapa_core import robot as robots
from lapa_core.errors import DataError
from lapa_core.recording.status import RecorderStatus
from lapa_core.view.page import Page
from lapa_core.view.progress import Progress
from lapa_ros import interface, runtime
from lapa_ros.dashboard.caller import ServiceCaller
from lapa_ros.dashboard.estop import EstopLine
from lapa_ros.dashboard.live import LiveView
from lapa_ros.dashboard.panels import Actions, Panels
from lapa_ros.params import declare, param

SHOW_PERIOD_S = 0.25
RECORDER_SILENT_S = 3.0  # it speaks twice a second
MAX_JOBS = 5
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
    token: str = param("", "at least 16 characters, or `generate`; empty: none, on loopback only")
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
            p.token,
            lambda text: log.warning(text, throttle_duration_sec=2),
        )
        self._recorder: tuple[float, RecorderStatus] | None = None
        self._authority = ("", "")
        self._instruction = ""
        self._teleop = ""
        self._policy: dict[str, object] = {}
        self._jobs: dict[str, Progress] = {}
        self._estop = EstopLine(self)
        names = (*interface.SERVICES, *interface.RECORDER_SERVICES, *interface.TELEOP_SERVICES)
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
            drive=lambda on, client: self._live.switch(on, client),
            gripper=lambda arm, value, client: self._live.gripper(arm, value, client),
        )
        self._panels = Panels(self.page, self.robot, actions, p.camera_width)
        self._live = LiveView(
            self, self.page, self.robot, self._panels.cameras, p.camera_rate_hz, p.alive_s
        )
        self.page.server.on_client_disconnect(self._on_leave)
        self._listen()
        self.create_timer(SHOW_PERIOD_S, self._show)
        # Not by the logger: it would publish the token on /rosout.
        print(f"open {self.page.url}", flush=True)

    def _listen(self) -> None:
        listen, latched = self.create_subscription, interface.LATCHED_QOS
        listen(String, interface.AUTHORITY, self._on_authority, latched)
        listen(String, interface.RECORDER_STATUS, self._on_recorder, latched)
        listen(String, interface.INSTRUCTION, self._on_instruction, latched)
        listen(String, interface.TELEOP_STATUS, self._on_teleop, latched)
        listen(String, interface.PROGRESS, self._on_progress, latched)
        listen(DiagnosticArray, interface.DIAGNOSTICS, self._on_diagnostics, interface.EVENT_QOS)

    # From topics ---------------------------------------------------------------------------

    def _on_authority(self, msg: String) -> None:
        self._authority = interface.parse_authority(msg.data)
        self._live.authority = self._authority[0]
        if self._authority[0] == "estop":
            self._live.stop_driving("estop")

    def _on_recorder(self, msg: String) -> None:
        try:
            self._recorder = (time.monotonic(), RecorderStatus.from_json(msg.data))
        except DataError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=5)

    def _on_instruction(self, msg: String) -> None:
        self._instruction = msg.data

    def _on_teleop(self, msg: String) -> None:
        self._teleop = msg.data

    def _on_progress(self, msg: String) -> None:
        try:
            progress = Progress.from_json(msg.data)
        except DataError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=5)
            return
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
            self._live.stop_driving(name)
        self._caller.press(name)

    def _on_estop(self) -> None:
        self._estop.press()
        self._live.stop_driving("estop")

    def _instruct(self, text: str) -> None:
        runtime.publish(self, self._instruct_pub, String(data=text.strip()))

    def _on_leave(self, client: object) -> None:
        self._live.left(client.client_id)  # type: ignore[attr-defined]
        self._panels.show_driving(self._live.drags.driver is not None)

    # To the page ---------------------------------------------------------------------------

    def _show(self) -> None:
        somebody = bool(self.page.server.get_clients())
        self._live.watch(somebody)
        if not somebody:
            return
        show = self._panels
        show.show_authority(*self._authority)
        show.show_estop(*self._estop.state)
        show.show_teleop(self._teleop)
        show.show_driving(self._live.drags.driver is not None)
        status = self._recorder_now()
        show.show_recorder(status)
        show.show_lights(self._live.health() if status is None else status.streams)
        show.show_instruction(self._instruction)
        show.show_policy(self._policy)
        show.show_jobs(reversed(self._jobs.values()))

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
