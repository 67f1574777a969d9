# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""From a recorded episode to what a policy is trained on: observations and their actions.

Decision times stand on a grid of the robot's step time, over the part in which steps moved the
arm. Each has the observation a policy would have built then (`observe`, the same code as live)
and the label of `labels`. What is missing or stale at a time is a named refusal of that sample,
never a zero. Pictures are read forward once, with no more than a few in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lapa_core.data import labels
from lapa_core.data.episodes import Recording, find, open_episode
from lapa_core.data.labels import Tracks
from lapa_core.data.observe import MAX_IMAGE_AGE_S, Choice, Observer, image_sizes
from lapa_core.data.state import ToolState
from lapa_core.data.streams import Playback
from lapa_core.data.tracks import read as read_tracks
from lapa_core.errors import ConfigError, DataError, LapaError, unknown
from lapa_core.types import NUM_AXES, FloatArray, Observation

# The playback begins this long before the first decision: older frames would be stale.
LEAD_NS = 2_000_000_000


@dataclass(frozen=True)
class SampleParams:
    """How samples are made.

    Attributes:
        cameras: names of the cameras; none: all of the robot.
        state: whether `Observation.state` is filled in.
        max_image_age_s: as of the policy node.
        image_wait_s: 0: a decision time is when a live policy has done its waiting for a frame.
            The policy node's own value replays its waiting too.
        labels: where the actions come from, one of `labels.SOURCES`.
        trim_idle: whether leading and trailing idle steps are left out.
        idle_m, idle_rad, idle_opening: a step below all three is idle. 0.5 mm in 0.2 s is less
            than a leader arm's encoders (0.0015 rad) resolve at the tool.
    """

    cameras: tuple[str, ...] = ()
    state: bool = True
    max_image_age_s: float = MAX_IMAGE_AGE_S
    image_wait_s: float = 0.0
    labels: str = "commanded"
    trim_idle: bool = True
    idle_m: float = 0.0005
    idle_rad: float = 0.005
    idle_opening: float = 0.02


@dataclass(frozen=True)
class LabelledSample:
    """One decision and what was done then.

    Attributes:
        index: place on the episode's grid, from 0.
        time_ns: decision time on the bag's clock.
        observation: what a policy would have seen.
        action: (d,) end-effector delta in the order of the robot's dimensions, gripper 1 open
            whatever the robot's polarity (`model.interface` exchanges it).
        authority: who moved the arm until the next decision: teleop, policy, hold or estop.
        correction: teleop took over from a policy earlier in this episode.
        idle: the arm was told to stay where it is.
    """

    index: int
    time_ns: int
    observation: Observation
    action: FloatArray
    authority: str
    correction: bool
    idle: bool


@dataclass(frozen=True)
class Refused:
    """A decision time that gives no sample.

    Attributes:
        index, time_ns: as of the sample.
        error: name of the error, such as `StaleInput`.
        reason: what was missing or wrong.
    """

    index: int
    time_ns: int
    error: str
    reason: str


