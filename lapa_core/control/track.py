# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One arm's target, command and measured pose: plans a step, and follows it tick by tick.

Knows neither authority nor chunks. `plan` decides without changing anything, so that a step of
two arms is taken by both or by none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lapa_core.control.compose import Pose, angle_between, compose, difference
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.control.limits import Refusal, clamp_step, clamp_workspace
from lapa_core.control.params import ControlParams
from lapa_core.control.plausibility import JointMonitor
from lapa_core.control.player import Segment
from lapa_core.control.projection import project
from lapa_core.control.sag import Sag
from lapa_core.description import Description
from lapa_core.errors import UnsafeAction
from lapa_core.robot import Arm
from lapa_core.types import NUM_AXES, FloatArray, JointCommand

REST_S = 0.05  # an arm that has not moved for so long rests on its command


@dataclass(frozen=True)
class Plan:
    """A step that may be taken.

    Attributes:
        target: pose at its end.
        position_rad: (n,) joint positions there.
        opening: of the gripper at its end, 0 .. 1.
        executed: (7,) the delta after all clamps.
        interventions: which clamps it met.
    """

    target: Pose
    position_rad: FloatArray
    opening: float
    executed: FloatArray
    interventions: list[str]


class ArmTrack:
    """One arm under control.

    Attributes:
        arm: as in the robot file.
        kinematics, monitor: of this arm.
        target: pose the last accepted step ends at; None before the first seed.
        command_rad: (n,) last command, None before the first.
        driver_keeps_goal: whether in hold the driver goes on to the last command.
        sag: how far beside its commands its weight lets it rest.
        opening: last commanded opening of the gripper, None before the first enable.
    """

    def __init__(self, arm: Arm, description: Description, params: ControlParams) -> None:
        self.arm = arm
        self.kinematics = ArmKinematics(arm, description)
        self.monitor = JointMonitor(arm.name, self.kinematics, arm.gripper.joint, params)
        self.target: Pose | None = None
        self.command_rad: FloatArray | None = None
        self.opening: float | None = None
        self.sag = Sag(len(arm.joints))
        self.driver_keeps_goal = True
        self._velocity: FloatArray = np.zeros(len(arm.joints))
        self._segment: Segment | None = None
        self._opening_target = 0.0
        self._behind_since_s: float | None = None
        self._params = params
        gripper = arm.gripper
        self._opening_speed = gripper.max_velocity / abs(gripper.open - gripper.closed)

    def measured(self) -> Pose | None:
        """Pose of the tool by the believed joint state, None before the first."""
        position = self.monitor.position_rad
        return None if position is None else self.kinematics.fk(position)

    def origin(self) -> FloatArray:
        """(n,) joint positions [rad] that the next motion starts from.

        The command in force where the arm is near it, else where it is measured. In hold the
        driver keeps its last goal, and real servos rest a little below it: started from the
        measured place again and again, an arm would climb down by that little every time.

        Raises:
            UnsafeAction: the arm was never seen.
        """
        position = self.monitor.position_rad
        if position is None:
            raise UnsafeAction(f"no joint states of {self.arm.name} yet")
        k, command = self.kinematics, self.command_rad if self.driver_keeps_goal else None
        if command is not None and np.max(np.abs(command - position)) <= self._params.resting_rad:
            return command
        return np.clip(position, k.lower, k.upper)

    def present(self, alone: bool = False) -> FloatArray:
        """(n,) the command in force, or where the arm is measured when it holds alone."""
        measured, k = self.monitor.position_rad, self.kinematics
        if alone and measured is not None:
            return np.asarray(np.clip(measured, k.lower, k.upper))
        assert self.command_rad is not None
        return self.command_rad

    def seed(self, now_s: float) -> None:
        """Start anew from `origin`, at rest.

        The gripper's command is kept once there is one: seeded from the measured opening, the
        fingers would let go of what they squeeze.
        """
        self.notice_rest(now_s)
        self.command_rad = origin = self.origin()
        self._velocity = np.zeros(len(origin))
        self._behind_since_s = None
        if self.opening is None:
            self.opening = float(np.clip(self.arm.gripper.opening(self.monitor.finger), 0.0, 1.0))
            self._opening_target = self.opening
        self.rest_at(self.kinematics.fk(origin))

    def notice_rest(self, now_s: float) -> None:
        """Learn the arm's sag, where it has come to rest on a command that it is near to."""
        command, position = self.command_rad, self.monitor.position_rad
        if command is None or position is None or now_s - self.monitor.still_since_s < REST_S:
            return
        near = np.max(np.abs(command - position)) <= self._params.resting_rad
        if near and self.driver_keeps_goal:
            self.sag.rested(self.kinematics.fk(command).xyz_m, position - command)

    def forget(self) -> None:
        """Let the next seed take everything from what is measured, the gripper too."""
        self.command_rad = self.opening = None

    def plan(self, delta: FloatArray, rate: float = 1.0, share: float = 1.0) -> Plan:
        """What a (7,) delta comes to after every clamp.

        Args:
            delta: as asked for.
            rate: share of the clamps that the time since the last step allows.
            share: how much of the clamped step to take; the gripper's part is taken whole.

        Raises:
            Refusal: inverse kinematics does not reach it; the target stays where it is.
        """
        assert self.target is not None and self.command_rad is not None
        p, k = self._params, self.kinematics
        clamped, kinds = clamp_step(delta, self.arm, p.speed_scale, rate)
        target, moved = clamp_workspace(
            compose(self.target, share * clamped), self.target, self.arm
        )
        target = project(k, target, self.command_rad)  # fewer than six joints reach less
        reach = k.reach(target, self.command_rad)
        if reach.error_m > p.reach_error_m or reach.error_rad > p.reach_error_rad:
            raise Refusal(
                "unreachable",
                f"unreachable: {self.arm.name} would miss {np.round(target.xyz_m, 3).tolist()} m "
                f"by {reach.error_m * 1e3:.0f} mm and {reach.error_rad:.2f} rad",
            )
        executed = np.concatenate([difference(self.target, target), clamped[6:]])
        kinds = [*kinds, "workspace"] if moved else kinds
        return Plan(target, reach.position_rad, float(clamped[6]), executed, kinds)

    def stay(self) -> Plan:
        """The plan of not moving, the gripper included."""
        assert self.target is not None and self.command_rad is not None
        executed = np.zeros(NUM_AXES)
        executed[-1] = self._opening_target
        return Plan(self.target, self.command_rad, self._opening_target, executed, [])

    def take(self, plan: Plan, now_s: float, duration_s: float) -> None:
        """Go to the plan's target from the present setpoint."""
        self._segment = Segment(self.setpoint(now_s), plan.target, now_s, duration_s)
        self.target = plan.target
        self._opening_target = plan.opening

    def rest(self, now_s: float) -> None:
        """Make the present setpoint the target: what is left of the step is not gone."""
        if self._segment is not None:
            self.rest_at(self.setpoint(now_s))

    def rest_at(self, pose: Pose) -> None:
        """Make a pose the target, to be reached at once: nothing of a step is left."""
        self.target = pose
        self._segment = Segment(pose, pose, 0.0, 0.0)

    def lag_share(self, target: Pose, now_s: float) -> float:
        """How far the setpoint is from a target, as a share of the arm's largest step."""
        if self._segment is None:
            return 1.0
        setpoint = self.setpoint(now_s)
        way = float(np.linalg.norm(target.xyz_m - setpoint.xyz_m)) / self.arm.max_translation_m
        turn = angle_between(target.rotation, setpoint.rotation) / self.arm.max_rotation_rad
        return max(way, turn)

    def setpoint(self, now_s: float) -> Pose:
        """The pose the tool should have now."""
        assert self._segment is not None
        return self._segment.at(now_s)

    def limit_windup(self, now_s: float) -> bool:
        """Bring the target back to the arm where it has run away from it; whether it had."""
        measured = self.measured()
        if measured is None or self._segment is None:
            return False
        ahead = self.setpoint(now_s)
        too_far = float(np.linalg.norm(ahead.xyz_m - measured.xyz_m)) > self._params.windup_m
        turned = angle_between(ahead.rotation, measured.rotation) > self._params.windup_rad
        if too_far or turned:
            self.rest_at(self.kept_in(measured))
        return too_far or turned

    def kept_in(self, pose: Pose) -> Pose:
        """A pose within the workspace, or no further outside of it than the command is."""
        assert self.command_rad is not None
        return clamp_workspace(pose, self.kinematics.fk(self.command_rad), self.arm)[0]

    def want(self, now_s: float, dt_s: float) -> FloatArray:
        """(n,) the next command [rad] towards the setpoint, for `give`.

        Raises:
            UnsafeAction: inverse kinematics fails.
        """
        assert self.command_rad is not None
        scale = self._params.speed_scale
        return self.kinematics.step(
            self.command_rad, self._velocity, self.setpoint(now_s), dt_s, scale
        )

    def next_opening(self, dt_s: float) -> float:
        """The gripper's opening after the next tick, on its way to the one asked for."""
        assert self.opening is not None
        reach = self._opening_speed * self._params.speed_scale * dt_s
        return self.opening + float(np.clip(self._opening_target - self.opening, -reach, reach))

    def give(self, position_rad: FloatArray, opening: float, dt_s: float) -> JointCommand:
        """Command (n,) joint positions: the last gate, what does not pass it reaches no arm.

        Args:
            position_rad: of the joints.
            opening: of the gripper, 0 .. 1.
            dt_s: seconds since the last command.

        Raises:
            UnsafeAction: not finite, outside the limits, or faster than the joints may go.
        """
        assert self.command_rad is not None
        k = self.kinematics
        if not np.all(np.isfinite(position_rad)):
            raise UnsafeAction(f"command of {self.arm.name} is not finite")
        if np.any(position_rad < k.lower - 1e-9) or np.any(position_rad > k.upper + 1e-9):
            raise UnsafeAction(f"command of {self.arm.name} is outside the joint limits")
        if np.any(np.abs(position_rad - self.command_rad) > k.velocity * dt_s + 1e-6):
            raise UnsafeAction(f"command of {self.arm.name} is faster than the joints' limits")
        if dt_s > 0:
            self._velocity = (position_rad - self.command_rad) / dt_s
        self.command_rad, self.opening = position_rad, opening
        return JointCommand(self.arm.name, k.joints, position_rad.copy(), self.opening)

    def arrive(self) -> None:
        """Make the commanded pose the target: a joint move takes it along."""
        assert self.command_rad is not None
        self.rest_at(self.kinematics.fk(self.command_rad))

    @property
    def widest_opening(self) -> float:
        """Of the gripper's commanded and measured opening the wider one, 0 .. 1."""
        measured = float(np.clip(self.arm.gripper.opening(self.monitor.finger), 0.0, 1.0))
        return measured if self.opening is None else max(self.opening, measured)

    def behind(self, now_s: float) -> str:
        """Which joint has not followed its command for too long, or ""."""
        measured = self.monitor.position_rad
        if measured is None or self.command_rad is None:
            return ""
        error = np.abs(self.command_rad - measured)
        worst = int(np.argmax(error))
        if error[worst] <= self._params.tracking_error_rad:
            self._behind_since_s = None
            return ""
        if self._behind_since_s is None:
            self._behind_since_s = now_s
        if now_s - self._behind_since_s < self._params.tracking_time_s:
            return ""
        return (
            f"{self.kinematics.joints[worst]} of {self.arm.name} does not follow: "
            f"{error[worst]:.2f} rad behind for {now_s - self._behind_since_s:.1f} s"
        )

    def tracking_error_rad(self) -> float:
        """Largest difference of command and measured joint position; 0 before the first."""
        measured = self.monitor.position_rad
        if measured is None or self.command_rad is None:
            return 0.0
        return float(np.max(np.abs(self.command_rad - measured)))
