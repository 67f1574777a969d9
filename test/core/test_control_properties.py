# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Whatever goes in, no command leaves the limits, the joints' speed or the workspace box.

Hypothesis plays policy, teleop, a broken driver and a nervous operator at once, against arms
that follow, lag or are stuck.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import arms
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lapa_core import description
from lapa_core.control import ArmController, ControlParams
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.errors import UnsafeAction
from lapa_core.robot import Robot
from lapa_core.types import ActionChunk, JointCommand

BOX_M = 1e-3
TICK_S = 0.02
ROS_OFFSET_NS = 10**18

WEIRD = [np.nan, np.inf, -np.inf, 1e300, -1e300, 1.0, -1.0, 0.0, 0.0999, -0.0999]
numbers = st.one_of(st.floats(-0.06, 0.06), st.floats(-0.06, 0.06), st.sampled_from(WEIRD))
sane = st.floats(-0.05, 0.05)


@dataclass(frozen=True)
class Chunk:
    """A chunk to be sent; `mess` spoils its names, times or stamp."""

    source: str
    rows: list[list[float]]
    age_s: float
    mess: str


@dataclass(frozen=True)
class Joints:
    """A joint state that does not come from the arm."""

    offset_rad: float
    mess: str


@dataclass(frozen=True)
class Act:
    """Something a person does."""

    name: str


@dataclass(frozen=True)
class Ticks:
    """Time passes; the arm follows its commands by `gain` a tick."""

    times: int
    dt_s: float
    gain: float
    joint_states: bool


@dataclass(frozen=True)
class Drive:
    """A person clears whatever holds, and the policy sends legal steps."""

    rows: list[list[float]]
    gain: float
    ticks: int


def chunks(dims: int, values: st.SearchStrategy[float]) -> st.SearchStrategy[Chunk]:
    row = st.lists(values, min_size=dims, max_size=dims)
    return st.builds(
        Chunk,
        source=st.sampled_from(["policy", "policy", "teleop"]),
        rows=st.lists(row, min_size=0, max_size=3),
        age_s=st.sampled_from([0.0, 0.05, 0.3, 0.9, 1.5, -0.05, -3.0, 1e9]),
        mess=st.sampled_from(["", "", "", "", "names", "order", "due", "frame"]),
    )


def events(dims: int) -> st.SearchStrategy[list[object]]:
    row = st.lists(sane, min_size=dims, max_size=dims)
    drive = st.builds(
        Drive,
        rows=st.lists(row, min_size=1, max_size=4),
        gain=st.sampled_from([1.0, 1.0, 0.3, 0.0]),
        ticks=st.sampled_from([10, 10, 3, 1]),
    )
    ticks = st.builds(
        Ticks,
        times=st.integers(1, 25),
        dt_s=st.sampled_from([TICK_S, TICK_S, TICK_S, 0.0, 0.003, 0.07, 0.4, -0.1]),
        gain=st.sampled_from([1.0, 1.0, 0.3, 0.0]),
        joint_states=st.sampled_from([True, True, True, False]),
    )
    joints = st.builds(
        Joints,
        offset_rad=st.sampled_from([0.0, 0.05, 0.3, 1.0, -np.pi, 100.0, np.nan, np.inf]),
        mess=st.sampled_from(["", "missing", "short", "doubled"]),
    )
    acts = st.builds(
        Act,
        name=st.sampled_from(
            [
                *["enable", "enable", "enable", "disable", "estop", "reset", "start", "park"],
                *["publishers 2", "publishers 1"],
            ]
        ),
    )
    return st.lists(
        st.one_of(drive, drive, drive, chunks(dims, numbers), ticks, joints, acts),
        min_size=5,
        max_size=40,
    )


@functools.cache
def robot_of(arms_count: int) -> Robot:
    return arms.wx250s() if arms_count == 1 else arms.two_arms()


