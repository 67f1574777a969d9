# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The controller against an arm that goes where it is told at once: who moves it, and when not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import arms
import numpy as np
import pytest

from lapa_core import description
from lapa_core.control import ArmController, ControlParams
from lapa_core.control.compose import compose
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.errors import ConfigError, UnsafeAction
from lapa_core.robot import Robot
from lapa_core.types import ActionChunk, JointCommand

TICK_S = 0.02
ROS_OFFSET_NS = 10**18


class Bench:
    """A controller, and arms that reach every command within the tick."""

    def __init__(self, robot: Robot | None = None, params: ControlParams | None = None) -> None:
        self.robot = robot or arms.wx250s()
        self.controller = ArmController(self.robot, params)
        self.now_s = 50.0
        self.joints = {a.name: np.array(a.start_rad) for a in self.robot.arms}
        self.fingers = {a.name: a.gripper.open for a in self.robot.arms}
        self.silent: set[str] = set()
        self.last: dict[str, JointCommand] | None = None

    @property
    def now_ns(self) -> int:
        return ROS_OFFSET_NS + round(self.now_s * 1e9)

    @property
    def status(self):
        return self.controller.status(self.now_s)

    @property
    def authority(self) -> tuple[str, str]:
        return self.status.state, self.status.reason

    def read(self) -> None:
        for arm in self.robot.arms:
            if arm.name not in self.silent:
                self.sample(arm.name, self.joints[arm.name])

    def sample(self, arm: str, joints: Sequence[float] | np.ndarray) -> None:
        finger = self.fingers[arm]
        names = (*self.robot.arm(arm).joints, "gripper", "left_finger", "right_finger")
        position = np.array([*joints, 0.0, finger, -finger])
        self.controller.on_joint_state(arm, names, position, self.now_s)

    def tick(self, times: int = 1) -> list[dict[str, JointCommand] | None]:
        told = []
        for _ in range(times):
            self.read()
            self.last = self.controller.tick(self.now_s)
            for name, command in (self.last or {}).items():
                self.joints[name] = command.position_rad
                self.fingers[name] = self.robot.arm(name).gripper.joint_position(command.gripper)
            told.append(self.last)
            self.now_s += TICK_S
        return told

    def chunk(self, *delta: float, steps: int = 1, age_s: float = 0.0) -> ActionChunk:
        row = np.zeros(len(self.robot.dimensions))
        row[6::7] = 1.0
        row[: len(delta)] = delta
        return ActionChunk(
            self.robot.dimensions,
            np.tile(row, (steps, 1)),
            0.2 * np.arange(steps),
            self.now_ns - round(age_s * 1e9),
        )

    def send(self, *delta: float, source: str = "policy", steps: int = 1, age_s: float = 0.0):
        chunk = self.chunk(*delta, steps=steps, age_s=age_s)
        self.controller.on_chunk(source, chunk, self.now_s, self.now_ns)  # type: ignore[arg-type]

    def enable(self) -> None:
        self.read()
        self.controller.enable(self.now_s)

    def drive(self) -> None:
        """Enabled, with the policy moving the arm."""
        self.enable()
        self.send(0.001)
        self.tick()
        assert self.authority == ("policy", "following policy")

    def tool(self, arm: str = "wx250s") -> np.ndarray:
        spec = self.robot.arm(arm)
        return ArmKinematics(spec, description.for_arm(spec)).fk(self.joints[arm]).xyz_m


def test_before_the_first_enable_nothing_is_ever_commanded() -> None:
    bench = Bench()
    bench.read()
    for source in ("policy", "teleop"):
        bench.send(0.01, source=source)
    assert bench.tick(20) == [None] * 20
    with pytest.raises(UnsafeAction, match="disabled: call enable once"):
        bench.controller.move_to("start", bench.now_s)
    bench.controller.reset(bench.now_s)
    assert bench.tick(5) == [None] * 5
    assert bench.authority == ("hold", "disabled: call enable")
    assert bench.status.interventions["ignored_disabled"] == 2


