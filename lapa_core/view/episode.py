# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A recorded episode for showing: what is small as arrays, pictures read when they are needed.

Times are seconds since the bag's first message, by arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lapa_core.control.compose import Pose
from lapa_core.data import episodes, messages, streams
from lapa_core.data.bags import Bag
from lapa_core.data.episodes import Recording
from lapa_core.errors import DataError
from lapa_core.robot import Robot
from lapa_core.teleop import poses
from lapa_core.types import FloatArray, ImageArray

READ_ON_S = 2.0  # further ahead than this it is faster to look the place up
LOOK_BACK_S = 1.0  # the newest frame before a place is at most so old


@dataclass
class Track:
    """Values over time: `times_s` increasing, one value each."""

    times_s: list[float] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, time_s: float, value: Any) -> None:
        """Append one."""
        self.times_s.append(time_s)
        self.values.append(value)

    def at(self, time_s: float) -> Any | None:
        """The newest value at a time, None before the first."""
        index = int(np.searchsorted(self.times_s, time_s, side="right")) - 1
        return self.values[index] if index >= 0 else None

    def until(self, time_s: float) -> list[Any]:
        """All values up to a time."""
        return self.values[: int(np.searchsorted(self.times_s, time_s, side="right"))]


@dataclass
class ArmTracks:
    """What is known of one arm: joint name -> position, measured and commanded tool pose."""

    joints: Track = field(default_factory=Track)
    measured: Track = field(default_factory=Track)
    target: Track = field(default_factory=Track)


class CameraTrack:
    """One camera's frames, read from the bag as they are asked for, forward or anywhere."""

    def __init__(self, bag: Bag, topic: str) -> None:
        self._bag, self._topic = bag, topic
        self._messages: Iterator[tuple[str, str, int, bytes]] = iter(())
        self._next: tuple[str, str, int, bytes] | None = None
        self._shown_ns = -1
        self._at_ns = -1

    def at(self, ns: int) -> ImageArray | None:
        """The newest frame at log time `ns`; None where it is the one given last, or none is.

        Raises:
            DataError: it cannot be decoded.
        """
        if self._at_ns < 0 or not self._at_ns <= ns <= self._at_ns + READ_ON_S * 1e9:
            self._messages = self._bag.messages((self._topic,), ns - round(LOOK_BACK_S * 1e9))
            self._next = next(self._messages, None)
            self._shown_ns = -1
        self._at_ns = ns
        newest = None
        while self._next is not None and self._next[2] <= ns:
            newest, self._next = self._next, next(self._messages, None)
        if newest is None or newest[2] == self._shown_ns:
            return None
        self._shown_ns = newest[2]
        return messages.image(self._bag.decode(newest[1], newest[3]))


@dataclass(frozen=True)
class Played:
    """An episode ready to be shown.

    Attributes:
        recording: the opened episode.
        arms: by name.
        deltas: executed deltas: rows of (d,) with the robot's dimensions.
        cameras: by name; those that were recorded.
    """

    recording: Recording
    arms: dict[str, ArmTracks]
    deltas: Track
    cameras: dict[str, CameraTrack]

    @property
    def robot(self) -> Robot:
        """As it was recorded."""
        return self.recording.robot

    @property
    def duration_s(self) -> float:
        """From the first to the last message."""
        return self.recording.bag.duration_s

    def log_ns(self, time_s: float) -> int:
        """Log time of a place."""
        return self.recording.bag.begins_ns + round(time_s * 1e9)

    def delta_table(self) -> tuple[FloatArray, FloatArray]:
        """(k,) times and (k, d) executed deltas."""
        times = np.array(self.deltas.times_s)
        return times, np.array(self.deltas.values).reshape(len(times), -1)


def load(folder: Path, robot: Robot | None = None) -> Played:
    """Open an episode and read what is small; `robot` instead of the copy in `episode.yaml`.

    Raises:
        DataError: no complete episode, or a bag that cannot be read.
        ConfigError: its robot file is wrong, or names a URDF that is not here.
    """
    recording = episodes.open_episode(folder, robot)
    arms = {arm.name: ArmTracks() for arm in recording.robot.arms}
    deltas = Track()
    take = _takers(recording, arms, deltas)
    present = [topic for topic in take if topic in recording.topics]
    begins_ns = recording.bag.begins_ns
    for topic, type_, log_ns, raw in recording.bag.messages(present):
        take[topic]((log_ns - begins_ns) * 1e-9, recording.bag.decode(type_, raw))
    cameras = {}
    for camera in recording.robot.cameras:
        try:
            topic = streams.camera_topic(camera, recording.topics, recording.namespace)
        except DataError:
            continue  # a camera that was not recorded leaves its picture dark
        cameras[camera.name] = CameraTrack(recording.bag, topic)
    return Played(recording, arms, deltas, cameras)


def _takers(
    recording: Recording, arms: dict[str, ArmTracks], deltas: Track
) -> dict[str, Callable[[float, Any], None]]:
    """Bag topic -> what becomes of its messages."""
    take: dict[str, Callable[[float, Any], None]] = {}
    by_joints: dict[str, list[Track]] = {}
    for arm in recording.robot.arms:
        tracks = arms[arm.name]
        by_joints.setdefault(recording.topic(arm.joint_states), []).append(tracks.joints)
        for topic, track in (("ee_pose", tracks.measured), ("ee_target", tracks.target)):
            take[recording.topic(f"{arm.name}/{topic}")] = _pose_taker(track)
    for topic, sharing in by_joints.items():
        take[topic] = _joint_taker(sharing)
    names = recording.robot.dimensions

    def take_delta(time_s: float, msg: Any) -> None:
        chunk = messages.action_chunk(msg)
        if len(chunk) and set(names) <= set(chunk.names):
            order = [chunk.names.index(n) for n in names]
            deltas.add(time_s, chunk.deltas[0, order])

    take[recording.topic(episodes.EXECUTED)] = take_delta
    return take


def _joint_taker(tracks: list[Track]) -> Callable[[float, Any], None]:
    def take(time_s: float, msg: Any) -> None:
        names, position = messages.joint_state(msg)
        joints = dict(zip(names, position.tolist(), strict=True))
        for track in tracks:
            track.add(time_s, joints)

    return take


def _pose_taker(track: Track) -> Callable[[float, Any], None]:
    def take(time_s: float, msg: Any) -> None:
        pose: Pose = poses.checked(msg.pose, "a recorded tool")
        track.add(time_s, pose)

    return take


def siblings(folder: Path) -> list[Path]:
    """All complete episodes of the data set that an episode lies in, in order.

    With the folder of the data set itself, its episodes.

    Raises:
        DataError: none is there.
    """
    from lapa_core.recording import episode as files

    whole = folder.resolve()
    home = whole.parent if (whole / files.FILE).is_file() else whole
    found = sorted(
        p.parent for p in home.glob(f"*/{files.FILE}") if not p.parent.name.endswith(".partial")
    )
    if not found:
        raise DataError(f"{folder} is no episode and holds none: no {files.FILE}")
    return found
