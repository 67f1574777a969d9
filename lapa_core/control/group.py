# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""All arms of one robot under control together: commands, moves, collisions, and who holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from lapa_core.control.collision import CollisionGuard, Positions
from lapa_core.control.lean import Leaning, yielding
from lapa_core.control.limits import Refusal
from lapa_core.control.params import ControlParams
from lapa_core.control.steps import Steps
from lapa_core.control.track import ArmTrack
from lapa_core.description import Description
from lapa_core.robot import Robot
from lapa_core.types import FloatArray, JointCommand

Commands = dict[str, JointCommand]  # by arm
# What is this far beside its command does not sag: it gives way as soon as a next joint state says
# the same. Else the arm shall first have stopped, and its sag been seen.
SURE_RAD, SURE_S, REST_S = 0.05, 0.03, 0.12


class ArmGroup:
    """The arms of one robot.

    Attributes:
        tracks: arm -> its target, command and measured pose.
        guard: keeps their shapes apart.
        held: arm -> why it holds while the others go on; empty when arms hold together.
        interventions: count by kind of what was clamped, shortened or held here.
        blocked_by: what stands in the way of the command now, or "".
        steps: takes the sources' steps.
    """

    def __init__(
        self,
        robot: Robot,
        arm_descriptions: Mapping[str, Description],
        params: ControlParams,
        dry_run: bool,
    ) -> None:
        self.tracks = {a.name: ArmTrack(a, arm_descriptions[a.name], params) for a in robot.arms}
        self.guard = CollisionGuard(robot, arm_descriptions)
        self.held: dict[str, str] = {}
        self._leaning = Leaning(self.guard, self.tracks, params)
        self.interventions: Counter[str] = Counter()
        self.blocked_by = ""
        self._dry_run = dry_run
        self._speed_scale = params.speed_scale
        self._together = params.arms_hold_together or len(self.tracks) == 1
        self.steps = Steps(
            self.tracks, self.guard, self.held, self.interventions, self._together,
            robot.step_time_s,
        )  # fmt: skip

    def seed(self, now_s: float) -> None:
        """Start from where the arms are; all have been seen, see `problem`."""
        for track in self.tracks.values():
            track.seed(now_s)
        problems = {n: t.monitor.problem(now_s) for n, t in self.tracks.items()}
        self.held.clear()
        self.held.update({n: why for n, why in problems.items() if why})

    def problem(self, now_s: float) -> str:
        """Why no arm may move on its joint states, or "".

        Where arms hold alone, that is when every one has a problem, or one was never seen: of
        that one nobody knows where its shapes are.
        """
        problems = [t.monitor.problem(now_s) for t in self.tracks.values()]
        unseen = any(t.monitor.position_rad is None for t in self.tracks.values())
        if self._together or unseen or all(problems):
            return next((p for p in problems if p), "")
        return ""

    def watch(self, now_s: float, moving: bool) -> str:
        """The watchdogs of moving arms: why all must hold now, or "".

        Where arms hold alone, the one with a problem is put into `held`, and comes back by
        itself once the problem is over. A joint move is always one of all arms.
        """
        alone = not self._together and not moving
        found = {
            n: self._trouble(t, now_s)
            for n, t in self.tracks.items()
            if not (alone and n in self.held)
        }
        found = {n: why for n, why in found.items() if why}
        if not alone:
            return next(iter(found.values()), "")
        for name, why in found.items():
            self.held[name] = why
            self.interventions[f"held_{name}"] += 1
        for name in [n for n in self.held if n not in found]:
            track = self.tracks[name]
            if not (track.monitor.problem(now_s) or track.behind(now_s)):
                track.seed(now_s)
                del self.held[name]
        if len(self.held) == len(self.tracks):
            return "; ".join(self.held.values())
        return ""

    def follow(self, now_s: float, dt_s: float) -> Commands:
        """The commands of this tick towards the arms' setpoints.

        Raises:
            UnsafeAction: inverse kinematics fails, something pushes an arm out of its way, or a
                command does not pass the last gate.
        """
        wanted = {n: t.want(now_s, dt_s) for n, t in self.tracks.items() if n not in self.held}
        positions = self._restrained(wanted, dt_s)
        if not self._dry_run:
            self._leaning.check(self.held, self.openings())
        openings = self._next_openings(positions, dt_s)
        commands = {}
        for name in wanted:
            track = self.tracks[name]
            if not self._dry_run and track.limit_windup(now_s):
                self.interventions["wind_up"] += 1
                positions[name] = track.present()
            if not self._dry_run and self._leaning.limit_stray(name):
                self.interventions["stray"] += 1
                positions[name] = track.present()
            commands[name] = track.give(positions[name], openings[name], dt_s)
        return commands

    def follow_move(self, wanted: Mapping[str, FloatArray], dt_s: float) -> Commands:
        """The commands of this tick of a joint move; the targets go along.

        Raises:
            UnsafeAction: shapes would come too near to each other, or something pushes an arm
                out of its way.
        """
        if not self._dry_run:
            self._leaning.check(self.held, self.openings(), moving=True)
        present = {n: self.tracks[n].present(n in self.held) for n in self.tracks}
        openings = self.openings()
        if found := self.guard.worsened((present, openings), (wanted, openings)):
            raise Refusal("collision", f"the way is blocked: {found}")
        after = self._next_openings(wanted, dt_s)
        commands = {n: t.give(wanted[n], after[n], dt_s) for n, t in self.tracks.items()}
        for track in self.tracks.values():
            track.arrive()
        return commands

    def patience_s(self, arms: Collection[str]) -> float:
        """How long after a hold to wait before arms that lean give way."""
        errors = [self.tracks[n].tracking_error_rad() for n in arms]
        return SURE_S if max(errors, default=0.0) > SURE_RAD else REST_S

    def give_way(self, now_s: float, dt_s: float) -> Commands:
        """One command that takes force from arms that lean on something, as far as a tick goes.

        Towards where they are; not nearer to a shape than the least distance, not out of the
        workspace, not lower. None where nothing leans or all that would be against this.

        Raises:
            UnsafeAction: inverse kinematics fails, or the last gate.
        """
        for track in self.tracks.values():
            track.notice_rest(now_s)  # who but sags leans on nothing
        arms = self._leaning.arms(self.held, self.openings())
        arms = [n for n in arms if not self.tracks[n].monitor.problem(now_s)]
        present = {n: t.present(n in self.held) for n, t in self.tracks.items()}
        wanted = {n: yielding(self.tracks[n], dt_s, self._speed_scale) for n in arms}
        for share in (1.0, 0.5, 0.25) if arms else ():
            part = {n: present[n] + share * (q - present[n]) for n, q in wanted.items()}
            positions = self._restrained(part, dt_s)
            if self._in_boxes(present, positions):
                self.interventions["gave_way"] += 1
                return {n: self._keep_grip(n, positions[n], dt_s) for n in arms}
        return {}

    def _keep_grip(self, name: str, position_rad: FloatArray, dt_s: float) -> JointCommand:
        """A command that leaves the gripper as it is told: it may hold something."""
        track = self.tracks[name]
        opening = track.widest_opening if track.opening is None else track.opening
        return track.give(position_rad, opening, dt_s)

    def openings(self) -> dict[str, float]:
        """Of every gripper the widest it may have now, for distances."""
        return {n: t.widest_opening for n, t in self.tracks.items()}

    def _trouble(self, track: ArmTrack, now_s: float) -> str:
        behind = "" if self._dry_run else track.behind(now_s)
        return track.monitor.problem(now_s) or behind

    def _restrained(self, wanted: Mapping[str, FloatArray], dt_s: float) -> dict[str, FloatArray]:
        """The commands nearest to `wanted` that collide with nothing, boxes kept."""
        present = {n: self.tracks[n].present(n in self.held) for n in self.tracks}
        tries = self.guard.restrain(
            present, {**present, **wanted}, self.openings(), dt_s,
            fixed=[n for n in self.tracks if n not in wanted],
        )  # fmt: skip
        blocked = str(self.guard.blocked) if self.guard.blocked else ""
        if blocked and not self.blocked_by:
            self.interventions["collision_brake"] += 1
        self.blocked_by = blocked
        if not blocked:
            return tries[0]
        for candidate in tries:
            if self._in_boxes(present, candidate):
                return candidate
        return present

    def _in_boxes(self, before: Positions, after: Positions) -> bool:
        return all(t.kinematics.stays_in_box(before[n], after[n]) for n, t in self.tracks.items())

    def _next_openings(self, positions: Mapping[str, FloatArray], dt_s: float) -> dict[str, float]:
        """Openings after this tick: no gripper opens into something, each closes as it likes."""
        after = {n: t.next_opening(dt_s) for n, t in self.tracks.items()}
        now = self.openings()
        wider = {n: max(opening, after[n]) for n, opening in now.items()}
        if wider == now or not self.guard.worsened((positions, now), (positions, wider)):
            return after
        return {n: min(after[n], now[n]) for n in after}