def test_enable_is_refused_with_its_reason() -> None:
    bench = Bench()
    with pytest.raises(UnsafeAction, match="no joint states of wx250s yet"):
        bench.controller.enable(bench.now_s)
    bench.read()
    with pytest.raises(UnsafeAction, match=r"0\.30 s old"):
        bench.controller.enable(bench.now_s + 0.3)
    bench.controller.estop("button", bench.now_s)
    with pytest.raises(UnsafeAction, match="button"):
        bench.controller.enable(bench.now_s)
    bench.controller.reset(bench.now_s)
    bench.controller.enable(bench.now_s)
    bench.joints["wx250s"] = bench.joints["wx250s"] + 0.1
    bench.tick()
    bench.controller.move_to("start", bench.now_s)
    with pytest.raises(UnsafeAction, match="a move to start is running"):
        bench.controller.enable(bench.now_s)


def test_a_step_moves_the_tool_by_its_delta_within_its_time() -> None:
    bench = Bench()
    bench.enable()
    before = bench.tool()
    bench.send(0.01, -0.02, 0.015)
    bench.tick(5)
    halfway = bench.tool() - before
    assert 0.2 < halfway[0] / 0.01 < 0.6  # interpolated over the step, not one jump
    bench.tick(15)
    np.testing.assert_allclose(bench.tool() - before, [0.01, -0.02, 0.015], atol=2e-4)


def test_deltas_add_up_on_the_commanded_target_not_on_the_measured_pose() -> None:
    """An arm that stays 1 degree behind still goes the whole way: 20 steps of 2 mm."""
    bench = Bench()
    bench.enable()
    targets = []
    for _ in range(20):
        bench.send(0.0, 0.002)
        for _ in range(10):
            bench.sample("wx250s", bench.joints["wx250s"] - 0.017)
            commands = bench.controller.tick(bench.now_s)
            assert commands
            bench.joints["wx250s"] = commands["wx250s"].position_rad
            bench.now_s += TICK_S
        targets.append(bench.status.target["wx250s"].xyz_m[1])
    np.testing.assert_allclose(np.diff(targets), 0.002, atol=1e-9)


def test_silence_holds_with_the_policys_own_words_and_the_next_chunk_recovers() -> None:
    bench = Bench()
    bench.drive()
    bench.controller.note_source("policy", "camera front silent 1.2 s")
    told = bench.tick(45)
    state, reason = bench.authority
    assert state == "hold"
    assert reason.startswith("policy silent 0.2") and reason.endswith(
        ": camera front silent 1.2 s"
    )
    # 0.2 s step + 0.2 s silence, then nothing.
    assert sum(t is not None for t in told) == pytest.approx(20, abs=2)
    bench.send(0.001)
    bench.tick()
    assert bench.authority == ("policy", "following policy")


def test_stale_joint_states_hold_and_recover() -> None:
    bench = Bench()
    bench.drive()
    bench.silent.add("wx250s")
    for _ in range(20):
        bench.send(0.001)
        bench.tick()
    assert bench.authority[0] == "hold"
    assert "joint states of wx250s are 0.2" in bench.authority[1]
    assert bench.tick(3) == [None] * 3
    bench.silent.clear()
    bench.read()
    bench.send(0.001)
    bench.tick()
    assert bench.authority[0] == "policy"


def test_leaving_hold_starts_from_where_the_arm_is() -> None:
    """The arm was pushed while it held: neither target nor command may pull it back."""
    bench = Bench()
    bench.drive()
    bench.tick(60)
    assert bench.authority[0] == "hold"
    for _ in range(40):
        bench.joints["wx250s"] = bench.joints["wx250s"] + 0.005
        bench.tick()
    pushed = bench.tool()
    bench.send(0.0, 0.0, 0.01)
    bench.tick(20)
    np.testing.assert_allclose(bench.tool() - pushed, [0, 0, 0.01], atol=3e-4)


