# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How teleop_node ends and begins: what it leaves of authority, what it learns. Real DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from harness import StandInArm, spinning, wait_for
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Float64, String
from teleop_cell import Person, cell

from lapa_core import robot as robots
from lapa_core.teleop import Teleoperator, TeleopSettings
from lapa_core.teleop.reading import ArmInput, Reading
from lapa_ros import interface
from lapa_ros.teleop.robot_side import RobotSide

ARM = "wx250s"
# The node as it is shipped, with a bug in what it does with a key.
BROKEN = """
from lapa_ros import runtime, teleop_node
class Broken(teleop_node.TeleopNode):
    def _on_key(self, msg):
        raise RuntimeError("a bug")
runtime.main(Broken, last_words=True)
"""


class Policed(Node):
    """An arm node's words while a policy moves the arm."""

    def __init__(self) -> None:
        super().__init__("policed")
        make, latched = self.create_publisher, interface.LATCHED_QOS
        self.authority = make(String, interface.AUTHORITY, latched)
        self._told = make(Float64, interface.gripper_target(ARM), latched)
        self.say("policy: following policy")
        self._told.publish(Float64(data=1.0))

    def say(self, text: str) -> None:
        self.authority.publish(String(data=text))


@pytest.mark.parametrize(
    ("how", "code", "hands_back"),
    [("exception", 1, False), ("SIGTERM", 0, False), ("SIGINT", 0, True)],
)
def test_only_a_person_s_ctrl_c_hands_the_arm_back(
    how: str, code: int, hands_back: bool, ros_context: None, tmp_path: Path
) -> None:
    robot = robots.load(ARM).with_backend("ros2_control")
    person, log = Person(robot), tmp_path / "log"
    rounds: list[int] = []
    person.create_timer(0.05, lambda: rounds.append(len(rounds)))
    with spinning(person, Policed(), StandInArm(robot)), log.open("w") as out:
        arguments = ["--ros-args", "-p", f"robot:={ARM}", "-p", "terminal:=false"]
        node = subprocess.Popen(
            [sys.executable, "-c", BROKEN, *arguments], stdout=out, stderr=out, env=os.environ
        )
        try:
            wait_for(lambda: person.call("take_over").success, "a take-over", poll_s=0.1)
            wait_for(lambda: len(person.deltas) > 3, "deltas")
            if how == "exception":
                person.type("w")
            else:
                node.send_signal(signal.Signals[how])
            assert node.wait(timeout=5.0) == code, log.read_text()
        finally:
            node.kill()
        topic = interface.TELEOP_EE_DELTA
        wait_for(lambda: not person.count_publishers(topic), "the publisher's end")
        seen = len(rounds)
        wait_for(lambda: len(rounds) > seen + 2, "what is still to be taken")
        assert [len(m.points) for m in person.deltas[:-1]] == [1] * (len(person.deltas) - 1)
        assert len(person.deltas[-1].points) == (0 if hands_back else 1)
    assert ("RuntimeError: a bug" in log.read_text()) == (how == "exception")


class Held:
    """A device of the test, engaged when it is told so."""

    name = "held"

    def __init__(self) -> None:
        self.engaged = False

    def read(self, now_s: float) -> Reading:
        return Reading({ARM: ArmInput(self.engaged)})

    def release(self) -> None:
        """Nothing is kept."""


def joined(node: Node) -> tuple[Teleoperator, Held]:
    """What a teleop_node that begins now hears of the robot."""
    robot, held = robots.load(ARM).with_backend("ros2_control"), Held()
    made = Teleoperator(robot, held, TeleopSettings())
    RobotSide(node, robot, made, lambda: node.get_clock().now().nanoseconds * 1e-9)
    return made, held


def test_a_new_node_does_not_drop_what_the_gripper_holds(
    ros_context: None, tmp_path: Path
) -> None:
    """Told 0.0, an object keeps the fingers at 0.4; after hold and enable 0.4 is all there is."""
    with cell(ARM, tmp_path, "gamepad", layout="gamepad_ps4") as made:
        person, operator = made.person, made.operator
        person.sending = True
        made.expect_status("ready to take over")
        person.hold(0.0)
        made.expect("teleop")
        person.press("gripper_toggle")
        wait_for(lambda: operator.executed[-1].points[-1].positions[6] == 0.0, "a closed gripper")
        gripper, finger = made.robot.arms[0].gripper, made.arms[0].names.index("left_finger")
        wait_for(lambda: abs(made.arms[0].target[finger] - gripper.closed) < 1e-6, "the fingers")
        made.teleop.process.terminate()  # not a person's Ctrl-C: nothing is handed back
        made.expect("hold", "teleop silent")
        made.arms[0].target[finger] = gripper.joint_position(0.4)
        node = Node("begins_anew")
        late, held = joined(node)
        told: list[Float64] = []
        topic = interface.gripper_target(ARM)
        node.create_subscription(Float64, topic, told.append, interface.LATCHED_QOS)
        with spinning(node):
            wait_for(lambda: not late.refusal(), "the robot's words", seen=late.refusal)
            hand = late._hands[ARM]
            wait_for(lambda: abs((hand.measured or 0.0) - 0.4) < 1e-3, "the fingers' rest")
            late.take_over()
            assert late.tick(1.0).delta[6] == pytest.approx(0.0, abs=0.005)
            late.hand_back()
            assert operator.call("hold").success
            wait_for(lambda: "disabled" in late.refusal(), "a disabled arm")
            wait_for(lambda: np.isnan(told[-1].data), "that nothing is in force", seen=told.copy)
            assert operator.call("enable").success
            wait_for(lambda: not late.refusal(), "an enabled arm", seen=late.refusal)
            late.take_over()
            assert late.tick(1.1).delta[6] == pytest.approx(0.4, abs=1e-3)
    assert not held.engaged


def test_a_hold_is_not_lost_behind_the_enable_that_follows_at_once(ros_context: None) -> None:
    """Both wait in the queue while the node is busy; the first ends what the person held."""
    arm, node = Policed(), Node("busy")
    made, held = joined(node)
    made.on_opening(ARM, 0.5)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def heard(state: str) -> bool:
        executor.spin_once(timeout_sec=0.05)
        return made._reason == state and not made.refusal()

    wait_for(lambda: heard("following policy"), "the first word", seen=made.refusal)
    made.take_over()
    for text in ("hold: disabled: hold requested", "hold: enabled: waiting for a chunk"):
        arm.say(text)
        assert arm.authority.wait_for_all_acked()
    held.engaged = True
    wait_for(lambda: heard("enabled: waiting for a chunk"), "the last word")
    assert not made.owns
    assert made.tick(1.0).delta is None
    executor.shutdown()
    for each in (arm, node):
        each.destroy_node()
