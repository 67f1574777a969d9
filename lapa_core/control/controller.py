# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The controller that `arm_node` wraps: chunks and joint states in, joint commands out.

Pure: every call brings its time (`now_s`, monotonic seconds), and one thread calls it. The
safety order of a chunk is finite, names, frame, freshness, fault or clamp, workspace, reach,
joint limits, tracking error, command; docs/control.md has the whole contract.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from lapa_core import description as descriptions
from lapa_core.control import motion
from lapa_core.control.authority import DISABLED, SOURCES, Authority, Entry, Source
from lapa_core.control.group import ArmGroup, Commands
from lapa_core.control.lean import Pushed
from lapa_core.control.limits import Refusal, check_chunk
from lapa_core.control.params import ControlParams
from lapa_core.control.player import ChunkPlayer, Step
from lapa_core.control.status import Channel, Status
from lapa_core.control.track import ArmTrack
from lapa_core.description import Description
from lapa_core.errors import ConfigError, DataError, UnsafeAction, unknown
from lapa_core.robot import Robot
from lapa_core.types import ActionChunk, FloatArray

MAX_EXECUTED = 1000  # deltas kept for `take_executed`; a node takes them every tick


class ArmController:
    """Controls every arm of one robot.

    In hold it commands nothing: the driver of a servo arm keeps the last goal, which is at most
    one tick's motion away, and repeating it would only hide that the controller holds. But an arm
    that holds because it leans on something gets one more command, which takes force from it.
    """

    def __init__(
        self,
        robot: Robot,
        params: ControlParams | None = None,
        arm_descriptions: Mapping[str, Description] | None = None,
        dry_run: bool = False,
    ) -> None:
        """Load the arms' URDFs, where they are not given.

        In a dry run the commands go nowhere, so that nothing is concluded from an arm that does
        not follow them.

        Raises:
            ConfigError: robot file and URDF do not fit together.
        """
        given = arm_descriptions or {a.name: descriptions.for_arm(a) for a in robot.arms}
        self.robot = robot
        self.params = params or ControlParams()
        self._group = ArmGroup(robot, given, self.params, dry_run)
        self._tracks = self._group.tracks
        self._authority = Authority()
        self._player = ChunkPlayer(robot.step_time_s)
        self._channels: dict[Source, Channel] = {s: Channel(s) for s in SOURCES}
        self._driver_problem = ""
        self._move: motion.Move | None = None
        self._give_way_s: float | None = None
        self._was_enabled = False
        self._last_tick_s: float | None = None
        self._interventions: Counter[str] = Counter()
        self._last_refusal = ""
        self._steps = 0
        self._executed: list[ActionChunk] = []

    # Inputs --------------------------------------------------------------------------------

    def on_joint_state(
        self, arm: str, names: Sequence[str], position_rad: FloatArray, now_s: float
    ) -> None:
        """Take a joint state; one that cannot be believed makes the arms hold.

        Args:
            arm: whose; an unknown one is a `ConfigError`.
            names: joint names in any order, more than the arm's are welcome.
            position_rad: [rad], fingers [m], as long as `names`.
            now_s: arrival time.
        """
        try:
            self._track(arm).monitor.update(names, position_rad, now_s)
        except DataError as error:
            self._joint_fault(str(error), now_s)

    def refuse_joint_state(self, arm: str, why: str, now_s: float) -> None:
        """Note a joint state message that could not be decoded; the arms hold."""
        self._track(arm).monitor.reject(why)
        self._joint_fault(why, now_s)

    def on_chunk(self, source: Source, chunk: ActionChunk, now_s: float, ros_now_ns: int) -> None:
        """Take a chunk; a bad one is refused, counted, and makes its sender lose authority.

        A teleop chunk without steps hands authority back to the policy.

        Args:
            source: "policy" or "teleop"; another one is a `ConfigError`.
            chunk: deltas for all arms.
            now_s: arrival time.
            ros_now_ns: the same moment on the clock of `chunk.stamp_ns`.
        """
        channel = self._channel(source)
        age_s = (ros_now_ns - chunk.stamp_ns) * 1e-9
        try:
            checked = check_chunk(chunk, self.robot, self.params, age_s)
            channel.check(chunk.stamp_ns, ros_now_ns, self.params.future_s)
            if now_s - age_s < channel.alone_s:
                raise Refusal("rival", "chunk is of the time when two published it")
            if len(checked) == 0 and source == "policy":
                raise Refusal("empty", "chunk of the policy has no steps")
        except Refusal as error:
            self.refuse_chunk(source, error.kind, str(error), now_s)
            return
        channel.stamp_ns, channel.accepted_s, channel.note = chunk.stamp_ns, now_s, ""
        if len(checked) == 0:
            self._player.clear()
            self._authority.hand_back(now_s)
            return
        kind = "moving" if self._move else self._authority.refusal(source)
        if kind:
            self._interventions[f"ignored_{kind}"] += 1
            return
        self._authority.claim(source)
        self._player.load(source, checked, now_s, age_s)

    def refuse_chunk(self, source: Source, kind: str, why: str, now_s: float) -> None:
        """Count a chunk that must not be played; its sender loses authority."""
        self._channel(source)
        self._interventions[f"refused_{kind}"] += 1
        self._last_refusal = why
        authority = self._authority
        if authority.state == source or (authority.waiting and not authority.refusal(source)):
            self._hold(f"{source}: {why}", now_s)

    def set_publishers(self, source: Source, count: int, now_s: float) -> None:
        """Say how many publish on a source's topic; two at once move nothing."""
        channel = self._channel(source)
        if channel.publishers > 1 and count <= 1:
            channel.alone_s = now_s  # the last word of the one that has left may be on its way
        channel.publishers = count
        if channel.crowd and self._authority.state == source:
            self._hold(channel.crowd, now_s)

    def set_driver_problem(self, problem: str, now_s: float) -> None:
        """Say why the driver would not do what it is told, or ""; while it stands, all hold."""
        self._driver_problem = problem
        if problem and (self._authority.active or self._move or self._authority.waiting):
            self._hold(problem, now_s)

    def require_hold(self, what: str, now_s: float) -> None:
        """Refuse `what` while an arm moves.

        Raises:
            UnsafeAction: policy or teleop have authority, or a move runs.
        """
        del now_s
        if self._authority.active or self._move:
            raise UnsafeAction(f"{what} needs the arm in hold: call hold first")

    def fingers(self, now_s: float) -> dict[str, float | None]:
        """Measured position of every gripper's joint [m or rad]; None where it is not believed."""
        monitors = {n: t.monitor for n, t in self._tracks.items()}
        return {n: None if m.problem(now_s) else m.finger for n, m in monitors.items()}

    def note_source(self, source: Source, text: str) -> None:
        """Remember a source's own explanation; it is added to the reason when it falls silent."""
        self._channel(source).note = text

    # What a person asks for ------------------------------------------------------------------

    def enable(self, now_s: float) -> None:
        """Let policy and teleop move the arm.

        Raises:
            UnsafeAction: estop is latched, a move runs, or joint states are missing or stale.
        """
        if self._move:
            raise UnsafeAction(f"a move to {self._move.label} is running")
        if self._authority.state != "estop":  # which Authority.enable refuses with its reason
            self._require_joint_states(now_s)
        fresh = not self._authority.enabled
        self._authority.enable(now_s)
        self._was_enabled = True
        if fresh:
            self._player.clear()
            for track in self._tracks.values():
                track.forget()

    def disable(self, reason: str, now_s: float) -> None:
        """Hold, and stay so until the next `enable`."""
        self._stop_all()
        self._authority.disable(reason, now_s)

    def estop(self, reason: str, now_s: float) -> None:
        """Hold at once; only `reset` and then `enable` lead out of it."""
        self._stop_all()
        self._was_enabled = False
        self._authority.estop(reason, now_s)

    def reset(self, now_s: float) -> None:
        """Clear an estop; the arm stays disabled."""
        self._authority.reset(now_s)

    def move_to(
        self, positions: Literal["start", "park"] | Mapping[str, FloatArray], now_s: float
    ) -> None:
        """Begin a slow joint move of every arm; policy and teleop wait until it ends.

        Args:
            positions: "start" or "park" of the robot file, or arm -> (n,) joint positions.
                After "park" the arm is disabled, after the others policy and teleop go on.
            now_s: monotonic time.

        Raises:
            UnsafeAction: nobody has enabled the arm yet, estop, another move, no joint states,
                a goal outside the limits, or a way that would dip the tool below the workspace.
        """
        if self._authority.state == "estop":
            raise UnsafeAction(f"estop is latched ({self._authority.reason}): call reset first")
        if not self._was_enabled:
            raise UnsafeAction(f"{DISABLED} once before the first move")
        if self._move:
            raise UnsafeAction(f"a move to {self._move.label} is running")
        self._require_joint_states(now_s)
        move = motion.plan(self._group, positions, self.params)
        self._stop_all()
        self._group.seed(now_s)
        self._authority.explain(f"moving to {move.label}", now_s)
        self._move = move

    # Output --------------------------------------------------------------------------------

    def tick(self, now_s: float) -> Commands | None:
        """One control period: the commands of all arms, or None to command nothing."""
        dt_s = self._elapsed(now_s)
        self._watch(now_s)
        try:
            if self._move:
                return self._follow_move(self._move, now_s, dt_s)
            if step := self._player.due(now_s):
                self._begin_step(step, now_s)
            if not self._authority.active:
                return self._give_way(now_s, dt_s)
            return self._group.follow(now_s, dt_s)
        except UnsafeAction as error:
            kind = error.kind if isinstance(error, Refusal) else "command"
            self._interventions[f"refused_{kind}"] += 1
            self._last_refusal = str(error)
            due_s = self._give_way_s
            self._hold(str(error), now_s)
            if isinstance(error, Pushed) and self.driver_keeps_goal:
                wait_s = self._group.patience_s(error.arms)
                self._give_way_s = now_s + wait_s if due_s is None else due_s
            return None

    def take_executed(self) -> list[ActionChunk]:
        """The steps begun since the last call, as the arms were really told them."""
        executed, self._executed = self._executed, []
        return executed

    @property
    def driver_keeps_goal(self) -> bool:
        """Whether the driver goes on to its last command in hold; else it stops where it is."""
        return all(t.driver_keeps_goal for t in self._tracks.values())

    @driver_keeps_goal.setter
    def driver_keeps_goal(self, keeps: bool) -> None:
        for track in self._tracks.values():
            track.driver_keeps_goal = keeps

    @property
    def holding(self) -> bool:
        """Whether neither a source nor a move has the arms."""
        return not (self._authority.active or self._move)

    @property
    def estopped(self) -> bool:
        """Whether an estop is latched."""
        return self._authority.state == "estop"

    @property
    def history(self) -> list[Entry]:
        """Changes of authority, oldest first."""
        return list(self._authority.history)

    def status(self, now_s: float) -> Status:
        """The present state, for diagnostics."""
        tracks = self._tracks
        counts = self._interventions + self._group.interventions
        if self._player.dropped:
            counts["late_step"] = self._player.dropped
        measured = {n: t.measured() for n, t in tracks.items()}
        return Status(
            state=self._authority.state,
            reason=self._authority.reason,
            enabled=self._authority.enabled,
            moving=self._move.label if self._move else "",
            interventions=counts,
            last_refusal=self._last_refusal,
            steps_executed=self._steps,
            joint_state_age_s={n: now_s - t.monitor.time_s for n, t in tracks.items()},
            chunk_age_s={s: now_s - c.accepted_s for s, c in self._channels.items()},
            target={n: t.target for n, t in tracks.items() if t.target is not None},
            measured={n: p for n, p in measured.items() if p is not None},
            tracking_error_rad={n: t.tracking_error_rad() for n, t in tracks.items()},
            held=dict(self._group.held),
            blocked_by=self._group.blocked_by if self._authority.active else "",
        )

    # Inside --------------------------------------------------------------------------------

    def _begin_step(self, step: Step, now_s: float) -> None:
        """Take a due step with all arms, or with none: any plan may be refused."""
        if not self._authority.active:
            if problem := self._driver_problem or self._group.problem(now_s):
                self._interventions["ignored_joint_state"] += 1
                self._hold(problem, now_s)
                return
            self._group.seed(now_s)
        told = self._group.steps.begin(step, now_s)
        self._authority.take(step.source, now_s)
        self._steps += 1
        self._executed.append(step.executed(told, self.robot.dimensions, self.robot.base_frame))
        del self._executed[:-MAX_EXECUTED]

    def _give_way(self, now_s: float, dt_s: float) -> Commands | None:
        """Once after a hold of an arm that leans: take the force from it, if it still does.

        A while later: one bad sample of a joint may stop an arm, and must not move it.
        """
        if self._give_way_s is None or now_s < self._give_way_s:
            return None
        self._give_way_s = None
        try:
            return self._group.give_way(now_s, dt_s) or None
        except UnsafeAction as error:  # it holds already, and the reason of that stands
            self._interventions["gave_way_refused"] += 1
            self._last_refusal = str(error)
            return None

    def _follow_move(self, move: motion.Move, now_s: float, dt_s: float) -> Commands:
        t = move.elapsed_s = move.elapsed_s + dt_s
        commands = self._group.follow_move({n: m.at(t) for n, m in move.arms.items()}, dt_s)
        if move.done:
            self._move = None
            if move.label == "park":
                self._authority.disable("parked; call enable", now_s)
            else:
                after = "waiting for a chunk" if self._authority.enabled else DISABLED
                self._authority.explain(f"arrived at {move.label}; {after}", now_s, waiting=True)
        return commands

    def _watch(self, now_s: float) -> None:
        """The watchdogs: joint states, tracking, silence."""
        if not (self._authority.active or self._move):
            return
        if problem := self._group.watch(now_s, moving=self._move is not None):
            self._hold(problem, now_s)
            return
        state = self._authority.state
        silent_s = now_s - self._player.end_s
        if (state == "policy" or state == "teleop") and silent_s > self.params.silence_s:
            self._hold(self._channels[state].silence(silent_s), now_s)

    def _hold(self, reason: str, now_s: float) -> None:
        """Hold for a cause found here. A later good chunk leads out of it; a move is over."""
        moving = self._move is not None
        self._stop_all()
        if moving:
            self._authority.explain(reason, now_s)
        else:
            self._authority.hold(reason, now_s)

    def _stop_all(self) -> None:
        self._move = None
        self._give_way_s = None
        self._player.clear()

    def _joint_fault(self, why: str, now_s: float) -> None:
        self._interventions["refused_joint_state"] += 1
        self._last_refusal = why
        # Where arms hold alone, the next tick's watchdog stops the one it concerns.
        if self.params.arms_hold_together or self._move:
            self._hold(why, now_s)

    def _require_joint_states(self, now_s: float) -> None:
        if problem := self._driver_problem or self._all_problem(now_s):
            raise UnsafeAction(problem)

    def _all_problem(self, now_s: float) -> str:
        """Why not every arm's joint states can be believed, or ""."""
        problems = (t.monitor.problem(now_s) for t in self._tracks.values())
        return next((p for p in problems if p), "")

    def _elapsed(self, now_s: float) -> float:
        """Seconds since the last tick, at most two periods: a stalled loop catches up slowly."""
        last, self._last_tick_s = self._last_tick_s, now_s
        period = self.params.period_s
        return period if last is None else min(max(now_s - last, 0.0), 2 * period)

    def _track(self, arm: str) -> ArmTrack:
        if arm not in self._tracks:
            raise ConfigError(unknown("arm", arm, self._tracks, self.robot.source))
        return self._tracks[arm]

    def _channel(self, source: Source) -> Channel:
        if source not in self._channels:
            raise ConfigError(unknown("source", source, SOURCES, "the controller"))
        return self._channels[source]