def test_a_jump_of_a_joint_holds_by_name_and_recovers() -> None:
    bench = Bench()
    bench.drive()
    jumped = bench.joints["wx250s"] + np.array([1.0, 0, 0, 0, 0, 0])
    bench.sample("wx250s", jumped)
    assert bench.authority == ("hold", "implausible joint state: waist jumped 1.00 rad")
    assert bench.controller.tick(bench.now_s) is None
    bench.read()
    bench.send(0.001)
    bench.tick()
    assert bench.authority[0] == "policy"
    assert bench.status.interventions["refused_joint_state"] == 1


def test_ten_agreeing_samples_elsewhere_reseed_the_target() -> None:
    bench = Bench()
    bench.drive()
    bench.joints["wx250s"] = bench.joints["wx250s"] + np.array([0.5, 0, 0, 0, 0, 0])
    told = bench.tick(12)
    assert told == [None] * 12
    there = bench.tool()
    bench.send(0.0, 0.0, 0.01)
    bench.tick(20)
    assert bench.authority[0] == "policy"
    np.testing.assert_allclose(bench.tool() - there, [0, 0, 0.01], atol=3e-4)


def test_joint_states_that_cannot_be_read_hold() -> None:
    bench = Bench()
    bench.drive()
    bench.controller.on_joint_state("wx250s", ("waist",), np.zeros(1), bench.now_s)
    assert "unknown joint 'shoulder'" in bench.authority[1]
    bench.tick()
    bench.send(0.001)
    bench.tick()
    bench.controller.refuse_joint_state("wx250s", "not a JointState", bench.now_s)
    assert bench.authority == ("hold", "not a JointState")


def test_an_unknown_arm_or_source_is_a_mistake_of_the_caller() -> None:
    bench = Bench()
    with pytest.raises(ConfigError, match="unknown arm 'left'"):
        bench.controller.on_joint_state("left", (), np.zeros(0), 0.0)
    with pytest.raises(ConfigError, match="unknown source 'joystick'"):
        bench.send(0.0, source="joystick")


def test_a_bad_chunk_is_refused_whole_and_the_next_good_one_recovers() -> None:
    bench = Bench()
    bench.drive()
    bench.tick(15)
    before = bench.tool()
    bench.send(float("nan"))
    assert bench.authority[0] == "hold"
    assert "wx250s/x = nan" in bench.authority[1]
    bench.send(1.0)  # one metre
    bench.send(0.02, age_s=5.0)
    assert bench.tick(10) == [None] * 10
    np.testing.assert_array_equal(bench.tool(), before)
    counts = bench.status.interventions
    assert (counts["refused_non_finite"], counts["refused_fault"], counts["refused_stale"]) == (
        1,
        1,
        1,
    )
    bench.send(0.01)
    bench.tick(20)
    np.testing.assert_allclose(bench.tool() - before, [0.01, 0, 0], atol=3e-4)


def test_why_nothing_moves_after_enable_is_said() -> None:
    bench = Bench()
    bench.enable()
    bench.send(1.0)
    assert "beyond 0.1" in bench.authority[1]


def test_the_same_chunk_twice_moves_once() -> None:
    bench = Bench()
    bench.drive()
    bench.tick(20)
    before = bench.tool()
    chunk = bench.chunk(0.01)
    bench.controller.on_chunk("policy", chunk, bench.now_s, bench.now_ns)
    bench.tick(20)
    bench.controller.on_chunk("policy", chunk, bench.now_s, bench.now_ns)
    bench.tick(20)
    np.testing.assert_allclose(bench.tool() - before, [0.01, 0, 0], atol=3e-4)
    assert bench.status.interventions["refused_order"] == 1


def test_a_clock_set_back_is_not_an_old_chunk() -> None:
    bench = Bench()
    bench.drive()
    ros_now_ns = bench.now_ns - 3600 * 10**9
    chunk = dataclasses.replace(bench.chunk(0.01), stamp_ns=ros_now_ns)
    bench.controller.on_chunk("policy", chunk, bench.now_s, ros_now_ns)
    assert bench.status.interventions["refused_order"] == 0