class Samples:
    """The samples of one episode; iterating reads the bag.

    Attributes:
        tracks: what the arm was told, and by whom.
        refused: the decision times without a sample, filled while iterating.
        trimmed: places of the idle ends that were left out, likewise.
    """

    def __init__(self, recording: Recording, params: SampleParams | None = None) -> None:
        """Read everything but the pictures.

        Raises:
            DataError: a stream is not in the bag at all, or nobody moved the arm.
            ConfigError: the robot has no such camera, or there is no such source of labels.
        """
        self.recording = recording
        self.params = params or SampleParams()
        if self.params.labels not in labels.SOURCES:
            raise ConfigError(
                unknown("source of labels", self.params.labels, labels.SOURCES, "samples")
            )
        robot = recording.robot
        for name in self.params.cameras:
            robot.camera(name)
        self.cameras = self.params.cameras or tuple(c.name for c in robot.cameras)
        self._topics = {n: recording.camera_topic(robot.camera(n)) for n in self.cameras}
        for arm in robot.arms:
            if self.params.state or self.params.labels == "reached":
                recording.require(f"{arm.name}/ee_pose")
            if self.params.state:
                recording.require(arm.joint_states)
        self.tracks: Tracks = read_tracks(recording)
        self.refused: list[Refused] = []
        self.trimmed: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[LabelledSample]:
        """The samples, in order of time."""
        self.refused, self.trimmed = [], ()
        told = self._told()
        seen = self.observations([time_ns for _, time_ns, _ in told])
        for (index, time_ns, action), (_, observation) in zip(told, seen, strict=True):
            if isinstance(observation, Refused):
                self.refused.append(replace(observation, index=index))
            elif isinstance(action, Refused):
                self.refused.append(action)
            else:
                yield LabelledSample(
                    index=index,
                    time_ns=time_ns,
                    observation=observation,
                    action=action.action,
                    authority=action.authority,
                    correction=action.correction,
                    idle=action.idle,
                )

    def observations(self, times_ns: Sequence[int]) -> Iterator[tuple[int, Observation | Refused]]:
        """What a policy deciding at these increasing times would have seen.

        Yields:
            Index of the time, and the observation or why there is none.
        """
        if not len(times_ns):
            return
        playback, observer = self._observer(int(times_ns[0]) - LEAD_NS)
        for index, time_ns in enumerate(int(t) for t in times_ns):
            # After waiting for a frame the clock may already be past the next time.
            playback.advance(max(time_ns, playback.now_ns))
            observer.instruction = self.tracks.instruction.at(playback.now_ns) or ""
            try:
                yield index, observer.observe()
            except LapaError as error:
                yield index, _refused(index, time_ns, error)

    def _observer(self, start_ns: int) -> tuple[Playback, Observer]:
        """A playback of the streams from `start_ns` on, and who looks at them."""
        robot, p = self.recording.robot, self.params
        poses = {a.name: self.recording.topic(f"{a.name}/ee_pose") for a in robot.arms}
        joints = {a.name: self.recording.topic(a.joint_states) for a in robot.arms}
        targets = {a.name: self.recording.topic(f"{a.name}/ee_target") for a in robot.arms}
        stated = {*poses.values(), *joints.values(), *targets.values()} if p.state else set()
        playback = Playback(
            self.recording.bag, {*self._topics.values(), *stated}, max(0, start_ns)
        )
        state = (
            ToolState(
                robot,
                {n: playback.stream(t) for n, t in poses.items()},
                {n: playback.stream(t) for n, t in joints.items()},
                {n: playback.stream(t) for n, t in targets.items()},
                authority=lambda at_s: self.tracks.authority.at(playback.nanoseconds(at_s)),
                now_s=playback.now_s,
            )
            if p.state
            else dict
        )
        observer = Observer(
            {n: playback.stream(t) for n, t in self._topics.items()},
            image_sizes(robot),
            Choice(p.max_image_age_s, p.image_wait_s),
            now_s=playback.now_s,
            state=state,
        )
        return playback, observer

    def _told(self) -> list[tuple[int, int, _Told | Refused]]:
        """Index, time, and what was told from then on; idle ends trimmed."""
        told: list[tuple[int, int, _Told | Refused]] = []
        for index, time_ns in enumerate(int(t) for t in self.tracks.grid()):
            try:
                told.append((index, time_ns, self._tell(time_ns)))
            except LapaError as error:
                told.append((index, time_ns, _refused(index, time_ns, error)))
        if not self.params.trim_idle:
            return told
        moving = [i for i, (_, _, t) in enumerate(told) if isinstance(t, Refused) or not t.idle]
        kept = told[moving[0] : moving[-1] + 1] if moving else []
        inside = {i for i, _, _ in kept}
        self.trimmed = tuple(i for i, _, _ in told if i not in inside)
        return kept

    def _tell(self, time_ns: int) -> _Told:
        tracks, p = self.tracks, self.params
        told, mover = tracks.label(time_ns), tracks.mover(time_ns)
        arms = told.reshape(-1, NUM_AXES)
        idle = (
            float(np.max(np.linalg.norm(arms[:, :3], axis=1))) < p.idle_m
            and float(np.max(np.linalg.norm(arms[:, 3:6], axis=1))) < p.idle_rad
            and tracks.opening_change(time_ns) < p.idle_opening
        )
        if mover not in labels.MOVERS and not idle:
            raise DataError(f"the target moved in {mover}, by no step of teleop or policy")
        # Whether the arm was to stay is what it was told, whatever the labels are made of.
        action = told if p.labels == "commanded" else tracks.label(time_ns, p.labels)
        return _Told(action, mover, mover == "teleop" and tracks.corrects(time_ns), idle)


@dataclass(frozen=True)
class _Told:
    action: FloatArray
    authority: str
    correction: bool
    idle: bool


def _refused(index: int, time_ns: int, error: LapaError) -> Refused:
    return Refused(index, time_ns, type(error).__name__, str(error))


def episodes(
    path: Path, params: SampleParams | None = None, folders: Iterable[Path] | None = None
) -> Iterator[Samples]:
    """The episodes of a data set, one opened at a time.

    Args:
        path: its folder, or one episode's.
        params: of the samples.
        folders: which episodes; default: successes without a serious finding.

    Raises:
        DataError: none there, or one cannot be read.
    """
    for folder in find(path) if folders is None else folders:
        yield Samples(open_episode(folder), params)
