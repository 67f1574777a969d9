# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The same question as `crash.py`, asked of the whole node: recorder_node over real DDS, killed.

    python benchmarks/crash_recorder.py --runs 200

This process is the robot (cameras and joints, every message numbered in its header) and the person
who presses start and save again and again; at a random moment the recorder gets SIGKILL. Then
`lapa recover`, and the checks of `crash_check`: nothing that was answered for is lost or
half-visible, and what was running lacks at most the last 0.5 s of every stream.
"""

from __future__ import annotations

import argparse
import os
import random
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, processor, write_result
from crash_check import Violation, check_complete

from lapa_core import robot as robots
from lapa_core.recording import folders, recover
from lapa_ros import environment
from lapa_ros.processes import NodeProcess

ALLOWED_S = 0.5
LONGEST_S = 4.0  # from the first start to the kill
PERIODS_S = {"camera/front/image_raw": 1 / 30, "wx250s/joint_states": 1 / 100}
HEADER = struct.Struct("<iII")  # stamp and the length of frame_id, behind the encapsulation


def main() -> int:
    """Kill, recover, judge, write JSON; 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON")
    args = parser.parse_args()
    os.environ["ROS_DOMAIN_ID"] = environment.own_domain()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.update(environment.dds_variables())
    from recording_operator import Operator  # DDS reads its profile with the first node

    operator = Operator()
    talker = Talker(operator.node)
    chance = random.Random(args.seed)
    lost, violations, totals = [], [], Counter[str]()
    try:
        for run in range(args.runs):
            environment.remove_dead_segments(older_than_s=5.0)
            with tempfile.TemporaryDirectory(prefix="lapa_crash_") as made:
                try:
                    one = kill_once(Path(made), talker, operator, chance)
                except Violation as error:
                    violations.append(f"run {run}: {error}")
                    continue
            lost.append(one.pop("lost_s"))
            totals.update(one)
            if run % 20 == 19:
                worst = max(lost)
                print(f"{run + 1} kills, worst loss {worst:.3f} s, {dict(totals)}", flush=True)
    finally:
        talker.close()
        operator.close()
    content = {
        "benchmark": "crash_recorder",
        "machine": processor(),
        "cores": os.cpu_count(),
        "runs": args.runs,
        "lost_s": {"median": float(np.median(lost)), "max": max(lost)},
        **totals,
        "violations": violations,
        "passed": max(lost) <= ALLOWED_S and not violations,
    }
    print(write_result("crash-recorder", content, args.out))
    return 0 if content["passed"] else 1


def kill_once(made: Path, talker: Talker, operator: Any, chance: random.Random) -> dict[str, Any]:
    """One recorder from start to kill and recovery."""
    root = made / "set"
    parameters = {"folder": str(root), "min_free_gb": 0.5, "images": "jpeg"}
    recorder = NodeProcess("recorder_node", parameters, made / "log")
    saved, killed_s = 0, [0.0]
    started_s: list[float] = []

    def kill() -> None:
        killed_s[0] = time.monotonic()
        recorder.kill()

    timer: threading.Timer | None = None
    try:
        operator.status = None
        operator.wait_until_ready()
        while recorder.running():
            if not operator.try_press("recorder/start", recorder.running):
                break
            started_s.append(time.monotonic())
            if timer is None:
                timer = threading.Timer(chance.uniform(0.05, LONGEST_S), kill)
                timer.start()
            operator.wait(chance.uniform(0.2, 1.5), recorder.running)
            saved += operator.try_press("recorder/save", recorder.running)
        assert timer is not None
        timer.join()
    finally:
        recorder.kill()
    contents = check_complete(root, parse)
    if len(contents) not in (saved, saved + 1):  # the answer itself may have been cut off
        raise Violation(f"{saved} answered for, {len(contents)} there")
    reports = list(recover.recover(root)) if root.exists() else []
    after = check_complete(root, parse)
    if any(after.get(n) != topics for n, topics in contents.items()):
        raise Violation("recovery has taken an episode away")
    left = folders.partials(root)
    empty = any(r.state == "empty" for r in reports)  # killed before its first message: discarded
    if left:
        raise Violation(f"not recovered: {[str(f) for f in left]}")
    oldest = 0.0
    if len(after) > len(contents) or empty:
        running = {} if empty else after[max(after)]
        oldest = talker.lost_s(running, started_s, killed_s[0])
    for number, topics in after.items():
        talker.check_whole(number, topics)
    return {"saved": saved, "recovered": len(after) - len(contents), "lost_s": oldest}