def test_two_publishers_move_nothing_until_there_is_one_again() -> None:
    bench = Bench()
    bench.drive()
    bench.controller.set_publishers("policy", 2, bench.now_s)
    assert bench.authority == ("hold", "2 publishers on the deltas of policy; valid: 1")
    bench.send(0.01)
    assert bench.tick(3) == [None] * 3
    bench.controller.set_publishers("policy", 1, bench.now_s)
    bench.send(0.01)
    bench.tick()
    assert bench.authority[0] == "policy"


def test_teleop_outranks_the_policy_and_hands_back_with_an_empty_chunk() -> None:
    bench = Bench()
    bench.drive()
    before = bench.tool()
    bench.send(0.0, 0.01, source="teleop")
    bench.tick()
    assert bench.authority == ("teleop", "following teleop")
    bench.send(0.0, -0.05)
    bench.tick(20)
    assert bench.tool()[1] - before[1] == pytest.approx(0.01, abs=1e-3)
    assert bench.status.interventions["ignored_outranked"] == 1
    bench.tick(40)  # teleop falls silent; the policy does not slip in
    bench.send(0.01)
    bench.tick()
    assert bench.authority[1].startswith("teleop silent")
    bench.send(source="teleop", steps=0)
    bench.send(0.01)
    bench.tick()
    assert bench.authority[0] == "policy"


def test_a_bad_chunk_of_the_policy_does_not_disturb_teleop() -> None:
    bench = Bench()
    bench.enable()
    bench.send(0.0, 0.01, source="teleop")
    bench.tick()
    bench.send(float("nan"))
    assert bench.authority[0] == "teleop"
    bench.send(steps=0)
    assert bench.status.interventions["refused_empty"] == 1


def test_estop_holds_until_reset_and_enable() -> None:
    bench = Bench()
    bench.drive()
    bench.controller.estop("red button", bench.now_s)
    bench.send(0.01)
    assert bench.tick(5) == [None] * 5
    with pytest.raises(UnsafeAction, match="estop is latched"):
        bench.controller.move_to("park", bench.now_s)
    bench.controller.reset(bench.now_s)
    bench.send(0.01)
    assert bench.tick(5) == [None] * 5
    assert bench.authority == ("hold", "disabled: call enable")
    bench.enable()
    bench.send(0.01)
    assert bench.tick()[0] is not None


def test_disable_drops_what_is_left_of_the_chunk() -> None:
    bench = Bench()
    bench.enable()
    bench.send(0.01, steps=10)
    bench.tick()
    bench.controller.disable("operator", bench.now_s)
    bench.enable()
    assert bench.tick(20) == [None] * 20
    assert bench.authority == ("hold", "enabled: waiting for a chunk")


def test_an_unreachable_step_holds_and_the_target_stays() -> None:
    """Out of the box's far top corner, pointing down, the wrist comes to its end."""
    bench = Bench()
    wide = dataclasses.replace(bench.robot.arms[0], workspace_upper_m=np.array([0.9, 0.25, 0.25]))
    bench = Bench(dataclasses.replace(bench.robot, arms=(wide,)))
    bench.enable()
    for _ in range(20):
        bench.send(0.04)
        bench.tick(10)
        if bench.authority[0] == "hold":
            break
    assert bench.authority[1].startswith("unreachable: wx250s would miss")
    assert bench.status.interventions["refused_unreachable"] == 1
    reached = bench.tool()
    bench.tick(5)
    np.testing.assert_array_equal(bench.tool(), reached)
    bench.send(-0.03)
    bench.tick(20)
    assert bench.authority[0] == "policy"
    assert bench.tool()[0] - reached[0] == pytest.approx(-0.03, abs=2e-3)