class Trial:
    """Feeds events to a controller and checks every command that comes out."""

    def __init__(self, robot: Robot, params: ControlParams) -> None:
        self.robot = robot
        self.controller = ArmController(robot, params)
        self.kinematics = {a.name: ArmKinematics(a, description.for_arm(a)) for a in robot.arms}
        self.now_s = 10.0
        self.joints = {a.name: np.array(a.start_rad) for a in robot.arms}
        self.before: dict[str, JointCommand] | None = None
        self.told: dict[str, np.ndarray] = {}  # the last command ever
        self.was_enabled = False
        self.stamp_ns = 0

    def play(self, event: object) -> None:
        if isinstance(event, Chunk):
            self.send(event)
        elif isinstance(event, Joints):
            self.glitch(event)
        elif isinstance(event, Act):
            self.act(event.name)
        elif isinstance(event, Drive):
            for name in ("publishers 1", "reset", "enable"):
                self.act(name)
            for row in event.rows:
                self.send(Chunk("policy", [row], 0.0, ""))
                self.play(Ticks(event.ticks, TICK_S, event.gain, True))
        elif isinstance(event, Ticks):
            for _ in range(event.times):
                self.tick(event)

    def send(self, event: Chunk) -> None:
        names, dims = self.robot.dimensions, len(self.robot.dimensions)
        deltas = np.array(event.rows, dtype=np.float64).reshape(-1, dims)
        due = 0.2 * np.arange(len(deltas))
        if event.mess == "names":
            names = ("other/x", *names[1:])
        elif event.mess == "order":
            names = names[::-1]
        elif event.mess == "due":
            due = due[::-1] - 0.1
        frame = "camera" if event.mess == "frame" else ""
        now_ns = ROS_OFFSET_NS + round(self.now_s * 1e9)
        stamp = now_ns - round(event.age_s * 1e9)
        chunk = ActionChunk(names, deltas, due, stamp, frame)
        self.controller.on_chunk(event.source, chunk, self.now_s, now_ns)  # type: ignore[arg-type]

    def glitch(self, event: Joints) -> None:
        for arm in self.robot.arms:
            names = [*arm.joints, "left_finger"]
            position = np.array([*(self.joints[arm.name] + event.offset_rad), 0.02])
            if event.mess == "missing":
                names, position = names[1:], position[1:]
            elif event.mess == "short":
                position = position[1:]
            elif event.mess == "doubled":
                names[1] = names[0]
            self.controller.on_joint_state(arm.name, names, position, self.now_s)

    def act(self, name: str) -> None:
        try:
            if name == "enable":
                self.controller.enable(self.now_s)
                self.was_enabled = True
            elif name in ("start", "park"):
                self.controller.move_to(name, self.now_s)  # type: ignore[arg-type]
            elif name == "reset":
                self.controller.reset(self.now_s)
            elif name.startswith("publishers"):
                self.controller.set_publishers("policy", int(name[-1]), self.now_s)
            else:
                getattr(self.controller, name)("operator", self.now_s)
        except UnsafeAction as error:
            assert str(error)

    def tick(self, event: Ticks) -> None:
        self.now_s += event.dt_s
        if event.joint_states:
            for arm in self.robot.arms:
                self.controller.on_joint_state(
                    arm.name,
                    (*arm.joints, "left_finger"),
                    np.array([*self.joints[arm.name], 0.02]),
                    self.now_s,
                )
        moving = self.controller.status(self.now_s).moving
        commands = self.controller.tick(self.now_s)
        self.check(commands, bool(moving), event.dt_s)
        for name, command in (commands or {}).items():
            step = command.position_rad - self.joints[name]
            self.joints[name] = self.joints[name] + event.gain * step
        self.before = commands

    def check(self, commands: dict[str, JointCommand] | None, moving: bool, dt_s: float) -> None:
        state = self.controller.status(self.now_s).state
        if commands is None:
            return
        assert self.was_enabled
        assert moving or state in ("policy", "teleop")
        assert list(commands) == [a.name for a in self.robot.arms]
        for arm in self.robot.arms:
            command, k = commands[arm.name], self.kinematics[arm.name]
            q = command.position_rad
            assert np.all(np.isfinite(q))
            assert 0.0 <= command.gripper <= 1.0
            assert np.all(q >= k.lower - 1e-9) and np.all(q <= k.upper + 1e-9)
            # The way from the last command, or from the arm itself after a hold.
            from_rad = self.before[arm.name].position_rad if self.before else None
            measured = np.clip(self.joints[arm.name], k.lower, k.upper)
            origins = [measured] if from_rad is None else [from_rad, measured]
            # In hold the driver keeps its goal; near it the next command starts from there.
            told = self.told.get(arm.name, measured)
            if np.max(np.abs(told - self.joints[arm.name])) <= 0.1 + 1e-9:
                origins.append(told)
            self.told[arm.name] = q
            # A first tick after a hold may use a whole period, whatever time has passed.
            reach = k.velocity * min(max(dt_s, TICK_S), 2 * TICK_S) + 1e-6
            assert any(np.all(np.abs(q - origin) <= reach) for origin in origins)
            if not moving:
                self.check_box(arm.name, q, origins)

    def check_box(self, arm: str, position: np.ndarray, origins: list[np.ndarray]) -> None:
        spec, k = self.robot.arm(arm), self.kinematics[arm]

        def outside(q: np.ndarray) -> np.ndarray:
            xyz = k.fk(q).xyz_m
            beyond = np.maximum(spec.workspace_lower_m - xyz, xyz - spec.workspace_upper_m)
            return np.maximum(beyond, 0.0)

        allowed = np.max([outside(q) for q in (*origins, self.joints[arm])], axis=0)
        allowed = np.maximum(allowed, BOX_M)
        assert np.all(outside(position) <= allowed + 1e-9)


