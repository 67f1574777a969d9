# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Records demonstrations: one raw bag an episode, complete on disk before `save` answers.

It subscribes to what the robot file names and writes the messages as they arrive; what a person
does with an episode comes through services, and `recorder/status` says where things stand.
Everything that decides is in `lapa_core.recording` and `lapa_core.audit`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from lapa_core import robot as robots
from lapa_core.errors import ConfigError, LapaError
from lapa_core.recording import folders
from lapa_core.recording.bag import BagWriter
from lapa_core.recording.jpeg import Workers
from lapa_core.recording.session import Session, Wishes
from lapa_core.recording.status import RecorderStatus
from lapa_core.recording.take import Take
from lapa_ros import diagnostics, interface, runtime
from lapa_ros.clock import NodeClock
from lapa_ros.params import declare, param
from lapa_ros.recording.facts import FactBook
from lapa_ros.recording.intake import Channel, Intake
from lapa_ros.recording.plan import topics
from lapa_ros.recording.watch import Watch

LOOK_S = 0.25  # how often publishers are looked for
STATUS_S = 0.5


@dataclass(frozen=True)
class RecorderParams:
    """Parameters of the node."""

    robot: str = param("wx250s", "robot file: a name in config/robots, or a path")
    folder: str = param("recordings", "folder of the data set: one folder an episode in it")
    task: str = param("", "what the robot is told to do; published on `instruction`")
    tasks: tuple[str, ...] = param(("",), "tasks to choose from; the first one is the first")
    operator: str = param("", "who demonstrates, for episode.yaml")
    episodes: int = param(150, "how many are wanted; 0: no end", low=0, high=100000)
    reset_s: float = param(
        0.0,
        "time to put the scene back before the next episode begins by itself; 0: it never does",
        low=0.0,
        high=600.0,
    )
    images: str = param(
        "auto", "auto: the driver's JPEG, else compressed here; jpeg: compressed here; raw"
    )
    jpeg_quality: int = param(95, "of images compressed here", low=50, high=100)
    workers: int = param(2, "threads that compress", low=1, high=16)
    extra_topics: tuple[str, ...] = param(("",), "more topics to record")
    refuse_flagged: bool = param(False, "refuse `save` of an episode with a serious finding")
    min_free_gb: float = param(2.0, "least room on the disk", low=0.05, high=10000.0)
    max_waiting_mb: int = param(1024, "messages that may wait for a slow disk", low=16, high=65536)