def test_the_target_does_not_run_away_from_a_blocked_arm() -> None:
    bench = Bench()
    bench.drive()
    stuck = bench.joints["wx250s"].copy()
    measured = bench.tool()
    for i in range(200):
        if i % 10 == 0:
            bench.send(0.0, 0.02)
        bench.sample("wx250s", stuck)
        bench.controller.tick(bench.now_s)
        bench.now_s += TICK_S
        ahead = bench.status.target["wx250s"].xyz_m - measured
        assert np.linalg.norm(ahead) <= 0.08 + 0.021
    assert bench.status.interventions["wind_up"] >= 3


def test_a_joint_that_does_not_follow_is_named() -> None:
    bench = Bench(params=ControlParams(windup_m=10.0, windup_rad=3.0))
    bench.drive()
    stuck = bench.joints["wx250s"].copy()
    for i in range(150):
        if i % 10 == 0:
            bench.send(0.0, 0.04)
        bench.sample("wx250s", stuck)
        bench.controller.tick(bench.now_s)
        bench.now_s += TICK_S
        if bench.authority[0] == "hold":
            break
    assert "waist of wx250s does not follow" in bench.authority[1]


def test_executed_is_what_the_arm_was_told() -> None:
    bench = Bench()
    bench.enable()
    start = bench.robot.arms[0].start_rad
    pose = ArmKinematics(bench.robot.arms[0], description.for_arm(bench.robot.arms[0])).fk(start)
    for delta in ((0.08, 0, -0.02, 0, 0, 0.1), (0.03, 0, -0.05), (0, 0, -0.05), (0, 0, -0.05)):
        bench.send(*delta)
        bench.tick(10)
    executed = bench.controller.take_executed()
    assert [c.deltas[0, 0] for c in executed] == pytest.approx([0.05, 0.03, 0, 0])
    for chunk in executed:
        assert chunk.names == bench.robot.dimensions
        assert chunk.frame_id == bench.robot.base_frame
        pose = compose(pose, chunk.deltas[0])
    np.testing.assert_allclose(pose.xyz_m, bench.status.target["wx250s"].xyz_m, atol=1e-9)
    # The last ones met the table: the tips pass the tool by 4 mm and stay 3 mm above it.
    assert 0.007 <= pose.xyz_m[2] <= 0.009
    assert bench.status.interventions["clamp_translation"] == 1
    assert bench.status.interventions["collision"] == 1
    assert bench.controller.take_executed() == []


def test_the_gripper_moves_at_its_own_speed_and_keeps_its_grip_through_a_hold() -> None:
    bench = Bench()
    bench.drive()
    bench.send(0, 0, 0, 0, 0, 0, 0.0)
    told = [t["wx250s"].gripper for t in bench.tick(15) if t]
    speed = 0.1 / 0.022  # [openings/s] of the robot file
    assert np.max(np.abs(np.diff(told))) <= speed * TICK_S + 1e-9
    assert told[-1] == 0.0
    bench.tick(60)
    assert bench.authority[0] == "hold"
    bench.fingers["wx250s"] = 0.03  # a block is between the fingers
    bench.send(0, 0, 0, 0, 0, 0, 0.0)
    told = [t["wx250s"].gripper for t in bench.tick(5) if t]
    assert told == [0.0] * 5


def test_a_move_is_slow_smooth_and_arrives() -> None:
    bench = Bench()
    bench.joints["wx250s"] = np.array(bench.robot.arms[0].park_rad)
    bench.enable()
    bench.controller.move_to("start", bench.now_s)
    told = [t["wx250s"].position_rad for t in bench.tick(400) if t]
    rate = np.abs(np.diff(told, axis=0)) / TICK_S
    assert np.max(rate) <= 0.5 * 1.01
    np.testing.assert_allclose(bench.joints["wx250s"], bench.robot.arms[0].start_rad)
    assert bench.authority == ("hold", "arrived at start; waiting for a chunk")
    bench.send(0.001)
    bench.tick()
    assert bench.authority[0] == "policy"