def run_trial(arms_count: int, script: list[object], scale: float) -> None:
    trial = Trial(robot_of(arms_count), ControlParams(speed_scale=scale))
    trial.play(Ticks(2, TICK_S, 1.0, True))
    trial.play(Act("enable"))
    for event in script:
        trial.play(event)


fast = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
long = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))


@fast
@given(script=events(7), scale=st.sampled_from([1.0, 0.3]))
def test_no_command_is_unsafe_with_one_arm(script: list[object], scale: float) -> None:
    run_trial(1, script, scale)


@settings(fast, max_examples=25)
@given(script=events(14))
def test_no_command_is_unsafe_with_two_arms(script: list[object]) -> None:
    run_trial(2, script, 1.0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@long
@given(script=events(7), scale=st.sampled_from([1.0, 0.3]))
def test_no_command_is_unsafe_with_one_arm_long(script: list[object], scale: float) -> None:
    run_trial(1, script, scale)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@long
@given(script=events(14))
def test_no_command_is_unsafe_with_two_arms_long(script: list[object]) -> None:
    run_trial(2, script, 1.0)


@settings(max_examples=20, deadline=None)
@given(
    rows=st.lists(
        st.tuples(*[st.sampled_from([-0.05, 0.0, 0.05])] * 3, *[st.floats(-0.25, 0.25)] * 3),
        min_size=20,
        max_size=40,
    )
)
def test_a_policy_at_full_clamp_stays_in_the_box(rows: list[tuple[float, ...]]) -> None:
    """No faults here: the largest legal steps, driven against the walls of the box."""
    trial = Trial(robot_of(1), ControlParams())
    trial.play(Ticks(2, TICK_S, 1.0, True))
    trial.play(Act("enable"))
    for row in rows:
        trial.play(Chunk("policy", [[*row, 1.0]], 0.01, ""))
        trial.play(Ticks(10, TICK_S, 1.0, True))
    assert trial.controller.status(trial.now_s).steps_executed > 0
