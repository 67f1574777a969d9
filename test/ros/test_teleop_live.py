# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""teleop_node with a real terminal, a page and a pair of leaders. Real DDS, real processes."""

from __future__ import annotations

import os
import termios
import time
from pathlib import Path

import numpy as np
from geometry_msgs.msg import PoseStamped
from harness import wait_for
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64
from teleop_cell import after, cell
from trajectory_msgs.msg import JointTrajectory

from lapa_ros import convert, interface


def test_keys_of_a_real_terminal_move_the_arm_and_ending_the_node_hands_back(
    ros_context: None, tmp_path: Path
) -> None:
    """The node is given a pseudo-terminal of its own, which it leaves as it was."""
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    on_terminal = ("sh", "-c", 'exec "$@" <"$0"', os.ttyname(slave))
    try:
        with cell("wx250s", tmp_path, "keyboard", on_terminal) as made:
            assert termios.tcgetattr(slave) != before
            start = made.tool()
            deadline = time.monotonic() + 15.0
            while made.tool()[2] < start[2] + 0.01:
                os.write(master, b"z")
                assert time.monotonic() < deadline, made.person.status
                wait_for(after(0.04), "the next repeat", 1.0)
            assert made.operator.state[0] == "teleop"
            made.expect_rest()
            made.teleop.interrupt()
            made.expect("hold", "handed back")
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)


def test_a_goal_dragged_on_a_page_is_reached_and_letting_go_keeps_it(
    ros_context: None, tmp_path: Path
) -> None:
    with cell("wx250s", tmp_path, "browser") as made:
        person, arm = made.person, made.robot.arms[0]
        drag = person.create_publisher(PoseStamped, interface.teleop_goal(arm.name), 10)
        grip = person.create_publisher(Float64, interface.teleop_gripper(arm.name), 10)
        made.expect_status("ready to take over")
        k = made.kinematics[0]
        start = k.fk(made.arms[0].position[: len(k.joints)])
        goal = start.xyz_m + np.array([0.02, 0.05, 0.03])
        msg = convert.pose_msg(goal, start.quaternion_wxyz, arm.base_frame, 0)
        timer = person.create_timer(0.05, lambda: drag.publish(msg))
        wait_for(lambda: np.linalg.norm(made.tool() - goal) < 2e-3, "the goal", seen=made.tool)
        person.destroy_timer(timer)
        grip.publish(Float64(data=0.25))
        wait_for(lambda: made.person.deltas[-1].points[0].positions[6] == 0.25, "the gripper")
        assert np.linalg.norm(made.expect_rest() - goal) < 2e-3
        # Another node on the topic: this one stops, and says so.
        rival = person.create_publisher(
            JointTrajectory, interface.TELEOP_EE_DELTA, interface.EVENT_QOS
        )
        made.expect_status("1 others publish")
        made.expect("hold", "publishers")
        person.destroy_publisher(rival)


def test_a_pair_of_leaders_moves_both_arms(ros_context: None, tmp_path: Path) -> None:
    with cell("bimanual_wx250s", tmp_path, "leader") as made:
        joints = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
        held = np.array([0.0, -0.3, 0.4, 0.0, 0.5, 0.0, 0.83])
        hands = {a.name: held.copy() for a in made.robot.arms}
        pubs = {
            n: made.person.create_publisher(JointState, f"leader_{n}/joint_states", 10)
            for n in hands
        }

        def send() -> None:
            for name, q in hands.items():
                pubs[name].publish(
                    convert.joint_state_msg((*joints, "gripper"), q, np.zeros(7), 1)
                )

        made.person.create_timer(0.02, send)
        made.expect_status("close all the leaders' grippers to begin")
        starts = [made.tool(0), made.tool(1)]
        for q in hands.values():
            q[6] = -0.05
        made.expect("teleop")
        made.expect_status("moving left and right")
        leader = made.kinematics[0]
        before = leader.fk(held[:6]).xyz_m

        def lead() -> bool:
            for name, sign in (("left", 1.0), ("right", -1.0)):
                hands[name][0] = np.clip(hands[name][0] + sign * 0.01, -0.2, 0.2)
            return abs(hands["left"][0]) >= 0.2

        wait_for(lead, "the leaders' way", poll_s=0.05)
        # Exact where nothing stutters (test_teleop_leader.py); here a busy computer may make the
        # arm hold for a moment, from where leader and follower are tied anew.
        for index, name in enumerate(hands):
            moved = leader.fk(hands[name][:6]).xyz_m - before
            wait_for(
                lambda i=index, m=moved: np.linalg.norm(made.tool(i) - starts[i] - m) < 0.015,
                f"the follower {name}",
                seen=lambda i=index, m=moved: (made.tool(i) - starts[i], m),
            )