def test_chunks_wait_for_a_move_and_park_disables() -> None:
    bench = Bench()
    bench.drive()
    bench.controller.move_to("park", bench.now_s)
    assert bench.authority == ("hold", "moving to park")
    bench.send(0.05)
    told = bench.tick(450)
    assert bench.status.interventions["ignored_moving"] == 1
    assert told[-1] is None
    assert bench.authority == ("hold", "disabled: parked; call enable")
    np.testing.assert_allclose(bench.joints["wx250s"], bench.robot.arms[0].park_rad)


@pytest.mark.parametrize("act", ["estop", "disable", "stale", "jump"])
def test_a_move_is_broken_off(act: str) -> None:
    bench = Bench()
    bench.drive()
    bench.controller.move_to("park", bench.now_s)
    bench.tick(50)
    if act == "stale":
        bench.silent.add("wx250s")
        bench.tick(20)
    elif act == "jump":
        bench.sample("wx250s", bench.joints["wx250s"] + 1.0)
    else:
        getattr(bench.controller, act)("operator", bench.now_s)
    bench.silent.clear()
    assert bench.tick(10) == [None] * 10
    assert bench.status.moving == ""
    assert bench.authority[1] != "moving to park"


def test_goals_that_must_not_be_gone_to_are_refused() -> None:
    bench = Bench()
    bench.drive()
    move = bench.controller.move_to
    with pytest.raises(ConfigError, match="valid: 'start', 'park'"):
        move("home", bench.now_s)  # type: ignore[arg-type]
    for goal, complaint in (
        (np.full(6, np.nan), "6 finite positions"),
        (np.zeros(5), "6 finite positions"),
        (np.array([0, 0, 2.0, 0, 0, 0]), "elbow at 2.000 rad, outside its limits"),
        (np.array([0, 1.5, 0.5, 0, 0, 0]), "come down to -0.29"),  # a goal under the table
        (np.array([0, 1.8, 1.3, 0, 1.1, 0]), "come down to -0.06"),  # a dip on the way
    ):
        with pytest.raises(UnsafeAction, match=complaint):
            move({"wx250s": goal}, bench.now_s)
    with pytest.raises(UnsafeAction, match="unknown arm 'wx250s'"):
        move({}, bench.now_s)
    assert bench.authority[0] == "policy"


def test_a_stalled_loop_catches_up_slowly() -> None:
    """After a pause of the loop the command goes on at the joints' speed, it does not jump."""
    bench = Bench()
    bench.drive()
    bench.send(0.0, 0.05, 0.0, 0.0, 0.0, 0.25)
    before = bench.joints["wx250s"].copy()
    bench.now_s += 0.18
    bench.tick()
    assert np.max(np.abs(bench.joints["wx250s"] - before)) <= 2 * np.pi * TICK_S


def test_two_arms_take_a_step_together_or_not_at_all() -> None:
    bench = Bench(arms.two_arms())
    bench.enable()
    bench.send(0.01, 0, 0, 0, 0, 0, 1, 0, 0.01, 0, 0, 0, 0, 1)
    bench.tick(20)
    left, right = bench.tool("left"), bench.tool("right")
    start = Bench().tool()
    np.testing.assert_allclose(left - start, [0.01, 0, 0], atol=3e-4)
    np.testing.assert_allclose(right - start, [0, 0.01, 0], atol=3e-4)
    # A quarter turn of the right hand about its own roll is clamped; sixteen are unreachable.
    for _ in range(16):
        bench.send(0.002, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0.25, 0, 1)
        before = bench.tool("left")
        bench.tick(10)
        if bench.authority[0] == "hold":
            break
    assert bench.authority[1].startswith("unreachable: right")
    np.testing.assert_array_equal(bench.tool("left"), before)
    executed = bench.controller.take_executed()
    assert all(c.deltas.shape == (1, 14) for c in executed)
    assert len(executed) == bench.status.steps_executed


def test_two_arms_hold_together_when_one_falls_silent() -> None:
    bench = Bench(arms.two_arms())
    bench.enable()
    bench.silent.add("right")
    for _ in range(20):
        bench.send(0.001)
        last = bench.tick()
    assert last == [None]
    assert "joint states of right" in bench.authority[1]