class RecorderNode(Node):
    """Topics in, bags out, services for a person."""

    def __init__(self) -> None:
        super().__init__("recorder_node")
        p = self.params = declare(self, RecorderParams)
        self.robot = robots.load(p.robot)
        self._time = NodeClock(self)
        self._tasks = tuple(t for t in (p.task, *p.tasks) if t)
        self._facts = FactBook(self.robot, self._tasks[0] if self._tasks else "", p.operator)
        self._workers = Workers(p.workers, p.jpeg_quality)
        root = Path(p.folder).expanduser().resolve()
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"parameter folder: {root} cannot be made: {error}") from None
        self._lock = folders.lock(root)
        extra = [t for t in p.extra_topics if t]
        self._wanted = topics(self.robot, p.images, extra)
        self._intake = Intake(self, self._wanted, self._on_message, time.monotonic)
        self._watch = Watch(self.robot, self._intake, self._now_ns())
        self._pressed_ns = self._began_ns = 0
        self._bytes_per_s = 0.0
        self._warned: set[str] = set()
        self._known: set[str] = set()
        self._session = Session(
            Wishes(
                root,
                episodes=p.episodes,
                reset_s=p.reset_s,
                min_free_bytes=round(p.min_free_gb * 1e9),
                refuse_flagged=p.refuse_flagged,
            ),
            make_take=self._make_take,
            facts=self._facts.facts,
            judge=lambda take: self._watch.judge(take, self._pressed_ns, self._facts.changed),
            missing=self._intake.missing,
            begin=self._begin,
            opened=self._open_with_latched,
        )
        self._short = {self._intake.name(w.topic): w.topic for w in self._wanted}
        self._problems: list[str] = []
        self._status_pub = self.create_publisher(
            String, interface.RECORDER_STATUS, interface.LATCHED_QOS
        )
        self._instruction_pub = self.create_publisher(
            String, interface.INSTRUCTION, interface.LATCHED_QOS
        )
        self._offer_services()
        self._reporter = diagnostics.Reporter(self, self._report)
        self.create_timer(LOOK_S, self._look, clock=self._time.clock)
        self.create_timer(STATUS_S, self._say, clock=self._time.clock)
        if self._tasks:
            self._instruction_pub.publish(String(data=self._tasks[0]))
        if self._session.message:
            self.get_logger().warning(self._session.message)
        self.get_logger().info(f"records {self.robot.name} into {root}")

    def _offer_services(self) -> None:
        session = self._session
        acts: dict[str, Callable[[float], str]] = {
            "start": session.start,
            "save": session.save,
            "fail": lambda now: session.save(now, "failure"),
            "discard": session.discard,
            "redo": lambda now: session.discard(now, then_again=True),
            "undo_last": session.undo_last,
            "stop": lambda now: session.stop(),
        }
        for name in interface.RECORDER_SERVICES:
            act = acts[name.partition("/")[2]]
            self.create_service(Trigger, name, partial(self._on_service, name, act))

    # Messages ------------------------------------------------------------------------------

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_message(self, channel: Channel, data: bytes, info: dict[str, Any]) -> None:
        # When it came, not when this thread had time for it; a simulation's time is only here.
        arrived_ns = sent_ns = self._now_ns()
        if not self._time.simulated:
            arrived_ns = int(info.get("received_timestamp") or arrived_ns)
            sent_ns = int(info.get("source_timestamp") or arrived_ns)
        sequence = int(info.get("publication_sequence_number") or 0)
        self._read_facts(channel.source.topic, data, arrived_ns)
        if arrived_ns < self._began_ns or self._session.state == "full":
            return  # of the time before the episode, or after its end
        self._watch.message(channel, data, arrived_ns, sequence)
        take = self._session.take
        if take is not None and self._session.state == "recording":
            take.put(channel.source, data, arrived_ns, sent_ns, sequence)

    def _read_facts(self, topic: str, data: bytes, arrived_ns: int) -> None:
        """A message of anybody's must not end a recording."""
        try:
            self._facts.read(self._short.get(topic, ""), data, arrived_ns)
        except Exception as error:  # what foreign bytes provoke in rclpy is not written anywhere
            if topic not in self._warned:
                self._warned.add(topic)
                self.get_logger().warning(f"{topic} cannot be read: {error}")

    # Episodes ------------------------------------------------------------------------------

    def _make_take(self, bag: BagWriter) -> Take:
        return Take(bag, self._workers, self.params.max_waiting_mb << 20)

    def _begin(self) -> None:
        self._began_ns = self._now_ns()
        self._facts.begin(self._began_ns)

    def _open_with_latched(self, take: Take) -> None:
        """The first messages of an episode: what was said before and still holds."""
        # Making its folder may have taken the disk a while: that is not the episode yet.
        self._began_ns = now_ns = self._now_ns()
        self._watch.begin(now_ns)
        for channel in self._intake.recorded():
            take.expect(channel.source)
            for data in channel.kept:
                take.put(channel.source, data, now_ns, now_ns)
                self._watch.message(channel, data, now_ns, 0)

    def _on_service(
        self,
        name: str,
        act: Callable[[float], str],
        request: Trigger.Request,
        response: Trigger.Response,
    ) -> Trigger.Response:
        self._pressed_ns = self._now_ns()  # what happens while the disk works is not the episode
        try:
            response.message = act(self._time.now_s())
            response.success = True
        except LapaError as error:
            response.success, response.message = False, str(error)
            self._session.message = str(error)
        self.get_logger().info(f"{name}: {response.message}")
        if self._session.take is None:
            self._watch.begin(self._now_ns())
        self._say()
        return response

    # Time ----------------------------------------------------------------------------------

    def _look(self) -> None:
        problems = self._intake.look(busy=self._session.take is not None)
        known, self._known = self._known, {c.source.topic for c in self._intake.recorded()}
        if self._known != known and self._session.take is None:
            if more := sorted(self._known - known):
                self.get_logger().info(f"also records {', '.join(more)}")
            self._watch.begin(self._now_ns())
        for problem in problems:
            if problem not in self._problems:
                self.get_logger().warning(problem)
        self._problems = problems
        before = self._session.state, self._session.number
        self._pressed_ns = self._now_ns()
        self._session.tick(self._time.now_s())
        if (self._session.state, self._session.number) != before:
            self.get_logger().info(self._session.message)
            self._say()

    def _status(self) -> RecorderStatus:
        session, now_s = self._session, self._time.now_s()
        message = session.message
        try:
            free = folders.free_bytes(session.wishes.root)
        except OSError as error:  # nothing can be recorded there, so no room is no lie
            free = 0
            message = f"no room is known on {session.wishes.root}: {error.strerror}; {message}"
        room = free - session.wishes.min_free_bytes
        rate = self._data_rate(now_s)
        return RecorderStatus(
            state=session.state,
            episode=session.number,
            saved=session.saved,
            episodes=session.wishes.episodes,
            instruction=self._facts.instruction,
            tasks=self._tasks,
            operator=self.params.operator,
            elapsed_s=round(session.elapsed_s(now_s), 2),
            reset_left_s=round(session.reset_left_s(now_s), 2),
            folder=str(session.wishes.root),
            free_gb=round(free / 1e9, 2),
            minutes_left=round(max(0.0, room / rate / 60), 1) if rate > 0 else 0.0,
            message=message,
            streams=self._watch.lights(self._now_ns()),
            findings=(
                self._watch.findings(self._now_ns())
                if session.state == "recording"
                else session.findings
            ),
        )

    def _data_rate(self, now_s: float) -> float:
        """Bytes a second of the running episode, or of the last one."""
        take, elapsed_s = self._session.take, self._session.elapsed_s(now_s)
        if take is not None and elapsed_s > 1.0:
            self._bytes_per_s = take.written_bytes / elapsed_s
        return self._bytes_per_s

    def _say(self) -> None:
        self._status_pub.publish(String(data=self._status().to_json()))

    def _report(self) -> diagnostics.Report:
        status = self._status()
        take = self._session.take
        values: dict[str, object] = {
            "state": status.state,
            "saved": status.counter,
            "free_gb": status.free_gb,
            "minutes_left": status.minutes_left,
            "waiting_mb": take.waiting_bytes / 1e6 if take is not None else 0.0,
            "findings": len(status.findings),
        }
        for stream in status.streams:
            values[f"{stream.topic} rate_hz"] = stream.rate_hz
            values[f"{stream.topic} dropped"] = stream.dropped
        level = diagnostics.OK
        if status.state in ("starting", "full") or any(f.serious for f in status.findings):
            level = diagnostics.WARN
        return level, f"{status.state}: {status.message}", values

    def close(self) -> None:
        """Complete what runs; `lapa recover` gives it its name."""
        self._session.close()
        self._workers.close()


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `ros2 run lapa_ros recorder_node`."""
    # A signal must not interrupt `save`: it is answered first, and the node ends then.
    runtime.main(RecorderNode, args, last_words=True)


if __name__ == "__main__":
    main()
