# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Faults on the policy's side, over real DDS: policy node and arm node as processes, a camera
and an arm of ours. The arm holds and says why; when the cause ends, it moves again by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from harness import Operator, StandInArm, StandInCamera, spinning, wait_for
from sensor_msgs.msg import Image

from lapa_core import robot as robots
from lapa_core.data import messages
from lapa_ros.processes import NodeProcess, stop_all

pytestmark = [pytest.mark.torch, pytest.mark.alone]
LOADING_S = 60.0


@dataclass
class Loop:
    """The closed loop and a way to start its policy again."""

    arm: StandInArm
    camera: StandInCamera
    operator: Operator
    nodes: dict[str, NodeProcess]
    start_policy: Callable[..., NodeProcess]

    def wait_for_motion(self) -> None:
        """Wait until the policy decides and the arm obeys."""
        wait_for(lambda: self.operator.policy_status == "deciding", "a deciding policy", LOADING_S)
        wait_for(lambda: self.operator.state[0] == "policy", "authority policy")

    def expect_hold(self, *words: str) -> None:
        """Wait until the arm holds for a reason with these words, in both places."""

        def says() -> bool:
            state, reason = self.operator.state
            diagnosed = self.operator.diagnostics["arm_node"][0]
            return state == "hold" and all(w in reason and w in diagnosed for w in words)

        wait_for(says, f"a hold that says {words}", seen=lambda: self.operator.authority[-4:])

    def go_home(self) -> None:
        """Bring the arm to its start pose; again, where a watchdog of a busy computer stops it."""
        for _ in range(10):
            since = len(self.operator.authority)
            assert self.operator.call("enable").success
            assert self.operator.call("home").success

            def ended(since: int = since) -> list[str]:
                reasons = [reason for _, _, reason in self.operator.authority[since:]]
                return [r for r in reasons if not r.startswith(("enabled", "moving"))]

            reasons = wait_for(ended, "an end of the way", 30.0)
            if any("arrived at start" in why for why in reasons):
                return
        pytest.fail(f"the start pose was not reached: {self.operator.authority[-6:]}")

    def expect_nothing_decided_until(self, mend: Callable[[], None]) -> None:
        """No delta is published while the fault lasts; the first one answers a mended frame.

        The stamp of the first delta after the fault is the proof: it is the sentinel.
        """
        before = len(self.operator.decided)
        frames_at_fault = self.camera.get_clock().now().nanoseconds
        mend()
        wait_for(lambda: len(self.operator.decided) > before, "a decision after the fault")
        assert messages.stamp_ns(self.operator.decided[before].header.stamp) >= frames_at_fault


@pytest.fixture(scope="module")
def loop(
    ros_context: None, debug_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Loop]:
    """Arm node and policy node as processes, moving the stand-in arm."""
    logs = tmp_path_factory.mktemp("logs")
    robot = robots.load("wx250s")

    def start_policy(**more: float) -> NodeProcess:
        parameters = more | {
            "robot": "wx250s",
            "checkpoint": str(debug_checkpoint),
            "instruction": "put the red block in the bin",
            "autostart": True,
            "num_threads": 1,
        }
        return NodeProcess("policy_node", parameters, logs / "policy_node.log")

    nodes = {
        "policy": start_policy(),
        "arm": NodeProcess(
            "arm_node", {"robot": "wx250s", "backend": "ros2_control"}, logs / "arm_node.log"
        ),
    }
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    arm, camera, operator = StandInArm(robot), StandInCamera(robot, picture), Operator(robot)
    try:
        with spinning(arm, operator), spinning(camera):
            running = Loop(arm, camera, operator, nodes, start_policy)
            wait_for(lambda: operator.policy_status == "deciding", "a deciding policy", LOADING_S)
            assert operator.call("enable").success, operator.state
            running.wait_for_motion()
            yield running
    finally:
        codes = stop_all(list(nodes.values()))
    assert set(codes.values()) == {0}, codes


def test_the_camera_stops_and_comes_back(loop: Loop) -> None:
    loop.camera.silent = True
    loop.expect_hold("policy silent", "camera front silent")

    def mend() -> None:
        loop.camera.silent = False

    loop.expect_nothing_decided_until(mend)
    loop.wait_for_motion()


def to_unknown_encoding(msg: Image) -> None:
    msg.encoding = "bayer_rggb8"


def to_short_data(msg: Image) -> None:
    msg.data = msg.data[: len(msg.data) // 2]


def to_wrong_size(msg: Image) -> None:
    msg.height += 1


def to_other_resolution(msg: Image) -> None:
    msg.height, msg.width, msg.step = 240, 320, 960
    msg.data = msg.data[: 240 * 960]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (to_unknown_encoding, ("bayer_rggb8", "rgb8")),
        (to_short_data, ("460800", "921600")),
        (to_wrong_size, ("921600",)),
        (to_other_resolution, ("320x240", "640x480")),
    ],
    ids=["encoding", "short", "size", "resolution"],
)
def test_the_camera_sends_what_cannot_be_decoded(
    spoil: Callable[[Image], None], words: tuple[str, ...], loop: Loop
) -> None:
    loop.camera.spoil = spoil
    loop.expect_hold("policy silent", *words)

    def mend() -> None:
        loop.camera.spoil = None

    loop.expect_nothing_decided_until(mend)
    loop.wait_for_motion()


def test_the_policy_is_killed_and_started_again(loop: Loop) -> None:
    loop.nodes["policy"].kill()
    loop.nodes["policy"].close()
    loop.expect_hold("policy silent")
    held = loop.arm.target.copy()
    assert loop.nodes["arm"].running()
    loop.operator.policy_status = ""
    loop.nodes["policy"] = loop.start_policy()
    np.testing.assert_array_equal(loop.arm.target, held)
    loop.wait_for_motion()


def test_words_that_are_not_said_again_are_forgotten(loop: Loop) -> None:
    """Who watches over a trial repeats them; if that program dies, the arm stops."""
    loop.nodes["policy"].kill()
    loop.nodes["policy"].close()
    loop.operator.policy_status = ""
    # A random policy goes on in one direction; from the start pose it stays in reach for seconds.
    loop.go_home()
    loop.nodes["policy"] = loop.start_policy(instruction_timeout_s=1.0)
    assert loop.operator.call("enable").success
    loop.wait_for_motion()
    for _ in range(4):
        loop.operator.instruct("put the red block in the bin")
        before = len(loop.operator.decided)
        wait_for(lambda seen=before: len(loop.operator.decided) > seen + 2, "decisions")
    assert loop.operator.policy_status == "deciding"
    wait_for(lambda: "instruction" in loop.operator.policy_status, "words to be forgotten", 10.0)
    loop.expect_hold("policy silent")
    loop.operator.instruct("put the red block in the bin")
    loop.wait_for_motion()