def test_speed_scale_slows_steps_and_moves() -> None:
    bench = Bench(params=ControlParams(speed_scale=0.5))
    bench.enable()
    before = bench.tool()
    bench.send(0.02)
    bench.tick(20)
    np.testing.assert_allclose(bench.tool() - before, [0.01, 0, 0], atol=3e-4)
    bench.controller.move_to("park", bench.now_s)
    told = [t["wx250s"].position_rad for t in bench.tick(100) if t]
    assert np.max(np.abs(np.diff(told, axis=0))) / TICK_S <= 0.25 * 1.01


def test_a_fast_stream_of_small_steps_is_followed_without_a_whole_step_of_lag() -> None:
    """Each step of a 25 Hz teleoperation was once spread over the policy's 0.2 s: the tool
    trailed its target by most of that time."""
    bench = Bench()
    bench.enable()
    begin = bench.tool()
    speed = 0.1
    for _ in range(25):
        bench.send(speed * 2 * TICK_S, source="teleop")
        bench.tick(2)
    moved = bench.tool()[0] - begin[0]
    lag_s = (25 * 2 * TICK_S * speed - moved) / speed
    assert bench.authority[0] == "teleop"
    assert 0.0 <= lag_s < 0.08
    bench.tick(10)  # and it stops soon after the last step
    assert bench.tool()[0] - begin[0] == pytest.approx(25 * 2 * TICK_S * speed, abs=1e-3)


def test_a_short_step_after_a_long_one_does_not_hurry_what_is_left_of_it() -> None:
    bench = Bench()
    bench.enable()
    bench.send(0.05, source="teleop")
    bench.tick(1)
    bench.send(0.0, source="teleop")
    places = []
    for _ in range(12):
        bench.tick()
        places.append(bench.tool()[0])
    fastest = float(np.max(np.diff(places))) / TICK_S
    assert fastest < 1.3 * 0.05 / 0.2


def test_a_take_over_in_the_middle_of_a_step_starts_from_where_the_arm_is() -> None:
    """The rest of the policy's step was once gone all the same, 4 cm under a person's hand."""
    bench = Bench()
    bench.drive()
    bench.tick(12)
    begin = bench.tool()
    bench.send(0.05)
    bench.tick(2)
    at_take_over = bench.tool()
    bench.send(0.0, source="teleop")
    bench.tick(20)
    assert bench.authority[0] == "teleop"
    assert np.linalg.norm(bench.tool() - begin) < 0.03
    assert np.linalg.norm(bench.tool() - at_take_over) < 0.02  # what the joints need to stop


def test_steps_of_two_sources_do_not_add_up() -> None:
    bench = Bench()
    bench.enable()
    places = []
    for tick in range(40):
        bench.send(0.05, source="policy" if tick % 2 else "teleop")
        if tick % 2 == 0:
            bench.controller.on_chunk(
                "teleop",
                ActionChunk(bench.robot.dimensions, np.zeros((0, 7)), np.zeros(0), bench.now_ns),
                bench.now_s,
                bench.now_ns,
            )
        bench.tick()
        places.append(bench.tool()[0])
    fastest = max(b - a for a, b in zip(places, places[5:], strict=False)) / (5 * TICK_S)
    assert fastest < 1.3 * 0.05 / 0.2


def test_the_last_word_of_a_rival_that_has_left_is_not_obeyed() -> None:
    bench = Bench()
    bench.drive()
    bench.controller.set_publishers("policy", 2, bench.now_s)
    late = bench.chunk(0.03)
    bench.tick(2)
    bench.controller.set_publishers("policy", 1, bench.now_s)
    bench.controller.on_chunk("policy", late, bench.now_s, bench.now_ns)
    assert bench.tick(5) == [None] * 5
    assert bench.status.interventions["refused_rival"] == 1
    bench.send(0.001)
    bench.tick()
    assert bench.authority[0] == "policy"