def parse(data: bytes) -> tuple[int, int]:
    """Number and stamp [ns] of a message whose frame is a number; (-1, 0) of any other."""
    if len(data) < 4 + HEADER.size:
        return -1, 0
    seconds, nanoseconds, length = HEADER.unpack_from(data, 4)
    text = data[4 + HEADER.size : 4 + HEADER.size + length - 1] if 1 < length < 20 else b""
    return (int(text), seconds * 10**9 + nanoseconds) if text.isdigit() else (-1, 0)


class Talker:
    """Numbered messages of the robot's streams, from a thread of its own."""

    def __init__(self, node: Any) -> None:
        from sensor_msgs.msg import Image, JointState

        from lapa_ros import convert, interface

        self._sent_s: dict[str, list[float]] = {t: [] for t in PERIODS_S}
        self._stop = threading.Event()
        self._node, self._convert = node, convert
        robot = robots.load("wx250s")
        arm = robot.arms[0]
        picture = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
        self._names = (*arm.joints, arm.gripper.joint)
        self._image = convert.image_msg(picture, "", 0)
        self._pubs = {
            t: node.create_publisher(
                Image if "camera" in t else JointState, t, interface.SENSOR_PUB_QOS
            )
            for t in (*PERIODS_S, "camera/overview/image_raw")
        }
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        due = dict.fromkeys(PERIODS_S, time.monotonic())
        while not self._stop.is_set():
            topic = min(due, key=lambda t: due[t])
            self._stop.wait(max(0.0, due[topic] - time.monotonic()))
            due[topic] += PERIODS_S[topic]
            numbers = self._sent_s[topic]
            stamp = self._node.get_clock().now().nanoseconds
            if "camera" in topic:
                msg = self._image
                msg.header.stamp = self._convert.time_msg(stamp)
            else:
                position = np.zeros(len(self._names))
                msg = self._convert.joint_state_msg(self._names, position, position, stamp)
            msg.header.frame_id = str(len(numbers))
            numbers.append(time.monotonic())
            self._pubs[topic].publish(msg)
            if "camera" in topic and len(numbers) % 3 == 0:
                self._pubs["camera/overview/image_raw"].publish(msg)

    def check_whole(self, number: int, topics: dict[str, list[tuple[int, int]]]) -> None:
        """No number missing between the first and the last."""
        for topic in PERIODS_S:
            got = [n for n, _ in _of(topics, topic)]
            if got and got != list(range(got[0], got[0] + len(got))):
                raise Violation(f"episode {number}: {topic} has a hole")

    def lost_s(
        self, topics: dict[str, list[tuple[int, int]]], started_s: list[float], killed_s: float
    ) -> float:
        """Age at the kill of the oldest message that a recovered episode lacks."""
        oldest = 0.0
        for topic, sent_s in self._sent_s.items():
            got = [n for n, _ in _of(topics, topic)]
            began = max(s for s in started_s if s <= killed_s) if not got else 0.0
            first = got[-1] + 1 if got else next(i for i, s in enumerate(sent_s) if s > began)
            gone = [s for s in sent_s[first : first + 1] if s < killed_s]
            oldest = max([oldest, *(killed_s - s for s in gone)])
        return oldest

    def close(self) -> None:
        """Stop talking."""
        self._stop.set()
        self._thread.join()


def _of(topics: dict[str, list[tuple[int, int]]], topic: str) -> list[tuple[int, int]]:
    for name in (f"/{topic}", f"/{topic}/compressed"):
        if name in topics:
            return [x for x in topics[name] if x[0] >= 0]
    return []


if __name__ == "__main__":
    sys.exit(main())
