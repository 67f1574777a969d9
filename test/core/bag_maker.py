# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Makes small rosbag2 recordings for tests, with the faults that real ones have.

Written by the `rosbags` library, not by our own writer. A made camera sees a bright bar (the arm)
move over a patterned table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

S = 1_000_000_000
BEGAN_NS = 1_700_000_000 * S
STORE = get_typestore(Stores.ROS2_JAZZY)
JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
FINGER = "left_finger"
CLOSED, OPEN = 0.015, 0.037
IMAGE = "sensor_msgs/msg/CompressedImage"
JOINT_STATE = "sensor_msgs/msg/JointState"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
STRING = "std_msgs/msg/String"
Time = STORE.types["builtin_interfaces/msg/Time"]
Duration = STORE.types["builtin_interfaces/msg/Duration"]
Header = STORE.types["std_msgs/msg/Header"]


def header(stamp_ns: int, frame_id: str = "") -> Any:
    return Header(Time(stamp_ns // S, stamp_ns % S), frame_id)


def joint_state(stamp_ns: int, names: tuple[str, ...], position: list[float]) -> Any:
    empty = np.zeros(0)
    return STORE.types[JOINT_STATE](
        header(stamp_ns), list(names), np.array(position), empty, empty
    )


def compressed(stamp_ns: int, jpeg: bytes) -> Any:
    data = np.frombuffer(jpeg, dtype=np.uint8)
    return STORE.types[IMAGE](header(stamp_ns, "camera"), "rgb8; jpeg compressed bgr8", data)


def raw_image(stamp_ns: int, rgb: np.ndarray) -> Any:
    h, w = rgb.shape[:2]
    return STORE.types["sensor_msgs/msg/Image"](
        header(stamp_ns, "camera"), h, w, "rgb8", 0, 3 * w, np.ascontiguousarray(rgb).reshape(-1)
    )


def deltas(stamp_ns: int, names: tuple[str, ...], rows: list[list[float]]) -> Any:
    Point = STORE.types["trajectory_msgs/msg/JointTrajectoryPoint"]
    empty = np.zeros(0)
    points = [
        Point(np.array(row), empty, empty, empty, Duration(0, 200_000_000 * k))
        for k, row in enumerate(rows)
    ]
    return STORE.types[TRAJECTORY](header(stamp_ns, "base"), list(names), points)


def string(text: str) -> Any:
    return STORE.types[STRING](text)


class BagMaker:
    """Collects messages, and writes them in log order when closed."""

    def __init__(self, path: Path, storage: str = "mcap") -> None:
        self.path = path
        self._plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
        self._messages: list[tuple[int, int, str, str, bytes]] = []

    def add(self, topic: str, type: str, log_ns: int, message: Any, store: Any = STORE) -> None:
        raw = bytes(store.serialize_cdr(message, type))
        self._messages.append((log_ns, len(self._messages), topic, type, raw))

    def write(self, store: Any = STORE, empty: dict[str, str] | None = None) -> Path:
        """Write; `empty` are topics (with their types) without messages."""
        with Writer(self.path, version=9, storage_plugin=self._plugin) as writer:
            topics = (empty or {}) | {t: k for _, _, t, k, _ in self._messages}
            known = {t: writer.add_connection(t, k, typestore=store) for t, k in topics.items()}
            for log_ns, _, topic, _, raw in sorted(self._messages):
                writer.write(known[topic], log_ns, raw)
        return self.path


@lru_cache(maxsize=4)
def _table(seed: int, width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 200, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


def scene(angle_rad: float, width: int = 160, height: int = 120, seed: int = 0) -> np.ndarray:
    """(height, width, 3) RGB of the table with the arm at an angle."""
    picture = _table(seed, width, height).copy()
    reach = 0.8 * height
    tip = (
        int(width / 2 + reach * math.sin(angle_rad)),
        int(height - reach * math.cos(angle_rad)),
    )
    cv2.line(picture, (width // 2, height), tip, (235, 235, 235), 9)
    return picture


@lru_cache(maxsize=4096)
def jpeg(angle: int, seed: int, blur: float) -> bytes:
    """A JPEG of the scene at `angle` thousandths of a radian."""
    picture = scene(angle / 1000, seed=seed)
    if blur:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    return bytes(cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def black() -> bytes:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 12, (120, 160, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".jpg", picture)[1])


def white() -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((120, 160, 3), 252, np.uint8))[1])


Between = tuple[float, float]
NEVER: Between = (math.inf, math.inf)


@dataclass
class Camera:
    """A made camera. Times are seconds since the recording began."""

    topic: str
    hz: float = 30.0
    latency_s: float = 0.05
    skew_s: float = 0.0  # its clock is late by this, and by drift more every second
    drift: float = 0.0
    frozen: Between = NEVER
    black: Between = NEVER
    white: Between = NEVER
    blurred: Between = NEVER
    silent: Between = NEVER
    slow: tuple[float, float, float] = (math.inf, math.inf, 0.0)  # from, to, Hz instead

    def write(self, bag: BagMaker, seconds: float, angle: Callable[[float], float]) -> None:
        t, shown = 0.01, 0
        while t + self.latency_s < seconds:
            if not _in(self.frozen, t):
                shown = round(1000 * angle(t))
            data = black() if _in(self.black, t) else white() if _in(self.white, t) else None
            if data is None:
                blur = 2.0 if _in(self.blurred, t) else 0.0  # 8 pixels at 640
                data = jpeg(shown, len(self.topic), blur)
            stamp = BEGAN_NS + round((t - self.skew_s - self.drift * t) * S)
            if not _in(self.silent, t):
                log_ns = BEGAN_NS + round((t + self.latency_s) * S)
                bag.add(self.topic, IMAGE, log_ns, compressed(stamp, data))
            t += 1.0 / (self.slow[2] if _in(self.slow[:2], t) else self.hz)


@dataclass
class Arm:
    """Made joint states of one arm."""

    topic: str
    hz: float = 100.0
    glitch_s: float = math.inf  # one sample at -pi
    nan_s: float = math.inf
    gripper_moves: bool = True
    moves: bool = True
    names: tuple[str, ...] = (*JOINTS, FINGER)

    def write(self, bag: BagMaker, seconds: float, angle: Callable[[float], float]) -> None:
        rng = np.random.default_rng(0)
        for i in range(int(seconds * self.hz)):
            t = i / self.hz
            turn = angle(t) if self.moves else 0.3
            position = [turn, *([0.3] * (len(self.names) - 2)), CLOSED]
            position[:-1] = [p + float(rng.normal(0, 5e-4)) for p in position[:-1]]  # encoder
            opening = min(1.0, max(0.0, 2 * t / seconds - 0.5)) if self.gripper_moves else 0.0
            position[-1] = CLOSED + opening * (OPEN - CLOSED)
            if abs(t - self.glitch_s) < 0.5 / self.hz:
                position[:-1] = [-math.pi] * (len(position) - 1)
            if abs(t - self.nan_s) < 0.5 / self.hz:
                position[0] = math.nan
            stamp = BEGAN_NS + round(t * S)
            bag.add(
                self.topic,
                JOINT_STATE,
                stamp + 1_000_000,
                joint_state(stamp, self.names, position),
            )


def swing(t: float) -> float:
    """The arm turns between -0.5 and 0.5 rad, still for two seconds out of six."""
    phase = t % 6.0
    return 0.5 * math.sin(min(phase, 4.0) * math.pi / 2)


@dataclass
class Take:
    """One recording: cameras, arms, and how the arm moves."""

    cameras: list[Camera] = field(
        default_factory=lambda: [Camera("/camera/front/image_raw/compressed")]
    )
    arms: list[Arm] = field(default_factory=lambda: [Arm("/wx250s/joint_states")])
    seconds: float = 6.0
    angle: Callable[[float], float] = swing

    def write(
        self, path: Path, storage: str = "mcap", empty: dict[str, str] | None = None
    ) -> Path:
        bag = BagMaker(path, storage)
        for part in (*self.cameras, *self.arms):
            part.write(bag, self.seconds, self.angle)
        return bag.write(empty=empty)


def _in(between: Between, t: float) -> bool:
    return between[0] <= t < between[1]
